"""Buttons in a row, by mouse and by keyboard, with the command that the one chosen stands for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from app.console.seat import seat
from app.console.widgets.strips import Cells

_HINT = "a button under the mouse, or chosen by Tab and ← →, shows its command here; y copies it"


class BarButton(NamedTuple):
    """One button: its key, its words, the screen's action, and the command that it stands for."""

    key: str
    words: str
    action: str
    command: str


class ButtonBar(Widget, can_focus=True):
    """As many rows as the width wants; a last one for the command, where the screen is high enough.

    The one chosen is under the mouse, or, while the bar has the keys, where left and right have gone.
    """

    DEFAULT_CSS = """
    ButtonBar { height: auto; width: 1fr; }
    """
    KEY_WORDS = (("← →", "choose"), ("⏎", "do it"), ("y", "copy its command"))

    class MenuWanted(Message):
        """What there is no room for has been asked for."""

        def __init__(self, bar: ButtonBar, buttons: Sequence[BarButton], x: int, y: int) -> None:
            super().__init__()
            self.bar = bar
            self.buttons = list(buttons)
            self.at = (x, y)

    def __init__(self) -> None:
        super().__init__()
        self._buttons: list[BarButton] = []
        self._places: list[tuple[int, int, int]] = []
        """Of each button that is shown: row, first cell, cell behind it."""
        self._at = 0
        self._hovered: int | None = None

    def show(self, buttons: Sequence[BarButton]) -> None:
        """Show other buttons."""
        if list(buttons) != self._buttons:
            self._buttons = list(buttons)
            self._at = min(self._at, max(0, len(self._buttons) - 1))
            self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        self._arrange(width, viewport.height)
        rows = self._places[-1][0] + 1 if self._places else 1
        return rows + (viewport.height >= 30)

    def _arrange(self, width: int, height: int) -> None:
        """Give each button its place; in a low screen there is one row, and the rest is behind `[⋯]`."""
        self._places = []
        row, x = 0, 1
        for number, button in enumerate(self._buttons):
            cells = cell_len(self._label(button))
            spare = 5 if height < 30 and number + 1 < len(self._buttons) else 0
            if x + cells + spare > width and x > 1:
                if height < 30:
                    break
                row, x = row + 1, 1
            self._places.append((row, x, x + cells))
            x += cells + 1

    @staticmethod
    def _label(button: BarButton) -> str:
        return f"[{button.key} {button.words}]"

    @property
    def chosen(self) -> BarButton | None:
        """The one whose command is shown."""
        number = self._hovered if self._hovered is not None else self._at if self.has_focus else None
        return self._buttons[number] if number is not None and number < len(self._buttons) else None

    def render_line(self, y: int) -> Strip:
        palette = seat(self).palette
        cells = Cells(self.size.width, palette.style("muted", "surface"))
        rows = self._places[-1][0] + 1 if self._places else 1
        if y >= rows:
            chosen = self.chosen
            if chosen is not None and chosen.command:
                cells.put(" $ ", palette.style("faint", "surface"))
                cells.put(chosen.command, palette.style("accent", "surface"))
            else:
                cells.put(f" {_HINT}", palette.style("faint", "surface"))
            return cells.strip()
        for number, (row, start, end) in enumerate(self._places):
            if row == y:
                cells.gap(start - cells.used)
                button = self._buttons[number]
                here = button is self.chosen
                on = "selected" if here else "raised"
                edge = palette.style("text" if here else "muted", on)
                cells.put("[", edge).put(button.key, palette.style("accent", on, "bold"))
                cells.put(f" {button.words}", palette.style("text", on, "bold" if here else "")).put("]", edge)
                assert cells.used <= end or cells.room == 0
        if y == rows - 1 and len(self._places) < len(self._buttons):
            cells.gap().put("[⋯]", palette.style("accent", "raised", "bold"))
        return cells.strip()

    def _number_at(self, x: int, y: int) -> int | None:
        for number, (row, start, end) in enumerate(self._places):
            if row == y and start <= x < end:
                return number
        return None

    async def on_click(self, event: events.Click) -> None:
        event.stop()
        number = self._number_at(event.x, event.y)
        if number is not None:
            await self.screen.run_action(self._buttons[number].action)
        elif self._places and len(self._places) < len(self._buttons) and event.x > self._places[-1][2]:
            rest = self._buttons[len(self._places) :]
            self.post_message(self.MenuWanted(self, rest, event.screen_x, event.screen_y - len(rest) - 2))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        number = self._number_at(event.x, event.y)
        if number != self._hovered:
            self._hovered = number
            self.refresh()

    def on_leave(self) -> None:
        if self._hovered is not None:
            self._hovered = None
            self.refresh()

    async def on_key(self, event: events.Key) -> None:
        if event.key in ("left", "right") and self._buttons:
            event.stop()
            self._at = (self._at + (1 if event.key == "right" else -1)) % len(self._buttons)
            self.refresh()
        elif event.key in ("enter", "space") and self._buttons:
            event.stop()
            await self.screen.run_action(self._buttons[self._at].action)
        elif event.key == "y" and (chosen := self.chosen) is not None and chosen.command:
            event.stop()
            seat(self).copy(chosen.command, "the command")

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def on_resize(self) -> None:
        self._arrange(self.size.width, self.app.size.height)
        self.refresh()
