"""Layers ready for mounting, by chain id: unpacked, or the tar itself with an index beside it.

    layers/<chain hex>/          0700: a set-id file of an image must not be reachable for the host's users
        layer.json               what it is, and which blob it came from
        diff/                    driver overlay2: its files, with overlayfs' own whiteouts
        tree.erofs  layer.tar    driver erofs: its names and attributes; the tar, which is the blob itself under
                                 another name where that is plain
        init/                    mount points a container needs and the image lacks (overlay.py)

A layer is built as ingest/<uuid>/ with an INCOMPLETE mark, made durable, and published by one
rename; a directory that still carries the mark is nobody's, whoever finds it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from core.errors import CorruptDocument, NotFound, wrapped
from core.linux.checkpoints import checkpoint
from core.linux.erofs import TAR, TREE
from core.linux.files import sync_directory
from core.linux.placement import spread_directories
from core.linux.remove import remove_tree
from core.state.documents import read_struct, write_struct
from core.state.leases import Lease
from core.state.locks import Rank, locked
from core.state.paths import Roots
from core.storage.digest import digest_of
from core.storage.layer_tree import UNPACKED_FILES, Place, open_layer_tree

INCOMPLETE = "INCOMPLETE"
MOST_LAYERS = 127
"""Overlay takes 500, one page of mount data about 128; docker stops at 127 too."""


UNPACKED = "overlay2"
"""The driver of directories, by docker's name for it."""
MOUNTED = "erofs"
"""The driver of tars that are mounted as they lie."""


class Index(msgspec.Struct, frozen=True):
    """What a tar is mounted by."""

    root: tuple[int, int, int, int]
    """Mode, uid, gid and mtime (ns) of its root, where the archive itself says nothing of it."""
    tree_bytes: int
    tar_bytes: int


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """layer.json."""

    diff_id: str
    chain_id: str
    parent: str = ""
    """Chain id of the layer below; empty for a bottom one."""
    blob: str
    """Digest of the archive it came from."""
    size_bytes: int
    """Of all its regular files."""
    entries: int = 0
    driver: str = UNPACKED
    why: str = ""
    """What kept it from being mounted as a tar, where others are."""
    index: Index | None = None
    """Of driver erofs."""


def chain_id(parent: str, diff_id: str) -> str:
    """The id of a layer on top of others (image-spec: config.md, "Layer ChainID")."""
    if not parent:
        return diff_id
    return digest_of(f"{parent} {diff_id}".encode())


def chain_ids(diff_ids: Sequence[str]) -> tuple[str, ...]:
    """Of every layer, lowest first."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(chain_id(chain[-1] if chain else "", diff_id))
    return tuple(chain)


class NewLayer:
    """A layer under construction."""

    def __init__(self, roots: Roots, parent: str) -> None:
        self._roots = roots
        self._parent = parent
        self.directory = roots.ingest / os.urandom(16).hex()
        self.diff = self.directory / UNPACKED_FILES
        self.tree = self.directory / TREE
        self.tar = self.directory / TAR
        try:
            spread_directories(roots.ingest)
            self.directory.mkdir(mode=0o700)
            (self.directory / INCOMPLETE).touch()
        except OSError as error:
            raise wrapped(error, "write", self.directory) from error

    def make_diff(self) -> Path:
        """The directory to unpack it into; its root is like its parent's until the archive says otherwise."""
        try:
            self.diff.mkdir(mode=0o755)
            if self._parent:
                copy_attributes(root_of(self._roots, self._parent), self.diff)
        except OSError as error:
            raise wrapped(error, "write", self.directory) from error
        return self.diff

    def publish(
        self,
        lease: Lease,
        *,
        diff_id: str,
        blob: str,
        size_bytes: int,
        entries: int,
        index: Index | None = None,
        why: str = "",
    ) -> Layer:
        """Make it visible, held by the lease; if another process was faster, its layer stays and ours goes.

        The files must be durable already (the worker's syncfs, or fsync).
        """
        layer = Layer(
            diff_id=diff_id,
            chain_id=chain_id(self._parent, diff_id),
            parent=self._parent,
            blob=blob,
            size_bytes=size_bytes,
            entries=entries,
            driver=MOUNTED if index else UNPACKED,
            why=why,
            index=index,
        )
        target = self._roots.layer(layer.chain_id)
        lease.add(f"layer {layer.chain_id}")
        write_struct(self.directory / "layer.json", "layer", layer)
        try:
            checkpoint("layer:described")
            (self.directory / INCOMPLETE).unlink()
            sync_directory(self.directory)
            checkpoint("layer:durable")
            with locked(self._roots.store_lock, Rank.STORE, shared=True, what="the store"):
                try:
                    os.rename(self.directory, target)
                except OSError:
                    if not (target / "layer.json").exists():
                        raise
            sync_directory(self._roots.layers)
        except OSError as error:
            raise wrapped(error, "write", target) from error
        finally:
            self.discard()
        return layer

    def discard(self) -> None:
        """Throw away what was not published."""
        if self.directory.exists():
            remove_directory(self.directory)


def lower_of(roots: Roots, chain: str) -> Path:
    """What a layer is mounted from: its directory, or the `tree.erofs` that stands for its tar."""
    tree = roots.layer(chain) / TREE
    return tree if tree.exists() else roots.layer(chain) / UNPACKED_FILES


def index_of(directory: Path) -> Index:
    """What a layer's tar is mounted by, told by the files themselves. Raises: OSError. CorruptDocument."""
    with open_layer_tree(directory / TREE) as tree:
        root = tree.find("")
    assert root is not None
    attributes = root.mode & 0o7777, root.uid, root.gid, root.mtime_ns
    return Index(attributes, os.lstat(directory / TREE).st_size, os.lstat(directory / TAR).st_size)


def what_is_missing(directory: Path, layer: Layer) -> str:
    """What a layer can't be mounted without, as a phrase; empty when all is there, as far as a short look tells."""
    if layer.index is None:
        return "" if (directory / UNPACKED_FILES).is_dir() else "its files are missing"
    try:
        found = index_of(directory)
    except OSError as error:
        return f"{Path(error.filename or TREE).name} can't be read: {(error.strerror or str(error)).lower()}"
    except CorruptDocument as error:
        return error.message.removeprefix(f"{directory}/")
    for name, there, wanted in (
        (TREE, found.tree_bytes, layer.index.tree_bytes),
        (TAR, found.tar_bytes, layer.index.tar_bytes),
    ):
        if there != wanted:
            return f"{name} has {there} bytes, not {wanted}"
    return ""


def root_of(roots: Roots, chain: str) -> Place:
    """What a layer's root is like. Raises: NotFound, EngineError."""
    lower = lower_of(roots, chain)
    try:
        with open_layer_tree(lower) as tree:
            found = tree.find("")
    except FileNotFoundError:
        found = None
    except OSError as error:
        raise wrapped(error, "read", lower) from error
    if found is None:
        raise NotFound(f"layer {chain} has no files any more", kind="layer", key=chain, hint="load the image again")
    return found


def read_layer(roots: Roots, chain: str) -> Layer:
    """What is known of a layer. Raises: NotFound, CorruptDocument."""
    try:
        return read_struct(roots.layer(chain) / "layer.json", "layer", Layer)
    except FileNotFoundError:
        raise NotFound(
            f"layer {chain} is missing from the store", kind="layer", key=chain, hint="load the image again"
        ) from None


def has_layer(roots: Roots, chain: str) -> bool:
    """Whether a layer is unpacked and whole; it stays if a lease held it before this was asked."""
    with locked(roots.store_lock, Rank.STORE, shared=True, what="the store"):
        return (roots.layer(chain) / "layer.json").exists()


def all_layers(roots: Roots) -> Iterator[tuple[str, Path]]:
    """Chain id and directory of every layer."""
    for entry in os.scandir(roots.layers):
        if len(entry.name) == 64:
            yield f"sha256:{entry.name}", Path(entry.path)


def layer_size(roots: Roots, chain: str) -> int:
    """Bytes of a layer's files; 0 for one that can't be read, so that lists still show the rest."""
    layer = layer_or_none(roots, chain)
    return layer.size_bytes if layer else 0


def layer_or_none(roots: Roots, chain: str) -> Layer | None:
    """What is known of a layer, if it can be read."""
    try:
        return read_layer(roots, chain)
    except (NotFound, CorruptDocument):
        return None


def copy_attributes(source: Place, target: Path) -> None:
    """Give a directory the owner, mode and time of another."""
    os.chown(target, source.uid, source.gid)
    os.chmod(target, source.mode & 0o7777)
    os.utime(target, ns=(source.mtime_ns, source.mtime_ns))


def disk_bytes(roots: Roots, chain: str) -> int:
    """Bytes that go with a layer: its files, or its index and the tar, unless that is a blob under another name."""
    layer = layer_or_none(roots, chain)
    if layer is None:
        return 0
    if layer.index is None:
        return layer.size_bytes
    try:
        tar = os.stat(roots.layer(chain) / TAR)
    except FileNotFoundError:
        return layer.index.tree_bytes
    return layer.index.tree_bytes + (tar.st_size if tar.st_nlink == 1 else 0)


def remove_directory(path: Path) -> None:
    """rm -rf, following nothing. Raises: EngineError: naming what could not be deleted."""
    try:
        parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            remove_tree(parent, path.name)
        finally:
            os.close(parent)
    except OSError as error:
        raise wrapped(error, "delete", path) from error
