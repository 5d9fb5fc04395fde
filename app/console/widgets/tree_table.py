"""A tree of files as a table: directories open and close, columns sort among kin, a filter finds at any depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events

from app.console.file_tree import CountedTree, FileNode, Outline
from app.console.filtering import parse_filter
from app.console.widgets.resource_table import Column, Piece, ResourceTable
from core.model.display import clip

_INDENT = 2
_MOST_INDENT = 40
_MOST_NAME_CELLS = 400
_LONE_FILTER_SIGNS = "!~/="


class TreeTable(ResourceTable[FileNode]):
    """Rows of a CountedTree. The first column is the name's; it is drawn here, with its branch."""

    DEFAULT_CSS = """
    TreeTable { width: 1fr; height: 1fr; }
    """

    def __init__(self, columns: Sequence[Column[FileNode]], *, mark: Callable[[FileNode], Piece], id: str = "") -> None:
        """Args: mark: what stands before a name: its kind of change, a tick."""
        name: Column[FileNode] = Column(
            "name", "FILE", 16, self._draw_name, lambda node: node.name, grows=True, text=lambda node: node.path
        )
        sign: Column[FileNode] = Column("change", "", 1, mark, lambda node: (node.change or "z", node.name))
        super().__init__([sign, name, *columns], lambda node: node.path, id=id or None)
        self.outline = Outline(CountedTree())

    # ------------------------------------------------------------------ content

    def show_tree(self, tree: CountedTree, *, keep: bool = False) -> None:
        """Show another tree; `keep`: what is open stays open, and the cursor where it was."""
        opened = self.outline.opened
        self.outline = Outline(tree)
        if keep:
            self.outline.opened = opened
        else:
            self.outline.open_first(max(10, self.size.height - 2))
        self.set_filter(self.filter_text)

    def set_filter(self, text: str) -> None:
        self.filter_text = text
        lone = len(text.split()) == 1 and not any(sign in text for sign in _LONE_FILTER_SIGNS)
        self.outline.find(parse_filter(text), text.strip().casefold() if lone else "")
        self._arrange()
        self.refresh()

    def chosen(self) -> list[FileNode]:
        nodes = self.outline.tree.nodes
        if self.marked:
            return [nodes[path] for path in sorted(self.marked) if path in nodes]
        return [self.current] if self.current is not None else []

    def _arranged(self) -> list[FileNode]:
        column, reverse = self._sort or ("", False)
        return self.outline.rows(self._sorting(column) if column else None, reverse=reverse)

    def go_to(self, key: str) -> None:
        """Put the cursor on a path, whatever of its parents is closed."""
        if key in self.outline.tree.nodes and key not in self._places:
            above = key.rpartition("/")[0]
            while above:
                self.outline.opened.add(above)
                above = above.rpartition("/")[0]
            self._arrange()
        super().go_to(key)

    # ------------------------------------------------------------------ opening and closing

    def toggle(self) -> bool:
        """Open or close the directory under the cursor; False on a file."""
        node = self.current
        if node is None or not node.children:
            return False
        self.outline.toggle(node.path)
        self._arrange()
        self.refresh()
        return True

    def open_all(self) -> None:
        """Open what is under the cursor with all below it; close it if all that was open."""
        node = self.current
        if node is None:
            return
        if not self.outline.open_all_below(node.path):
            self.outline.toggle(node.path)
        self._arrange()
        self.refresh()

    def step_in(self) -> None:
        """Right: open a directory, or go to the first in it."""
        node = self.current
        if node is None or not node.children:
            return
        if self.outline.is_open(node):
            self.move(1)
        else:
            self.toggle()

    def step_out(self) -> None:
        """Left: close a directory, or go to the one that a file is in."""
        node = self.current
        if node is None:
            return
        if node.children and node.path in self.outline.opened:
            self.toggle()
        elif parent := node.path.rpartition("/")[0]:
            self.go_to(parent)

    def on_key(self, event: events.Key) -> None:
        steps = {"right": self.step_in, "left": self.step_out}
        if event.key in steps:
            event.stop()
            event.prevent_default()
            steps[event.key]()

    def on_click(self, event: events.Click) -> None:
        """A click on a directory's sign opens it; everything else is the table's."""
        place = self._top + event.y - 1
        if event.button == 1 and event.y > 0 and event.chain == 1 and place < len(self._items):
            node = self._items[place]
            sign_at = 4 + _indent(node)
            if node.children and sign_at <= event.x <= sign_at + 1:
                event.stop()
                event.prevent_default()
                self._move_to(place)
                self.toggle()

    # ------------------------------------------------------------------ drawing

    def _draw_name(self, node: FileNode) -> Piece:
        sign = ("▾ " if self.outline.is_open(node) else "▸ ") if node.children else "  "
        end = {"dir": "/", "symlink": "@", "fifo": "|", "hardlink": "="}.get(node.kind, "")
        tone = "accent" if node.kind == "dir" else "io" if node.kind in ("symlink", "hardlink") else "text"
        return " " * _indent(node) + sign + clip(node.shown_name, _MOST_NAME_CELLS) + end, tone


def _indent(node: FileNode) -> int:
    """Cells before a node's sign; very deep ones stay on the screen."""
    return min(_INDENT * node.depth, _MOST_INDENT)
