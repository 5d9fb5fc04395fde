"""Lines of styled cells of exactly the right width, for widgets that draw line by line.

A Cells is filled from left to right and turned into a strip; what does not fit is cut with an
ellipsis, what is missing is filled. Text must be safe already (core.model.display): nothing
here reads markup.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

_BARS = " ▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉█"


class Cells:
    """One line in the making, with a base style that every piece lies on."""

    __slots__ = ("_base", "_segments", "hits", "used", "width")

    def __init__(self, width: int, base: Style) -> None:
        self.width = width
        self.used = 0
        self.hits: list[tuple[int, int, str]] = []
        self._base = base
        self._segments: list[Segment] = []

    @property
    def room(self) -> int:
        """Cells left."""
        return self.width - self.used

    def put(self, text: str, style: Style | None = None, cells: int | None = None, align: str = "<") -> Cells:
        """Add text, in exactly `cells` cells if given; returns itself."""
        room = self.room
        if room <= 0:
            return self
        if cells is None:
            cells = len(text) if text.isascii() else cell_len(text)
        text = fit(text, min(cells, room), align)
        self._segments.append(Segment(text, style or self._base))
        self.used += min(cells, room)
        return self

    def gap(self, cells: int = 1) -> Cells:
        """Add blanks."""
        return self.put(" " * cells)

    def button(self, text: str, style: Style, action: str) -> Cells:
        """Add text that stands for an action of ours: `hits` says where it can be clicked."""
        start = self.used
        self.put(text, style)
        self.hits.append((start, self.used, action))
        return self

    def right(self, pieces: Sequence[tuple[str, Style]]) -> Cells:
        """Add pieces at the right edge, if they fit whole."""
        cells = sum(cell_len(text) for text, _style in pieces)
        if cells <= self.room:
            self.gap(self.room - cells)
            for text, style in pieces:
                self.put(text, style)
        return self

    def strip(self) -> Strip:
        """The whole line."""
        if self.room > 0:
            self._segments.append(Segment(" " * self.room, self._base))
        return Strip(self._segments, self.width)


def fit(text: str, cells: int, align: str = "<") -> str:
    """Text in exactly so many cells: cut with an ellipsis or filled with blanks."""
    length = len(text) if text.isascii() else cell_len(text)
    if length == cells:
        return text
    if length > cells:
        if cells <= 0:
            return ""
        return set_cell_size(text, cells - 1) + "…" if cells > 1 else "…"
    blanks = " " * (cells - length)
    if align == ">":
        return blanks + text
    if align == "^":
        half = (cells - length) // 2
        return blanks[:half] + text + blanks[half:]
    return text + blanks


def sparkline(values: Sequence[float], cells: int, top: float) -> str:
    """The newest values as bars, one a cell; a value that is there at all shows at least a foot."""
    top = top or 1.0
    drawn = "".join(_BARS[max(1, min(8, round(value / top * 8)))] for value in values[-cells:])
    return drawn.rjust(cells)


def meter(share: float, cells: int) -> str:
    """A share from 0 to 1 as a bar with a fine end."""
    eighths = round(max(0.0, min(1.0, share)) * cells * 8)
    full, rest = divmod(eighths, 8)
    bar = "█" * full + (_EIGHTHS[rest] if rest else "")
    return bar.ljust(cells)
