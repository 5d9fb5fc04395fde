"""A list to choose from: the copy menu, and what can be done to the thing under the mouse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from app.console.dialogs.overlay import Overlay


class Menu(Overlay[str]):
    """Answers the value of the chosen entry. `at` puts it where the mouse is, else in the middle."""

    BINDINGS: ClassVar = [Binding("escape,q", "dismiss", "leave")]
    DEFAULT_CSS = """
    Menu { align: center middle; }
    Menu > #menu {
        width: auto; max-width: 90%; height: auto; max-height: 80%; background: $surface;
        border: round $border-blurred; border-title-color: $accent; padding: 0 1;
    }
    Menu.placed { align: left top; }
    Menu OptionList, Menu OptionList:focus {
        width: auto; height: auto; max-height: 100%; border: none; background: $surface; padding: 0;
    }
    """

    def __init__(self, title: str, entries: Sequence[tuple[str, str]], *, at: tuple[int, int] | None = None) -> None:
        super().__init__()
        self._title = title
        self._entries = list(entries)
        self._at = at

    def compose(self) -> ComposeResult:
        with Vertical(id="menu") as box:
            box.border_title = self._title.replace("[", "\\[")
            yield OptionList(*(Option(words) for words, _value in self._entries), markup=False)

    def on_mount(self) -> None:
        self.query_one("#menu").styles.min_width = len(self._title) + 6  # else a frame of short entries cuts it
        if self._at is not None:
            self.add_class("placed")
            x, y = self._at
            width = max(len(words) for words, _value in self._entries) + 8
            height = len(self._entries) + 2
            box = self.query_one("#menu")
            box.styles.offset = (
                max(0, min(x, self.app.size.width - width)),
                max(0, min(y, self.app.size.height - height)),
            )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._entries[event.option_index][1])
