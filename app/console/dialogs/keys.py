"""All keys of a place, in two columns."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical

from app.console import keymap
from app.console.dialogs.overlay import Overlay
from app.console.widgets.pager import Line, Pager

_COLUMN = 36


class KeysDialog(Overlay[None]):
    """`?`: what each key does here, as the person's own keymap has it."""

    BINDINGS: ClassVar = [Binding("escape,question_mark,q,f1", "dismiss", "leave")]
    DEFAULT_CSS = """
    KeysDialog { align: center middle; }
    KeysDialog > #box {
        width: 78; max-width: 96%; height: 22; max-height: 96%; background: $surface;
        border: round $border-blurred; border-title-color: $accent;
    }
    """

    def __init__(self, place: str, own: dict[str, str]) -> None:
        super().__init__()
        self._place = place
        self._own = own

    def compose(self) -> ComposeResult:
        with Vertical(id="box") as box:
            box.border_title = f" Keys: {self._place} "
            yield Pager()

    def on_mount(self) -> None:
        here = [self._entry(key) for key in keymap.PLACES.get(self._place, ())]
        everywhere = [self._entry(key) for key in keymap.GLOBAL]
        logs = [(keymap.display(key.keys), key.words) for key in keymap.LOG_KEYS]
        files = [(keymap.display(key.keys), key.words) for key in keymap.FILE_KEYS]
        trees = [(keymap.display(key.keys), key.words) for key in keymap.TREE_KEYS]
        lines: list[Line] = []
        for title, entries in (
            ("Here", here),
            ("Everywhere", everywhere),
            ("In a log", logs),
            ("In files", files),
            ("In a tree of files", trees),
        ):
            lines.append([(title, "accent")])
            half = -(-len(entries) // 2)
            for left in range(half):
                line = self._cells(entries[left])
                if left + half < len(entries):
                    line += self._cells(entries[left + half])
                lines.append(line)
            lines.append([])
        lines.append([("In a shell", "accent")])
        lines.append(self._cells(("^]", "leave the shell, it goes on")))
        pager = self.query_one(Pager)
        pager.show(lines)
        pager.focus()

    def _entry(self, key: keymap.Key) -> tuple[str, str]:
        keys = self._own.get(f"{self._place}.{key.id}", key.keys)
        return keymap.display(keys), key.words

    def _cells(self, entry: tuple[str, str]) -> list[tuple[str, str]]:
        key, words = entry
        return [(f"{key:>6} ", "warn"), (f"{words:<{_COLUMN - 7}.{_COLUMN - 7}}", "text")]
