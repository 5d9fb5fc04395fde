"""A box to tick that says so by shape: `▐✓▌` or `▐ ▌`, never by colour alone."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Checkbox


class Tick(Checkbox):
    """A Checkbox whose words are never read as markup."""

    DEFAULT_CSS = """
    Tick, Tick:focus { height: 1; border: none; padding: 0; background: $surface; width: auto; margin: 0 2 0 0; }
    Tick > .toggle--button { color: $background; background: $line; text-style: bold; }
    Tick.-on > .toggle--button { color: $background; background: $accent; }
    Tick:focus > .toggle--label { background: $selected; color: $text; text-style: bold; }
    """

    def __init__(self, words: str, value: bool = False, *, id: str) -> None:
        self.BUTTON_INNER = "✓" if value else " "
        super().__init__(Content(words), value, id=id)

    def watch_value(self) -> None:
        self.BUTTON_INNER = "✓" if self.value else " "
        super().watch_value()
