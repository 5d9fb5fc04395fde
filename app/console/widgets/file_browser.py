"""A tree of files: directories on the left, a preview as text or hex on the right."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget

from app.console.inspection import file_row, hex_lines, looks_binary, text_lines
from app.console.seat import ask
from app.console.widgets.bar import Bar
from app.console.widgets.pager import Pager
from app.console.widgets.resource_table import Column, ResourceTable
from app.console.widgets.strips import Cells
from core.errors import EngineError
from core.model.display import safe_text
from core.model.volume import FileEntry

_PREVIEW_BYTES = 65_536


class PathLine(Bar):
    """Where we are, and what is previewed."""

    BASE = ("muted", "surface")

    def __init__(self, root: str) -> None:
        super().__init__()
        self._root = root
        self.path = "/"
        self.note = ""

    def draw(self, cells: Cells, line: int) -> None:
        palette = self.seat.palette
        cells.put(f" {self._root} ", palette.style("accent", "surface", "bold"))
        cells.put(safe_text(self.path), palette.style("text", "surface"))
        if self.note:
            cells.right([(self.note + " ", palette.style("muted", "surface"))])


class FileBrowser(Widget):
    """Reads by the two functions given: the entries of a directory, the beginning of a file."""

    DEFAULT_CSS = """
    FileBrowser { layout: vertical; width: 1fr; height: 1fr; }
    FileBrowser > Horizontal { height: 1fr; }
    FileBrowser ResourceTable { width: 1fr; }
    FileBrowser Pager { width: 50%; border-left: tall $line; }
    FileBrowser.reading Pager { width: 100%; border-left: none; }
    FileBrowser.reading ResourceTable { display: none; }
    """

    def __init__(
        self,
        root: str,
        list_dir: Callable[[str], Sequence[FileEntry]],
        read_file: Callable[[str, int], bytes],
    ) -> None:
        super().__init__()
        self._root = root
        self._list_dir = list_dir
        self._read_file = read_file
        self._path = "/"
        self._opened = False
        self._hex: bool | None = None
        self._preview: tuple[str, bytes] | None = None
        self._came_from = ""

    def compose(self) -> ComposeResult:
        yield PathLine(self._root)
        with Horizontal():
            yield ResourceTable(_columns(), lambda entry: entry.name)
            yield Pager()

    @property
    def table(self) -> ResourceTable[FileEntry]:
        """The directory."""
        return self.query_one(ResourceTable)

    @property
    def path(self) -> str:
        """The path under the cursor."""
        entry = self.table.current
        return self._join(entry.name) if entry else self._path

    def open_first(self) -> None:
        """Read the root once."""
        if not self._opened:
            self._opened = True
            self.go("/")

    def focus_list(self) -> None:
        """Take the keys."""
        self.table.focus()

    def go(self, path: str) -> None:
        """Show a directory."""

        def show(entries: Sequence[FileEntry]) -> None:
            self._path = path
            line = self.query_one(PathLine)
            line.path, line.note = path, f"{len(entries)} entries"
            line.refresh()
            table = self.table
            table.empty_words = "empty"
            table.set_items(sorted(entries, key=lambda entry: (entry.kind != "dir", entry.name)))
            if self._came_from:
                table.go_to(self._came_from)
                self._came_from = ""

        ask(self, lambda: self._list_dir(path), show, self._failed)

    def enter(self) -> None:
        """Into a directory, or a file's preview in full."""
        entry = self.table.current
        if entry is None:
            return
        if entry.kind == "dir":
            self.go(self._join(entry.name))
        elif entry.kind == "file":
            self.add_class("reading")
            self.query_one(Pager).focus()

    def up(self) -> bool:
        """Out of a preview or a directory; False at the root."""
        if self.has_class("reading"):
            self.remove_class("reading")
            self.table.focus()
            return True
        if self._path == "/":
            return False
        parent, _, name = self._path.rpartition("/")
        self._came_from = name
        self.go(parent or "/")
        return True

    def toggle_hex(self) -> None:
        """Text or hex, whatever the preview chose by itself."""
        if self._preview is not None:
            now = looks_binary(self._preview[1]) if self._hex is None else self._hex
            self._hex = not now
            self._draw_preview()

    def on_resource_table_highlighted(self, event: ResourceTable.Highlighted) -> None:
        event.stop()
        entry = self.table.current
        self._preview, self._hex = None, None
        pager = self.query_one(Pager)
        if entry is None or entry.kind != "file":
            pager.show(
                [[(f"{entry.kind}{f' → {safe_text(entry.link)}' if entry.link else ''}", "muted")]] if entry else []
            )
            return
        path = self._join(entry.name)

        def show(data: bytes) -> None:
            if self.path == path:
                self._preview = (path, data)
                self._draw_preview()

        ask(self, lambda: self._read_file(path, _PREVIEW_BYTES), show, self._failed)

    async def on_resource_table_opened(self, event: ResourceTable.Opened) -> None:
        event.stop()
        self.enter()

    def _draw_preview(self) -> None:
        if self._preview is None:
            return
        data = self._preview[1]
        as_hex = looks_binary(data) if self._hex is None else self._hex
        cut = len(data) >= _PREVIEW_BYTES
        self.query_one(Pager).show((hex_lines if as_hex else text_lines)(data, cut=cut))

    def _failed(self, error: EngineError) -> None:
        self.query_one(Pager).show([[(error.message, "warn")], [(error.hint or "", "muted")]])

    def _join(self, name: str) -> str:
        return f"{self._path.rstrip('/')}/{name}"


def _columns() -> Sequence[Column[FileEntry]]:
    def column(key: str, title: str, cells: int, **options: object) -> Column[FileEntry]:
        return Column(
            key,
            title,
            cells,
            lambda entry: file_row(entry, time.time_ns())[key],
            {
                "name": lambda entry: entry.name,
                "size": lambda entry: entry.size_bytes,
                "age": lambda entry: -entry.mtime_ns,
            }.get(key, lambda entry: file_row(entry, 0)[key]),
            **options,  # type: ignore[arg-type]
        )

    return [
        column("name", "NAME", 16, grows=True, text=lambda entry: safe_text(entry.name)),
        column("size", "SIZE", 6, align=">"),
        column("mode", "MODE", 10, from_width=50),
        column("owner", "OWNER", 11, from_width=62),
        column("age", "AGE", 4, align=">", from_width=40),
    ]
