"""Two trees side by side: files are picked on either side and copied to the other."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable

from textual.containers import Horizontal
from textual.widget import Widget

from app.console.dialogs.files import CopyFiles
from app.console.file_sources import FileSource, HostFiles
from app.console.file_work import copy_files
from app.console.screens.place import Place
from app.console.widgets.file_browser import FileBrowser


class TransferPlace(Place):
    """A container's, volume's or image's files on the left, this host's on the right."""

    PLACE = "transfer"
    TAB = "volumes"
    DEFAULT_CSS = """
    TransferPlace FileBrowser { width: 50%; }
    TransferPlace #right { border-left: tall $line; }
    TransferPlace FileBrowser:focus-within PathLine { text-style: bold; }
    """

    def __init__(self, source: FileSource, path: str, *, at: str = "", tab: str = "") -> None:
        """Args: at: the name under the cursor on the left. tab: the one we were opened from."""
        super().__init__()
        self.TAB = tab or self.TAB
        self._left = FileBrowser(source, bare=True, path=path, at=at)
        self._right = FileBrowser(HostFiles(), bare=True, path=os.getcwd())
        self._right.id = "right"

    def body(self) -> Iterable[Widget]:
        with Horizontal(classes="body"):
            yield self._left
            yield self._right

    def on_mount(self) -> None:
        for browser in (self._left, self._right):
            browser.open_first()
        self._left.focus_list()

    def action_other(self) -> None:
        (self._right if self._left.has_focus_within else self._left).focus_list()

    def on_file_browser_copy_wanted(self, event: FileBrowser.CopyWanted) -> None:
        event.stop()
        source = event.browser
        target = self._right if source is self._left else self._left
        if not target.source.is_writable:
            self.seat.store.put_notice(f"{target.source.title} is an image: nothing can be copied into it", "warn")
            return
        if not event.paths:
            self.seat.store.put_notice("there is no file under the cursor", "warn")
            return
        replaced = [path for path in event.paths if posixpath.basename(path) in target.names]
        directory = target.directory

        def decided(yes: bool | None) -> None:
            if yes:
                self._copy(source, event.paths, target, directory)

        self.app.push_screen(CopyFiles(source.source, event.paths, target.source, directory, replaced), decided)

    def _copy(self, source: FileBrowser, paths: list[str], target: FileBrowser, directory: str) -> None:
        many = f"{len(paths)} files" if len(paths) > 1 else posixpath.basename(paths[0])

        def done(_none: None) -> None:
            if self.is_attached:
                source.table.marked.clear()
                source.table.refresh()
                target.again()

        self.seat.actions.long(
            f"copy {many} to {target.source.title}",
            "",
            lambda job: copy_files(source.source, paths, target.source, directory, job),
            lambda _none: f"copied {many} to {target.source.title}",
            then=done,
        )
