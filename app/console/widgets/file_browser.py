"""A tree of files: directories on the left, a preview as text, hex or picture's facts on the right."""

from __future__ import annotations

import posixpath
import time
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.message import Message
from textual.widget import Widget

from app.console import keymap
from app.console.actions import sentence
from app.console.dialogs.files import DeleteFiles, FindFiles
from app.console.dialogs.menu import Menu
from app.console.file_sources import FileSource
from app.console.file_work import Deleted, delete_files
from app.console.inspection import file_row, hex_lines, looks_binary, moment, text_lines
from app.console.picture_facts import picture_facts
from app.console.seat import ask, seat
from app.console.widgets.bar import Bar
from app.console.widgets.pager import Line, Pager
from app.console.widgets.prompt import Prompt
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
    """The files of one source: looked at, searched, edited, copied, deleted and brought back."""

    DEFAULT_CSS = """
    FileBrowser { layout: vertical; width: 1fr; height: 1fr; }
    FileBrowser > Horizontal { height: 1fr; }
    FileBrowser ResourceTable { width: 1fr; }
    FileBrowser Pager { width: 50%; border-left: tall $line; }
    FileBrowser.reading Pager { width: 100%; border-left: none; }
    FileBrowser.reading ResourceTable { display: none; }
    FileBrowser.bare Pager { display: none; }
    """
    BINDINGS: ClassVar = [Binding(key.keys, key.action, key.words, show=key.on_line) for key in keymap.FILE_KEYS]

    class CopyWanted(Message):
        """What is marked is to be copied to or from elsewhere."""

        def __init__(self, browser: FileBrowser, paths: list[str]) -> None:
            super().__init__()
            self.browser = browser
            self.paths = paths

    def __init__(self, source: FileSource, *, bare: bool = False, path: str = "/", at: str = "") -> None:
        super().__init__(classes="bare" if bare else None)
        self.source = source
        self._path = path
        self._opened = False
        self._asked = 0
        """Number of the newest question for a directory: only its answer is shown."""
        self._hex: bool | None = None
        self._preview: tuple[str, bytes] | None = None
        self._came_from = at
        self._found_for = ""
        """What was looked for, while the list shows what was found instead of a directory."""
        self._deleted: list[Deleted] = []

    def compose(self) -> ComposeResult:
        yield PathLine(self.source.title)
        with Horizontal():
            yield ResourceTable(_columns(), lambda entry: entry.name)
            yield Pager()
        yield Prompt("/", "text  !not  ~fuzzy  /regex/     Enter keeps it, Esc clears it")

    def on_unmount(self) -> None:
        for deleted in self._deleted:
            deleted.close()

    @property
    def table(self) -> ResourceTable[FileEntry]:
        """The directory."""
        return self.query_one(ResourceTable)

    @property
    def directory(self) -> str:
        """The directory that is shown."""
        return self._path

    @property
    def path(self) -> str:
        """The path under the cursor."""
        entry = self.table.current
        return self._join(entry.name) if entry else self._path

    @property
    def name_here(self) -> str:
        """The name under the cursor, empty where there is none."""
        return self.table.current.name if self.table.current else ""

    @property
    def names(self) -> frozenset[str]:
        """What lies in the directory that is shown."""
        return self._names

    _names: frozenset[str] = frozenset()

    def open_first(self) -> None:
        """Read the first directory once."""
        if not self._opened:
            self._opened = True
            self.go(self._path)

    def focus_list(self) -> None:
        """Take the keys."""
        self.table.focus()

    def go(self, path: str) -> None:
        """Show a directory; what was asked for before is not waited for any more."""
        self._asked += 1
        number = self._asked

        def show(entries: Sequence[FileEntry]) -> None:
            if number != self._asked:
                return
            if path != self._path:
                self.table.marked.clear()
                self.table.set_filter("")
            self._path, self._found_for = path, ""
            self._names = frozenset(entry.name for entry in entries)
            self._say(path, f"{len(entries)} entr{'y' if len(entries) == 1 else 'ies'}")
            table = self.table
            table.empty_words = "empty"
            table.set_items(sorted(entries, key=lambda entry: (entry.kind != "dir", entry.name)))
            if self._came_from:
                table.go_to(self._came_from)
                self._came_from = ""

        ask(self, lambda: self.source.list_dir(path), show, self._failed)

    def again(self) -> None:
        """Read the directory once more."""
        self.go(self._path)

    def _say(self, path: str, note: str) -> None:
        line = self.query_one(PathLine)
        line.path, line.note = path, note
        line.refresh()

    # ------------------------------------------------------------------ keys

    def action_open(self) -> None:
        entry = self.table.current
        if entry is None or self.has_class("reading"):
            return
        if entry.kind == "dir":
            self.go(self._join(entry.name))
        elif self._found_for:
            self._came_from = posixpath.basename(entry.name)
            self.go(posixpath.dirname(self._join(entry.name)))
        elif entry.kind == "file" and not self.has_class("bare"):
            self.add_class("reading")
            self.query_one(Pager).focus()

    def action_up(self) -> None:
        self.up()

    def up(self) -> bool:
        """Out of a preview, a search or a directory; False at the root."""
        if self.has_class("reading"):
            self.remove_class("reading")
            self.table.focus()
            return True
        if self._found_for:
            self.again()
            return True
        if self._path == "/":
            return False
        parent, _, name = self._path.rpartition("/")
        self._came_from = name
        self.go(parent or "/")
        return True

    def action_leave(self) -> None:
        """Escape peels off: preview, filter, marks, search, directories; then the place."""
        if not self.has_class("reading") and self.table.filter_text:
            self.table.set_filter("")
        elif not self.has_class("reading") and self.table.marked:
            self.table.toggle_all()
        elif not self.up():
            self.screen.action_back()  # type: ignore[attr-defined] # every screen with a browser is a Place

    def action_hex(self) -> None:
        """Text or hex, whatever the preview chose by itself."""
        if self._preview is not None:
            now = looks_binary(self._preview[1]) if self._hex is None else self._hex
            self._hex = not now
            self._draw_preview()

    def action_mark(self) -> None:
        self.table.toggle_mark()

    def action_path(self) -> None:
        seat(self).copy(safe_text(self.path), "the path")

    def action_filter(self) -> None:
        self.query_one(Prompt).open(self.table.filter_text)

    def on_prompt_typed(self, event: Prompt.Typed) -> None:
        event.stop()
        self.table.set_filter(event.text)

    def on_prompt_done(self, event: Prompt.Done) -> None:
        event.stop()
        self.table.set_filter(event.text if event.kept else "")
        self.table.focus()

    def action_find(self) -> None:
        self.app.push_screen(FindFiles(self._path), self._find)

    def _find(self, text: str | None) -> None:
        if not text:
            return
        path = self._path
        self._asked += 1
        number = self._asked
        self._say(path, f"looking for {safe_text(text)} …")

        def show(entries: Sequence[FileEntry]) -> None:
            if number != self._asked:
                return
            self._found_for = text
            self._say(path, f"{len(entries)} with {safe_text(text)} in the name")
            self.table.empty_words = f"nothing has {safe_text(text)} in its name"
            self.table.set_items(entries)

        ask(self, lambda: self.source.find_files(path, text), show, self._failed)

    def action_edit(self) -> None:
        entry = self.table.current
        if entry is None or entry.kind != "file":
            seat(self).store.put_notice("only files can be edited", "warn")
        elif not self.source.is_writable:
            seat(self).store.put_notice(f"{self.source.title} is an image: it can't be changed", "warn")
        else:
            from app.console.screens.editor import EditorPlace

            place = EditorPlace(self.source, self._join(entry.name), tab=getattr(self.screen, "TAB", ""))
            self.app.push_screen(place, lambda _none: self.again())

    def action_copy(self) -> None:
        if chosen := self.table.chosen():
            self.post_message(self.CopyWanted(self, [self._join(entry.name) for entry in chosen]))
        else:
            self.post_message(self.CopyWanted(self, []))

    def action_delete(self) -> None:
        chosen = self.table.chosen()
        if not chosen:
            return
        if not self.source.is_writable:
            seat(self).store.put_notice(f"{self.source.title} is an image: it can't be changed", "warn")
            return
        paths = [self._join(entry.name) for entry in chosen]

        def decided(for_good: bool | None) -> None:
            if for_good is not None:
                self._delete(paths, for_good=for_good)

        self.app.push_screen(DeleteFiles(self.source, paths), decided)

    def _delete(self, paths: list[str], *, for_good: bool) -> None:
        def done(deleted: Deleted) -> None:
            many = f"{len(paths)} files" if len(paths) > 1 else safe_text(posixpath.basename(paths[0]))
            words = f"deleted {many}" + (": U brings it back" if deleted.can_come_back else "")
            seat(self).store.put_notice(words)
            if deleted.can_come_back:
                self._deleted.append(deleted)
            self.table.marked.clear()
            self.again()

        ask(self, lambda: delete_files(self.source, paths, for_good=for_good), done)

    def action_undo(self) -> None:
        if not self._deleted:
            seat(self).store.put_notice("nothing was deleted here", "warn")
            return
        deleted = self._deleted.pop()

        def failed(error: EngineError) -> None:
            self._deleted.append(deleted)
            seat(self).store.put_notice(sentence(error), "fail")

        def done(_none: None) -> None:
            deleted.close()
            self._came_from = posixpath.basename(deleted.paths[0])
            seat(self).store.put_notice(f"{safe_text(self._came_from)} is back")
            self.go(posixpath.dirname(deleted.paths[0]) or "/")

        ask(self, lambda: deleted.restore(self.source), done, failed)

    # ------------------------------------------------------------------ preview

    def on_resource_table_highlighted(self, event: ResourceTable.Highlighted) -> None:
        event.stop()
        if self.has_class("bare"):
            return
        entry = self.table.current
        self._preview, self._hex = None, None
        pager = self.query_one(Pager)
        if entry is None or entry.kind != "file":
            pager.show(_entry_facts(entry) if entry else [])
            return
        path = self._join(entry.name)

        def show(data: bytes) -> None:
            if self.path == path:
                self._preview = (path, data)
                self._draw_preview()

        ask(self, lambda: self.source.read_file(path, _PREVIEW_BYTES), show, self._failed)

    async def on_resource_table_opened(self, event: ResourceTable.Opened) -> None:
        event.stop()
        self.action_open()

    def on_resource_table_menu_wanted(self, event: ResourceTable.MenuWanted) -> None:
        event.stop()
        entries = [
            (f"{keymap.display(key.keys):>3}  {key.words}", key.action)
            for key in keymap.FILE_KEYS
            if key.action not in ("filter", "mark", "leave")
        ]
        self.app.push_screen(Menu(" What to do ", entries, at=event.at), self._menu_chosen)

    async def _menu_chosen(self, action: str | None) -> None:
        if action is not None:
            await self.run_action(action)

    def _draw_preview(self) -> None:
        if self._preview is None:
            return
        data = self._preview[1]
        as_hex = looks_binary(data) if self._hex is None else self._hex
        cut = len(data) >= _PREVIEW_BYTES
        facts: list[Line] = [
            [(f"{safe_text(key):<11}", "muted"), (safe_text(value), "text")] for key, value in picture_facts(data)
        ]
        lines = (hex_lines if as_hex else text_lines)(data, cut=cut)
        self.query_one(Pager).show([*facts, [], *lines] if facts else lines)

    def _failed(self, error: EngineError) -> None:
        self._say(self._path, "")
        if self.has_class("bare"):
            seat(self).store.put_notice(sentence(error), "fail")
        self.query_one(Pager).show([[(safe_text(error.message), "warn")], [(safe_text(error.hint or ""), "muted")]])

    def _join(self, name: str) -> str:
        return f"{self._path.rstrip('/')}/{name}"


def _entry_facts(entry: FileEntry) -> list[Line]:
    """What there is to know of what has no content to show."""
    row = file_row(entry, time.time_ns())
    facts = [("kind", _KIND_WORDS.get(entry.kind, entry.kind)), ("leads to", safe_text(entry.link))]
    facts += [("mode", row["mode"][0]), ("owner", row["owner"][0]), ("changed", moment(entry.mtime_ns))]
    return [[(f"{key:<9}", "muted"), (value, "text")] for key, value in facts if value]


_KIND_WORDS = {
    "dir": "directory",
    "link": "symbolic link",
    "char": "character device",
    "block": "block device",
    "fifo": "pipe",
}


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
