"""Two images, or an image and a container: what was added, changed and removed, file by file beside each other."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from textual.widget import Widget

from app import short
from app.console.command_text import command_text
from app.console.dialogs.menu import Menu
from app.console.difference_tree import difference_tree
from app.console.file_tree import CountedTree, FileNode
from app.console.screens.place import Place
from app.console.seat import ask
from app.console.widgets.bar import Bar
from app.console.widgets.strips import Cells
from app.console.widgets.tree_pane import TreePane, Versions
from core.errors import EngineError
from core.model.display import safe_text
from core.model.progress import CancelToken, Progress


class SidesLine(Bar):
    """Who is compared with whom, and what that comes to."""

    BASE = ("muted", "surface")

    def __init__(self, first: str, second: str) -> None:
        super().__init__()
        self.sides = (first, second)
        self.note = "comparing …"

    def draw(self, cells: Cells, line: int) -> None:
        palette = self.seat.palette
        start = cells.used
        cells.put(" ‹ ", palette.style("faint", "surface"))
        cells.hits.append((start, cells.used, "back"))
        cells.put(safe_text(self.sides[0]), palette.style("text", "surface", "bold"))
        cells.button("  →  ", palette.style("accent", "surface", "bold"), "swap")
        cells.put(safe_text(self.sides[1]), palette.style("text", "surface", "bold"))
        cells.right([(self.note + " ", palette.style("muted", "surface"))])


class ComparePlace(Place):
    """From the first to the second."""

    PLACE = "compare"
    TAB = "images"

    def __init__(self, first: str, second: str) -> None:
        super().__init__()
        self._sides = (first, second)
        self._cancel = CancelToken()
        self._doing = "comparing …"

    def body(self) -> Iterable[Widget]:
        yield SidesLine(*self._sides)
        yield TreePane()

    def on_mount(self) -> None:
        self.query_one(TreePane).table.focus()
        self.action_again()

    def on_unmount(self) -> None:
        self._cancel.cancel()

    def on_resize(self) -> None:
        self.query_one(TreePane).set_class(self.app.size.height < 30, "small")

    # ------------------------------------------------------------------ comparing

    def action_again(self) -> None:
        self._cancel.cancel()
        cancel = self._cancel = CancelToken()
        sides, images = self._sides, self.seat.actions.backend.images
        self.query_one(TreePane).say("DIFFERENCES", empty="comparing …")
        self._say("comparing …")
        self.set_timer(0.3, self._still)

        def compare() -> CountedTree:
            return difference_tree(images.compare(*sides, self._told, cancel))

        def show(tree: CountedTree) -> None:
            if sides == self._sides and not cancel.is_cancelled:
                self._show(tree)

        def failed(error: EngineError) -> None:
            if not cancel.is_cancelled:
                self._doing = ""
                self._say("")
                words = safe_text(error.message + (f": {error.hint}" if error.hint else ""))
                self.query_one(TreePane).say("DIFFERENCES", empty=words)

        ask(self, compare, show, failed)

    def _told(self, progress: Progress) -> None:
        share = f" {100 * progress.done_bytes // progress.total_bytes}%" if progress.total_bytes else ""
        self._doing = f"{safe_text(progress.what)} …{share}"

    def _still(self) -> None:
        if self.query_one(SidesLine).note.endswith(("…", "%")):
            self._say(self._doing)
            self.set_timer(0.3, self._still)

    def _say(self, note: str) -> None:
        line = self.query_one(SidesLine)
        line.sides, line.note = self._sides, note
        line.refresh()

    def _show(self, tree: CountedTree) -> None:
        leaves = [node for node in tree.nodes.values() if node.path and node.change]
        counts = {kind: sum(node.change == kind for node in leaves) for kind in "ACD"}
        bigger = sum(node.size_bytes - node.size_before for node in leaves if not node.children and node.change != "D")
        bigger -= sum(node.size_before for node in leaves if not node.children and node.change == "D")
        words = f"{counts['A']} added  {counts['C']} changed  {counts['D']} removed"
        self._say(f"{words}   {'+' if bigger >= 0 else '−'}{short.size(abs(bigger))}")
        pane = self.query_one(TreePane)
        pane.say("DIFFERENCES", note=f"{len(leaves)} paths", empty="they are the same, file by file")
        pane.show(tree, self._versions)

    def _versions(self, node: FileNode) -> Versions:
        before = partial(self._read, self._sides[0], "/" + node.path)
        after = partial(self._read, self._sides[1], "/" + node.path)
        return (before if node.change != "A" else None), (after if node.change != "D" else None)

    def _read(self, key: str, path: str, length: int) -> bytes:
        """Of an image, else of a container, as `compare` takes a key."""
        backend, store = self.seat.actions.backend, self.seat.store
        if store.image_named(key) is None and any(one.name == key for one in store.containers.values()):
            return backend.containers.read_file(key, path, 0, length)
        return backend.images.read_file(key, path, 0, length)

    # ------------------------------------------------------------------ keys

    def action_swap(self) -> None:
        self._sides = (self._sides[1], self._sides[0])
        self.action_again()

    def action_copy_menu(self) -> None:
        node = self.query_one(TreePane).current
        command = command_text("image", "diff", *self._sides)
        entries = [(f"command  {safe_text(command)[:60]}", safe_text(command))]
        if node is not None:
            path = safe_text("/" + node.path)
            entries.insert(0, (f"path     {path[-60:]}", path))
        self.app.push_screen(Menu(" Copy ", entries), self._copied)

    def _copied(self, text: str | None) -> None:
        if text is not None:
            self.seat.copy(text, "that")
