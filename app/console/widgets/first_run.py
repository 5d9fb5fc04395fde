"""What one sees before there is any image: the ways to get one, never a blank screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual import events
from textual.binding import Binding
from textual.strip import Strip
from textual.widget import Widget

from app import short
from app.console.archives import Archive, find_archives
from app.console.seat import ask, seat
from app.console.way_out import no_way_out
from app.console.widgets.strips import Cells
from core.about import STARTER_IMAGE
from core.model.display import safe_text

_MOST_LISTED = 6
_STARTER = "Make a starter image from this host"
_LOAD = "Load a .tar or an OCI folder"
_PULL = "Pull from a registry"


class _Way(NamedTuple):
    """One line that can be chosen."""

    key: str
    words: str
    more: str
    action: str
    archive: Archive | None = None
    is_grey: bool = False


class FirstRun(Widget, can_focus=True):
    """Ways to a first image, by key and by mouse; archives found near by are loaded from here at once."""

    DEFAULT_CSS = """
    FirstRun { width: 1fr; height: 1fr; }
    """
    BINDINGS: ClassVar = [
        Binding("enter", "choose", "do it"),
        Binding("L", "app.load_dialog", "load"),
        Binding("P", "app.pull_dialog", "pull"),
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("down,j", "move(1)", "down", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._found: Sequence[Archive] | None = None
        self._reason = ""
        self._at = 0
        self._places: dict[int, int] = {}
        """Line → number of the way that is drawn there."""

    def _look(self) -> None:
        """Look about for archives and for a way out; the answers come when they come."""

        def known(answer: tuple[list[Archive], str]) -> None:
            self._found, self._reason = answer
            self.refresh()

        ask(self, lambda: (find_archives(), no_way_out()), known)

    @property
    def _ways(self) -> list[_Way]:
        found = self._found or ()
        looked = "looking in ., ~, /mnt, /media …" if self._found is None else "none found in ., ~, /mnt, /media"
        listed = [
            _Way(
                "",
                f"{short.size(one.size_bytes):>6}  {safe_text(one.path.name)}",
                safe_text(str(one.path.parent)),
                "",
                one,
            )
            for one in found[:_MOST_LISTED]
        ]
        more = f"{len(found)} found near by" if found else looked
        return [
            _Way("⏎", _STARTER, "of its busybox, or its own tools", "app.make_starter"),
            _Way("L", _LOAD, more, "app.load_dialog"),
            *listed,
            _Way("P", _PULL, self._reason or "with search as you type", "app.pull_dialog", is_grey=bool(self._reason)),
        ]

    # ------------------------------------------------------------------ choosing

    def action_move(self, step: int) -> None:
        self._at = max(0, min(len(self._ways) - 1, self._at + step))
        self.refresh()

    async def action_choose(self) -> None:
        await self._take(self._at)

    async def _take(self, number: int) -> None:
        ways = self._ways
        if number >= len(ways):
            return
        self._at = number
        self.refresh()
        archive = ways[number].archive
        if archive is not None:
            seat(self).actions.images.load(archive.path)
        else:
            await self.screen.run_action(ways[number].action)

    async def on_click(self, event: events.Click) -> None:
        if event.y in self._places:
            await self._take(self._places[event.y])

    # ------------------------------------------------------------------ drawing

    def render_line(self, y: int) -> Strip:
        palette, ways = seat(self).palette, self._ways
        cells = Cells(self.size.width, palette.style("muted"))
        cells.gap(max(2, (self.size.width - 76) // 2))
        top = max(1, (self.size.height - len(ways) - 9) // 2)
        row = y - top
        if row == 0:
            cells.put("No images yet.", palette.style("text", "background", "bold"))
            cells.put("  Three ways to get one, no network needed for the first two:")
            return cells.strip()
        at = 2
        for number, way in enumerate(ways):
            if way.archive is None and number:
                at += 1
            if row == at:
                self._places[y] = number
                return self._line(cells, way, chosen=number == self._at)
            at += 1
        self._places.pop(y, None)
        if row == at + 1:
            cells.put("then  ", palette.style("faint")).put(f"run a shell in {STARTER_IMAGE}")
            cells.put("   ·   ? keys   : commands", palette.style("faint"))
        return cells.strip()

    def _line(self, cells: Cells, way: _Way, *, chosen: bool) -> Strip:
        palette = seat(self).palette
        on = "selected" if chosen and self.has_focus else "background"
        cells.put("▌" if chosen else " ", palette.style("accent", on, "bold"))
        if way.archive is None:
            cells.put(f" {way.key} ", palette.style("faint" if way.is_grey else "accent", "raised", "bold"))
            cells.put(" ", palette.style("text", on))
            cells.put(way.words, palette.style("faint" if way.is_grey else "text", on, "" if way.is_grey else "bold"))
        else:
            cells.put("     ", palette.style("text", on)).put(way.words, palette.style("text", on))
        cells.put(f"  {way.more}", palette.style("faint" if way.is_grey or way.archive else "muted", on))
        return cells.strip()

    def on_focus(self) -> None:
        self._look()
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()
