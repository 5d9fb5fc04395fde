"""A tree of files with what is in the one under the cursor: as it is, or beside what it was.

The pane knows trees, not where they are from: who fills it says how to fetch a node's versions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget

from app import short
from app.console import keymap
from app.console.file_tree import CountedTree, FileNode
from app.console.inspection import hex_lines, looks_binary, text_lines
from app.console.picture_facts import picture_facts
from app.console.seat import ask
from app.console.side_by_side import COMPARED_BYTES, Row, compare_files, counted
from app.console.widgets.bar import Bar
from app.console.widgets.diff_view import DiffView
from app.console.widgets.pager import Line, Pager
from app.console.widgets.prompt import Prompt
from app.console.widgets.resource_table import Column, Piece, ResourceTable
from app.console.widgets.strips import Cells
from app.console.widgets.tree_table import TreeTable
from core.errors import EngineError
from core.model.display import safe_text

Fetch = Callable[[int], bytes]
"""Reads at most so many bytes of a file's beginning; blocks."""
Versions = tuple[Fetch | None, Fetch | None]
"""What a file was and what it is; None: there is none."""

_REST_S = 0.12
"""A cursor that has moved on within this time has nothing fetched for it: reading out of an archive takes long."""
_TYPING_S = 0.06
_MARKS = {"A": ("A", "ok"), "M": ("M", "warn"), "C": ("M", "warn"), "D": ("D", "fail")}


def change_mark(node: FileNode) -> Piece:
    """A, M or D; nothing where nothing has changed."""
    return _MARKS.get(node.change, (" ", "faint"))


class TreeTitle(Bar):
    """What the tree is of, how it is shown, and what there is to press."""

    BASE = ("muted", "surface")

    def __init__(self) -> None:
        super().__init__()
        self.title = "FILES"
        self.mode = ""
        self.note = ""
        self.filter_text = ""

    @property
    def actor(self) -> Widget:
        return self.parent if isinstance(self.parent, Widget) else self.screen

    def draw(self, cells: Cells, line: int) -> None:
        palette = self.seat.palette
        cells.put(f" {self.title} ", palette.style("accent", "surface", "bold"))
        if self.mode:
            cells.button(f" ▾ {self.mode} ", palette.style("text", "raised"), "everything")
        if self.filter_text:
            cells.put(f" /{self.filter_text} ", palette.style("warn", "surface"))
        else:
            cells.button("  / find ", palette.style("muted", "surface"), "find")
        if self.note:
            cells.right([(self.note + " ", palette.style("muted", "surface"))])


class PreviewTitle(Bar):
    """Which file is looked at, and as what."""

    BASE = ("muted", "surface")

    def __init__(self) -> None:
        super().__init__()
        self.path = ""
        self.note = ""

    def draw(self, cells: Cells, line: int) -> None:
        palette = self.seat.palette
        if self.path:
            cells.put(" ── ", palette.style("line", "surface")).put(self.path, palette.style("text", "surface", "bold"))
            cells.put(f"  {self.note}", palette.style("muted", "surface"))
            cells.right([("H hex ", palette.style("faint", "surface"))])


class TreePane(Widget):
    """Tree above, file below; in a narrow or low screen a file takes the whole pane when it is opened."""

    DEFAULT_CSS = """
    TreePane { layout: vertical; width: 1fr; height: 1fr; }
    TreePane > TreeTable { height: 1fr; }
    TreePane > #preview { height: 1fr; }
    TreePane #preview DiffView { display: none; }
    TreePane #preview.two DiffView { display: block; }
    TreePane #preview.two Pager { display: none; }
    TreePane.reading > TreeTable { display: none; }
    TreePane.small > #preview { display: none; }
    TreePane.small.reading > #preview { display: block; }
    """
    BINDINGS: ClassVar = [Binding(key.keys, key.action, key.words, show=key.on_line) for key in keymap.TREE_KEYS]

    class Turned(Message):
        """Changed files only, or all: the other one is wanted."""

    class Read(Message):
        """A file takes the whole pane, or gives it back."""

        def __init__(self, is_reading: bool) -> None:
            super().__init__()
            self.is_reading = is_reading

    def __init__(self, *, id: str = "") -> None:
        super().__init__(id=id or None)
        self._versions: Callable[[FileNode], Versions] = lambda _node: (None, None)
        self._fetched: tuple[str, bytes | None, bytes | None] | None = None
        self._hex: bool | None = None
        self._busy = False
        self._wanted: FileNode | None = None
        self._shown_path: str | None = None
        self._typed: str | None = None

    def compose(self) -> ComposeResult:
        yield TreeTitle()
        yield TreeTable(COLUMNS, mark=change_mark)
        yield Prompt("/", "text  !not  kind=symlink  change=M  ~fuzzy  /regex/     Enter keeps it, Esc clears it")
        with Vertical(id="preview"):
            yield PreviewTitle()
            yield Pager()
            yield DiffView()

    @property
    def table(self) -> TreeTable:
        """The tree."""
        return self.query_one(TreeTable)

    @property
    def current(self) -> FileNode | None:
        """What the cursor is on."""
        return self.table.current

    def say(self, title: str, *, mode: str = "", note: str = "", empty: str = "") -> None:
        """Tell in the title what is shown, or what is waited for."""
        bar = self.query_one(TreeTitle)
        if bool(mode) != bool(bar.mode):
            self.refresh_bindings()
        bar.title, bar.mode, bar.note = title, mode, note
        bar.refresh()
        self.table.empty_words = empty
        self.table.refresh()

    def show(self, tree: CountedTree, versions: Callable[[FileNode], Versions], *, keep: bool = False) -> None:
        """Show another tree. versions: how the two versions of one of its files are fetched."""
        self._versions = versions
        self._shown_path = None
        at = self.table.current.path if keep and self.table.current is not None else ""
        self.table.show_tree(tree, keep=keep)
        if at:
            self.table.go_to(at)
        self._look(self.table.current)

    # ------------------------------------------------------------------ keys

    def action_open(self) -> None:
        if self.has_class("reading"):
            self._read(False)
        elif not self.table.toggle() and self.table.current is not None:
            self._read(True)

    def _read(self, is_reading: bool) -> None:
        self.set_class(is_reading, "reading")
        self.post_message(self.Read(is_reading))
        if is_reading:
            two = self.query_one("#preview").has_class("two")
            self.screen.set_focus(self.query_one(DiffView) if two else self.query_one(Pager))
            if self._fetched is None and self._wanted is not None:
                self._fetch(self._wanted)
        else:
            self.table.focus()

    def action_leave(self) -> None:
        """Escape peels off: the file, the filter, then the place."""
        if self.has_class("reading"):
            self._read(False)
        elif self.table.filter_text:
            self._filter("")
        else:
            self.screen.action_back()  # type: ignore[attr-defined] # every screen with a pane is a Place

    def action_find(self) -> None:
        self.query_one(Prompt).open(self.table.filter_text)

    def action_everything(self) -> None:
        self.post_message(self.Turned())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that mean nothing just now are not offered."""
        if action == "everything":
            return bool(self.query_one(TreeTitle).mode)
        return not (action == "next_change" and not self.query_one("#preview").has_class("two"))

    def action_all_below(self) -> None:
        self.table.open_all()

    def action_sort(self) -> None:
        self.table.sort_next()

    def action_reverse(self) -> None:
        self.table.sort_reverse()

    def action_hex(self) -> None:
        if self._fetched is not None:
            _path, old, new = self._fetched
            now = self._hex if self._hex is not None else any(looks_binary(data) for data in (old, new) if data)
            self._hex = not now
            self._draw()

    def action_next_change(self, step: int) -> None:
        self.query_one(DiffView).next_change(step)

    def _filter(self, text: str) -> None:
        self.table.set_filter(text)
        bar = self.query_one(TreeTitle)
        bar.filter_text = safe_text(text)
        bar.refresh()

    def on_prompt_typed(self, event: Prompt.Typed) -> None:
        """What is typed shows at once; the tree follows when the keys rest, for it may be large."""
        event.stop()
        self._typed = event.text
        self.set_timer(_TYPING_S, lambda: self._filter_typed(event.text))

    def _filter_typed(self, text: str) -> None:
        if self._typed == text:
            self._typed = None
            self._filter(text)

    def on_prompt_done(self, event: Prompt.Done) -> None:
        event.stop()
        self._typed = None
        self._filter(event.text if event.kept else "")
        self.table.focus()

    # ------------------------------------------------------------------ preview

    def on_resource_table_highlighted(self, event: ResourceTable.Highlighted) -> None:
        event.stop()
        self._look(self.table.current)

    async def on_resource_table_opened(self, event: ResourceTable.Opened) -> None:
        event.stop()
        self.action_open()

    def _look(self, node: FileNode | None) -> None:
        path = node.path if node is not None else None
        if path == self._shown_path and path is not None:
            return
        self._shown_path, self._fetched, self._hex = path, None, None
        self._wanted = None
        if node is None or node.kind not in ("file", "hardlink"):
            self._tell(node_facts(node) if node is not None else [], node)
            return
        self._wanted = node
        self._tell([[("…", "faint")]], node)
        self.set_timer(_REST_S, lambda: self._fetch(node))

    def _fetch(self, node: FileNode) -> None:
        """Fetch one file at a time, and only for a cursor that has come to rest."""
        is_hidden = self.has_class("small") and not self.has_class("reading")
        if self._busy or is_hidden or self._wanted is not node:
            return
        before, after = self._versions(node)
        if before is None and after is None:
            self._tell(node_facts(node), node)
            return
        length = COMPARED_BYTES if before is not None and after is not None else COMPARED_BYTES // 4
        self._busy = True

        def question() -> tuple[bytes | None, bytes | None]:
            return before(length) if before else None, after(length) if after else None

        def done(fetched: tuple[bytes | None, bytes | None]) -> None:
            if self._wanted is node:
                self._fetched = (node.path, *fetched)
                self._draw()
            self._next(node)

        def failed(error: EngineError) -> None:
            if self._wanted is node:
                self._tell([[(safe_text(error.message), "warn")], [(safe_text(error.hint or ""), "muted")]], node)
            self._next(node)

        ask(self, question, done, failed)

    def _next(self, done: FileNode) -> None:
        self._busy = False
        if self._wanted is not None and self._wanted is not done:
            self._fetch(self._wanted)

    def _draw(self) -> None:
        if self._fetched is None:
            return
        path, old, new = self._fetched
        if old is not None and new is not None:
            as_hex = self._hex
            ask(self, lambda: compare_files(old, new, as_hex=as_hex), lambda rows: self._draw_two(path, rows))
            return
        data = (old if new is None else new) or b""
        binary = looks_binary(data) if self._hex is None else self._hex
        facts: list[Line] = [
            [(f"{safe_text(key):<11}", "muted"), (safe_text(value), "text")] for key, value in picture_facts(data)
        ]
        lines = (hex_lines if binary else text_lines)(data, cut=len(data) >= COMPARED_BYTES // 4)
        self._tell([*facts, [], *lines] if facts else lines, self.table.outline.tree.nodes.get(path))

    def _draw_two(self, path: str, rows: Sequence[Row]) -> None:
        if self._fetched is None or self._fetched[0] != path:
            return
        added, removed = counted(rows)
        had_focus = self.query_one(Pager).has_focus
        self.query_one("#preview").set_class(True, "two")
        self.query_one(DiffView).show(rows)
        if had_focus:
            self.query_one(DiffView).focus()
        self._title(safe_text(path), f"old │ new   +{added} −{removed}   ] next change")

    def _tell(self, lines: Sequence[Line], node: FileNode | None) -> None:
        had_focus = self.query_one(DiffView).has_focus
        self.query_one("#preview").set_class(False, "two")
        self.query_one(Pager).show(lines)
        if had_focus:
            self.query_one(Pager).focus()
        gone = node is not None and node.change == "D"
        size = short.size(node.size_before if gone else node.size_bytes) if node is not None else ""
        self._title(safe_text(node.path) if node is not None else "", f"{size}  deleted here" if gone else size)

    def _title(self, path: str, note: str) -> None:
        title = self.query_one(PreviewTitle)
        title.path, title.note = path, note
        title.refresh()


_KIND_WORDS = {
    "dir": "directory",
    "symlink": "symbolic link",
    "hardlink": "hard link: another name of a file",
    "char": "character device",
    "block": "block device",
    "fifo": "pipe",
}


def node_facts(node: FileNode) -> list[Line]:
    """What there is to know of what has no content to show."""
    changed = {"A": "added", "M": "changed", "C": "changed", "D": "deleted"}.get(node.change, "")
    facts = [
        ("kind", _KIND_WORDS.get(node.kind, node.kind)),
        ("leads to", safe_text(node.link)),
        ("change", changed),
        ("size", short.size(node.size_bytes) if node.size_bytes else ""),
        ("was", short.size(node.size_before) if node.size_before else ""),
        ("files", str(node.files) if node.kind == "dir" else ""),
        ("wasted", f"{short.size(node.waste)}, hidden by upper layers" if node.waste else ""),
    ]
    return [[(f"{name:<9}", "muted"), (value, "text")] for name, value in facts if value]


def _waste(node: FileNode) -> Piece:
    return (f"waste {short.size(node.waste)}", "warn") if node.waste else ("", "faint")


def _size(node: FileNode) -> Piece:
    if node.change == "D":
        return f"− {short.size(node.size_before)}" if node.size_before else "−", "fail"
    if node.kind in ("file", "dir"):
        sign = "+ " if node.change == "A" else ""
        return f"{sign}{short.size(node.size_bytes)}", "text" if node.kind == "file" else "muted"
    return "–", "faint"


COLUMNS: Sequence[Column[FileNode]] = (
    Column("waste", "", 11, _waste, lambda node: -node.waste, align=">", from_width=44),
    Column("size", "SIZE", 7, _size, lambda node: -max(node.size_bytes, node.size_before), align=">"),
)
