"""Mounting a layer's tar as it lies: EROFS, its metadata in one file, its data in another.

    layers/<chain>/tree.erofs    superblock, inodes, names; written by core.trees.erofs
    layers/<chain>/layer.tar     the "device" that regular files' data are chunks of

Both are plain files on any file system that can be read by pages; no loop device takes part.
Source: Documentation/filesystems/erofs.rst, fs/erofs/super.c. Linux 6.12 and later.
"""

from __future__ import annotations

import os

from core.linux.mounts import new_filesystem

TREE = "tree.erofs"
TAR = "layer.tar"


def is_tree(path: str) -> bool:
    """Whether a lower is a tar to be mounted; else it is a directory."""
    return path.endswith(f"/{TREE}")


def mount_tree(path: str) -> int:
    """A detached, read-only mount of a `tree.erofs` and the tar beside it; the caller's /proc must be mounted.

    Raises: OSError: naming the file. ENOTBLK, ENODEV, EINVAL: this kernel, or this file system, can't.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    tree = os.open(path, flags)
    try:
        tar = os.open(f"{os.path.dirname(path)}/{TAR}", flags)
        try:
            # the kernel takes no value longer than 255 bytes, and a path may be
            sources: dict[str, str | None] = {"source": f"/proc/self/fd/{tree}", "device": f"/proc/self/fd/{tar}"}
            return new_filesystem("erofs", sources)
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from None
        finally:
            os.close(tar)
    finally:
        os.close(tree)
