"""Taking away what nothing refers to any more.

Under the store lock, held exclusively for renames only, unreachable blobs and layers move to
trash/; they are deleted outside it. What a living lease names is reachable. Half-made things in
ingest/ have no name that a lease could list: they count as dead when older than every living lease
could have made them, or when no lease lives.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from core.errors import wrapped
from core.linux.remove import remove_tree
from core.state.leases import live_holds
from core.state.locks import Rank, locked
from core.state.paths import Roots
from core.storage.blobs import all_blobs
from core.storage.layers import INCOMPLETE, all_layers, layer_size, remove_directory

_NO_LAYERS = "sha256:" + "0" * 64


class Reachable(msgspec.Struct):
    """What must stay, as the caller finds it in images and containers."""

    blobs: set[str]
    layers: set[str]


class Swept(msgspec.Struct, frozen=True):
    """What went: chain ids of layers, digests of blobs, and the bytes of both."""

    layers: tuple[str, ...]
    blobs: tuple[str, ...]
    freed_bytes: int


def sweep(roots: Roots, reachable: Callable[[set[str]], Reachable | None]) -> Swept:
    """Remove what is not reachable.

    Args: reachable: called under the exclusive store lock, so that nothing is published meanwhile,
        with all that living leases hold; it reads images and containers. None: it can't be told just
        now, so nothing goes.
    """
    doomed: list[Path] = []
    layers: list[str] = []
    blobs: list[str] = []
    freed = 0
    with locked(roots.store_lock, Rank.STORE, what="the store", purpose="collects garbage"):
        holds = live_holds(roots.leases)
        keep = reachable(holds)
        if keep is None:
            return Swept((), (), 0)
        kept_layers = keep.layers | _held(holds, "layer")
        kept_blobs = keep.blobs | _held(holds, "blob")
        for chain, path in all_layers(roots):
            if chain in kept_layers and not (path / INCOMPLETE).exists():
                continue
            if chain == _NO_LAYERS:
                continue
            freed += layer_size(roots, chain)
            doomed.append(_to_trash(roots, path))
            layers.append(chain)
        for digest, path in all_blobs(roots):
            if digest not in kept_blobs:
                freed += path.stat().st_size
                doomed.append(_to_trash(roots, path))
                blobs.append(digest)
        if not holds:
            doomed += [_to_trash(roots, Path(entry.path)) for entry in os.scandir(roots.ingest) if _is_old(entry)]
    for path in doomed:
        _delete(path)
    return Swept(tuple(layers), tuple(blobs), freed)


def _held(holds: set[str], kind: str) -> set[str]:
    return {hold.partition(" ")[2] for hold in holds if hold.startswith(f"{kind} ")}


def _is_old(entry: os.DirEntry[str]) -> bool:
    """Whether nobody can be at work on it: every ingest of ours holds a lease, so a minute is ample."""
    try:
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > 60
    except FileNotFoundError:
        return False


def _to_trash(roots: Roots, path: Path) -> Path:
    target = roots.trash / os.urandom(16).hex()
    try:
        os.rename(path, target)
    except OSError as error:
        raise wrapped(error, "move to trash", path) from error
    return target


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_directory(path)
    else:
        path.unlink(missing_ok=True)


def empty_trash(roots: Roots) -> None:
    """Delete what a crash left in trash/."""
    try:
        trash = os.open(roots.trash, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in os.listdir(trash):
                remove_tree(trash, name)
        finally:
            os.close(trash)
    except OSError as error:
        raise wrapped(error, "empty", roots.trash) from error
