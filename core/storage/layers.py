"""Layers unpacked for mounting, by chain id.

    layers/<chain hex>/          0700: a set-id file of an image must not be reachable for the host's users
        layer.json               what it is, and which blob it came from
        diff/                    its files, with overlayfs' own whiteouts
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
from core.linux.files import sync_directory
from core.linux.placement import spread_directories
from core.linux.remove import remove_tree
from core.state.documents import read_struct, write_struct
from core.state.leases import Lease
from core.state.locks import Rank, locked
from core.state.paths import Roots
from core.storage.digest import digest_of

INCOMPLETE = "INCOMPLETE"
MOST_LAYERS = 127
"""Overlay takes 500, one page of mount data about 128; docker stops at 127 too."""


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
        self.diff = self.directory / "diff"
        try:
            spread_directories(roots.ingest)
            self.directory.mkdir(mode=0o700)
            (self.directory / INCOMPLETE).touch()
            self.diff.mkdir(mode=0o755)
            if parent:
                copy_directory_attributes(roots.layer(parent) / "diff", self.diff)
        except OSError as error:
            raise wrapped(error, "write", self.directory) from error

    def publish(self, lease: Lease, *, diff_id: str, blob: str, size_bytes: int, entries: int) -> Layer:
        """Make it visible, held by the lease; if another process was faster, its layer stays and ours goes.

        The files must be durable already (the worker's syncfs).
        """
        layer = Layer(
            diff_id=diff_id,
            chain_id=chain_id(self._parent, diff_id),
            parent=self._parent,
            blob=blob,
            size_bytes=size_bytes,
            entries=entries,
        )
        target = self._roots.layer(layer.chain_id)
        lease.add(f"layer {layer.chain_id}")
        write_struct(self.directory / "layer.json", "layer", layer)
        try:
            (self.directory / INCOMPLETE).unlink()
            sync_directory(self.directory)
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
    try:
        return read_layer(roots, chain).size_bytes
    except (NotFound, CorruptDocument):
        return 0


def copy_directory_attributes(source: Path, target: Path) -> None:
    """Give a directory the owner, mode and time of another."""
    there = os.stat(source, follow_symlinks=False)
    os.chown(target, there.st_uid, there.st_gid)
    os.chmod(target, there.st_mode & 0o7777)
    os.utime(target, ns=(there.st_mtime_ns, there.st_mtime_ns))


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
