"""Taking away what nothing refers to any more.

Under the store lock, held exclusively for renames only, unreachable blobs and layers move to
trash/; they are deleted outside it. What a living lease names is reachable.

Half-made things in ingest/ have no name yet that a lease could list; whoever makes one holds a lease
on INGEST from before it does. So whatever lay there before the last such lease ended is dead; but
downloads (downloads.py) stay for a day, so that the next pull goes on with them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from core.errors import wrapped
from core.linux.files import is_locked
from core.state.leases import live_holds
from core.state.locks import Rank, locked
from core.state.paths import Roots
from core.storage.blobs import all_blobs
from core.storage.downloads import is_kept
from core.storage.layers import INCOMPLETE, all_layers, disk_bytes, remove_directory

INGEST = "ingest"
"""What the lease of everybody who makes something in ingest/ holds."""
_FORGOTTEN_S = 60.0
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
            freed += disk_bytes(roots, chain)
            doomed.append(_to_trash(roots, path))
            layers.append(chain)
        for digest, path in all_blobs(roots):
            if digest not in kept_blobs:
                freed += path.stat().st_size
                doomed.append(_to_trash(roots, path))
                blobs.append(digest)
    for path in doomed:
        remove_directory(path)
    clean_up(roots)
    return Swept(tuple(layers), tuple(blobs), freed)


def _held(holds: set[str], kind: str) -> set[str]:
    return {hold.partition(" ")[2] for hold in holds if hold.startswith(f"{kind} ")}


def _to_trash(roots: Roots, path: Path) -> Path:
    target = roots.trash / os.urandom(16).hex()
    try:
        os.rename(path, target)
    except OSError as error:
        raise wrapped(error, "move to trash", path) from error
    return target


def has_crashed_operations(roots: Roots) -> bool:
    """Whether an operation died at its work: it may have left content that nothing names, or something half-made."""
    if any(not entry.name.startswith(".") and not is_locked(Path(entry.path)) for entry in os.scandir(roots.leases)):
        return True
    return any(_half_made(roots)) and INGEST not in live_holds(roots.leases)


def _half_made(roots: Roots) -> Iterator[Path]:
    """What lies in ingest/ and is nobody's once no lease holds INGEST."""
    return (Path(e.path) for e in os.scandir(roots.ingest) if not is_kept(e.path, e.name))


def clean_up(roots: Roots) -> None:
    """Delete what operations that died have left half-made, or half-deleted. Takes no lock."""
    half_made = list(_half_made(roots))  # before leases are looked at
    if INGEST in live_holds(roots.leases):
        half_made = []
    half_deleted = [Path(entry.path) for entry in os.scandir(roots.trash) if _is_forgotten(entry)]
    half_leased = [Path(e.path) for e in os.scandir(roots.leases) if e.name.startswith(".") and _is_forgotten(e)]
    for path in half_made + half_deleted + half_leased:
        remove_directory(path)


def _is_forgotten(entry: os.DirEntry[str]) -> bool:
    """Whether it has lain there for a while: whoever put it there would be done, or still is at it."""
    try:
        return time.time() - entry.stat(follow_symlinks=False).st_ctime > _FORGOTTEN_S
    except FileNotFoundError:
        return False
