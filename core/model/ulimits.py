"""`--ulimit`: what one process may take, as setrlimit(2) knows it."""

from __future__ import annotations

import msgspec

from core.errors import InvalidInput

UNLIMITED = -1
NAMES = tuple("core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split())


class Ulimit(msgspec.Struct, frozen=True, kw_only=True):
    """One limit; -1 is none."""

    name: str
    soft: int
    hard: int

    def __str__(self) -> str:
        return f"{self.name}={self.soft}:{self.hard}"


def parse_ulimit(text: str) -> Ulimit:
    """Read `nofile=1024:2048`, or `nofile=1024` for both.

    Raises: InvalidInput: with docker's words.
    """
    name, equals, values = text.partition("=")
    hint = "write for example nofile=1024:2048"
    if not equals:
        raise InvalidInput(f"invalid ulimit argument: {text}", hint=hint)
    if name not in NAMES:
        raise InvalidInput(f"invalid ulimit type: {name}", hint=f"one of {', '.join(NAMES)}")
    numbers = values.split(":")
    if len(numbers) > 2:
        raise InvalidInput(f"too many limit value arguments - {values}, can only have up to two, `soft[:hard]`")
    try:
        soft, hard = int(numbers[0]), int(numbers[-1])
    except ValueError:
        raise InvalidInput(f"invalid limit value: {values} is not a number", hint=hint) from None
    if not (-1 <= soft < 2**63 and -1 <= hard < 2**63):
        raise InvalidInput(f"invalid limit value: {values} is out of range", hint="-1 is no limit")
    if hard != UNLIMITED and (soft > hard or soft == UNLIMITED):
        raise InvalidInput(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return Ulimit(name=name, soft=soft, hard=hard)
