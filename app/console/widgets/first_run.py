"""What one sees before there is any image: the ways to get one, never a blank screen."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.strip import Strip
from textual.widget import Widget

from app.console.seat import seat
from app.console.widgets.strips import Cells
from core.about import STARTER_IMAGE

_WAYS = (
    (
        "⏎",
        "Make a starter image from this host",
        "its busybox, or its shell and tools; no network",
        "app.make_starter",
    ),
    ("L", "Load a .tar or OCI archive", "lists those in ., ~, /mnt, /media", "app.load_dialog"),
    ("–", "Pull from a registry", "not in this version of the engine", ""),
)


class FirstRun(Widget, can_focus=True):
    """Three ways to a first image, by key and by mouse."""

    DEFAULT_CSS = """
    FirstRun { width: 1fr; height: 1fr; }
    """
    BINDINGS: ClassVar = [
        ("enter", "app.make_starter", "make the starter image"),
        ("L", "app.load_dialog", "load"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._hits: dict[int, str] = {}

    def render_line(self, y: int) -> Strip:
        palette = seat(self).palette
        cells = Cells(self.size.width, palette.style("muted"))
        cells.gap(max(2, (self.size.width - 66) // 2))
        row = y - max(1, (self.size.height - 11) // 2)
        if row == 0:
            cells.put("No images yet.", palette.style("text", "background", "bold"))
            cells.put("  Three ways to get one; two of them need no network:")
        elif 2 <= row <= 6 and row % 2 == 0:
            key, words, more, action = _WAYS[row // 2 - 1]
            tone = "text" if action else "faint"
            on = "raised" if action else "background"
            cells.put(f" {key} ", palette.style("accent" if action else "faint", on, "bold")).gap()
            cells.put(words, palette.style(tone, "background", "bold" if action else ""))
            cells.put(f"  {more}", palette.style("muted" if action else "faint"))
            self._hits[y] = action
        elif row == 8:
            cells.put("then  ", palette.style("faint")).put(f"run a shell in {STARTER_IMAGE}")
            cells.put("   ? keys   : commands", palette.style("faint"))
        return cells.strip()

    async def on_click(self, event: events.Click) -> None:
        action = self._hits.get(event.y)
        if action:
            await self.screen.run_action(action)
