"""Where one is among registries, repositories and tags, and the way back."""

from __future__ import annotations

from app.console.widgets.bar import Bar
from app.console.widgets.strips import Cells
from core.model.display import safe_text


class PathBar(Bar):
    """`‹ Esc  Registries / localhost:5000 / shop/api`; the last part is where one is."""

    BASE = ("muted", "surface")

    def __init__(self, *parts: str) -> None:
        super().__init__()
        self._parts = [safe_text(part) for part in parts]

    def draw(self, cells: Cells, line: int) -> None:
        palette = self.seat.palette
        cells.button(" ‹ Esc  ", palette.style("faint", "surface"), "back")
        *before, here = self._parts
        for part in before:
            cells.put(part, palette.style("muted", "surface")).put(" / ", palette.style("faint", "surface"))
        cells.put(here, palette.style("text", "surface", "bold"))
