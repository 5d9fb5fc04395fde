"""A rectangle of character cells with the operations that terminal sequences are made of.

A row keeps one string and one ink a cell; the right half of a wide character holds "". All
coordinates start at 0. The cursor is not here: it belongs to the terminal that draws.
"""

from __future__ import annotations

from collections import deque

from core.model.display import char_width
from core.model.ink import PLAIN, Ink

SCROLLBACK_ROWS = 5_000


class Row:
    """One line of cells. `wide` is set once a character of two cells has been written to it."""

    __slots__ = ("chars", "inks", "wide")

    def __init__(self, columns: int, ink: Ink = PLAIN) -> None:
        self.chars: list[str] = [" "] * columns
        self.inks: list[Ink] = [ink] * columns
        self.wide = False

    def erase(self, first: int, last: int, ink: Ink) -> None:
        """Blank the cells [first, last) in an ink."""
        if self.wide:
            self._halve(first, last)
        self.chars[first:last] = [" "] * (last - first)
        self.inks[first:last] = [ink] * (last - first)

    def put(self, column: int, cells: str | list[str], ink: Ink) -> None:
        """Overwrite cells from a column on; the caller has made sure that they fit."""
        last = column + len(cells)
        if self.wide:
            self._halve(column, last)
        self.chars[column:last] = cells
        self.inks[column:last] = [ink] * len(cells)

    def insert(self, column: int, count: int, ink: Ink) -> None:
        """Shift the rest of the row right by count blanks; what leaves the edge is lost."""
        columns = len(self.chars)
        count = min(count, columns - column)
        if self.wide:
            self._halve(column, column)
        self.chars[column:column] = [" "] * count
        self.inks[column:column] = [ink] * count
        del self.chars[columns:], self.inks[columns:]
        if self.wide:
            self._mend_edge()

    def delete(self, column: int, count: int, ink: Ink) -> None:
        """Take count cells out; blanks come in from the right."""
        count = min(count, len(self.chars) - column)
        if self.wide:
            self._halve(column, column + count)
        del self.chars[column : column + count], self.inks[column : column + count]
        self.chars += [" "] * count
        self.inks += [ink] * count

    def resize(self, columns: int) -> None:
        """Cut or widen to a number of columns."""
        missing = columns - len(self.chars)
        if missing >= 0:
            self.chars += [" "] * missing
            self.inks += [PLAIN] * missing
        else:
            del self.chars[columns:], self.inks[columns:]
            if self.wide:
                self._mend_edge()

    def text(self) -> str:
        """The row's characters without trailing blanks."""
        return "".join(self.chars).rstrip(" ")

    def _halve(self, first: int, last: int) -> None:
        """Blank the half of a wide character whose other half is about to be overwritten."""
        chars = self.chars
        if 0 < first < len(chars) and chars[first] == "":
            chars[first - 1] = " "
            chars[first] = " "
        if last < len(chars) and chars[last] == "":
            chars[last] = " "

    def _mend_edge(self) -> None:
        if char_width(self.chars[-1][:1] or " ") == 2:
            self.chars[-1] = " "


class Grid:
    """The rows of a screen, the scrolling region [top, bottom] and what has scrolled off the top."""

    def __init__(self, columns: int, rows: int, *, scrollback: bool) -> None:
        self.columns = columns
        self.rows = rows
        self.lines = [Row(columns) for _ in range(rows)]
        self.history: deque[Row] | None = deque(maxlen=SCROLLBACK_ROWS) if scrollback else None
        self.scrolled_off = 0
        """Rows that ever went into history: tells a viewer how far its window moved."""
        self.top = 0
        self.bottom = rows - 1
        self.dirty: set[int] = set(range(rows))
        """Rows changed since a viewer last cleared this."""

    def scroll_up(self, count: int, ink: Ink, first: int | None = None) -> None:
        """Move the region's rows up from `first` (its top) on; blanks come in below."""
        start = self.top if first is None else first
        keeps = self.history is not None and start == 0 and first is None
        for _ in range(min(count, self.bottom - start + 1)):
            gone = self.lines.pop(start)
            if keeps and self.history is not None:
                self.history.append(gone)
                self.scrolled_off += 1
            self.lines.insert(self.bottom, Row(self.columns, ink))
        self.touch(start, self.bottom)

    def scroll_down(self, count: int, ink: Ink, first: int | None = None) -> None:
        """Move the region's rows down from `first` (its top) on; blanks come in above."""
        start = self.top if first is None else first
        for _ in range(min(count, self.bottom - start + 1)):
            del self.lines[self.bottom]
            self.lines.insert(start, Row(self.columns, ink))
        self.touch(start, self.bottom)

    def erase_rows(self, first: int, last: int, ink: Ink) -> None:
        """Blank the whole rows [first, last)."""
        for y in range(first, last):
            self.lines[y] = Row(self.columns, ink)
        self.touch(first, last - 1)

    def touch(self, first: int, last: int) -> None:
        """Note that rows first to last, both included, have changed."""
        self.dirty.update(range(first, last + 1))

    def resize(self, columns: int, rows: int, cursor_y: int) -> int:
        """Take a new size; rows above the cursor go to history first. Returns the cursor's new row."""
        for row in self.lines:
            row.resize(columns)
        while len(self.lines) > rows:
            if cursor_y < len(self.lines) - 1:
                del self.lines[-1]
            else:
                gone = self.lines.pop(0)
                cursor_y -= 1
                if self.history is not None:
                    self.history.append(gone)
                    self.scrolled_off += 1
        while len(self.lines) < rows:
            if self.history:
                back = self.history.pop()
                back.resize(columns)
                self.lines.insert(0, back)
                self.scrolled_off -= 1
                cursor_y += 1
            else:
                self.lines.append(Row(columns))
        self.columns, self.rows = columns, rows
        self.top, self.bottom = 0, rows - 1
        self.dirty = set(range(rows))
        return min(cursor_y, rows - 1)
