"""From worker threads to the UI thread, never waiting.

A hand-over becomes a message of the app: it runs in the app's own context, in order, and a fault
in what it calls is the app's fault, which ends it properly with the terminal put back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.app import App


class Relay:
    """Call it from any thread with a function and its arguments; they meet on the UI thread."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app

    def __call__(self, receive: Callable[..., Any], *values: Any) -> bool:
        """Hand over; False when the console is gone and nobody will receive."""
        try:
            return self._app.call_later(receive, *values)
        except RuntimeError:  # the event loop has closed meanwhile
            return False

    def later(self, seconds: float, receive: Callable[[], Any]) -> None:
        """On the UI thread only: call after a while."""
        self._app.set_timer(seconds, receive)
