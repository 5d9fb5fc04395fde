"""What lies in images, layer by layer: read from the layers' archives, by workers that see nothing else."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Sequence

from core.errors import Integrity
from core.images.store import LayerRecord
from core.model.image_files import LayerContents, LayerEntry
from core.model.progress import CancelToken, Progress, Report
from core.state.leases import Lease
from core.state.paths import Roots
from core.storage.blobs import open_blob
from core.storage.compression import HEAD_BYTES, compression_of, plain_pieces
from core.trees.launch import Worker, limits_argument
from core.trees.tarread import DEFAULT_LIMITS

_MOST_LINKS = 8


def hold_layers(lease: Lease, layers: Sequence[LayerRecord]) -> None:
    """Protect layers and their archives for as long as the lease is held."""
    lease.add(*(f"layer {layer.chain_id}" for layer in layers), *(f"blob {layer.blob}" for layer in layers))


def read_contents(
    roots: Roots, layers: Sequence[LayerRecord], report: Report, cancel: CancelToken, *, digests: bool
) -> list[LayerContents]:
    """What lies in each layer. The caller's lease holds the layers."""
    return [read_layer_contents(roots, layer, report, cancel, digests=digests) for layer in layers]


def read_layer_contents(
    roots: Roots, layer: LayerRecord, report: Report, cancel: CancelToken, *, digests: bool
) -> LayerContents:
    """What lies in one layer; with the digests of files where asked for."""
    what = f"layer {layer.diff_id[7:19]}"
    with Listing(digests=digests) as listing:
        listing.read_blob(roots, layer.blob, what, report, cancel)
        return LayerContents(chain_id=layer.chain_id, diff_id=layer.diff_id, entries=listing.entries())


class Listing:
    """One worker's list of an archive's entries, which it writes into memory that both sides have."""

    def __init__(self, *, digests: bool) -> None:
        self._digests = digests
        self._rows = os.memfd_create("contents", os.MFD_CLOEXEC)

    def __enter__(self) -> Listing:
        return self

    def __exit__(self, *_raised: object) -> None:
        os.close(self._rows)

    def read_blob(self, roots: Roots, digest: str, what: str, report: Report, cancel: CancelToken) -> None:
        """List a stored archive, compressed or not."""
        blob = open_blob(roots, digest)
        try:
            size = os.fstat(blob).st_size

            def told(done: int) -> None:
                report(Progress(what=f"reading {what}", done_bytes=done, total_bytes=size))

            told(0)
            if not compression_of(os.pread(blob, HEAD_BYTES, 0)):
                with Worker("contents", self._request("file"), stdin=blob, stdout=self._rows) as worker:
                    worker.finish(what=what, cancel=cancel, report=told)
                return
            packed = 0

            def read(most: int) -> bytes:
                nonlocal packed
                data = os.read(blob, most)
                packed += len(data)
                told(packed)
                return data

            self.read_pieces(plain_pieces(read, what=what), what, cancel)
        finally:
            os.close(blob)

    def read_pieces(self, pieces: Iterator[bytes], what: str, cancel: CancelToken) -> None:
        """List a plain tar that comes in pieces."""
        with Worker("contents", self._request("pipe"), stdin="pipe", stdout=self._rows) as worker:
            for piece in pieces:
                cancel.check()
                if not worker.feed(piece):
                    break
            worker.end_input()
            worker.finish(what=what, cancel=cancel)

    def _request(self, source: str) -> dict[str, object]:
        return {"input": source, "limits": limits_argument(DEFAULT_LIMITS), "digests": self._digests}

    def entries(self) -> tuple[LayerEntry, ...]:
        """What the worker has found."""
        with open(os.dup(self._rows), "rb") as file:
            file.seek(0)
            return tuple(_entry(*row) for line in file for row in json.loads(line))


def _entry(
    path: str,
    kind: str,
    size: int,
    mode: int,
    uid: int,
    gid: int,
    mtime_s: int,
    link: str,
    digest: str,
    attributes: str,
    device: str,
) -> LayerEntry:
    return LayerEntry(
        path=path,
        kind=kind,
        size_bytes=size,
        mode=mode,
        uid=uid,
        gid=gid,
        mtime_s=mtime_s,
        link=link,
        digest=digest,
        attributes=attributes,
        device=device,
    )


def read_layer_file(roots: Roots, layer: LayerRecord, path: str, offset: int, length: int) -> bytes:
    """Part of a file as one layer has it; hard links are followed inside the layer.

    Raises: NotFound, InvalidInput: the layer has no such file.
    """
    name = path
    for _ in range(_MOST_LINKS):
        answer = _ask_member(roots, layer, name, offset, length)
        if "link" not in answer:
            return base64.b64decode(answer["data"])
        name = answer["link"]
    raise Integrity(f"{path} in layer {layer.diff_id[7:19]} is a hard link that leads round in circles")


def _ask_member(roots: Roots, layer: LayerRecord, path: str, offset: int, length: int) -> dict[str, str]:
    what = f"layer {layer.diff_id[7:19]}"
    request = {
        "path": os.fsdecode(os.fsencode(path)),
        "offset": offset,
        "length": length,
        "limits": limits_argument(DEFAULT_LIMITS),
    }
    blob = open_blob(roots, layer.blob)
    try:
        if not compression_of(os.pread(blob, HEAD_BYTES, 0)):
            with Worker("member", {**request, "input": "file"}, stdin=blob) as worker:
                plain: dict[str, str] = worker.finish(what=what)
                return plain
        with Worker("member", {**request, "input": "pipe"}, stdin="pipe") as worker:
            for piece in plain_pieces(lambda size: os.read(blob, size), what=what):
                if not worker.feed(piece):
                    break
            worker.end_input()
            unpacked: dict[str, str] = worker.finish(what=what)
            return unpacked
    finally:
        os.close(blob)
