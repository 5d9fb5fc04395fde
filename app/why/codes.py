"""Exit codes in words: what a number means by itself, before anything else is known.

Sources: POSIX shells' conventions (126, 127, 128+n), signal(7), docker's own 125.
"""

from __future__ import annotations

from core.model.signals import signal_name

_CODES = {
    1: "it failed by its own account",
    2: "it was called wrongly, or failed by its own account",
    125: "the engine could not run it",
    126: "its command can't be executed: no permission, or it is no program",
    127: "its command was not found",
    255: "it failed by its own account",
}
_SIGNALS = {
    1: "its terminal went away",
    2: "it was interrupted",
    3: "it was told to quit",
    4: "it used an instruction that this processor does not have: often an image for another kind of processor",
    6: "it gave up by itself: an assertion or the like failed",
    7: "it touched memory that is not there: often a full /dev/shm",
    8: "it divided by zero or the like",
    9: "it was killed",
    11: "it crashed: it touched memory that is not its own",
    13: "it wrote to somebody who had gone",
    15: "it was asked to end",
    24: "it used up its CPU time (a ulimit)",
    25: "it wrote a larger file than it may (a ulimit)",
    31: "it made a system call that its seccomp profile ends it for",
}


def signal_of(code: int) -> int:
    """The signal an exit code of 128+n stands for, or 0."""
    return code - 128 if 128 < code <= 128 + 64 else 0


def meaning(code: int) -> str:
    """What an exit code says, as a clause; empty for one that says nothing by itself."""
    number = signal_of(code)
    if number:
        return _SIGNALS.get(number, f"signal {signal_name(number)} ended it")
    return _CODES.get(code, "it failed by its own account" if code > 0 else "")


def spelled(code: int) -> str:
    """`137 = 128 + 9 (SIGKILL)`, or the number alone."""
    number = signal_of(code)
    return f"{code} = 128 + {number} (SIG{signal_name(number)})" if number else str(code)
