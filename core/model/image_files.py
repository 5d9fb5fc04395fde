"""What lies in an image's layers, file by file, and what that tells: what shows, what is wasted, what differs."""

from __future__ import annotations

import msgspec


class LayerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a layer's archive."""

    path: str
    """From the root, without a leading slash; bytes that are no UTF-8 as surrogates."""
    kind: str
    """file, dir, symlink, hardlink, char, block, fifo; whiteout (hides `path` below); opaque (hides all in `path`)."""
    size_bytes: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime_s: int = 0
    link: str = ""
    """Where a symlink points, or which path a hard link is another name of."""
    digest: str = ""
    """sha256 of a file's content, where it was asked for."""


class LayerContents(msgspec.Struct, frozen=True, kw_only=True):
    """One layer, its entries in the order of the archive."""

    chain_id: str
    diff_id: str
    entries: tuple[LayerEntry, ...]


class FileDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One path in which two trees differ."""

    path: str
    """From the root, with a leading slash."""
    kind: str
    """A added, C changed, D deleted: as `diff` says it, from the first tree to the second."""
    size_before: int = 0
    size_after: int = 0
