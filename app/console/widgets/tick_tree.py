"""A tree of changes to tick: by Space, by a click on the tick, a directory with all below it."""

from __future__ import annotations

from textual import events
from textual.message import Message

from app.console.file_tree import CountedTree, FileNode
from app.console.ticks import ALL, NONE, Ticks
from app.console.widgets.resource_table import Column, Piece
from app.console.widgets.tree_pane import COLUMNS, change_mark
from app.console.widgets.tree_table import TreeTable

_SIGNS = {ALL: ("✓", "accent"), NONE: ("·", "warn")}


class TickTree(TreeTable):
    """Ticked: it goes into the image. Partly ticked directories show `~`, what stays out `·`."""

    DEFAULT_CSS = """
    TickTree { height: 9; background: $raised; }
    """
    KEY_WORDS = (("␣", "tick"), ("⏎", "open"))

    class Ticked(Message):
        """Something else stays out now."""

    def __init__(self, *, id: str) -> None:
        kind: Column[FileNode] = Column("kind", "", 1, change_mark, lambda node: node.change)
        super().__init__([kind, *COLUMNS[1:]], mark=self._mark, id=id)
        self.ticks = Ticks(CountedTree())

    def take(self, ticks: Ticks) -> None:
        """Show a tree with its ticks."""
        self.ticks = ticks
        self.show_tree(ticks.tree)

    def measured(self, tree: CountedTree) -> None:
        """The same tree, whose sizes are known now; ticks and what is open stay."""
        self.ticks.tree = tree
        self.show_tree(tree, keep=True)

    def _mark(self, node: FileNode) -> Piece:
        return _SIGNS.get(self.ticks.state(node.path), ("~", "accent"))

    def _tick(self) -> None:
        if self.current is not None:
            self.ticks.toggle(self.current.path)
            self.refresh()
            self.post_message(self.Ticked())

    def on_key(self, event: events.Key) -> None:
        if event.key == "space":
            event.stop()
            event.prevent_default()
            self._tick()
        elif event.key == "enter" and self.toggle():
            event.stop()
            event.prevent_default()

    def on_click(self, event: events.Click) -> None:
        place = self._top + event.y - 1
        if event.button == 1 and event.x <= 3 and event.y > 0 and place < len(self._items):
            event.stop()
            event.prevent_default()
            self._move_to(place)
            self.focus()
            self._tick()
