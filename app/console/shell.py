"""A process's terminal session: a reader thread between an Attachment and the emulator.

The reader never runs ahead: it waits while more than a quarter of a megabyte lies undrawn, so
that `cat /dev/zero` in a shell costs the console no memory and no responsiveness.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from app.commands.detach import DetachWatch
from app.console.relay import Relay
from core.backend import Attachment
from core.errors import EngineError

DETACHED = "detached"
"""How a session ended whose program goes on."""

_AHEAD = 262_144
_SLICE = 49_152
"""Bytes drawn in one go: a few milliseconds, so that keys stay quick."""


class ShellSession:
    """One attachment while it lasts. All callbacks come on the UI thread."""

    def __init__(
        self,
        open_attachment: Callable[[], Attachment],
        relay: Relay,
        draw: Callable[[bytes], None],
        ended: Callable[[str], None],
        detach_keys: bytes = b"",
    ) -> None:
        self._open = open_attachment
        self._relay = relay
        self._draw = draw
        self._ended = ended
        self._attachment: Attachment | None = None
        self._watch = DetachWatch(detach_keys) if detach_keys else None
        self._closed = False
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._room = threading.Condition()
        self._size: tuple[int, int] | None = None
        self._opened = threading.Event()
        """The attachment is there, or never will be."""
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="shell-write")
        threading.Thread(target=self._read, name="shell-read", daemon=True).start()

    def write(self, data: bytes) -> None:
        """Send what was typed; never waits."""
        if data and not self._closed:
            self._writer.submit(self._write, data)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the program its new window; never waits."""
        self._size = (rows, columns)
        if not self._closed:
            self._writer.submit(self._tell_size)

    def close(self) -> None:
        """Detach; an exec'd shell sees its terminal hang up. Never waits."""
        if self._closed:
            return
        self._closed = True
        self._opened.set()
        with self._room:
            self._room.notify_all()
        self._writer.submit(self._close)
        self._writer.shutdown(wait=False)

    # ------------------------------------------------------------------ threads

    def _write(self, data: bytes) -> None:
        try:
            if self._attachment is None:
                self._opened.wait()  # typed before the shell was there: it gets it all the same
            data, leaves = self._watch.feed(data) if self._watch is not None else (data, False)
            if self._attachment is not None and data:
                self._attachment.write(data)
            if leaves:
                self._hand(self._leave)
        except (EngineError, OSError):
            pass  # the reader meets the same end and says so

    def _tell_size(self) -> None:
        try:
            if self._attachment is not None and self._size is not None:
                self._attachment.resize(*self._size)
        except (EngineError, OSError):
            pass

    def _close(self) -> None:
        if self._attachment is not None:
            try:
                self._attachment.close()
            except (EngineError, OSError):
                pass

    def _read(self) -> None:
        try:
            attachment = self._attachment = self._open()
            self._opened.set()
            if self._closed:  # left before it was there
                attachment.close()
            self._tell_size()
            while not self._closed:
                piece = attachment.read()
                if piece is None:
                    break
                with self._room:
                    self._pieces.append(piece[1])
                    self._waiting += len(piece[1])
                    first = len(self._pieces) == 1
                if first:
                    self._hand(self._drain)
                with self._room:
                    while self._waiting > _AHEAD and not self._closed:
                        self._room.wait(1.0)
            code = None if self._closed else attachment.exit_code()
            said = DETACHED if code is None else f"ended with {code}"
        except EngineError as error:
            said = error.message
        except (OSError, ValueError):
            said = "the connection was closed"
        self._opened.set()
        if not self._closed:
            self._hand(self._finish, said)

    def _hand(self, receive: Callable[..., Any], *values: Any) -> None:
        if not self._relay(receive, *values):
            self._closed = True

    # ------------------------------------------------------------------ on the UI thread

    def _leave(self) -> None:
        """The detach keys were typed: the program goes on without us."""
        if not self._closed:
            self.close()
            self._ended(DETACHED)

    def _finish(self, said: str) -> None:
        """The end comes after the last byte, however much of it lay undrawn."""
        while self._pieces and not self._closed:
            self._draw_some()
        if not self._closed:
            self._ended(said)

    def _drain(self) -> None:
        if self._draw_some():
            self._relay.later(0.001, self._drain)

    def _draw_some(self) -> bool:
        """Draw one slice; whether there is more."""
        with self._room:
            data = bytearray()
            while self._pieces and len(data) < _SLICE:
                data += self._pieces.popleft()
            self._waiting -= len(data)
            more = bool(self._pieces)
            self._room.notify_all()
        if not self._closed:
            self._draw(bytes(data))
        return more
