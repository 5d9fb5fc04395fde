"""The life of the console as a process: from the terminal as it was, back to it as it was.

Textual puts the terminal back when it ends by itself. On SIGTERM and SIGHUP the app is asked to
end in order; if anything dies on the way, what the terminal needs is written all the same.
"""

from __future__ import annotations

import os
import signal
import sys
import termios
from types import FrameType
from typing import TYPE_CHECKING, Any

from core.backend import Backend

if TYPE_CHECKING:
    from app.console.console import Console

_ENDING = (signal.SIGTERM, signal.SIGHUP)
_RESTORE = (
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l"  # mouse
    "\x1b[?2004l\x1b[?1004l\x1b[?2048l\x1b[<u"  # paste brackets, focus, resize reports, keyboard
    "\x1b[?7h\x1b[0m\x1b[?1049l\x1b[?25h"  # wrapping, colours, the screen, the cursor
)


class _Terminal:
    """The operator's terminal, remembered so that it can be put back whatever happens."""

    def __init__(self) -> None:
        self._fileno = sys.__stdin__.fileno() if sys.__stdin__ else -1
        self.output = 2
        if not os.isatty(2):  # as in `wharf 2>log`: Textual draws on stderr, and so must go to stdout
            self.output = 1
            sys.__stderr__ = sys.__stdout__  # type: ignore[misc]
        try:
            self._before: list[Any] | None = termios.tcgetattr(self._fileno)
        except termios.error:
            self._before = None

    def hush(self) -> None:
        """Keys typed before the console reads them must not be echoed into the first frame."""
        if self._before is not None:
            quiet = list(self._before)
            quiet[3] &= ~(termios.ECHO | termios.ICANON)
            termios.tcsetattr(self._fileno, termios.TCSANOW, quiet)

    def restore(self) -> None:
        """Put it back; safe to do twice, and when it has gone away."""
        try:
            os.write(self.output, _RESTORE.encode())
            if self._before is not None:
                termios.tcsetattr(self._fileno, termios.TCSANOW, self._before)
        except (OSError, termios.error):
            pass  # the terminal is gone; there is nothing to put back


def run_console(backend: Backend) -> int:
    """Show the console until the person leaves; the process's exit code.

    128 + n after signal n. Running containers are never touched by leaving. A fault of ours
    is raised, once the terminal is as it was.
    """
    from app.console import first_frame

    for number in _ENDING:
        signal.signal(number, _leave)
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)  # they would win over the terminal's real size, and never change
    terminal = _Terminal()
    terminal.hush()
    try:
        first_frame.paint(backend, terminal.output)
        return _run(backend)
    finally:
        terminal.restore()


def _run(backend: Backend) -> int:
    # Before Textual is imported, which reads them once: Escape and keys must not feel slow.
    os.environ.setdefault("ESCDELAY", "100" if "SSH_CONNECTION" in os.environ else "25")
    os.environ.setdefault("TEXTUAL_FPS", "120")  # an upper bound: it halves the wait from key to paint
    from app.console.console import Console

    console = Console(backend)
    ended_by = _end_in_order(console)
    code = console.run()
    if console.fault is not None:
        raise console.fault
    if ended_by:
        return 128 + ended_by[0]
    return code if code is not None else console.return_code or 0


def _end_in_order(console: Console) -> list[int]:
    """Make SIGTERM and SIGHUP end the app; the signals that came are in the list returned."""
    came: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        if came:  # asked twice: whatever hangs, let go
            os._exit(128 + number)
        came.append(number)
        console.call_later(console.exit, 128 + number)

    for number in _ENDING:
        signal.signal(number, end)
    return came


def _leave(number: int, _frame: FrameType | None) -> None:
    """Before the app runs: unwind, so that the terminal is put back on the way."""
    raise SystemExit(128 + number)
