"""Volumes: named or anonymous directories that outlive containers."""

from __future__ import annotations

import msgspec


class Volume(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One volume (volume.json, without the mountpoint, which is derived)."""

    name: str
    created_ns: int
    labels: dict[str, str] = {}
    driver: str = "local"
    options: dict[str, str] = {}
    anonymous: bool = False
    mountpoint: str = ""
    used_by: tuple[str, ...] = ()
    """Ids of containers that mount it, running or not."""
    size_bytes: int | None = None


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a file browser; `name` and `link` are raw bytes decoded with surrogateescape."""

    name: str
    kind: str
    """file, dir, link, char, block, fifo, socket"""
    mode: int
    uid: int
    gid: int
    size_bytes: int
    mtime_ns: int
    link: str = ""
