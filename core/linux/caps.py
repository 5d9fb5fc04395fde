"""Capabilities: numbers, Docker's default set, and giving all others up. Man page: capabilities(7)."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from core.linux.libc import LIBC, check, syscall
from core.model.security import NAMES

CAPABILITIES: dict[str, int] = {name: number for number, name in enumerate(NAMES)}

DEFAULT_MASK = 0x00000000A80425FB
"""Docker's fourteen: CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP
NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE."""

PR_CAPBSET_DROP = 24
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
PR_SET_KEEPCAPS = 8


class _Header(ctypes.Structure):
    """struct __user_cap_header_struct, version 3."""

    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Data(ctypes.Structure):
    """struct __user_cap_data_struct; two of them make 64 bits."""

    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def _prctl(option: int, *arguments: int) -> None:
    words = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)][:4]
    check(LIBC.prctl(option, *words), "prctl")


def read_mask(field: str) -> int:
    """One capability set of the calling process: CapBnd, CapEff, CapPrm, CapInh or CapAmb."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(f"{field}:"):
                return int(line.split()[1], 16)
    return 0


def last_capability() -> int:
    """The highest capability this kernel knows."""
    try:
        with open("/proc/sys/kernel/cap_last_cap") as file:
            return int(file.read())
    except OSError:
        return max(CAPABILITIES.values())


def limit_bounding(mask: int, last: int) -> None:
    """Drop everything outside the mask from the bounding set, and the whole ambient set."""
    for number in range(last + 1):
        if not mask >> number & 1:
            _prctl(PR_CAPBSET_DROP, number)
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)


def set_all(mask: int) -> None:
    """Make permitted and effective the mask, and inheritable empty (why: CVE-2022-24769)."""
    header = _Header(0x20080522, 0)
    data = (_Data * 2)()
    for half in (0, 1):
        word = mask >> (32 * half) & 0xFFFFFFFF
        data[half].effective = data[half].permitted = word
    syscall("capset", ctypes.byref(header), ctypes.byref(data))


@contextmanager
def acting_as(uid: int, gid: int) -> Iterator[None]:
    """Make files as somebody else, with all the rights we have. Source: setfsuid(2)."""
    mask = read_mask("CapPrm")
    try:
        LIBC.setfsgid(gid)
        LIBC.setfsuid(uid)
        set_all(mask)  # leaving root took the rights over files away
        yield
    finally:
        LIBC.setfsuid(0)
        LIBC.setfsgid(0)
        set_all(mask)
