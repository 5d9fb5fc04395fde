"""How a process ended, whoever its parent is.

A monitor's own child it asks the kernel for, without taking the answer away. A process that was
taken over is another's child: its parent writes the status into the run root (core.monitor.vault),
and kernels from 6.15 on tell anybody who holds a pidfd.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable

from core.monitor import outcome
from core.monitor.loop import Loop

_WAIT_S = 3.0
_POLL_S = 0.005
_INFO = struct.Struct("<QQ11Ii")
"""struct pidfd_info of linux/pidfd.h, version 0: exit_code is its last field."""
_GET_INFO = 3 << 30 | _INFO.size << 16 | 0xFF << 8 | 11
_INFO_EXIT = 1 << 3


def peek_child(pid: int) -> int:
    """The code of our own child that has ended; it stays a zombie until reap()."""
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert found
    return found.si_status if found.si_code == os.CLD_EXITED else 128 + found.si_status


def reap(pid: int) -> None:
    """Let go of our own child."""
    os.waitpid(pid, 0)


def find(pid: int, pidfd: int, runtime_dir: str) -> int | None:
    """The code of somebody else's child that has ended; None as long as (or if) it can't be known."""
    try:
        with open(f"{runtime_dir}/ended-{pid}", "rb") as file:
            return outcome.exit_code(int(file.read()))
    except (OSError, ValueError):
        pass
    if pidfd < 0:
        return None
    information = bytearray(_INFO.pack(_INFO_EXIT, *(0,) * 13))
    try:
        fcntl.ioctl(pidfd, _GET_INFO, information)
    except OSError:
        return None  # a kernel before 6.15
    mask, *_, status = _INFO.unpack(information)
    return outcome.exit_code(status) if mask & _INFO_EXIT else None


def await_status(loop: Loop, pid: int, pidfd: int, runtime_dir: str, tell: Callable[[int | None], None]) -> None:
    """Call back with the code as soon as its parent has said it; with None when nobody can know it."""
    attempts = int(_WAIT_S / _POLL_S)

    def look() -> None:
        nonlocal attempts
        code = find(pid, pidfd, runtime_dir)
        attempts -= 1
        if code is None and attempts:
            loop.after(_POLL_S, look)
        else:
            tell(code)

    look()
