"""How many errors and warnings a log has, counted along while it is looked at.

Counted are the lines of its end and whatever comes after; of a flood only as many as there is
time for, and then the figures are at least that.
"""

from __future__ import annotations

import re

import msgspec

from core.backend import LogView

ERRORS = r"\b(?:FATAL|CRITICAL|PANIC|ERROR|ERR)\b"
_LEVEL = re.compile(rb"\b(?:(FATAL|CRITICAL|PANIC|ERROR|ERR)|(WARNING|WARN))\b")
_PAST_LINES = 10_000
_AT_ONCE = 1_000
_TOO_FAR_BEHIND = 20_000


class LevelCounts(msgspec.Struct, frozen=True):
    """Lines with a word of that level. `at_least`: not every line has been looked at."""

    errors: int = 0
    warnings: int = 0
    at_least: bool = False


class LevelCounter:
    """Counts one log, a slice at a time."""

    def __init__(self) -> None:
        self.counts = LevelCounts()
        self._next: int | None = None
        """The number of the first line not looked at."""

    def go_on(self, view: LogView, count: int) -> bool:
        """Look at some more lines of a log that has so many; whether the counts have changed."""
        before, at_least = self.counts, self.counts.at_least
        if self._next is None:
            self._next = max(0, count - _PAST_LINES)
            at_least = self._next > 0
        elif count < self._next:  # cut, or begun anew
            self._next, before = 0, LevelCounts()
        elif count - self._next > _TOO_FAR_BEHIND:
            self._next, at_least = count - _AT_ONCE, True
        lines = view.lines(self._next, min(_AT_ONCE, count - self._next)) if count > self._next else ()
        errors, warnings = before.errors, before.warnings
        for line in lines:
            found = _LEVEL.search(line.data)
            if found is not None:
                errors += found.lastindex == 1
                warnings += found.lastindex == 2
        self._next += len(lines)
        now = LevelCounts(errors, warnings, at_least)
        has_changed, self.counts = now != self.counts, now
        return has_changed
