"""Ports as filters and `port` name them: `80`, `80/tcp`, `8000-8010/udp`."""

from __future__ import annotations

from core.errors import InvalidInput

_PROTOCOLS = ("tcp", "udp", "sctp")
_LARGEST = 65535


def parse_ports(text: str, *, what: str) -> frozenset[str]:
    """Every port of a filter's value as `80/tcp`; tcp where no protocol is named.

    Raises: InvalidInput: naming what it was for.
    """
    numbers, _, protocol = text.partition("/")
    first, dash, last = numbers.partition("-")
    low, high = _number(first, text, what), _number(last if dash else first, text, what)
    protocol = protocol.lower() or "tcp"
    if low > high or protocol not in _PROTOCOLS:
        raise _refusal(text, what)
    return frozenset(f"{number}/{protocol}" for number in range(low, high + 1))


def _number(text: str, whole: str, what: str) -> int:
    if not (text.isdigit() and text.isascii()) or int(text) > _LARGEST:
        raise _refusal(whole, what)
    return int(text)


def _refusal(text: str, what: str) -> InvalidInput:
    return InvalidInput(f"invalid {what} '{text}'", hint="write for example 80, 53/udp or 8000-8010/tcp")
