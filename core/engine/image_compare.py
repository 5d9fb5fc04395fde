"""How two file trees differ: images', or containers'.

A container is its image's layers and one more: what it has changed, packed as a commit would pack it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from core.engine.files import layer_tar
from core.engine.image_commit import base_layers
from core.engine.image_contents import hold_layers, list_pieces, read_contents
from core.engine.image_users import ContainerView
from core.errors import NotFound
from core.images.store import ImageStore, LayerRecord
from core.model.image_files import FileDifference, FileTree, LayerContents, differences, needed_digests
from core.model.progress import CancelToken, Progress, Report
from core.state.leases import Lease
from core.state.paths import Roots


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
            wanted = [layer for layer in layers if digests or layer.diff_id not in contents]
            for found in read_contents(roots, wanted, report, cancel, digests=digests):
                contents[found.diff_id] = found

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
        with holding as held:
            config = held.container.config
            lease.add(f"image {config.image_id}", *(f"layer {chain}" for chain in config.layers))
            layers = base_layers(roots, store, config)
            hold_layers(lease, layers)
            what = held.tree.what
            pieces = _told(layer_tar(roots, held.tree, cancel), what, report)
            entries = list_pieces(pieces, what, cancel, digests=True)
            changed = LayerContents(chain_id="", diff_id="", entries=entries)
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
