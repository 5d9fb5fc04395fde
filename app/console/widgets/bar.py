"""A widget of one line that draws itself with Cells; parts of it can be clicked."""

from __future__ import annotations

from textual import events
from textual.strip import Strip
from textual.widget import Widget

from app.console.seat import Seat, seat
from app.console.widgets.strips import Cells


class Bar(Widget):
    """One line. A subclass says what it listens to and how it is drawn."""

    DEFAULT_CSS = """
    Bar { height: 1; width: 1fr; }
    """
    TOPICS: frozenset[str] = frozenset()
    BASE = ("text", "background")
    """The colour meanings the line lies on."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._hits: list[tuple[int, int, str]] = []

    @property
    def seat(self) -> Seat:
        """The console."""
        return seat(self)

    def on_mount(self) -> None:
        if self.TOPICS:
            self.seat.store.listen(self, set(self.TOPICS), self.changed)

    def on_unmount(self) -> None:
        self.seat.store.forget(self)

    def changed(self) -> None:
        """The store has news."""
        if self.screen.is_current:
            self.refresh()

    def draw(self, cells: Cells, line: int) -> None:
        """Fill a line; override."""
        raise NotImplementedError

    def render_line(self, y: int) -> Strip:
        cells = Cells(self.size.width, self.seat.palette.style(*self.BASE))
        self.draw(cells, y)
        if y == 0:
            self._hits = cells.hits
        return cells.strip()

    @property
    def actor(self) -> Widget:
        """Whose actions the parts that can be clicked stand for."""
        return self.screen

    async def on_click(self, event: events.Click) -> None:
        for start, end, action in self._hits:
            if start <= event.x < end:
                event.stop()
                await self.actor.run_action(action)
                return
