"""The C library by ctypes: system call numbers, and one funnel from -1 to OSError.

PyDLL, not CDLL: the monitor forks by raw clone() and must keep the interpreter lock across it;
every call made this way returns at once or is meant to block the caller's process. Long-blocking
calls from the engine's threads don't go through here.
Source of the numbers: the kernel's arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
"""

from __future__ import annotations

import ctypes
import os

LIBC = ctypes.PyDLL(None, use_errno=True)

MACHINE = os.uname().machine

_COMMON = {
    "pidfd_send_signal": 424,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
}
_BY_MACHINE = {
    "x86_64": {
        "clone": 56,
        "pivot_root": 155,
        "keyctl": 250,
        "seccomp": 317,
        "bpf": 321,
        "capget": 125,
        "capset": 126,
    },
    "aarch64": {
        "clone": 220,
        "pivot_root": 41,
        "keyctl": 219,
        "seccomp": 277,
        "bpf": 280,
        "capget": 90,
        "capset": 91,
    },
}
NR: dict[str, int] = {**_COMMON, **_BY_MACHINE.get(MACHINE, {})}

_syscall = LIBC.syscall
_syscall.restype = ctypes.c_long


def _argument(value: object) -> object:
    """An integer goes as a 64-bit word: ctypes' default of a C int would cut flags and sizes."""
    return ctypes.c_long(value) if isinstance(value, int) else value


def syscall(name: str, *arguments: object, path: str | None = None) -> int:
    """Make a system call by name.

    Args: arguments: int, bytes, ctypes pointer or None. path: what an error should name.
    Raises: OSError: with the kernel's errno; ENOSYS where this machine has no number for it.
    """
    number = NR.get(name)
    if number is None:
        raise OSError(38, f"no system call {name} on {MACHINE}", path)
    result = _syscall(ctypes.c_long(number), *map(_argument, arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}", path)
    return int(result)


def check(result: int, call: str, path: str | None = None) -> int:
    """Pass a C library result on, or raise the OSError behind -1."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}", path)
    return result
