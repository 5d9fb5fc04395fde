"""What lies in images, layer by layer: read from the layers' archives, by workers that see nothing else.

A container is its image's layers and one more: what it has changed, packed as a commit would pack it.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Sequence

from core.engine.files import layer_tar
from core.engine.image_commit import base_layers
from core.engine.image_users import ContainerView
from core.errors import Integrity, NotFound
from core.images.store import ImageStore, LayerRecord
from core.model.image_files import FileDifference, FileTree, LayerContents, LayerEntry, differences, needed_digests
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
    return [_layer_contents(roots, layer, report, cancel, digests=digests) for layer in layers]


def _layer_contents(
    roots: Roots, layer: LayerRecord, report: Report, cancel: CancelToken, *, digests: bool
) -> LayerContents:
    what = f"layer {layer.diff_id[7:19]}"
    entries: list[LayerEntry] = []
    with _Listing(digests=digests) as listing:
        listing.read_blob(roots, layer.blob, what, report, cancel)
        entries = listing.entries()
    return LayerContents(chain_id=layer.chain_id, diff_id=layer.diff_id, entries=tuple(entries))


class _Listing:
    """One worker's list of an archive's entries, which it writes into memory that both sides have."""

    def __init__(self, *, digests: bool) -> None:
        self._digests = digests
        self._rows = os.memfd_create("contents", os.MFD_CLOEXEC)

    def __enter__(self) -> _Listing:
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

    def entries(self) -> list[LayerEntry]:
        """What the worker has found."""
        with open(os.dup(self._rows), "rb") as file:
            file.seek(0)
            return [_entry(*row) for line in file for row in json.loads(line)]


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


class _Side:
    """One of two trees to compare: layers of the store, and perhaps what a container has changed."""

    def __init__(self, layers: Sequence[LayerRecord], changed: LayerContents | None = None) -> None:
        self.layers = layers
        self.changed = changed

    def tree(self, contents: dict[str, LayerContents]) -> FileTree:
        """All of it laid together; contents by diff id."""
        tree = FileTree(contents[layer.diff_id] for layer in self.layers)
        if self.changed is not None:
            tree.add(self.changed)
        return tree


def compare(
    roots: Roots,
    store: ImageStore,
    containers: ContainerView,
    first: str,
    second: str,
    report: Report,
    cancel: CancelToken,
) -> list[FileDifference]:
    """How two file trees differ, sorted by path; files by their content, and times don't count.

    Layers that both have at their bottoms are read only where a file of them has to be told from
    another one of the same size.
    """
    with Lease(roots.leases) as lease:
        sides = [_side(roots, store, containers, key, lease, report, cancel) for key in (first, second)]
        shared = _shared_layers(sides[0].layers, sides[1].layers)
        contents: dict[str, LayerContents] = {}

        def read(layers: Sequence[LayerRecord], *, digests: bool) -> None:
            for layer in layers:
                if digests or layer.diff_id not in contents:
                    contents[layer.diff_id] = _layer_contents(roots, layer, report, cancel, digests=digests)

        bottom = sides[0].layers[:shared]
        own = {layer.diff_id: layer for side in sides for layer in side.layers[shared:]}
        read(list(own.values()), digests=True)
        read(bottom, digests=False)
        trees = [side.tree(contents) for side in sides]
        if needed := needed_digests(trees[0], trees[1], shared):
            read([bottom[number] for number in sorted(needed)], digests=True)
            trees = [side.tree(contents) for side in sides]
        return differences(trees[0], trees[1], shared)


def _shared_layers(first: Sequence[LayerRecord], second: Sequence[LayerRecord]) -> int:
    shared = 0
    for one, other in zip(first, second, strict=False):
        if one.chain_id != other.chain_id:
            break
        shared += 1
    return shared


def _side(
    roots: Roots,
    store: ImageStore,
    containers: ContainerView,
    key: str,
    lease: Lease,
    report: Report,
    cancel: CancelToken,
) -> _Side:
    try:
        image_id = store.resolve(key)
    except NotFound:
        return _container_side(roots, store, containers, key, lease, report, cancel)
    lease.add(f"image {image_id}")
    layers = store.get(image_id).layers
    hold_layers(lease, layers)
    return _Side(layers)


def _container_side(
    roots: Roots,
    store: ImageStore,
    containers: ContainerView,
    key: str,
    lease: Lease,
    report: Report,
    cancel: CancelToken,
) -> _Side:
    try:
        holding = containers.held(key, pause=False)
        with holding as held, _Listing(digests=True) as listing:
            config = held.container.config
            lease.add(f"image {config.image_id}", *(f"layer {chain}" for chain in config.layers))
            layers = base_layers(roots, store, config)
            hold_layers(lease, layers)
            what = held.tree.what
            listing.read_pieces(_told(layer_tar(roots, held.tree, cancel), what, report), what, cancel)
            changed = LayerContents(chain_id="", diff_id="", entries=tuple(listing.entries()))
    except NotFound as error:
        if error.kind != "container":
            raise
        raise NotFound(
            f"No such image or container: {key}", kind="image", key=key, hint="`images` and `ps -a` list what is here"
        ) from None
    return _Side(layers, changed)


def _told(pieces: Iterator[bytes], what: str, report: Report) -> Iterator[bytes]:
    done = 0
    for piece in pieces:
        done += len(piece)
        report(Progress(what=f"reading {what}", done_bytes=done))
        yield piece
