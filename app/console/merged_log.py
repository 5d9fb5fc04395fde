"""The logs of several containers as one, in the order of time, each line under its container's name.

A LogView over other LogViews: begins with the end of each, and takes in what they write. Lines
of one look are sorted; a line that comes later than a newer one of another container stays where
it came, as on a screen that shows both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.backend import Containers, LogView
from core.errors import NotFound
from core.model.display import char_width, safe_text
from core.model.logs import LogLine
from core.model.progress import CancelToken

FIRST_LINES = 2_000
"""Of each container, when the view is opened."""
MOST_LINES = 100_000
"""Kept in memory; when there are more, the older half goes."""
_AT_ONCE = 5_000
_INKS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)
"""Foreground colours of the names, in turn."""


class _Part:
    """One of the logs, and how far it has been taken in."""

    def __init__(self, view: LogView, prefix: bytes) -> None:
        self.view = view
        self.prefix = prefix
        self.taken = max(0, view.line_count() - FIRST_LINES)

    def fresh(self) -> list[LogLine]:
        """Whole lines that have come since; a last one without its end waits for it."""
        count = self.view.line_count()
        if count < self.taken:  # cut, or begun anew
            self.taken = 0
        lines = list(self.view.lines(self.taken, min(count - self.taken, _AT_ONCE))) if count > self.taken else []
        if lines and not lines[-1].data.endswith(b"\n"):
            lines.pop()
        self.taken += len(lines)
        return [LogLine(line.at_ns, line.stream, self.prefix + line.data) for line in lines]


class MergedLog:
    """core.backend.LogView over several containers; used by one thread, as log sources do."""

    def __init__(self, containers: Containers, named: Sequence[tuple[str, str]]) -> None:
        self._lines: list[LogLine] = []
        width = max((_cells(name) for _key, name in named), default=0)
        self._parts: list[_Part] = []
        for number, (key, name) in enumerate(named):
            try:
                view = containers.log_view(key)
            except NotFound:
                continue  # removed meanwhile: the others go on
            text = safe_text(name) + " " * (width - _cells(name))
            prefix = f"\x1b[{_INKS[number % len(_INKS)]}m{text}\x1b[0m │ ".encode()
            self._parts.append(_Part(view, prefix))

    def line_count(self) -> int:
        """Lines so far, new ones taken in."""
        fresh = [line for part in self._parts for line in part.fresh()]
        fresh.sort(key=lambda line: line.at_ns)
        self._lines += fresh
        if len(self._lines) > MOST_LINES:
            del self._lines[: -MOST_LINES // 2]
        return len(self._lines)

    def lines(self, first: int, count: int) -> Sequence[LogLine]:
        """Lines [first, first+count), fewer at the end."""
        return self._lines[first : first + count]

    def line_at(self, at_ns: int) -> int:
        """Number of the first line not older than a moment."""
        return next((number for number, line in enumerate(self._lines) if line.at_ns >= at_ns), len(self._lines))

    def search(
        self, pattern: bytes, *, first: int, backwards: bool, ignore_case: bool, cancel: CancelToken
    ) -> int | None:
        """Number of the next line that matches, from `first` on."""
        compiled = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
        last = min(first, len(self._lines) - 1)
        for number in range(last, -1, -1) if backwards else range(first, len(self._lines)):
            if not number % 4096:
                cancel.check()
            if compiled.search(self._lines[number].data):
                return number
        return None

    def close(self) -> None:
        """Let go of all of them."""
        for part in self._parts:
            part.view.close()


def _cells(name: str) -> int:
    return sum(map(char_width, safe_text(name)))
