"""System calls that change what the calling process is or sees.

Only processes of one thread that the engine does not live in may make them: monitors, inits and
trees workers. An import rule keeps the engine away from this module.
"""

from __future__ import annotations

import ctypes
import os

from core.linux.libc import LIBC, NR, check, syscall
from core.linux.mounts import MNT_DETACH, umount

CLONE_NEWTIME = 0x80
CLONE_PARENT = 0x8000
CLONE_INTO_CGROUP = 0x200000000
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

SIGCHLD = 17

_setns = LIBC.setns
_unshare = LIBC.unshare
_sethostname = LIBC.sethostname
_sethostname.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
_setdomainname = LIBC.setdomainname
_setdomainname.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


class _CloneArgs(ctypes.Structure):
    """struct clone_args of linux/sched.h, version 2 (with the cgroup)."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    ]


def clone(flags: int) -> int:
    """fork() into new namespaces; 0 in the child. The process must have one thread only.

    The interpreter's own after-fork work is left out: with one thread, and a child that ends in
    exec or _exit, nothing of it is needed, and it would import modules.
    """
    if os.uname().machine == "s390x":  # its clone() has the arguments the other way round
        raise OSError(38, "clone: not on this machine")
    return syscall("clone", flags | SIGCHLD, 0, 0, 0, 0)


def clone_into_cgroup(flags: int, cgroup: int) -> int:
    """Like clone(), and born in the cgroup (v2) that the directory descriptor names. Linux 5.7."""
    # with CLONE_PARENT the signal is the caller's own, and naming one is refused
    signal = 0 if flags & CLONE_PARENT else SIGCHLD
    arguments = _CloneArgs(flags=flags | CLONE_INTO_CGROUP, exit_signal=signal, cgroup=cgroup)
    return syscall("clone3", ctypes.byref(arguments), ctypes.sizeof(arguments))


def setns(descriptor: int, kinds: int) -> None:
    """Enter the namespace a descriptor names, or with a pidfd the named kinds of that process (5.8)."""
    check(_setns(descriptor, kinds), "setns")


def become_root_of(users: int) -> None:
    """Enter a user namespace as its root, without the groups of the host. The process must have one thread only."""
    setns(users, CLONE_NEWUSER)
    take_root()


def take_root() -> None:
    """Inside a user namespace just entered: its uid, gid and no groups."""
    os.setgroups(())
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def unshare(flags: int) -> None:
    """Leave for namespaces of our own."""
    check(_unshare(flags), "unshare")


def set_hostname(name: str) -> None:
    """sethostname(2) in our UTS namespace."""
    encoded = name.encode()
    check(_sethostname(encoded, len(encoded)), "sethostname")


def set_domainname(name: str) -> None:
    """setdomainname(2) in our UTS namespace."""
    encoded = name.encode()
    check(_setdomainname(encoded, len(encoded)), "setdomainname")


def pivot_to(root: int) -> None:
    """Make an open directory, which must be a mount's top, the root; the old one is let go entirely.

    pivot_root(".", ".") stacks the old root under the new, and umount2(MNT_DETACH) of "." takes it
    away: no directory for the old root is needed. Whoever started us may live in a chroot: then only
    that would be swapped, and the namespace's own root, the host's whole tree, would stay below the
    container's, where setns() leads. So we go to the namespace's own root first.
    """
    ourselves = os.pidfd_open(os.getpid())
    try:
        setns(ourselves, CLONE_NEWNS)
    finally:
        os.close(ourselves)
    old_root = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fchdir(root)
        syscall("pivot_root", b".", b".", path="/")
        os.fchdir(old_root)
        umount(".", MNT_DETACH)
    finally:
        os.close(old_root)
    os.chdir("/")


def join_new_session_keyring() -> None:
    """A session keyring of our own, so that the operator's keys don't travel along. Old kernels may lack it."""
    if "keyctl" in NR:
        try:
            syscall("keyctl", 1, None)  # KEYCTL_JOIN_SESSION_KEYRING
        except OSError:
            pass  # a kernel without CONFIG_KEYS, or keys forbidden by a filter around us: nothing to inherit
