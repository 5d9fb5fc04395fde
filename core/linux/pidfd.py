"""Processes by descriptor: signalled and awaited without fear of a reused pid. Linux 5.3."""

from __future__ import annotations

import os
import signal

from core.linux.procfs import read_start_ticks


def open_verified(pid: int, start_ticks: int) -> int | None:
    """A pidfd of the process that started at that tick; None if it is gone or another has its pid."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if read_start_ticks(pid) != start_ticks:
        os.close(descriptor)
        return None
    return descriptor


def send_signal(descriptor: int, number: int) -> bool:
    """Send a signal; False if the process has ended."""
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    return True
