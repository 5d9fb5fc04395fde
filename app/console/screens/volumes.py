"""Volumes: which there are, who uses them; Enter looks inside."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from textual.containers import Horizontal
from textual.widget import Widget

from app import short
from app.console import copy_entries
from app.console.dialogs.delete import DeleteVolumes, NewVolume
from app.console.inspection import moment
from app.console.screens.list_place import ListPlace
from app.console.screens.volume import VolumePlace
from app.console.seat import ask
from app.console.widgets.pager import Line, Pager
from app.console.widgets.resource_table import Column, ResourceTable
from core.model.display import safe_text
from core.model.ids import short_id
from core.model.volume import FileEntry, Volume


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

    def fill(self) -> None:
        if "volumes" in self.seat.store.loaded:
            self.table.empty_words = "No volumes yet.  n makes one, and so does -v NAME:/inside of a run."
        self.table.set_items(self.seat.store.volumes)

    def _columns(self) -> list[Column[Volume]]:
        return [
            Column(
                "name",
                "VOLUME",
                20,
                lambda one: (safe_text(one.name), "muted" if one.anonymous else "text"),
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
            Column("age", "AGE", 4, _age, lambda one: -one.created_ns, align=">"),
            Column(
                "driver",
                "DRIVER",
                8,
                lambda one: (safe_text(one.driver), "faint"),
                lambda one: one.driver,
                from_width=64,
            ),
        ]

    def _users(self, volume: Volume) -> tuple[str, str]:
        containers = self.seat.store.containers
        names = [containers[key].name if key in containers else short_id(key) for key in volume.used_by]
        return (safe_text(", ".join(names)), "ok") if names else ("–", "faint")

    def on_resource_table_highlighted(self, event: ResourceTable.Highlighted) -> None:
        volume: Volume | None = self.table.current
        pager = self.query_one(Pager)
        if volume is None:
            pager.show([])
            return
        facts = [
            ("name", volume.name),
            ("made", moment(volume.created_ns)),
            ("used by", self._users(volume)[0]),
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

    def copy_entries(self, item: Volume) -> Sequence[tuple[str, str]]:
        return copy_entries.for_volume(item)


def _age(volume: Volume) -> tuple[str, str]:
    return short.ago(volume.created_ns, time.time_ns()), "muted"
