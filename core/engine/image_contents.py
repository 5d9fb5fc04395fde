"""What lies in images, layer by layer: read from the layers' archives, by workers that see nothing else."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack

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
    """What lies in each layer; with the digests of files where asked for. The caller's lease holds the layers.

    Plain archives are read by one worker one after the other, each compressed one by its own.
    """
    found: dict[str, tuple[LayerEntry, ...]] = {}
    with ExitStack() as held:
        blobs: dict[str, int] = {}
        for layer in layers:
            if layer.diff_id not in blobs:
                blobs[layer.diff_id] = open_blob(roots, layer.blob)
                held.callback(os.close, blobs[layer.diff_id])
        packed = {diff_id for diff_id, blob in blobs.items() if compression_of(os.pread(blob, HEAD_BYTES, 0))}
        plain = {diff_id: blob for diff_id, blob in blobs.items() if diff_id not in packed}
        if plain:
            found.update(zip(plain, _list_files(plain, report, cancel, digests=digests), strict=True))
        for diff_id in packed:
            what = _called(diff_id)
            pieces = plain_pieces(_told_reader(blobs[diff_id], what, report), what=what)
            found[diff_id] = list_pieces(pieces, what, cancel, digests=digests)
    return [
        LayerContents(chain_id=layer.chain_id, diff_id=layer.diff_id, entries=found[layer.diff_id]) for layer in layers
    ]


def list_pieces(pieces: Iterator[bytes], what: str, cancel: CancelToken, *, digests: bool) -> tuple[LayerEntry, ...]:
    """The entries of a plain tar that comes in pieces. Args: what: how errors name it."""
    with _Rows() as rows:
        with Worker("contents", _request([], [what], digests), stdin="pipe", stdout=rows.descriptor) as worker:
            for piece in pieces:
                cancel.check()
                if not worker.feed(piece):
                    break
            worker.end_input()
            worker.finish(what="", cancel=cancel)
        (entries,) = rows.read()
        return entries


def _list_files(
    archives: Mapping[str, int], report: Report, cancel: CancelToken, *, digests: bool
) -> list[tuple[LayerEntry, ...]]:
    """The entries of plain tars: open files, by diff id."""
    total = sum(os.fstat(blob).st_size for blob in archives.values())

    def told(done: int) -> None:
        report(Progress(what="reading layers", done_bytes=done, total_bytes=total))

    told(0)
    blobs = list(archives.values())
    request = _request(blobs, [_called(diff_id) for diff_id in archives], digests)
    with _Rows() as rows:
        with Worker("contents", request, descriptors=blobs, stdout=rows.descriptor) as worker:
            worker.finish(what="", cancel=cancel, report=told)
        return rows.read()


def _request(archives: list[int], names: list[str], digests: bool) -> dict[str, object]:
    limits = limits_argument(DEFAULT_LIMITS)
    return {"archives": archives, "names": names, "input": "pipe", "limits": limits, "digests": digests}


def _called(diff_id: str) -> str:
    return f"layer {diff_id[7:19]}"


def _told_reader(blob: int, what: str, report: Report) -> Callable[[int], bytes]:
    """Reads an open file, and tells how far it is."""
    size, done = os.fstat(blob).st_size, 0

    def read(most: int) -> bytes:
        nonlocal done
        report(Progress(what=f"reading {what}", done_bytes=done, total_bytes=size))
        data = os.read(blob, most)
        done += len(data)
        return data

    return read


class _Rows:
    """Memory that a worker writes its rows into: feeding it and reading from it can't wait for each other."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("contents", os.MFD_CLOEXEC)

    def __enter__(self) -> _Rows:
        return self

    def __exit__(self, *_raised: object) -> None:
        os.close(self.descriptor)

    def read(self) -> list[tuple[LayerEntry, ...]]:
        """The entries of each archive."""
        found: list[tuple[LayerEntry, ...]] = []
        entries: list[LayerEntry] = []
        with open(os.dup(self.descriptor), "rb") as file:
            file.seek(0)
            for line in file:
                rows = json.loads(line)
                if rows is None:
                    found.append(tuple(entries))
                    entries = []
                else:
                    entries.extend(_entry(*row) for row in rows)
        return found


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
    raise Integrity(f"{path} in {_called(layer.diff_id)} is a hard link that leads round in circles")


def _ask_member(roots: Roots, layer: LayerRecord, path: str, offset: int, length: int) -> dict[str, str]:
    what = _called(layer.diff_id)
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
