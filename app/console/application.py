"""The life of the console as a process: from the terminal as it was, back to it as it was.

Textual puts the terminal back when it ends by itself. On SIGTERM and SIGHUP the app is asked to
end in order; if anything dies on the way, what the terminal needs is written all the same.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

from app.console.operator_terminal import OperatorTerminal

if TYPE_CHECKING:
    from app.console.console import Console
    from core.backend import Backend
    from core.model.glance import Glance

_ENDING = (signal.SIGTERM, signal.SIGHUP)


def run_console(open_backend: Callable[[], Backend], look: Callable[[int], Glance | None]) -> int:
    """Show the console until the person leaves; the process's exit code.

    Args: look: tells the newest so many containers at once; painted while the rest is loaded.
        open_backend: called after that; what it raises comes back on a terminal as it was.
    128 + n after signal n. Running containers are never touched by leaving. A fault of ours
    is raised, once the terminal is as it was.
    """
    from app.console import first_frame

    for number in _ENDING:
        signal.signal(number, _leave)
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)  # they would win over the terminal's real size, and never change
    terminal = OperatorTerminal()
    terminal.hush()
    try:
        first_frame.paint(look, terminal.output)
        return _run(open_backend())
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
