"""The list of every place: rows by id, columns that say how to draw themselves, one pass a change.

Only what is on screen is ever drawn, and of that only the lines whose cells have changed are
repainted: 20,000 rows cost what 40 do, save for filtering and sorting them. The cursor follows
its row, not its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from app.console.container_columns import share_width
from app.console.filtering import Test, parse_filter
from app.console.seat import seat
from app.console.widgets.strips import Cells

Item = TypeVar("Item")

Piece = tuple[str, str]
"""Safe text, and the meaning of its colour."""


@dataclass(frozen=True)
class Column(Generic[Item]):
    """One column: its width, what it shows of an item, and what it sorts by."""

    key: str
    title: str
    cells: int
    """Its width; for a growing column, the least."""
    draw: Callable[[Item], Piece]
    sort_by: Callable[[Item], Any]
    align: str = "<"
    grows: bool = False
    from_width: int = 0
    """Left out in tables narrower than this."""
    text: Callable[[Item], str] | None = field(default=None)
    """What a filter sees; None keeps the column out of filters."""


class ResourceTable(Widget, Generic[Item], can_focus=True):
    """Rows of one kind of thing."""

    DEFAULT_CSS = """
    ResourceTable { width: 1fr; height: 1fr; }
    """

    class Highlighted(Message):
        """The cursor has come to another row, or to none."""

        def __init__(self, table: ResourceTable[Any], key: str | None) -> None:
            super().__init__()
            self.table = table
            self.key = key

    class Opened(Message):
        """A row has been double-clicked."""

        def __init__(self, table: ResourceTable[Any], key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

    class MenuWanted(Message):
        """A row has been right-clicked."""

        def __init__(self, table: ResourceTable[Any], key: str, x: int, y: int) -> None:
            super().__init__()
            self.table = table
            self.key = key
            self.at = (x, y)

    def __init__(
        self,
        columns: Sequence[Column[Item]],
        key: Callable[[Item], str],
        *,
        above: Callable[[Item], str] | None = None,
        id: str | None = None,
    ) -> None:
        """Args: above: the key of the row that another belongs under, empty for none; order and filter keep to it."""
        super().__init__(id=id)
        self._above = above
        self._columns = list(columns)
        self._key = key
        self._all: list[Item] = []
        self._items: list[Item] = []
        self._places: dict[str, int] = {}
        self._cursor: str | None = None
        self._top = 0
        self._sort: tuple[str, bool] | None = None
        self._test: Test | None = None
        self.filter_text = ""
        self.marked: set[str] = set()
        self.empty_words = ""
        """What to say where no row is."""
        self._drawn: dict[int, tuple[object, ...]] = {}

    # ------------------------------------------------------------------ content

    def set_items(self, items: Iterable[Item]) -> None:
        """Show these; cursor and marks stay with their rows."""
        self._all = list(items)
        keys = {self._key(item) for item in self._all} if self.marked else set()
        self.marked &= keys
        self._arrange()

    def set_filter(self, text: str) -> None:
        """Show only what fits (app.console.filtering)."""
        self.filter_text = text
        self._test = parse_filter(text)
        self._arrange()

    def sort(self, column: str | None, *, reverse: bool = False) -> None:
        """Order by a column, or as the engine lists them."""
        self._sort = (column, reverse) if column else None
        self._arrange()
        self.refresh()

    def sort_next(self) -> None:
        """Order by the column after the present one."""
        keys = [column.key for column in self._fitting()[0]]
        at = keys.index(self._sort[0]) + 1 if self._sort and self._sort[0] in keys else 0
        self.sort(keys[at] if at < len(keys) else None)

    def sort_reverse(self) -> None:
        """Turn the order round."""
        column, reverse = self._sort or (self._columns[0].key, False)
        self.sort(column, reverse=not reverse)

    def set_columns(self, columns: Sequence[Column[Item]]) -> None:
        """Show other columns of the same rows."""
        self._columns = list(columns)
        if self._sort is not None and self._sort[0] not in {column.key for column in columns}:
            self._sort = None
        self._arrange()
        self.refresh()

    def redraw(self) -> None:
        """Repaint the visible lines whose cells have changed."""
        for y in range(1, self.size.height):
            if self._line_cells(y) != self._drawn.get(y):
                self.refresh(Region(0, y, self.size.width, 1))

    @property
    def shown_count(self) -> int:
        """Rows that fit the filter."""
        return len(self._items)

    @property
    def current(self) -> Item | None:
        """The item under the cursor."""
        place = self._places.get(self._cursor) if self._cursor is not None else None
        return self._items[place] if place is not None else None

    def chosen(self) -> list[Item]:
        """The marked items, else the one under the cursor."""
        if self.marked:
            return [item for item in self._all if self._key(item) in self.marked]
        return [self.current] if self.current is not None else []

    def go_to(self, key: str) -> None:
        """Put the cursor on a row, if it is shown."""
        if key in self._places:
            self._move_to(self._places[key])

    def go_to_end(self, *, last: bool) -> None:
        """Put the cursor on the last row, or on the first."""
        if self._items:
            self._move_to(len(self._items) - 1 if last else 0)

    def toggle_mark(self) -> None:
        """Mark the row under the cursor, or take the mark away; the cursor steps down."""
        if self._cursor is None:
            return
        self.marked ^= {self._cursor}
        self.move(1)
        self.refresh()

    def toggle_all(self) -> None:
        """Mark all shown rows, or none if any was marked."""
        self.marked = set() if self.marked else set(self._places)
        self.refresh()

    def _arranged(self) -> list[Item]:
        """What is to be shown of all, in order."""
        items = self._all
        if self._test is not None:
            named = [column for column in self._columns if column.text is not None]
            test = self._test
            items = [item for item in items if test({column.key: column.text(item) for column in named if column.text})]
        if self._sort is not None:
            items = sorted(items, key=self._sorting(self._sort[0]), reverse=self._sort[1])
        return items if self._above is None else self._gathered(items)

    def _gathered(self, items: Sequence[Item]) -> list[Item]:
        """Each row with those under it behind it; one of which something is left stays, too."""
        assert self._above is not None
        under: dict[str, list[Item]] = {}
        for item in items:
            under.setdefault(self._above(item), []).append(item)
        tops = {self._key(item): item for item in self._all if not self._above(item)}
        order = dict.fromkeys([self._above(item) or self._key(item) for item in items])
        return [row for top in order if top in tops for row in (tops[top], *under.get(top, ()))]

    def _sorting(self, column: str) -> Callable[[Item], Any]:
        return {one.key: one.sort_by for one in self._columns}[column]

    def _arrange(self) -> None:
        items = self._arranged()
        place_before = self._places.get(self._cursor, 0) if self._cursor is not None else 0
        self._items = items
        self._places = {self._key(item): place for place, item in enumerate(items)}
        if self._cursor not in self._places:
            place = min(place_before, len(items) - 1)
            self._cursor = self._key(items[place]) if items else None
            self.post_message(self.Highlighted(self, self._cursor))
        self._keep_visible()
        self.redraw()

    # ------------------------------------------------------------------ moving

    def move(self, rows: int) -> None:
        """Move the cursor."""
        if self._items:
            place = self._places.get(self._cursor, 0) if self._cursor is not None else 0
            self._move_to(max(0, min(len(self._items) - 1, place + rows)))

    def _move_to(self, place: int) -> None:
        key = self._key(self._items[place])
        if key != self._cursor:
            before = self._cursor
            self._cursor = key
            top = self._top
            self._keep_visible()
            if self._top == top:
                for changed in (before, key):
                    if changed in self._places:
                        line = self._places[changed] - self._top + 1
                        self.refresh(Region(0, line, self.size.width, 1))
            else:
                self.refresh()
            self.post_message(self.Highlighted(self, key))

    def _keep_visible(self) -> None:
        page = max(1, self.size.height - 1)
        place = self._places.get(self._cursor, 0) if self._cursor is not None else 0
        top = max(0, min(self._top, len(self._items) - page))
        top = max(min(top, place), place - page + 1)
        if top != self._top:
            self._top = top
            self.refresh()

    def _scroll(self, rows: int) -> None:
        page = max(1, self.size.height - 1)
        top = max(0, min(self._top + rows, len(self._items) - page))
        if top != self._top:
            self._top = top
            self.refresh()

    def on_resize(self) -> None:
        self._keep_visible()
        self.refresh()

    def on_key(self, event: events.Key) -> None:
        page = max(1, self.size.height - 2)
        steps = {
            "up": -1,
            "k": -1,
            "down": 1,
            "j": 1,
            "pageup": -page,
            "ctrl+b": -page,
            "pagedown": page,
            "ctrl+f": page,
            "home": -len(self._items),
            "g": -len(self._items),
            "end": len(self._items),
            "G": len(self._items),
        }
        if event.key in steps:
            event.stop()
            event.prevent_default()
            self.move(steps[event.key])

    def on_click(self, event: events.Click) -> None:
        event.stop()
        if event.y == 0:
            self._click_title(event.x)
            return
        place = self._top + event.y - 1
        if place >= len(self._items):
            return
        self._move_to(place)
        key = self._key(self._items[place])
        if event.button == 3:
            self.post_message(self.MenuWanted(self, key, event.screen_x, event.screen_y))
        elif event.chain == 2:
            self.post_message(self.Opened(self, key))

    def _click_title(self, x: int) -> None:
        at = 2
        for column, cells in zip(*self._fitting(), strict=True):
            if at <= x < at + cells:
                same = self._sort is not None and self._sort[0] == column.key
                self.sort(column.key, reverse=not self._sort[1] if same and self._sort else False)
                return
            at += cells + 1

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._scroll(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._scroll(-3)

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    # ------------------------------------------------------------------ drawing

    def _fitting(self) -> tuple[list[Column[Item]], list[int]]:
        """The columns that there is room for, and their widths."""
        columns = [column for column in self._columns if self.size.width >= column.from_width]
        return columns, share_width(columns, self.size.width)

    def _line_cells(self, y: int) -> tuple[object, ...]:
        place = self._top + y - 1
        if place >= len(self._items):
            return ("empty", self.empty_words if not self._items and y == 2 else "")
        item = self._items[place]
        key = self._key(item)
        pieces = tuple(column.draw(item) for column in self._fitting()[0])
        return (key == self._cursor, key in self.marked, self.has_focus, pieces)

    def render_line(self, y: int) -> Strip:
        palette = seat(self).palette
        if y == 0:
            return self._title_line()
        drawn = self._line_cells(y)
        self._drawn[y] = drawn
        if drawn[0] == "empty":
            cells = Cells(self.size.width, palette.style("muted"))
            return cells.gap(2).put(str(drawn[1])).strip()
        under_cursor, marked, focused, pieces = drawn
        on = ("selected" if focused else "raised") if under_cursor else "background"
        cells = Cells(self.size.width, palette.style("text", on))
        edge = palette.style("accent" if focused else "muted", on, "bold")
        cells.put("▌" if under_cursor else " ", edge)
        cells.put("▪" if marked else " ", palette.style("warn", on, "bold"))
        columns, widths = self._fitting()
        assert isinstance(pieces, tuple)
        for column, width, (text, tone) in zip(columns, widths, pieces, strict=True):
            modifiers = "bold" if under_cursor and column.grows else ""
            cells.put(text, palette.style(tone, on, modifiers), width, column.align).gap()
        self._thumb(cells, y, palette.style("line"))
        return cells.strip()

    def _title_line(self) -> Strip:
        palette = seat(self).palette
        cells = Cells(self.size.width, palette.style("muted", "background"))
        cells.gap(2)
        for column, width in zip(*self._fitting(), strict=True):
            sorted_here = self._sort is not None and self._sort[0] == column.key
            arrow = ("▾" if self._sort and self._sort[1] else "▴") if sorted_here else ""
            tone = palette.style("accent" if sorted_here else "faint", "background", "bold")
            cells.put(column.title + arrow, tone, width, column.align).gap()
        return cells.strip()

    def _thumb(self, cells: Cells, y: int, style: Style) -> None:
        page = self.size.height - 1
        count = len(self._items)
        if count <= page:
            return
        length = max(1, page * page // count)
        first = 1 + (page - length) * self._top // max(1, count - page)
        if first <= y < first + length:
            cells.gap(cells.room - 1).put("▐", style)
