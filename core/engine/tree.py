"""Where the files of a container are."""

from __future__ import annotations

from pathlib import Path

import msgspec

from core.model.mounts import Mount


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """Where a container's files are.

    `pid` is its first process while it runs: its mount namespace is used then, so that binds and
    tmpfs are seen; None: the overlay is mounted in the worker's own namespace, under the
    container's lock, which the caller holds.
    """

    what: str
    """For errors: "container web"."""
    layers: tuple[str, ...]
    directory: Path
    """Holds upper/ and work/."""
    pid: int | None = None
    remapped: bool = False
    """It has a user namespace: its owners are those that this namespace shows."""
    mounts: tuple[Mount, ...] = ()
    is_fresh: bool = False
    """It was never started: the places of its mounts are yet to be made."""
    read_only: bool = False
    """Its root is not to be written to."""
