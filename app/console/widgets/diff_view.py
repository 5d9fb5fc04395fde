"""Two versions of a file side by side, old │ new; scrolled together, from change to change by n and N."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.strip import Strip
from textual.widget import Widget

from app.console.seat import seat
from app.console.side_by_side import ADDED, CHANGED, NOTE, REMOVED, Row, next_change
from app.console.widgets.strips import Cells

_TONES = {CHANGED: ("warn", "warn"), ADDED: ("faint", "ok"), REMOVED: ("fail", "faint"), NOTE: ("muted", "muted")}
_LEAST_CONTEXT = 2


class DiffView(Widget, can_focus=True):
    """A window onto rows of two columns. The sign between the columns tells the kind without colour."""

    DEFAULT_CSS = """
    DiffView { width: 1fr; height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._rows: Sequence[Row] = ()
        self._top = 0
        self._left = 0
        self._at = -1

    def show(self, rows: Sequence[Row]) -> None:
        """Show other rows, from the first change on."""
        self._rows = rows
        self._top = self._left = 0
        self._at = -1
        self.next_change(1)
        self.refresh()

    def next_change(self, step: int) -> None:
        """Bring the next change into view, or the one before for -1."""
        found = next_change(self._rows, self._at, step)
        if found is not None:
            self._at = found
            self._put_top(found - _LEAST_CONTEXT)

    def _put_top(self, top: int) -> None:
        self._top = max(0, min(top, len(self._rows) - self.size.height))
        self.refresh()

    def on_resize(self) -> None:
        self._put_top(self._top)

    def on_key(self, event: events.Key) -> None:
        page = max(1, self.size.height - 1)
        end = len(self._rows)
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -page, "pagedown": page, "space": page}
        steps |= {"home": -end, "g": -end, "end": end, "G": end}
        if event.key in steps:
            event.stop()
            self._put_top(self._top + steps[event.key])
        elif event.key in ("n", "N"):
            event.stop()
            self.next_change(1 if event.key == "n" else -1)
        elif event.key in ("left", "right"):
            event.stop()
            self._left = max(0, self._left + (8 if event.key == "right" else -8))
            self.refresh()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._put_top(self._top + 3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._put_top(self._top - 3)

    def render_line(self, y: int) -> Strip:
        palette, width = seat(self).palette, self.size.width
        at = self._top + y
        if at >= len(self._rows):
            return Strip.blank(width, palette.style("text"))
        row = self._rows[at]
        left, right = _TONES.get(row.sign, ("muted", "muted"))
        on = "raised" if row.sign in (CHANGED, ADDED, REMOVED) else "background"
        half = (width - 3) // 2
        cells = Cells(width, palette.style("text", on))
        self._side(cells, row.old_number, row.old, left, on, half)
        cells.put(f" {row.sign if row.sign != '=' else '│'} ", palette.style("line" if row.sign == "=" else right, on))
        self._side(cells, row.new_number, row.new, right, on, width - half - 3)
        return cells.strip()

    def _side(self, cells: Cells, number: int | None, text: str, tone: str, on: str, width: int) -> None:
        palette = seat(self).palette
        digits = 5 if width > 24 else 0
        if digits:
            cells.put(str(number) if number is not None else "", palette.style("faint", on), digits - 1, ">").gap()
        cells.put(text[self._left :], palette.style(tone, on), width - digits)
