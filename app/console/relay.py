"""From worker threads to the UI thread, never waiting.

Made on the UI thread, in the context of the app or widget that wants the results: Textual finds
the running app through context variables, which a bare call_soon_threadsafe would not carry.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any


class Relay:
    """Call it from any thread with a function and its arguments; they meet on the UI thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()

    def __call__(self, receive: Callable[..., Any], *values: Any) -> bool:
        """Hand over; False when the console is gone and nobody will receive."""
        try:
            self._loop.call_soon_threadsafe(receive, *values, context=self._context.copy())
        except RuntimeError:
            return False
        return True

    def later(self, seconds: float, receive: Callable[..., Any]) -> None:
        """On the UI thread only: call after a while."""
        self._loop.call_later(seconds, receive, context=self._context.copy())
