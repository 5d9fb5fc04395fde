"""Images: the list, and beside it how the one under the cursor was made."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from textual.containers import Horizontal
from textual.widget import Widget

from app import short
from app.console import copy_entries
from app.console.dialogs.delete import DeleteImages
from app.console.dialogs.image_files import SaveDialog, TagDialog
from app.console.dialogs.run import RunDialog
from app.console.image_facts import history_lines, image_name, summary_lines
from app.console.screens.image import ImagePlace
from app.console.screens.list_place import ListPlace
from app.console.seat import ask
from app.console.widgets.first_run import FirstRun
from app.console.widgets.pager import Pager
from app.console.widgets.resource_table import Column, ResourceTable
from core.model.display import safe_text
from core.model.ids import short_id
from core.model.image import HistoryEntry, Image


class ImagesPlace(ListPlace):
    """All images of the store, newest first."""

    PLACE = "images"
    TAB = "images"
    TOPICS = frozenset({"images"})

    def body(self) -> Iterable[Widget]:
        with Horizontal(classes="body"):
            yield FirstRun()
            yield ResourceTable(_COLUMNS, lambda image: image.id)
            side = Pager()
            side.add_class("side")
            side.can_focus = False
            yield side
        yield self.filter_prompt()

    def on_mount(self) -> None:
        self.query_one(FirstRun).display = False

    def fill(self) -> None:
        store, first_run = self.seat.store, self.query_one(FirstRun)
        nothing = "images" in store.loaded and not store.images
        if first_run.display != nothing:
            first_run.display, self.table.display = nothing, not nothing
            self.query_one(Pager).display = not nothing
            self.call_after_refresh((first_run if nothing else self.table).focus)
        self.table.set_items(store.images)

    def on_resource_table_highlighted(self, event: ResourceTable.Highlighted) -> None:
        image = self.seat.store.image(event.key) if event.key else None
        pager = self.query_one(Pager)
        if image is None:
            pager.show([])
            return
        head = summary_lines(image, self.seat.store.containers)
        pager.show(head)
        key = image.id

        def show(entries: Sequence[HistoryEntry]) -> None:
            current = self.table.current
            if current is not None and current.id == key:
                pager.show([*head, [], *history_lines(entries)])

        ask(self, lambda: self.seat.actions.backend.images.history(key), show, lambda error: None)

    # ------------------------------------------------------------------ keys

    def action_open(self) -> None:
        if self.table.current is not None:
            self.app.push_screen(ImagePlace(self.table.current.id))

    def action_run(self) -> None:
        image = self.table.current
        self.app.push_screen(RunDialog(image_name(image) if image is not None else ""))

    def action_tag(self) -> None:
        if self.table.current is not None:
            self.app.push_screen(TagDialog(image_name(self.table.current)))

    def action_save(self) -> None:
        if chosen := self.table.chosen():
            self.app.push_screen(SaveDialog([image_name(image) for image in chosen]))

    def action_push(self) -> None:
        if self.table.current is not None:
            self.seat.push_dialog(image_name(self.table.current))

    def action_delete(self) -> None:
        if chosen := self.table.chosen():
            self.app.push_screen(DeleteImages(chosen))

    def copy_entries(self, item: Image) -> Sequence[tuple[str, str]]:
        return copy_entries.for_image(item)


def _used(image: Image) -> tuple[str, str]:
    return (str(len(image.used_by)), "ok") if image.used_by else ("–", "faint")


_COLUMNS: list[Column[Image]] = [
    Column(
        "name",
        "IMAGE",
        18,
        lambda one: (safe_text(image_name(one)), "text" if one.tags else "muted"),
        image_name,
        grows=True,
        text=lambda one: safe_text(" ".join(one.tags) or one.id),
    ),
    Column("id", "ID", 12, lambda one: (short_id(one.id), "faint"), lambda one: one.id, text=lambda one: one.id),
    Column(
        "age",
        "AGE",
        4,
        lambda one: (short.ago(one.created_ns, time.time_ns()), "muted"),
        lambda one: -one.created_ns,
        align=">",
    ),
    Column(
        "size",
        "SIZE",
        6,
        lambda one: (short.size(one.size_bytes), "text"),
        lambda one: one.size_bytes,
        align=">",
    ),
    Column(
        "layers",
        "LAYERS",
        6,
        lambda one: (str(len(one.layers)), "muted"),
        lambda one: len(one.layers),
        align=">",
    ),
    Column("used", "USED", 4, _used, lambda one: len(one.used_by), align=">"),
]
