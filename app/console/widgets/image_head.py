"""The line over an image's workbench: its name, and what it comes to."""

from __future__ import annotations

from app import short
from app.console.image_facts import image_name
from app.console.widgets.bar import Bar
from app.console.widgets.strips import Cells
from core.model.display import safe_text
from core.model.image import Image

_MUCH = 0.05
"""A share of wasted bytes from which on it is worth a colour."""


class ImageHead(Bar):
    """`shop/api:9.3   212M  unique 38M   6 layers   used by 2   wasted 4.1M (1.9%)`; a click on that lists it."""

    BASE = ("muted", "surface")

    def __init__(self) -> None:
        super().__init__()
        self.image: Image | None = None
        self.unique_bytes: int | None = None
        self.wasted_bytes: int | None = None

    def draw(self, cells: Cells, line: int) -> None:
        palette, image = self.seat.palette, self.image
        if image is None:
            return
        quiet, plain = palette.style("muted", "surface"), palette.style("text", "surface")
        name = safe_text(image_name(image))
        users = len(image.used_by)
        figures = [(short.size(image.size_bytes), "")]
        if self.unique_bytes is not None:
            figures.append(("unique ", short.size(self.unique_bytes)))
        figures.append(("used by ", str(users)) if users else ("not used", ""))
        figures.append((f"{len(image.layers)}", " layers" if len(image.layers) != 1 else " layer"))
        wasted = self._wasted(image)

        def room() -> int:
            taken = sum(len(first) + len(second) + 3 for first, second in figures)
            return cells.width - taken - (len(wasted) + 3 if wasted else 0) - 4

        while room() < len(name) and len(figures) > 2:
            figures.pop()  # the name is worth more
        cells.put(f" ‹ {name}", palette.style("text", "surface", "bold"), min(max(12, room() + 3), len(name) + 3))
        cells.hits.append((0, cells.used, "back"))
        for first, second in figures:
            cells.put("   ", quiet)
            cells.put(first, quiet if second and not second.startswith(" ") else plain)
            cells.put(second, quiet if second.startswith(" ") else plain)
        if wasted:
            much = self.wasted_bytes is not None and self.wasted_bytes > _MUCH * max(1, image.size_bytes)
            cells.put("   ", quiet).button(
                wasted, palette.style("warn" if much else "muted", "surface"), "show('waste')"
            )

    def _wasted(self, image: Image) -> str:
        if self.wasted_bytes is None:
            return ""
        share = 100 * self.wasted_bytes / max(1, image.size_bytes)
        return f"wasted {short.size(self.wasted_bytes)} ({share:.1f}%)"
