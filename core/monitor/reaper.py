"""--init: a first process of ours that stays: it passes signals on, and buries what is left without a parent.

    PID 1   after everything a container's process is given (filter, user, capabilities): fork
      └─ the command, in a session's foreground group of its own
    then    each signal → the command; SIGCHLD → wait for whoever has ended
    end     of the command: its code, or 128 + its signal; the kernel ends the rest

It holds nothing of the host's: no descriptor but the standard three, no code that could still be
loaded, and its arguments and environment are overwritten, because /proc shows them inside.
"""

from __future__ import annotations

import ctypes
import os
import signal
from typing import NoReturn

from core.linux.libc import LIBC

_TITLE = b"init"
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_KEPT_BACK = {
    signal.SIGCHLD,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGABRT,
    signal.SIGTRAP,
}


def stay_behind(report_to: int) -> None:
    """Split in two: the caller goes on as the command, in the child; the parent stays and never returns.

    Args: report_to: the channel that a failing exec is told on; the child's alone from here on.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    _overwrite_title()  # before there is anybody to read it
    command = os.fork()
    if command == 0:
        _come_to_the_front()
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        return
    os.close(report_to)
    LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # in a pid namespace that is not our own
    _serve(command)


def _come_to_the_front() -> None:
    """A group of its own, the terminal's foreground one where there is a terminal: ^C is for the command."""
    os.setpgid(0, 0)
    try:
        os.tcsetpgrp(0, os.getpgrp())  # SIGTTOU is blocked: we may ask from the background
    except OSError:
        pass  # no terminal


def _serve(command: int) -> NoReturn:
    wanted = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    while True:
        number = signal.sigwait(wanted)
        if number == signal.SIGCHLD:
            _bury(command)
        elif number not in _KEPT_BACK:
            try:
                os.kill(command, number)
            except ProcessLookupError:
                pass  # it has just ended: SIGCHLD follows


def _bury(command: int) -> None:
    """Wait for all that have ended; the command's end is ours."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid == command and (os.WIFEXITED(status) or os.WIFSIGNALED(status)):
            os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))


def _overwrite_title() -> None:
    """Let /proc/1/cmdline say "init" and /proc/1/environ nothing: they would name paths of the host."""
    LIBC.prctl(_PR_SET_NAME, _TITLE, 0, 0, 0)
    try:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return  # a container without /proc shows nothing either
    first_argument, last_argument, first_variable, last_variable = (int(field) for field in fields[45:49])
    if first_argument < last_argument:
        size = last_argument - first_argument
        ctypes.memset(first_argument, 0, size)
        ctypes.memmove(first_argument, _TITLE, min(len(_TITLE), size - 1))
    if first_variable < last_variable:
        ctypes.memset(first_variable, 0, last_variable - first_variable)
