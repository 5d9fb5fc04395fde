"""The logs of several containers as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.containers import Vertical
from textual.widget import Widget

from app.console.merged_log import MergedLog
from app.console.screens.place import Place
from app.console.widgets.bar import Bar
from app.console.widgets.log_view import LogPane
from app.console.widgets.strips import Cells
from core.model.container import Container
from core.model.display import safe_text


class MergedTitle(Bar):
    """Whose logs these are."""

    BASE = ("muted", "surface")

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._names = names

    def draw(self, cells: Cells, line: int) -> None:
        palette = self.seat.palette
        cells.button(" ‹ Esc  ", palette.style("faint", "surface"), "back")
        cells.put("Logs of ", palette.style("muted", "surface"))
        cells.put(" + ".join(self._names), palette.style("text", "surface", "bold"))
        cells.put(f"  merged by time, {len(self._names)} containers")


class MergedLogsPlace(Place):
    """Opened on marked containers by the log key; Escape leads back to the list."""

    PLACE = "merged"
    TAB = "containers"

    def __init__(self, containers: Sequence[Container]) -> None:
        super().__init__()
        self._named = [(container.id, container.name) for container in containers]

    def body(self) -> Iterable[Widget]:
        with Vertical(classes="body"):
            yield MergedTitle([safe_text(name) for _key, name in self._named])
            yield LogPane()

    def on_mount(self) -> None:
        lines = self.query_one(LogPane).lines
        containers = self.seat.actions.backend.containers
        lines.why_empty = "none of them has written anything so far"
        lines.open_view(lambda: MergedLog(containers, self._named))
        self.set_focus(lines)
