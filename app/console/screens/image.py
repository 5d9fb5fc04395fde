"""One image: how it was made, its files, its whole document, and what can be done with it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from app.console import copy_entries
from app.console.dialogs.delete import DeleteImages
from app.console.dialogs.image_files import SaveDialog, TagDialog
from app.console.dialogs.menu import Menu
from app.console.dialogs.run import RunDialog
from app.console.file_sources import ImageFiles
from app.console.image_facts import history_lines, image_name, summary_lines
from app.console.inspection import document_lines
from app.console.screens.place import Place
from app.console.screens.transfer import TransferPlace
from app.console.seat import ask
from app.console.widgets.file_browser import FileBrowser
from app.console.widgets.pager import Pager
from app.console.widgets.view_bar import ViewBar
from core.model.image import Image

VIEWS = (("history", "h", "History"), ("files", "f", "Files"), ("inspect", "i", "Inspect"))


class ImagePlace(Place):
    """Opened on an image by Enter."""

    PLACE = "image"
    TAB = "images"
    DEFAULT_CSS = """
    ImagePlace ContentSwitcher { height: 1fr; }
    """

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key

    def body(self) -> Iterable[Widget]:
        yield ViewBar(VIEWS, "history")
        with ContentSwitcher(initial="history"):
            yield Pager(id="history")
            with Vertical(id="files"):
                title = image_name(self.image) if self.image else ""
                yield FileBrowser(ImageFiles(self.seat.actions.backend, self._key, title))
            yield Pager(id="inspect")

    def on_mount(self) -> None:
        self.seat.store.listen(self, {"images"}, self._changed)
        self.action_show("history")
        image = self.image
        if image is None:
            return
        pager = self.query_one("#history", Pager)
        head = summary_lines(image, self.seat.store.containers)
        pager.show(head)
        ask(
            self,
            lambda: self.seat.actions.backend.images.history(self._key),
            lambda entries: pager.show([*head, [], *history_lines(entries)]),
        )
        shown = msgspec.structs.replace(image, raw_config=b"")
        self.query_one("#inspect", Pager).show(document_lines(shown))

    def on_unmount(self) -> None:
        self.seat.store.forget(self)

    @property
    def image(self) -> Image | None:
        """What the store knows of it just now; None once it is gone."""
        return self.seat.store.image(self._key)

    def _changed(self) -> None:
        if self.image is None and self.is_current:
            self.app.pop_screen()

    def action_show(self, view: str) -> None:
        self.query_one(ContentSwitcher).current = view
        self.query_one(ViewBar).choose(view)
        if view == "files":
            browser = self.query_one(FileBrowser)
            browser.open_first()
            browser.focus_list()
        else:
            self.set_focus(self.query_one(f"#{view}", Pager))

    def on_file_browser_copy_wanted(self, event: FileBrowser.CopyWanted) -> None:
        event.stop()
        self.app.push_screen(
            TransferPlace(event.browser.source, event.browser.directory, at=event.browser.name_here, tab=self.TAB)
        )

    def action_run(self) -> None:
        if self.image is not None:
            self.app.push_screen(RunDialog(image_name(self.image)))

    def action_tag(self) -> None:
        if self.image is not None:
            self.app.push_screen(TagDialog(image_name(self.image)))

    def action_save(self) -> None:
        if self.image is not None:
            self.app.push_screen(SaveDialog([image_name(self.image)]))

    def action_push(self) -> None:
        if self.image is not None:
            self.seat.push_dialog(image_name(self.image))

    def action_delete(self) -> None:
        if self.image is not None:
            self.app.push_screen(DeleteImages([self.image]))

    def action_copy_menu(self) -> None:
        if self.image is not None:
            self.app.push_screen(Menu(" Copy ", copy_entries.for_image(self.image)), self._copied)

    def _copied(self, text: str | None) -> None:
        if text is not None:
            self.seat.copy(text, "that")
