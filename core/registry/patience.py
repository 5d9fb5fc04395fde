"""When to ask again, and after how long: broken connections, busy servers, limits that are soon over."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from core.errors import EngineError, RateLimited, TimedOut
from core.model.progress import CancelToken
from core.registry.answers import Interrupted

T = TypeVar("T")


class Pace(msgspec.Struct, frozen=True):
    """How transfers behave when something goes wrong."""

    pause_s: float = 1.0
    """Before the second try; doubled for each further one."""
    longest_pause_s: float = 60.0
    """A server that asks for more patience than that is given up."""


def persistently(
    work: Callable[[], T], *, attempts: int, pace: Pace, cancel: CancelToken, is_over: Callable[[], bool]
) -> T:
    """Do something that can be done again, until it works or would never. Raises: what the last try has raised."""
    for attempt in range(1, attempts + 1):
        cancel.check()
        try:
            return work()
        except EngineError as error:
            pause_s = pause_before_retry(error, attempt, pace)
            if attempt == attempts or pause_s is None or is_over():
                raise
            cancel.wait(pause_s)
    raise AssertionError("attempts are at least one")


def pause_before_retry(error: EngineError, attempt: int, pace: Pace) -> float | None:
    """How long to wait before the next try; None: another one would not help, or would have to wait too long."""
    if not isinstance(error, Interrupted | RateLimited | TimedOut):
        return None
    told = None if isinstance(error, TimedOut) else error.retry_after_s
    if told is not None:
        return told if told <= pace.longest_pause_s else None
    return min(pace.pause_s * 2.0 ** (attempt - 1), pace.longest_pause_s)
