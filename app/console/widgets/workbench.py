"""What an image is made of: its layers on the left, the files of the one under the cursor on the right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget

from app import short
from app.console.actions import sentence
from app.console.difference_tree import change_tree, difference_tree
from app.console.file_tree import CountedTree, FileNode
from app.console.layer_rows import WHOLE, LayerRow, layer_facts, layer_rows
from app.console.layer_trees import LayerTrees
from app.console.seat import ask, seat
from app.console.widgets.pager import Pager
from app.console.widgets.resource_table import Column, Piece, ResourceTable
from app.console.widgets.strips import meter
from app.console.widgets.tree_pane import TreePane, Versions
from core.errors import EngineError
from core.model.display import safe_text
from core.model.image import ImageLayer
from core.model.progress import CancelToken, Progress

_DETAIL_ROWS = 8


class Workbench(Widget):
    """Layers, files, and a file beside what it was."""

    DEFAULT_CSS = f"""
    Workbench {{ layout: horizontal; width: 1fr; height: 1fr; }}
    Workbench > #stack {{ width: 42%; border-right: tall $line; }}
    Workbench #details {{ height: {_DETAIL_ROWS}; border-top: solid $line; }}
    Workbench.narrow > #stack {{ width: 38%; }}
    Workbench.low #details {{ display: none; }}
    Workbench.reading > #stack {{ display: none; }}
    """

    class Known(Message):
        """What lies in the layers has been read, or something of it has changed."""

    def __init__(self, key: str, *, container: str = "") -> None:
        """Args: container: id of one whose uncommitted changes come first."""
        super().__init__()
        self._key = key
        self._first = container
        self._image_layers: Sequence[ImageLayer] = ()
        self._everything = False
        self._trees: dict[tuple[int | None, bool], CountedTree] = {}
        self._cancel = CancelToken()
        self._doing = "reading the layers …"
        self._aim: tuple[str, str] | None = None
        """A layer's row and a path to put the cursor on, once its files are shown."""
        self.trees: LayerTrees | None = None
        """All that lies in the layers, once that is known."""

    def compose(self) -> ComposeResult:
        with Vertical(id="stack"):
            table: ResourceTable[LayerRow] = ResourceTable(_COLUMNS, lambda row: row.key)
            table.id = "layers"
            yield table
            details = Pager(id="details")
            details.can_focus = False
            yield details
        yield TreePane()

    def on_mount(self) -> None:
        seat(self).store.listen(self, {"containers", "images"}, self._fill)
        images = seat(self).actions.backend.images

        def read() -> LayerTrees:
            return LayerTrees(images.contents(self._key, self._told, self._cancel))

        ask(self, lambda: images.layers(self._key), self._take_layers, self._failed)
        ask(self, read, self._take_trees, self._failed)

    def on_unmount(self) -> None:
        self._cancel.cancel()
        seat(self).store.forget(self)

    @property
    def pane(self) -> TreePane:
        """The files."""
        return self.query_one(TreePane)

    @property
    def stack(self) -> ResourceTable[LayerRow]:
        """The layers."""
        return self.query_one("#layers", ResourceTable)

    @property
    def image_layers(self) -> Sequence[ImageLayer]:
        """As the engine knows them, lowest first."""
        return self._image_layers

    @property
    def row(self) -> LayerRow | None:
        """The layer under the cursor."""
        return self.stack.current

    # ------------------------------------------------------------------ what is known

    def _told(self, progress: Progress) -> None:
        """From the worker: how far reading has come; shown with the next repaint."""
        share = f" {100 * progress.done_bytes // progress.total_bytes}%" if progress.total_bytes else ""
        self._doing = f"{safe_text(progress.what)} …{share}"

    def _take_layers(self, layers: Sequence[ImageLayer]) -> None:
        self._image_layers = layers
        self._fill()
        rows = [row.key for row in self._rows()]
        self.stack.go_to(self._first if self._first in rows else str(len(layers) - 1))
        self.post_message(self.Known())

    def _take_trees(self, trees: LayerTrees) -> None:
        self.trees = trees
        if self.row is not None and self.row.container is None:
            self._show_files()
        self.post_message(self.Known())

    def _failed(self, error: EngineError) -> None:
        self._doing = sentence(error)
        self.pane.say("FILES", empty=self._doing)

    def _rows(self) -> list[LayerRow]:
        store = seat(self).store
        image = store.image(self._key)
        users = [store.containers[key] for key in (image.used_by if image else ()) if key in store.containers]
        total = image.size_bytes if image else sum(layer.size_bytes for layer in self._image_layers)
        return layer_rows(self._image_layers, total, sorted(users, key=lambda user: user.name))

    def _fill(self) -> None:
        if self._image_layers:
            self.stack.set_items(self._rows())

    # ------------------------------------------------------------------ files of the layer under the cursor

    def on_resource_table_highlighted(self, event: ResourceTable.Highlighted) -> None:
        event.stop()
        row = self.row
        if row is not None:
            details = self.query_one("#details", Pager)
            layer = self._image_layers[row.layer] if row.layer is not None else None
            details.show(layer_facts(layer, max(20, details.size.width - 3)) if layer else _row_facts(row))
            self._show_files()

    async def on_resource_table_opened(self, event: ResourceTable.Opened) -> None:
        event.stop()
        self.pane.table.focus()

    def on_tree_pane_turned(self, event: TreePane.Turned) -> None:
        event.stop()
        self._everything = not self._everything
        self._show_files()

    def on_tree_pane_read(self, event: TreePane.Read) -> None:
        event.stop()
        self.set_class(event.is_reading and self.has_class("narrow"), "reading")

    def go_to(self, layer: int, path: str) -> None:
        """Show a file of a layer."""
        self._aim = (str(layer), path)
        self.stack.go_to(str(layer))
        self._show_files()
        self.pane.table.focus()

    def again(self) -> None:
        """Look once more at what a container has changed."""
        if self.row is not None and self.row.container is not None:
            self._show_files()

    def _show_files(self) -> None:
        row = self.row
        if row is None:
            return
        if row.container is not None:
            self._show_uncommitted(row)
            return
        trees, everything = self.trees, self._everything or row.key == WHOLE
        title = "WHOLE IMAGE" if row.key == WHOLE else f"LAYER {row.sign}"
        mode = "" if row.key == WHOLE else "all files" if everything else "changed only"
        if trees is None:
            self.pane.say(title, mode=mode, empty=self._doing)
            self.pane.show(CountedTree(), lambda _node: (None, None))
            self.set_timer(0.3, self._still_reading)
            return
        layer, known = row.layer, trees

        def cut() -> CountedTree:
            if layer is None:
                return known.whole()
            return known.seen_from(layer) if everything else known.changed(layer)

        self._present(row, (layer, everything), cut, partial(self._versions, trees, layer), title, mode)

    def _still_reading(self) -> None:
        if self.trees is None and self.row is not None and self.row.container is None:
            self.pane.table.empty_words = self._doing
            self.pane.table.redraw()
            self.set_timer(0.3, self._still_reading)

    def _show_uncommitted(self, row: LayerRow) -> None:
        container = row.container
        assert container is not None
        backend, title = seat(self).actions.backend, f"UNCOMMITTED {safe_text(container.name)}"
        self.pane.say(title, empty="looking for changed files …")
        self.pane.show(CountedTree(), lambda _node: (None, None))

        def versions(node: FileNode) -> Versions:
            path = "/" + node.path
            before = partial(_from, backend.images.read_file, self._key, path)
            after = partial(_from, backend.containers.read_file, container.id, path)
            return (before if node.change in ("C", "D") else None, after if node.change != "D" else None)

        def look() -> CountedTree:
            return change_tree(backend.containers.changes(container.id), ())

        def show(tree: CountedTree) -> None:
            if self.row is None or self.row.key != row.key:
                return
            self.pane.say(title, note="measuring …", empty="nothing changed")
            self.pane.show(tree, versions)
            self._present(row, None, measure, versions, title, "")

        def measure() -> CountedTree:
            return difference_tree(backend.images.compare(self._key, container.id, self._told, self._cancel))

        ask(self, look, show, self._failed)

    def _present(
        self,
        row: LayerRow,
        name: tuple[int | None, bool] | None,
        make: Callable[[], CountedTree],
        versions: Callable[[FileNode], Versions],
        title: str,
        mode: str,
    ) -> None:
        """Make a tree in a worker, or take the one made before, and show it if it is still wanted."""

        def show(tree: CountedTree) -> None:
            if name is not None:
                self._trees[name] = tree
            if self.row is None or self.row.key != row.key:
                return
            root = tree.root
            note = f"{root.files} file{'' if root.files == 1 else 's'}  {short.size(root.size_bytes)}"
            self.pane.say(title, mode=mode, note=note, empty="nothing changed" if name is None else "no files")
            self.pane.show(tree, versions, keep=name is None)
            if self._aim is not None and self._aim[0] == row.key:
                self.pane.table.go_to(self._aim[1])
                self._aim = None

        known = self._trees.get(name) if name is not None else None
        if known is not None:
            show(known)
        else:
            ask(self, make, show, self._failed)

    def _versions(self, trees: LayerTrees, layer: int | None, node: FileNode) -> Versions:
        """What a file was below a layer, and what it is there."""
        read = seat(self).actions.backend.images.read_layer_file
        shown = trees.owner(node.path, layer)
        if node.change == "D":
            assert layer is not None
            below = trees.version_below(layer, node.path)
            return (partial(_of_layer, read, self._key, below, node.path) if below is not None else None), None
        if shown is None:
            return None, None
        below = trees.version_below(shown, node.path) if node.change == "M" else None
        before = partial(_of_layer, read, self._key, below, node.path) if below is not None else None
        if node.size_bytes and node.path not in trees.hidden[shown]:  # it shows: no archive has to be gone through
            return before, partial(_from, seat(self).actions.backend.images.read_file, self._key, "/" + node.path)
        return before, partial(_of_layer, read, self._key, shown, node.path)

    def on_resize(self) -> None:
        width, height = self.app.size
        self.set_class(width < 100, "narrow")
        self.set_class(height < 30, "low")
        self.pane.set_class(width < 100 or height < 30, "small")


def _from(read: Callable[[str, str, int, int], bytes], key: str, path: str, length: int) -> bytes:
    return read(key, path, 0, length)


def _of_layer(read: Callable[[str, int, str, int, int], bytes], key: str, layer: int, path: str, length: int) -> bytes:
    return read(key, layer, path, 0, length)


def _row_facts(row: LayerRow) -> list[list[tuple[str, str]]]:
    if row.container is not None:
        return [
            [(f"what {safe_text(row.container.name)} has changed since it was made", "text")],
            [("c commits it as an image; files can be left out", "muted")],
        ]
    return [[("all layers laid over each other, as a container sees them", "text")]]


def _bar(row: LayerRow) -> Piece:
    return (meter(row.share, 6), "accent") if row.size_bytes is not None and row.key != WHOLE else ("", "faint")


_COLUMNS: list[Column[LayerRow]] = [
    Column(
        "sign", "", 3, lambda row: (row.sign, "warn" if row.sign == "+" else "faint"), lambda row: row.key, align=">"
    ),
    Column("words", "LAYERS", 14, lambda row: (row.words, "text"), lambda row: row.words, grows=True),
    Column(
        "size",
        "SIZE",
        6,
        lambda row: (short.size(row.size_bytes) if row.size_bytes is not None else "", "text"),
        lambda row: -(row.size_bytes or 0),
        align=">",
    ),
    Column("bar", "", 6, _bar, lambda row: -row.share, from_width=40),
]
