"""Shutting a worker in: its own mount namespace, another root, few capabilities, no more code loading.

Source: pivot_root(2), capabilities(7), prctl(2). After enter_root() nothing of the host's file
system can be named any more; only descriptors opened before still lead there.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

from core.linux import inside, mounts
from core.linux.libc import LIBC, check, syscall

_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_DUMPABLE = 4

CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SYS_ADMIN, MKNOD, SETFCAP = 0, 1, 3, 4, 21, 27, 31

UNPACK_CAPABILITIES = (CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SYS_ADMIN, MKNOD, SETFCAP)
"""SYS_ADMIN because only it may write the trusted.overlay.opaque mark."""
READ_CAPABILITIES = (DAC_OVERRIDE, FOWNER, SYS_ADMIN)


def private_mounts() -> None:
    """A mount namespace whose changes nobody else sees."""
    inside.unshare(inside.CLONE_NEWNS)
    mounts.mount(None, "/", None, mounts.MS_REC | mounts.MS_PRIVATE)


def no_network() -> None:
    """No network, no System V objects, no host name of the host's: what parses hostile bytes needs none."""
    inside.unshare(inside.CLONE_NEWNET | inside.CLONE_NEWIPC | inside.CLONE_NEWUTS)


def detach(directory: int) -> int:
    """A detached mount of an open directory; to be made before private_mounts(), while it is still in our namespace.

    A copy of a shared mount (systemd's root is one) would be shared too, and can't become a root.
    """
    tree = mounts.open_tree("", at=directory)
    mounts.set_attributes(tree, 0, propagation=mounts.MS_PRIVATE)
    return tree


def attach(mount: int) -> None:
    """Put a detached mount into our private mount table, where pivot_root() wants it; the place does not matter."""
    place = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        mounts.move_mount(mount, place)
    finally:
        os.close(place)


def empty_directory() -> int:
    """A root with nothing in it, for processes that are given all they need as descriptors. Needs private_mounts()."""
    flags = mounts.MS_RDONLY | mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC
    mounts.mount("none", "/proc", "tmpfs", flags, "size=4096")
    return os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def enter_root(root: int) -> None:
    """Make the top of an attached mount the root, and stop loading code: what lies there is not ours."""
    stop_imports()
    inside.pivot_to(root)


def stop_imports() -> None:
    """No module is ever looked for again (a lazy import would run the container's files)."""
    sys.meta_path.clear()
    sys.path_hooks.clear()
    sys.path.clear()


def keep_capabilities(kept: tuple[int, ...]) -> None:
    """Drop all others, for good."""
    for number in range(64):
        if number not in kept and LIBC.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(number), 0, 0, 0) < 0:
            break  # past the kernel's last one
    check(LIBC.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0), "prctl")
    mask = sum(1 << number for number in kept) & _permitted()
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = struct.pack("Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3
    syscall("capset", header, struct.pack("6I", low, low, 0, high, high, 0))


def _permitted() -> int:
    header = ctypes.create_string_buffer(struct.pack("Ii", 0x20080522, 0), 8)
    data = ctypes.create_string_buffer(24)
    syscall("capget", header, data)
    words = struct.unpack("6I", data.raw)
    return int(words[1] | words[4] << 32)


def sync_file_system(directory: int) -> None:
    """Make all that was written to the file system of an open directory durable: syncfs(2)."""
    readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        check(LIBC.syncfs(readable), "syncfs")
    finally:
        os.close(readable)


def close_others(kept: set[int]) -> None:
    """Close every descriptor that is not named."""
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor not in kept:
            try:
                os.close(descriptor)
            except OSError:
                pass  # listdir's own, closed already
