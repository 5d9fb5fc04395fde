"""Inside one volume: its directories and the files in them, as text or hex."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widget import Widget

from app.console.screens.place import Place
from app.console.widgets.file_browser import FileBrowser
from core.model.display import safe_text


class VolumePlace(Place):
    """Opened on a volume by Enter; Escape goes up, and at the top back to the list."""

    PLACE = "volume"
    TAB = "volumes"

    def __init__(self, name: str) -> None:
        super().__init__()
        self._volume = name

    def body(self) -> Iterable[Widget]:
        volumes = self.seat.actions.backend.volumes
        yield FileBrowser(
            safe_text(self._volume),
            lambda path: volumes.list_dir(self._volume, path),
            lambda path, length: volumes.read_file(self._volume, path, 0, length),
        )

    @property
    def browser(self) -> FileBrowser:
        """The files."""
        return self.query_one(FileBrowser)

    def on_mount(self) -> None:
        self.browser.open_first()
        self.browser.focus_list()

    def action_open(self) -> None:
        self.browser.enter()

    def action_up(self) -> None:
        self.browser.up()

    def action_back(self) -> None:
        if not self.browser.up():
            super().action_back()

    def action_hex(self) -> None:
        self.browser.toggle_hex()

    def action_copy_menu(self) -> None:
        self.seat.copy(safe_text(self.browser.path), "the path")
