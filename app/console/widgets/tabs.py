"""The second line: the places of the console, with how much there is in each."""

from __future__ import annotations

from app.console.places import TABS, tab_gap
from app.console.widgets.bar import Bar
from app.console.widgets.strips import Cells


class TabBar(Bar):
    """One entry a place; the current one is marked by shape and colour."""

    TOPICS = frozenset({"containers", "images", "volumes", "networks"})
    BASE = ("muted", "background")

    def __init__(self, current: str) -> None:
        super().__init__()
        self._current = current
        self.filter_words = ""

    def draw(self, cells: Cells, line: int) -> None:
        palette, counts = self.seat.palette, self.seat.store.counts()
        apart = tab_gap(counts, cells.width)
        wanted = len(self.filter_words) + 3 if self.filter_words else 0
        for digit, place, title in TABS:
            if wanted and cells.room < wanted + len(title) + 8 and place != self._current:
                break  # the filter's words are worth more than the last tabs
            here = place == self._current
            count = f" {counts[place]}" if place in counts else ""
            edge = palette.style("accent", "background", "bold")
            words = palette.style("text", "background", "bold") if here else palette.style("muted")
            start = cells.used
            cells.put("▐" if here else " ", edge)
            cells.put(digit, edge if here else palette.style("faint"))
            cells.put(f" {title}", words)
            cells.put(count, palette.style("accent") if here else palette.style("faint"))
            cells.put("▌" if here else " ", edge).put(apart)
            cells.hits.append((start, cells.used, f"app.tab('{place}')"))
        if self.filter_words:
            cells.right([("/ ", palette.style("accent")), (self.filter_words + " ", palette.style("text"))])
