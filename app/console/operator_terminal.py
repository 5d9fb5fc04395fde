"""The operator's terminal as it was before the console came, so that it can be given back so."""

from __future__ import annotations

import os
import sys
import termios
from typing import Any

_RESTORE = (
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l"  # mouse
    "\x1b[?2004l\x1b[?1004l\x1b[?2048l\x1b[<u"  # paste brackets, focus, resize reports, keyboard
    "\x1b[?7h\x1b[0m\x1b[?1049l\x1b[?25h"  # wrapping, colours, the screen, the cursor
)


class OperatorTerminal:
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
        """Keys typed before the console reads them: not echoed into the first frame, and Enter stays Enter."""
        if self._before is not None:
            quiet = list(self._before)
            quiet[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR | termios.IXON)
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
