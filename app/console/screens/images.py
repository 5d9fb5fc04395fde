"""Images: a list, or a tree of repositories, and beside it how the one under the cursor was made."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from textual.containers import Horizontal
from textual.widget import Widget

from app import short
from app.console import copy_entries
from app.console.dialogs.compare import CompareDialog
from app.console.dialogs.delete_images import DeleteImages
from app.console.dialogs.image_files import SaveDialog
from app.console.dialogs.image_making import TagDialog
from app.console.dialogs.run import RunDialog
from app.console.image_facts import history_lines, image_name, summary_lines
from app.console.image_rows import ImageRow, Shares, list_rows, tree_rows
from app.console.screens.compare import ComparePlace
from app.console.screens.image import ImagePlace
from app.console.screens.list_place import ListPlace
from app.console.seat import ask
from app.console.widgets.first_run import FirstRun
from app.console.widgets.pager import Pager
from app.console.widgets.resource_table import Column, Piece, ResourceTable
from core.errors import EngineError
from core.model.display import safe_text
from core.model.ids import short_id
from core.model.image import HistoryEntry, Image

_MOST_ASKED = 40
"""Images whose layers' sizes are asked for in one go: those of a screen."""


class ImagesPlace(ListPlace):
    """All images of the store, newest first."""

    PLACE = "images"
    TAB = "images"
    TOPICS = frozenset({"images"})

    def __init__(self) -> None:
        super().__init__()
        self._as_tree = False
        self._with_digests = False
        self._folded: set[str] = set()
        self._shares = Shares()
        self._wanted: dict[str, Image] = {}
        """Images that are on the screen, whose layers' sizes are not known yet."""
        self._asking = False

    def body(self) -> Iterable[Widget]:
        with Horizontal(classes="body"):
            yield FirstRun()
            yield ResourceTable(self._columns(digests=False), lambda row: row.key, above=lambda row: row.above)
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
        self._shares.take(store.images)
        if self._as_tree:
            self.table.set_items(tree_rows(store.images, self._folded, self._shares))
        else:
            self.table.set_items(list_rows(store.images))

    def _unique(self, row: ImageRow) -> Piece:
        """Bytes that nothing else here has; asked for when a row is drawn, so only for what is looked at."""
        known = self._shares.unique_bytes(row.images)
        if known is not None:
            return short.size(known), "muted"
        if not self._wanted and not self._asking:
            self.call_later(self._ask_sizes)
        self._wanted |= {image.id: image for image in row.images if not self._shares.is_known(image)}
        return "…", "faint"

    def _ask_sizes(self) -> None:
        asked = list(self._wanted.values())[:_MOST_ASKED]
        self._wanted.clear()
        if not asked or self._asking:
            return
        self._asking = True
        images = self.seat.actions.backend.images

        def look() -> list[tuple[Image, dict[str, int]]]:
            return [(image, {one.chain_id: one.size_bytes for one in images.layers(image.id)}) for image in asked]

        def take(answers: list[tuple[Image, dict[str, int]]]) -> None:
            self._asking = False
            for image, sizes in answers:
                self._shares.learn(image, sizes)
            self._changed()

        def failed(_error: EngineError) -> None:
            self._asking = False  # an image has gone meanwhile: the next list tells

        ask(self, look, take, failed)

    def on_resource_table_highlighted(self, event: ResourceTable.Highlighted) -> None:
        row: ImageRow | None = self.table.current
        pager = self.query_one(Pager)
        if row is None:
            pager.show([])
            return
        image = row.image
        if image is None:
            pager.show(_repository_lines(row, self._shares.unique_bytes(row.images)))
            return
        head = summary_lines(image, self.seat.store.containers)
        pager.show(head)

        def show(entries: Sequence[HistoryEntry]) -> None:
            current: ImageRow | None = self.table.current
            if current is not None and current.image is not None and current.image.id == image.id:
                pager.show([*head, [], *history_lines(entries)])

        ask(self, lambda: self.seat.actions.backend.images.history(image.id), show, lambda error: None)

    def _columns(self, *, digests: bool) -> list[Column[ImageRow]]:
        identity: Column[ImageRow] = Column(
            "id",
            "ID",
            12,
            lambda row: (short_id(row.image.id) if row.image else "", "faint"),
            lambda row: row.image.id if row.image else "",
            from_width=72,
            text=lambda row: row.image.id if row.image else "",
        )
        digest: Column[ImageRow] = Column(
            "digest",
            "DIGEST",
            24,
            _digest,
            lambda row: _digest(row)[0],
            text=lambda row: " ".join(row.image.digests) if row.image else "",
        )
        return [
            Column(
                "name",
                "IMAGE",
                18,
                _name,
                lambda row: row.name,
                grows=True,
                text=lambda row: safe_text(" ".join(row.image.tags) or row.image.id if row.image else row.name),
            ),
            digest if digests else identity,
            Column(
                "age",
                "AGE",
                4,
                lambda row: (short.ago(row.newest_ns, time.time_ns()), "muted"),
                lambda row: -row.newest_ns,
                align=">",
            ),
            Column(
                "size",
                "SIZE",
                6,
                lambda row: (short.size(row.size_bytes), "text"),
                lambda row: row.size_bytes,
                align=">",
            ),
            Column(
                "unique",
                "UNIQUE",
                6,
                self._unique,
                lambda row: self._shares.unique_bytes(row.images) or 0,
                align=">",
            ),
            Column(
                "layers",
                "LAYERS",
                6,
                lambda row: (str(len(row.image.layers)) if row.image else "", "muted"),
                lambda row: len(row.image.layers) if row.image else 0,
                align=">",
                from_width=66,
            ),
            Column(
                "used",
                "USED",
                4,
                lambda row: (str(row.users), "ok") if row.users else ("–", "faint"),
                lambda row: row.users,
                align=">",
            ),
        ]

    # ------------------------------------------------------------------ keys

    def _references(self) -> list[tuple[str, Image]]:
        """What is chosen, as commands call it; a repository stands for all of its tags."""
        found: dict[str, Image] = {}
        for row in self.table.chosen():
            if row.image is not None:
                found[row.reference] = row.image
            else:
                for image in row.images:
                    of_it = [tag for tag in image.tags if tag.startswith((row.name + ":", row.name + "@"))]
                    found |= dict.fromkeys(of_it or [image_name(image)], image)
        return list(found.items())

    def _one(self) -> tuple[str, Image] | None:
        row: ImageRow | None = self.table.current
        return (row.reference, row.image) if row is not None and row.image is not None else None

    def action_open(self) -> None:
        row: ImageRow | None = self.table.current
        if row is None:
            return
        if row.image is None:
            self._folded ^= {row.name}
            self.fill()
            self.table.refresh()
        else:
            self.app.push_screen(ImagePlace(row.image.id))

    def action_tree(self) -> None:
        row: ImageRow | None = self.table.current
        self._as_tree = not self._as_tree
        self.fill()
        self.table.refresh()
        if row is not None and row.image is not None:
            self.table.go_to(
                f"{row.image.id} {row.image.tags[0]}" if self._as_tree and row.image.tags else row.image.id
            )

    def action_digests(self) -> None:
        self._with_digests = not self._with_digests
        self.table.set_columns(self._columns(digests=self._with_digests))

    def action_run(self) -> None:
        one = self._one()
        self.app.push_screen(RunDialog(one[0] if one else ""))

    def action_tag(self) -> None:
        if (one := self._one()) is not None:
            self.app.push_screen(TagDialog(one[0]))

    def action_save(self) -> None:
        if chosen := self._references():
            self.app.push_screen(SaveDialog([reference for reference, _image in chosen]))

    def action_push(self) -> None:
        if (one := self._one()) is not None:
            self.seat.push_dialog(one[0])

    def action_delete(self) -> None:
        chosen = self._references()
        if not chosen:
            return
        images = list({image.id: image for _reference, image in chosen}.values())
        only = [reference for reference, _image in chosen] if self._as_tree else ()
        self.app.push_screen(DeleteImages(images, only=only))

    def action_undo(self) -> None:
        self.seat.actions.images.undo()

    def action_compare(self) -> None:
        """Two that are marked, from the older to the newer; or the one under the cursor with one to be chosen."""
        chosen = [reference for reference, _image in sorted(self._references(), key=lambda one: one[1].created_ns)]
        if len(chosen) == 2:
            self.app.push_screen(ComparePlace(chosen[0], chosen[1]))
        elif len(chosen) == 1:
            self.app.push_screen(CompareDialog(chosen[0]), lambda other: self._compare(chosen[0], other))
        elif chosen:
            self.seat.store.put_notice(f"{len(chosen)} images are marked: two can be compared", "warn")

    def _compare(self, first: str, other: str | None) -> None:
        if other:
            self.app.push_screen(ComparePlace(first, other))

    def copy_entries(self, item: ImageRow) -> Sequence[tuple[str, str]]:
        if item.image is None:
            return [(f"name  {safe_text(item.name)[:60]}", safe_text(item.name))]
        return copy_entries.for_image(item.image)


def _repository_lines(row: ImageRow, unique_bytes: int | None) -> list[list[tuple[str, str]]]:
    facts = [
        ("repository", safe_text(row.name)),
        ("images", str(len(row.images))),
        ("size", f"{short.size(row.size_bytes)}, a layer that they share counted once"),
        ("unique", f"{short.size(unique_bytes)} that nothing else has" if unique_bytes is not None else ""),
        ("used by", f"{row.users} container{'' if row.users == 1 else 's'}" if row.users else "nobody"),
    ]
    return [[(f"{name:<12}", "muted"), (value, "text")] for name, value in facts if value]


def _name(row: ImageRow) -> Piece:
    if row.image is None:
        count = f"  ({len(row.images)})"
        return ("▾ " if row.is_open else "▸ ") + safe_text(row.name) + count, "accent"
    tone = "text" if row.image.tags else "muted"
    return ("    " if row.above else "") + safe_text(row.name), tone


def _digest(row: ImageRow) -> Piece:
    digests = row.image.digests if row.image is not None else ()
    return (safe_text(digests[0].rpartition("@")[2]) if digests else "–", "faint")
