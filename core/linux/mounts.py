"""Mounting: mount(2), umount2(2) and the descriptor-based calls of Linux 5.2 and later.

Man pages: mount(2), umount2(2), open_tree(2), move_mount(2), mount_setattr(2), fsopen(2).
The engine may call open_tree() and set_attributes() (the seal); the rest is for processes in a
mount namespace of their own.
"""

from __future__ import annotations

import ctypes
import os

from core.linux.libc import LIBC, check, syscall

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
MS_RELATIME = 0x200000
MS_STRICTATIME = 0x1000000
MNT_DETACH = 0x2

OPEN_TREE_CLONE = 0x1
OPEN_TREE_CLOEXEC = 0o2000000
AT_RECURSIVE = 0x8000
AT_EMPTY_PATH = 0x1000
AT_FDCWD = -100
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_IDMAP = 0x00100000

FSOPEN_CLOEXEC = 0x1
FSMOUNT_CLOEXEC = 0x1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6


class _MountAttr(ctypes.Structure):
    """struct mount_attr of linux/mount.h."""

    _fields_ = [
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    ]


_mount = LIBC.mount
_mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_umount2 = LIBC.umount2
_umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)


def mount(source: str | None, target: str, fstype: str | None, flags: int = 0, data: str | None = None) -> None:
    """mount(2). Raises: OSError: naming the target."""
    check(_mount(_bytes(source), os.fsencode(target), _bytes(fstype), flags, _bytes(data)), "mount", target)


def umount(target: str, flags: int = MNT_DETACH) -> None:
    """umount2(2), lazily unless told otherwise."""
    check(_umount2(os.fsencode(target), flags), "umount2", target)


def open_tree(path: str, *, at: int = AT_FDCWD, clone: bool = True, recursive: bool = False) -> int:
    """A descriptor of a mount; with clone, of a detached copy of it that nobody else sees.

    With `at` a descriptor and an empty path, that descriptor's own place is taken.
    """
    flags = OPEN_TREE_CLOEXEC
    if clone:
        flags |= OPEN_TREE_CLONE
    if recursive:
        flags |= AT_RECURSIVE
    if not path:
        flags |= AT_EMPTY_PATH
    return syscall("open_tree", at, os.fsencode(path), flags, path=path or f"descriptor {at}")


def set_attributes(
    descriptor: int,
    attributes: int,
    *,
    clear: int = 0,
    recursive: bool = False,
    propagation: int = 0,
    user_namespace: int = 0,
) -> None:
    """mount_setattr(2) on a mount descriptor (Linux 5.12). user_namespace: whose map MOUNT_ATTR_IDMAP takes."""
    attr = _MountAttr(attr_set=attributes, attr_clr=clear, propagation=propagation, userns_fd=user_namespace)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    syscall("mount_setattr", descriptor, b"", flags, ctypes.byref(attr), ctypes.sizeof(attr))


def move_mount(source: int, target: int) -> None:
    """Put a detached mount at the place an O_PATH descriptor names."""
    syscall("move_mount", source, b"", target, b"", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)


def new_filesystem(fstype: str, options: dict[str, str | None], attributes: int = 0) -> int:
    """A detached mount of a new file system instance; option values of None are flags."""
    context = syscall("fsopen", fstype.encode(), FSOPEN_CLOEXEC, path=fstype)
    try:
        for key, value in {"source": fstype, **options}.items():
            if value is None:
                syscall("fsconfig", context, FSCONFIG_SET_FLAG, key.encode(), None, 0, path=f"{fstype}: {key}")
            else:
                syscall(
                    "fsconfig",
                    context,
                    FSCONFIG_SET_STRING,
                    key.encode(),
                    os.fsencode(value),
                    0,
                    path=f"{fstype}: {key}",
                )
        syscall("fsconfig", context, FSCONFIG_CMD_CREATE, None, None, 0, path=fstype)
        return syscall("fsmount", context, FSMOUNT_CLOEXEC, attributes, path=fstype)
    finally:
        os.close(context)


_PLAIN_OVERLAY = ",index=off,redirect_dir=off,metacopy=off"


def overlay_data(lowers: list[int], upper: int | None, work: int | None) -> str:
    """Mount data of an overlay whose layers are open directories.

    What some kernels have on by default is off: redirects, and files whose content stays below, are
    marks in the upper directory that a layer's tar can't carry, so a commit would lose them.

    Descriptors, not paths: no escaping of colons, and 128 layers fit the kernel's one page.
    lowers: top first. The caller's /proc must be mounted while it is used.
    """
    data = "lowerdir=" + ":".join(f"/proc/self/fd/{descriptor}" for descriptor in lowers)
    if upper is not None and work is not None:
        data += f",upperdir=/proc/self/fd/{upper},workdir=/proc/self/fd/{work}"
    return data + _PLAIN_OVERLAY
