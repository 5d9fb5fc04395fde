"""Volumes: which there are, who uses them; Enter looks inside."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from textual.containers import Horizontal
from textual.widget import Widget

from app import short
from app.console import copy_entries
from app.console.dialogs.delete import DeleteVolumes, NewVolume
from app.console.dialogs.files import ExportVolume, ImportVolume
from app.console.inspection import moment
from app.console.screens.list_place import ListPlace
from app.console.screens.volume import VolumePlace
from app.console.seat import ask
from app.console.standing import LIVE
from app.console.widgets.pager import Line, Pager
from app.console.widgets.resource_table import Column, ResourceTable
from core.errors import EngineError
from core.model.display import safe_text
from core.model.ids import short_id
from core.model.volume import FileEntry, Volume

_MEASURED_EVERY_S = 30.0


class VolumesPlace(ListPlace):
    """All volumes, by name."""

    PLACE = "volumes"
    TAB = "volumes"
    TOPICS = frozenset({"volumes"})

    def body(self) -> Iterable[Widget]:
        with Horizontal(classes="body"):
            yield ResourceTable(self._columns(), lambda volume: volume.name)
            side = Pager()
            side.add_class("side")
            side.can_focus = False
            yield side
        yield self.filter_prompt()

    def __init__(self) -> None:
        super().__init__()
        self._sizes: dict[str, int | None] = {}
        self._sized_for: tuple[str, ...] | None = None
        self._is_measuring = False

    def fill(self) -> None:
        volumes = self.seat.store.volumes
        if "volumes" in self.seat.store.loaded:
            self.table.empty_words = "No volumes yet.  n makes one, and so does -v NAME:/inside of a run."
        self.table.set_items(volumes)
        names = tuple(volume.name for volume in volumes)
        if names and names != self._sized_for:
            self._sized_for = names
            self._measure()

    def on_mount(self) -> None:
        super().on_mount()
        self.set_interval(_MEASURED_EVERY_S, self._measure_again)

    def _measure_again(self) -> None:
        if self.is_current and self._sizes:
            self._measure()

    def _measure(self) -> None:
        """Ask how much is in each; it takes as long as there are files, so it is asked for seldom and beside."""
        if self._is_measuring:
            return
        self._is_measuring = True

        def show(volumes: Sequence[Volume]) -> None:
            self._is_measuring = False
            self._sizes = {volume.name: volume.size_bytes for volume in volumes}
            self.table.set_items(self.seat.store.volumes)
            self._draw_side()

        def failed(_error: EngineError) -> None:
            self._is_measuring = False

        volumes = self.seat.actions.backend.volumes
        ask(self, lambda: volumes.list(sizes=True), show, failed)

    def _size_words(self, volume: Volume) -> tuple[str, str]:
        if volume.name not in self._sizes:
            return "…", "faint"
        size = self._sizes[volume.name]
        return ("–", "faint") if size is None else (short.size(size), "text")

    def _mark(self, volume: Volume) -> tuple[str, str]:
        """Shape says who uses it: ● a running container, ○ only stopped ones, ◌ nobody: an orphan."""
        containers = self.seat.store.containers
        if not volume.used_by:
            return "◌", "warn"
        live = any(containers[key].status in LIVE for key in volume.used_by if key in containers)
        return ("●", "ok") if live else ("○", "muted")

    def _columns(self) -> list[Column[Volume]]:
        return [
            Column(
                "name",
                "VOLUME",
                20,
                lambda one: (f"{self._mark(one)[0]} {safe_text(one.name)}", _name_tone(one)),
                lambda one: one.name,
                grows=True,
                text=lambda one: safe_text(one.name),
            ),
            Column(
                "used",
                "USED BY",
                18,
                self._users,
                lambda one: len(one.used_by),
                grows=True,
                text=lambda one: self._users(one)[0],
            ),
            Column("size", "SIZE", 6, self._size_words, lambda one: self._sizes.get(one.name) or 0, align=">"),
            Column("age", "AGE", 4, _age, lambda one: -one.created_ns, align=">"),
            Column(
                "type",
                "TYPE",
                6,
                lambda one: (_type(one), "faint"),
                _type,
                from_width=56,
                text=_type,
            ),
        ]

    def _users(self, volume: Volume) -> tuple[str, str]:
        containers = self.seat.store.containers
        names = [containers[key].name if key in containers else short_id(key) for key in volume.used_by]
        return (safe_text(", ".join(names)), self._mark(volume)[1]) if names else ("nobody", "warn")

    def on_resource_table_highlighted(self, event: ResourceTable.Highlighted) -> None:
        self._draw_side()

    def _draw_side(self) -> None:
        volume: Volume | None = self.table.current
        pager = self.query_one(Pager)
        if volume is None:
            pager.show([])
            return
        facts = [
            ("name", volume.name),
            ("made", moment(volume.created_ns)),
            ("used by", self._users(volume)[0]),
            ("size", self._size_words(volume)[0]),
            ("options", "  ".join(f"{key}={value}" for key, value in volume.options.items())),
            ("lies at", volume.mountpoint),
            ("labels", "  ".join(f"{key}={value}" for key, value in volume.labels.items())),
        ]
        head: list[Line] = [[(f"{key:<9}", "muted"), (safe_text(value), "text")] for key, value in facts if value]
        pager.show(head)
        name = volume.name

        def show(entries: Sequence[FileEntry]) -> None:
            current = self.table.current
            if current is not None and current.name == name:
                rows: list[Line] = [
                    [
                        (f"{short.size(entry.size_bytes) if entry.kind == 'file' else '–':>6}  ", "muted"),
                        (
                            safe_text(entry.name) + "/" * (entry.kind == "dir"),
                            "accent" if entry.kind == "dir" else "text",
                        ),
                    ]
                    for entry in entries[:200]
                ]
                pager.show([*head, [], *(rows or [[("empty", "muted")]])])

        volumes = self.seat.actions.backend.volumes
        ask(self, lambda: volumes.list_dir(name, "/"), show, lambda error: None)

    # ------------------------------------------------------------------ keys

    def action_open(self) -> None:
        if self.table.current is not None:
            self.app.push_screen(VolumePlace(self.table.current.name))

    def action_new(self) -> None:
        self.app.push_screen(NewVolume())

    def action_delete(self) -> None:
        if chosen := self.table.chosen():
            self.app.push_screen(DeleteVolumes(chosen))

    def action_export(self) -> None:
        if self.table.current is not None:
            self.app.push_screen(ExportVolume(self.table.current.name))

    def action_import(self) -> None:
        self.app.push_screen(ImportVolume(self.table.current.name if self.table.current else ""))

    def copy_entries(self, item: Volume) -> Sequence[tuple[str, str]]:
        return copy_entries.for_volume(item)


def _age(volume: Volume) -> tuple[str, str]:
    return short.ago(volume.created_ns, time.time_ns()), "muted"


def _name_tone(volume: Volume) -> str:
    return "muted" if volume.anonymous else "text"


def _type(volume: Volume) -> str:
    """What it is: a directory of ours (local), or what its options mount."""
    kind = volume.options.get("type", "local")
    return "bind" if kind == "none" else safe_text(kind)
