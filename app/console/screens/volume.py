"""Inside one volume: its files, and all that can be done to them."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widget import Widget

from app.console.dialogs.files import ExportVolume, ImportVolume
from app.console.file_sources import VolumeFiles
from app.console.screens.place import Place
from app.console.screens.transfer import TransferPlace
from app.console.widgets.file_browser import FileBrowser


class VolumePlace(Place):
    """Opened on a volume by Enter; Escape goes up, and at the top back to the list."""

    PLACE = "volume"
    TAB = "volumes"

    def __init__(self, name: str) -> None:
        super().__init__()
        self._volume = name

    def body(self) -> Iterable[Widget]:
        yield FileBrowser(VolumeFiles(self.seat.actions.backend, self._volume))

    @property
    def browser(self) -> FileBrowser:
        """The files."""
        return self.query_one(FileBrowser)

    def on_mount(self) -> None:
        self.browser.open_first()
        self.browser.focus_list()

    def on_file_browser_copy_wanted(self, event: FileBrowser.CopyWanted) -> None:
        event.stop()
        place = TransferPlace(event.browser.source, event.browser.directory, at=event.browser.name_here, tab=self.TAB)
        self.app.push_screen(place, lambda _none: event.browser.again())

    def action_export(self) -> None:
        self.app.push_screen(ExportVolume(self._volume))

    def action_import(self) -> None:
        self.app.push_screen(ImportVolume(self._volume), lambda _name: self.browser.again())
