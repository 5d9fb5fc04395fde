"""What a container may take of the machine: the values, and how people write them."""

from __future__ import annotations

import msgspec

from core.errors import InvalidInput


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Resource limits; 0 (or empty) means "not set" save where -1 means "unlimited"."""

    cpu_shares: int = 0
    nano_cpus: int = 0
    """--cpus in billionths of a core."""
    cpuset_cpus: str = ""
    memory_bytes: int = 0
    memory_swap_bytes: int = 0
    """Memory and swap together, as docker counts; -1 unlimited, 0 twice the memory."""
    pids_limit: int = 0


_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4, "p": 1024**5}


def parse_bytes(text: str) -> int:
    """Read `512`, `64k`, `1.5g`, `10MB`, `1GiB` (binary units, as docker's flags).

    Raises: InvalidInput: with docker's words, `invalid size`.
    """
    lowered = text.strip().lower()
    number = lowered.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = lowered[len(number) :].strip()
    for ending in ("ib", "b"):
        if len(unit) > 1 and unit.endswith(ending):
            unit = unit.removesuffix(ending)
            break
    try:
        value = float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        raise InvalidInput(f"invalid size: '{text}'", hint="write a number and b, k, m or g, for example 64m") from None
    if not 0 <= value < 2**63:
        raise InvalidInput(f"invalid size: '{text}'", hint="write a number and b, k, m or g, for example 64m")
    return int(value)
