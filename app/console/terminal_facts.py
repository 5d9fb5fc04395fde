"""What the operator's terminal can do, as terminfo has it."""

from __future__ import annotations

import sys


def erases_in_colour() -> bool:
    """Whether erased cells take the current background (bce); then blanks need not be sent one by one."""
    import curses

    try:
        curses.setupterm(fd=sys.__stderr__.fileno() if sys.__stderr__ else 2)
        return curses.tigetflag("bce") == 1
    except (curses.error, OSError, ValueError, TypeError):
        return False  # unknown terminal, or none: blanks are sent as blanks
