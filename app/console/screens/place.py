"""What every place looks like: header, tabs, its own body, long work, problem line, key line."""

from __future__ import annotations

from collections.abc import Iterable

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget

from app.console import keymap
from app.console.seat import Seat, seat
from app.console.widgets.header import Header
from app.console.widgets.job_line import JobLines
from app.console.widgets.key_line import KeyLine
from app.console.widgets.notice import NoticeLine
from app.console.widgets.tabs import TabBar


class Place(Screen[None]):
    """A full screen. PLACE names its keys in the keymap, TAB the tab it belongs to."""

    PLACE = ""
    TAB = ""
    DEFAULT_CSS = """
    Place { background: $background; color: $text; layout: vertical; overflow: hidden; }
    Place .body { height: 1fr; }
    Place .side { width: 45%; border-left: tall $line; }
    Place.-narrow .side { display: none; }
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "PLACE" in cls.__dict__:
            cls.BINDINGS = [*keymap.bindings(cls.PLACE)]
            cls._merged_bindings = cls._merge_bindings()

    @property
    def seat(self) -> Seat:
        """The console."""
        return seat(self)

    def compose(self) -> ComposeResult:
        yield Header()
        yield TabBar(self.TAB)
        yield from self.body()
        yield JobLines()
        yield NoticeLine()
        yield KeyLine()

    def body(self) -> Iterable[Widget]:
        """What is between the tabs and the problem line."""
        raise NotImplementedError

    def on_screen_resume(self) -> None:
        for widget in self.query("Header, TabBar, JobLines, NoticeLine, KeyLine").results():
            widget.refresh()

    def action_back(self) -> None:
        """Out of here."""
        if len(self.app.screen_stack) > 1 and self.app.screen is self:
            self.app.pop_screen()
