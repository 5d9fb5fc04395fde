"""A command of the `:` line that joins a person to a process's terminal, shown in a pane of ours.

command's worker thread                       UI thread
  join(attachment) ──── show(open) ─────────▶ the pane opens a session on it
    waits                                     keys, output, resizing
  returns whether left ◀── over(left) ──────── the program ended, or the person left
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from app.console.relay import Relay
from core.backend import Attachment

Show = Callable[[Attachment, bytes], None]


class JoinedTerminal:
    """The terminal of one command line; joins one process after the other."""

    def __init__(self, relay: Relay, size: tuple[int, int], show: Show) -> None:
        self.size = size
        """Rows and columns; what a program starts with, before the pane tells it more exactly."""
        self._relay = relay
        self._show = show
        self._over = threading.Event()
        self._left = False

    def join(self, attachment: Attachment, detach_keys: bytes) -> bool:
        """In the command's thread: until the program ends (False) or the person leaves (True)."""
        self._over.clear()
        if not self._relay(self._show, attachment, detach_keys):
            return True
        self._over.wait()
        return self._left

    def over(self, *, left: bool) -> None:
        """On the UI thread: nothing is joined any more."""
        self._left = left
        self._over.set()
