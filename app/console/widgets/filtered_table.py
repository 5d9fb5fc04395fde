"""A table with a line of words above it and a filter of its own, for views that are lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.widget import Widget

from app.console import keymap
from app.console.widgets.bar import Bar
from app.console.widgets.prompt import Prompt
from app.console.widgets.resource_table import Column, ResourceTable
from app.console.widgets.strips import Cells
from core.model.display import safe_text

Item = TypeVar("Item")


class TableTitle(Bar):
    """What the table is of, and what is filtered."""

    BASE = ("muted", "surface")

    def __init__(self) -> None:
        super().__init__()
        self.words = ""
        self.filter_text = ""

    @property
    def actor(self) -> Widget:
        return self.parent if isinstance(self.parent, Widget) else self.screen

    def draw(self, cells: Cells, line: int) -> None:
        palette = self.seat.palette
        cells.put(f" {self.words}", palette.style("text", "surface"))
        if self.filter_text:
            cells.put(f"   /{self.filter_text}", palette.style("warn", "surface"))
        else:
            cells.button("   / find ", palette.style("faint", "surface"), "filter")


class FilteredTable(Widget, Generic[Item]):
    """Enter and a double click say ResourceTable.Opened."""

    DEFAULT_CSS = """
    FilteredTable { layout: vertical; width: 1fr; height: 1fr; }
    """
    BINDINGS: ClassVar = [
        Binding(key.keys, key.action, key.words, show=key.on_line) for key in keymap.FILTERED_TABLE_KEYS
    ]

    def __init__(self, columns: Sequence[Column[Item]], key: Callable[[Item], str], *, id: str) -> None:
        super().__init__(id=id)
        self._columns = columns
        self._key = key

    def compose(self) -> ComposeResult:
        yield TableTitle()
        yield ResourceTable(self._columns, self._key)
        yield Prompt("/", "text  !not  column=value  ~fuzzy  /regex/     Enter keeps it, Esc clears it")

    @property
    def table(self) -> ResourceTable[Any]:
        """The rows."""
        return self.query_one(ResourceTable)

    def show(self, words: str, items: Iterable[Item], *, empty: str = "") -> None:
        """Show these rows under a line of safe words; `empty`: what to say where there are none."""
        self.query_one(TableTitle).words = words
        self.query_one(TableTitle).refresh()
        self.table.empty_words = empty
        self.table.set_items(items)
        self.table.refresh()

    def action_open(self) -> None:
        if self.table.current is not None:
            self.table.post_message(ResourceTable.Opened(self.table, self._key(self.table.current)))

    def action_filter(self) -> None:
        self.query_one(Prompt).open(self.table.filter_text)

    def action_sort(self) -> None:
        self.table.sort_next()

    def action_reverse(self) -> None:
        self.table.sort_reverse()

    def action_leave(self) -> None:
        """Escape peels off: the filter, then the place."""
        if self.table.filter_text:
            self._filter("")
        else:
            self.screen.action_back()  # type: ignore[attr-defined] # every screen with such a table is a Place

    def _filter(self, text: str) -> None:
        self.table.set_filter(text)
        title = self.query_one(TableTitle)
        title.filter_text = f"{safe_text(text)}  {self.table.shown_count} fit" if text else ""
        title.refresh()

    def on_prompt_typed(self, event: Prompt.Typed) -> None:
        event.stop()
        self._filter(event.text)

    def on_prompt_done(self, event: Prompt.Done) -> None:
        event.stop()
        self._filter(event.text if event.kept else "")
        self.table.focus()
