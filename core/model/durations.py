"""Lengths of time as Go, and so docker, writes them: `1h30m`, `500ms`, `1.5s`."""

from __future__ import annotations

import re

SECOND_NS = 1_000_000_000
_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": SECOND_NS,
    "m": 60 * SECOND_NS,
    "h": 3600 * SECOND_NS,
}
_PIECE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_LONGEST_NS = 2**63 - 1


def parse_duration(text: str) -> int | None:
    """Read a length of time, in nanoseconds; None if it is none, or longer than 292 years."""
    sign, body = (-1, text[1:]) if text.startswith("-") else (1, text)
    if body == "0":
        return 0
    pieces = _PIECE.findall(body)
    if not pieces or "".join(number + unit for number, unit in pieces) != body:
        return None
    total = round(sum(float(number) * _UNITS_NS[unit] for number, unit in pieces))
    return sign * total if total <= _LONGEST_NS else None


def duration_text(length_ns: int) -> str:
    """A length of time as Go prints it: `500ms`, `1m30s`, `1h0m0s`."""
    if length_ns <= 0:
        return "0s"
    if length_ns < SECOND_NS:
        for unit in ("ms", "µs", "ns"):
            if length_ns >= _UNITS_NS[unit]:
                return f"{_decimal(length_ns, _UNITS_NS[unit])}{unit}"
    minutes, rest_ns = divmod(length_ns, 60 * SECOND_NS)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{text}{_decimal(rest_ns, SECOND_NS)}s"


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    return f"{whole}.{rest:0{len(str(unit)) - 1}d}".rstrip("0").rstrip(".")
