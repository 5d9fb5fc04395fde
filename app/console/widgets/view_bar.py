"""The views of one thing, as words to press or click; the current one is marked."""

from __future__ import annotations

from collections.abc import Sequence

from app.console.widgets.bar import Bar
from app.console.widgets.strips import Cells


class ViewBar(Bar):
    """Entries of (view, key, title); choosing one runs the screen's `show` action."""

    BASE = ("muted", "surface")

    def __init__(self, views: Sequence[tuple[str, str, str]], current: str) -> None:
        super().__init__()
        self._views = tuple(views)
        self._current = current

    def choose(self, view: str) -> None:
        """Mark another one as current."""
        self._current = view
        self.refresh()

    def draw(self, cells: Cells, line: int) -> None:
        palette = self.seat.palette
        cells.put(" ‹ Esc  ", palette.style("faint", "surface"))
        cells.hits.append((0, cells.used, "back"))
        for view, key, title in self._views:
            here = view == self._current
            start = cells.used
            style = palette.style("text" if here else "muted", "surface", "bold underline" if here else "")
            cells.put(key, palette.style("accent", "surface", "bold")).gap().put(title, style).gap(3)
            cells.hits.append((start, cells.used, f"show('{view}')"))
