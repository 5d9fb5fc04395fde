"""Lines of coloured text to look through: inspect, processes, changes, previews, command output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual import events
from textual.strip import Strip
from textual.widget import Widget

from app.console.seat import seat
from app.console.widgets.strips import Cells

Line = Sequence[tuple[str, str]]
"""Pieces of safe text with the meaning of their colour."""


class Pager(Widget, can_focus=True):
    """A window onto lines; a few of the first may stay in view as titles."""

    DEFAULT_CSS = """
    Pager { width: 1fr; height: 1fr; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: list[Line] = []
        self._titles = 0
        self._top = 0
        self._left = 0
        self.follows = False
        """Whether new lines pull the window to the end."""

    def show(self, lines: Iterable[Line], *, titles: int = 0, keep_place: bool = False) -> None:
        """Show other lines."""
        self._lines = list(lines)
        self._titles = titles
        if not keep_place:
            self._top = self._left = 0
        self._clamp()
        self.refresh()

    def append(self, lines: Iterable[Line], *, most: int = 20_000) -> None:
        """Add lines at the end; the oldest go beyond `most`."""
        self._lines += lines
        del self._lines[:-most]
        if self.follows:
            self._top = len(self._lines)
        self._clamp()
        self.refresh()

    def replace_last(self, line: Line) -> None:
        """Show another last line: one that was not finished has grown."""
        self._lines[-1:] = [line]
        self.refresh()

    @property
    def text(self) -> str:
        """Everything that is shown, as plain text."""
        return "\n".join("".join(text for text, _tone in line) for line in self._lines)

    @property
    def _page(self) -> int:
        return max(1, self.size.height - self._titles)

    def _clamp(self) -> None:
        self._top = max(0, min(self._top, len(self._lines) - self._titles - self._page))

    def scroll_lines(self, count: int) -> None:
        """Move the window."""
        self._top += count
        self._clamp()
        self.refresh()

    def on_resize(self) -> None:
        self._clamp()
        self.refresh()

    def on_key(self, event: events.Key) -> None:
        page = max(1, self._page - 1)
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -page, "pagedown": page}
        steps |= {"home": -len(self._lines), "end": len(self._lines), "space": page}
        steps |= {"g": -len(self._lines), "G": len(self._lines)}
        if event.key in steps:
            event.stop()
            self.scroll_lines(steps[event.key])
        elif event.key in ("left", "right"):
            event.stop()
            self._left = max(0, self._left + (8 if event.key == "right" else -8))
            self.refresh()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_lines(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_lines(-3)

    def render_line(self, y: int) -> Strip:
        palette, width = seat(self).palette, self.size.width
        at = y if y < self._titles else self._top + y
        if at >= len(self._lines):
            return Strip.blank(width, palette.style("text"))
        cells = Cells(width + self._left, palette.style("text"))
        cells.gap(1)
        modifiers = "bold" if y < self._titles else ""
        for text, tone in self._lines[at]:
            cells.put(text, palette.style(tone, "background", modifiers))
        more = len(self._lines) - self._titles
        if more > self._page and y >= self._titles:
            thumb = max(1, self._page * self._page // more)
            first = (self._page - thumb) * self._top // max(1, more - self._page)
            if first <= y - self._titles < first + thumb and cells.used < cells.width:
                cells.gap(cells.room - 1).put("▐", palette.style("line"))
        return cells.strip().crop(self._left, self._left + width)
