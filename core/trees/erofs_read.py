"""Looking up single names in a layer's `tree.erofs`, without mounting it: what an image's root has, and how.

Only what core.trees.erofs writes is understood. The file is ours, but a disk may damage it: nothing that it says
is believed beyond its length.
"""

from __future__ import annotations

import os
import stat
import struct
from types import TracebackType
from typing import NamedTuple

from core.trees.erofs import (
    BLOCK,
    DIRENT,
    FLAT_INLINE,
    INODE,
    MAGIC,
    SUPER,
    SUPER_OFFSET,
    XATTR_ENTRY,
    XATTR_HEADER,
    XATTR_PREFIXES,
    superblock_checksum,
)
from core.trees.tartree import OPAQUE


class Found(NamedTuple):
    """An inode."""

    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int
    device: int
    """The kernel's number; of a whiteout 0."""
    data: int
    """Of a directory: where its names begin, in bytes."""
    at: int
    """Where its extended attributes begin."""
    xattr_bytes: int


class TreeFile:
    """An open `tree.erofs`. Raises: OSError. ValueError: it is damaged."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            block = self._read(SUPER_OFFSET, BLOCK)
            fields = SUPER.unpack_from(block)
            if fields[0] != MAGIC or fields[1] != superblock_checksum(block[:4] + bytes(4) + block[8:]):
                raise ValueError("its superblock is damaged")
            if os.fstat(self._descriptor).st_size != fields[9] * BLOCK:
                raise ValueError(f"it has not the {fields[9] * BLOCK} bytes that its superblock says")
            self._root_nid: int = fields[5]
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> TreeFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def _read(self, at: int, size: int) -> bytes:
        data = os.pread(self._descriptor, size, at)
        if len(data) != size:
            raise ValueError(f"it ends before byte {at + size}")
        return data

    def find(self, path: bytes) -> Found | None:
        """What lies at a path relative to the root (b"" is the root itself), no link followed; None: nothing."""
        there = self._inode(self._root_nid)
        for part in path.split(b"/"):
            if not part:
                continue
            if not stat.S_ISDIR(there.mode):
                return None
            nid = self._look_up(there, part)
            if nid is None:
                return None
            there = self._inode(nid)
        return there

    def is_opaque(self, found: Found) -> bool:
        """Whether a directory hides what layers below have in it."""
        if not found.xattr_bytes:
            return False
        data = self._read(found.at, found.xattr_bytes)
        at = XATTR_HEADER.size
        while at + XATTR_ENTRY.size <= len(data):
            length, number, value_bytes = XATTR_ENTRY.unpack_from(data, at)
            at += XATTR_ENTRY.size
            prefix = next((prefix for prefix, known in XATTR_PREFIXES if known == number), b"")
            if prefix + data[at : at + length] == OPAQUE:
                return data[at + length : at + length + value_bytes] == b"y"
            at += -(-(length + value_bytes) // 4) * 4
        return False

    def _inode(self, nid: int) -> Found:
        at = nid << 5
        try:
            fields = INODE.unpack(self._read(at, INODE.size))
        except struct.error:
            raise ValueError(f"inode {nid} can't be read") from None
        layout, xattr_count, mode, _, size, value, _, uid, gid, seconds, nanoseconds, _ = fields
        if seconds >= 1 << 63:
            seconds -= 1 << 64
        xattr_bytes = XATTR_HEADER.size + (xattr_count - 1) * 4 if xattr_count else 0
        is_device = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
        return Found(
            mode=mode,
            uid=uid,
            gid=gid,
            mtime_ns=seconds * 1_000_000_000 + nanoseconds,
            size=size,
            device=value if is_device else 0,
            data=at + INODE.size + xattr_bytes if layout >> 1 == FLAT_INLINE else value * BLOCK,
            at=at + INODE.size,
            xattr_bytes=xattr_bytes,
        )

    def _look_up(self, directory: Found, name: bytes) -> int | None:
        low, high = 0, -(-directory.size // BLOCK) - 1
        while low <= high:
            middle = (low + high) // 2
            names = self._names(directory, middle)
            if name < names[0][0]:
                high = middle - 1
            elif name > names[-1][0]:
                low = middle + 1
            else:
                return next((nid for there, nid in names if there == name), None)
        return None

    def _names(self, directory: Found, index: int) -> list[tuple[bytes, int]]:
        size = min(BLOCK, directory.size - index * BLOCK)
        data = self._read(directory.data + index * BLOCK, size)
        count = DIRENT.unpack_from(data)[1] // DIRENT.size if size >= DIRENT.size else 0
        if not count or count * DIRENT.size > size:
            raise ValueError("a directory of it is damaged")
        rows = [DIRENT.unpack_from(data, at * DIRENT.size) for at in range(count)]
        ends = [row[1] for row in rows[1:]] + [size]
        return [(data[row[1] : end].rstrip(b"\0"), row[0]) for row, end in zip(rows, ends, strict=True)]
