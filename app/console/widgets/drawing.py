"""A widget that draws all its lines at once from the store, and again only when there is something new."""

from __future__ import annotations

from collections.abc import Hashable

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from app.console.seat import Seat, seat
from app.console.widgets.strips import Cells


class Drawing(Widget):
    """Lines of cells. A subclass says what it listens to, what they depend on, and draws them."""

    TOPICS: frozenset[str] = frozenset({"stats"})

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: list[Strip] = []
        self._drawn: Hashable = None
        """What the lines were drawn from."""

    @property
    def seat(self) -> Seat:
        """The console."""
        return seat(self)

    def on_mount(self) -> None:
        self.seat.store.listen(self, set(self.TOPICS), self._changed)

    def on_unmount(self) -> None:
        self.seat.store.forget(self)

    def _changed(self) -> None:
        if self.screen.is_current:
            self.refresh()

    def depends_on(self) -> Hashable:
        """A value that is another one whenever the lines would be; size and theme are seen to."""
        raise NotImplementedError

    def draw(self) -> list[Strip]:
        """All lines, no more than there is room for."""
        raise NotImplementedError

    def render_lines(self, crop: Region) -> list[Strip]:
        now = (self.size, self.seat.palette, self.depends_on())
        if now != self._drawn:
            self._lines, self._drawn = self.draw()[: self.size.height], now
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        return self._lines[y] if y < len(self._lines) else self.blank()

    # ------------------------------------------------------------------ lines that every drawing has

    def blank(self) -> Strip:
        """An empty line."""
        return Strip.blank(self.size.width, self.seat.palette.style("text"))

    def words(self, text: str, *, indent: int = 1, tone: str = "muted") -> Strip:
        """A line of text."""
        return Cells(self.size.width, self.seat.palette.style(tone)).gap(indent).put(text).strip()
