"""Signals by name, as `kill -s`, `--stop-signal` and an image's STOPSIGNAL write them."""

from __future__ import annotations

from core.errors import InvalidInput

_NAMES = (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP "
    "TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
).split()
_NUMBERS = {name: number for number, name in enumerate(_NAMES, 1)} | {"IOT": 6, "CLD": 17, "POLL": 29}
_RTMIN = 34  # glibc's: the kernel's first two real-time signals belong to its threads
_RTMAX = 64


def parse_signal(text: str) -> int:
    """Read `KILL`, `SIGKILL`, `kill`, `9`, `RTMIN+3` or `RTMAX-1`.

    Raises: InvalidInput: with docker's words, `Invalid signal`.
    """
    refusal = InvalidInput(f"invalid signal: {text}", hint="write a name such as TERM, HUP or USR1, or a number")
    name = text.upper().removeprefix("SIG")
    if name.isdigit() and name.isascii():
        number = int(name)
        if 1 <= number <= len(_NAMES) or _RTMIN <= number <= _RTMAX:
            return number
        raise refusal
    if name in _NUMBERS:
        return _NUMBERS[name]
    for anchor, base in (("RTMIN", _RTMIN), ("RTMAX", _RTMAX)):
        if not name.startswith(anchor):
            continue
        offset = name.removeprefix(anchor)
        if offset and (offset[0] not in "+-" or not offset[1:].isdigit() or not offset.isascii()):
            raise refusal
        number = base + int(offset or "0")
        if _RTMIN <= number <= _RTMAX:
            return number
    raise refusal


def signal_name(number: int) -> str:
    """The short name, `TERM`; real-time ones as `RTMIN+3`."""
    if 1 <= number <= len(_NAMES):
        return _NAMES[number - 1]
    return f"RTMIN+{number - _RTMIN}" if number > _RTMIN else "RTMIN"
