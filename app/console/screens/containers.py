"""Containers: the list, and beside it the one under the cursor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from textual.containers import Horizontal
from textual.widget import Widget

from app import short
from app.console import copy_entries
from app.console.container_columns import SHAPES
from app.console.dialogs.commit import CommitDialog
from app.console.dialogs.delete import DeleteContainers, KillDialog
from app.console.dialogs.limits import LimitsDialog
from app.console.dialogs.rename import RenameDialog
from app.console.screens.container import ContainerPlace
from app.console.screens.list_place import ListPlace
from app.console.screens.merged import MergedLogsPlace
from app.console.standing import LIVE, standing_of
from app.console.widgets.container_side import ContainerSide
from app.console.widgets.first_run import FirstRun
from app.console.widgets.graph import buckets, nice_top
from app.console.widgets.resource_table import Column, Piece, ResourceTable
from app.console.widgets.strips import sparkline
from core.model.container import Container, Running
from core.model.display import safe_text

if TYPE_CHECKING:
    from app.console.track import Point

_SPARK_S = 60
Draw = Callable[[Container], Piece]
SortBy = Callable[[Container], Any]
Text = Callable[[Container], str]


class ContainersPlace(ListPlace):
    """Where the console opens."""

    PLACE = "containers"
    TAB = "containers"
    TOPICS = frozenset({"containers", "images", "stats"})

    def body(self) -> Iterable[Widget]:
        with Horizontal(classes="body"):
            yield FirstRun()
            yield ResourceTable(self._columns(), lambda container: container.id)
            yield ContainerSide()
        yield self.filter_prompt()

    def on_mount(self) -> None:
        self.query_one(FirstRun).display = False

    def fill(self) -> None:
        store, table, first_run = self.seat.store, self.table, self.query_one(FirstRun)
        nothing = {"containers", "images"} <= store.loaded and not store.containers and not store.images
        if first_run.display != nothing:
            first_run.display, table.display = nothing, not nothing
            self.query_one(ContainerSide).display = not nothing
            self.call_after_refresh((first_run if nothing else table).focus)
        if "containers" in store.loaded:
            table.empty_words = (
                "nothing fits the filter" if table.filter_text else "No containers yet.  n runs one, : takes commands."
            )
        table.set_items(store.containers.values())

    def on_resource_table_highlighted(self, event: ResourceTable.Highlighted) -> None:
        self.query_one(ContainerSide).show(event.key)

    # ------------------------------------------------------------------ columns

    def _columns(self) -> list[Column[Container]]:
        def column(key: str, draw: Draw, sort_by: SortBy, text: Text | None = None) -> Column[Container]:
            shape = SHAPES[key]
            return Column(
                key,
                shape.title,
                shape.cells,
                draw,
                sort_by,
                align=shape.align,
                grows=shape.grows,
                from_width=shape.from_width,
                text=text,
            )

        def by(name: str) -> SortBy:
            return lambda one: self._point_value(one, name)

        def name(one: Container) -> str:
            return safe_text(one.name)

        def image(one: Container) -> str:
            return safe_text(one.config.image_name)

        return [
            column("sign", _sign, lambda one: _sign(one)[1]),
            column("name", lambda one: (name(one), "text"), name, name),
            column("image", lambda one: (image(one), "muted"), image, image),
            column("status", self._state, _since, lambda one: f"{one.status} {self._state(one)[0]}"),
            column("cpu", self._cpu, by("cpu")),
            column("spark", self._spark, by("cpu")),
            column("memory", self._memory, by("memory_bytes")),
            column("limit", self._limit, lambda one: one.settings.limits.memory_bytes),
            column("pressure", self._pressure, lambda one: self._pressure_value(one) or -1.0),
            column("pids", self._pids, by("pids")),
        ]

    def _point(self, container: Container) -> Point | None:
        if not isinstance(container.state, Running):
            return None
        track = self.seat.store.tracks.get(container.id)
        return track.now if track else None

    def _point_value(self, container: Container, name: str) -> float:
        point = self._point(container)
        return float(getattr(point, name)) if point is not None else -1.0

    def _divisor(self) -> int:
        host = self.seat.store.host.now
        return host.cpu_count if self.seat.cpu_of_host and host else 1

    def _state(self, container: Container) -> tuple[str, str]:
        return short.state(standing_of(container), time.time_ns()), _sign(container)[1]

    def _cpu(self, container: Container) -> tuple[str, str]:
        point = self._point(container)
        if point is None:
            return "–", "faint"
        return short.percent(point.cpu / self._divisor()), "text" if point.cpu >= 0.05 else "muted"

    def _spark(self, container: Container) -> tuple[str, str]:
        track = self.seat.store.tracks.get(container.id)
        if track is None or self._point(container) is None:
            return "", "faint"
        recent = [track.points[at].cpu for at in range(-min(_SPARK_S, len(track.points)), 0)]
        cells = SHAPES["spark"].cells
        bars = buckets(recent, cells, track.total, step=-(-_SPARK_S // cells))
        return sparkline(bars, cells, nice_top(max(bars, default=0.0), 25)), "cpu"

    def _memory(self, container: Container) -> tuple[str, str]:
        point = self._point(container)
        if point is None:
            return "–", "faint"
        share = point.memory_bytes / point.limit_bytes if point.limit_bytes else 0.0
        return short.size(point.memory_bytes), "fail" if share > 0.97 else "warn" if share > 0.9 else "text"

    def _limit(self, container: Container) -> tuple[str, str]:
        limit = container.settings.limits.memory_bytes
        if not limit:
            return "–", "faint"
        point = self._point(container)
        near = point is not None and point.memory_bytes > 0.9 * limit
        return ("▲" if near else "") + short.size(limit), "warn" if near else "muted"

    def _pressure_value(self, container: Container) -> float | None:
        point = self._point(container)
        if point is None:
            return None
        known = [value for value in (point.pressure.cpu, point.pressure.memory, point.pressure.io) if value is not None]
        return max(known, default=None)

    def _pressure(self, container: Container) -> tuple[str, str]:
        value = self._pressure_value(container)
        if value is None:
            return "–", "faint"
        return (
            f"{value:.1f}" if value < 99.5 else "100",
            "fail" if value > 60 else "warn" if value > 20 else "muted",
        )

    def _pids(self, container: Container) -> tuple[str, str]:
        point = self._point(container)
        return (str(point.pids), "muted") if point else ("–", "faint")

    # ------------------------------------------------------------------ keys

    def _open(self, view: str) -> None:
        container = self.table.current
        if container is not None:
            self.app.push_screen(ContainerPlace(container.id, view))

    def action_open(self) -> None:
        self._open("logs")

    def action_logs(self) -> None:
        chosen = self.table.chosen()
        if len(chosen) > 1:
            self.app.push_screen(MergedLogsPlace(chosen))
        else:
            self._open("logs")

    def action_processes(self) -> None:
        self._open("processes")

    def action_changes(self) -> None:
        self._open("changes")

    def action_inspect(self) -> None:
        self._open("inspect")

    def action_shell(self) -> None:
        self._open("shell")

    def action_stop(self) -> None:
        chosen: list[Container] = self.table.chosen()
        live = [one for one in chosen if one.status in LIVE]
        if live:
            self.seat.actions.stop(live)
        elif chosen:
            self.seat.actions.start(chosen)

    def action_restart(self) -> None:
        if chosen := self.table.chosen():
            self.seat.actions.restart(chosen)

    def action_pause(self) -> None:
        if chosen := [one for one in self.table.chosen() if one.status in ("running", "paused")]:
            self.seat.actions.toggle_pause(chosen)

    def action_why(self) -> None:
        container = self.table.current
        if container is not None:
            self.seat.show_why(container.id)

    def action_reach(self) -> None:
        container = self.table.current
        if container is not None:
            self.seat.show_reach(container.id)

    def action_image(self) -> None:
        container = self.table.current
        if container is not None:
            self.seat.show_image_of(container.id)

    def action_limits(self) -> None:
        container = self.table.current
        if container is not None:
            self.app.push_screen(LimitsDialog(container))

    def action_rename(self) -> None:
        container = self.table.current
        if container is not None:
            self.app.push_screen(RenameDialog(container))

    def action_kill(self) -> None:
        if chosen := [one for one in self.table.chosen() if one.status in ("running", "paused")]:
            self.app.push_screen(KillDialog(chosen))

    def action_delete(self) -> None:
        if chosen := self.table.chosen():
            self.app.push_screen(DeleteContainers(chosen))

    def action_commit(self) -> None:
        container = self.table.current
        if container is not None:
            self.app.push_screen(CommitDialog(container))

    def copy_entries(self, item: Container) -> Sequence[tuple[str, str]]:
        return copy_entries.for_container(item)


def _sign(container: Container) -> Piece:
    return short.glyph(standing_of(container))


def _since(container: Container) -> int:
    """When the present state began: what the state column sorts by."""
    return -standing_of(container).since_ns
