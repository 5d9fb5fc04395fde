"""Where a file system puts new directories: ext4's "top of a hierarchy" flag. FS_IOC_SETFLAGS, chattr(1) +T."""

from __future__ import annotations

import fcntl
import os
import struct

_FS_IOC_GETFLAGS = 0x80086601
_FS_IOC_SETFLAGS = 0x40086602
_TOPDIR = 0x00020000


def spread_directories(path: str | os.PathLike[str]) -> None:
    """Ask that directories made in this one lie far from each other; file systems without the flag are left alone.

    Why: otherwise all trees unpacked below it share a few block groups, and ext4 searches those past
    every inode deleted lately: 20,000 files took 8-12 s after an image was removed, 1.3 s like this.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        (flags,) = struct.unpack("l", fcntl.ioctl(descriptor, _FS_IOC_GETFLAGS, bytes(8)))
        if not flags & _TOPDIR:
            fcntl.ioctl(descriptor, _FS_IOC_SETFLAGS, struct.pack("l", flags | _TOPDIR))
    except OSError:
        pass  # not ext4, or not allowed: it only makes things faster
    finally:
        os.close(descriptor)
