"""An image's layers one over the other: what each adds, changes and deletes, and what upper ones hide. Pure.

Made once in a worker from what lies in the layers; each tree that is looked at is cut from it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from app.console.file_tree import CountedTree
from core.model.image_files import OPAQUE, WHITEOUT, FileTree, LayerContents, LayerEntry, count_waste


class LayerTrees:
    """The layers of one image, lowest first."""

    def __init__(self, layers: Sequence[LayerContents]) -> None:
        self.layers = tuple(layers)
        self.efficiency = count_waste(layers).efficiency
        """0 to 1, as dive counts it."""
        self.entries: list[dict[str, LayerEntry]] = []
        """Of each layer, by path, what it holds itself."""
        self.changes: list[dict[str, str]] = []
        """Of each layer, by path: A, M or D."""
        self._gone: list[dict[str, int]] = []
        """Of each layer: what was deleted, and how many bytes that were."""
        self.hidden: list[dict[str, int]] = [{} for _ in layers]
        """Of each layer: what upper ones hide, and how many bytes that are."""
        below = FileTree()
        for layer in self.layers:
            self._judge(layer, below)

    @property
    def hidden_bytes(self) -> int:
        """What is stored, and never seen."""
        return sum(sum(layer.values()) for layer in self.hidden)

    def hidden_files(self) -> list[tuple[str, int, int]]:
        """Paths with hidden bytes, the worst first: path, those bytes, how many layers hold it."""
        total: dict[str, int] = {}
        for layer in self.hidden:
            for path, count in layer.items():
                total[path] = total.get(path, 0) + count
        worst = sorted(total.items(), key=lambda one: (-one[1], one[0]))
        return [(path, count, sum(path in layer for layer in self.entries)) for path, count in worst]

    def lowest(self, path: str) -> int | None:
        """The lowest layer that holds a path: where the first of what is wasted lies."""
        return next((number for number, layer in enumerate(self.entries) if path in layer), None)

    def version_below(self, layer: int, path: str) -> int | None:
        """The layer whose file a layer's entry replaces or deletes."""
        if self.changes[layer].get(path) not in ("M", "D"):
            return None
        return self.owner(path, layer - 1)

    def owner(self, path: str, top: int | None = None) -> int | None:
        """The uppermost layer, of those up to `top`, that holds a path."""
        first = len(self.layers) - 1 if top is None else top
        return next((number for number in range(first, -1, -1) if path in self.entries[number]), None)

    # ------------------------------------------------------------------ trees

    def changed(self, layer: int) -> CountedTree:
        """What one layer adds, changes and deletes."""
        tree = CountedTree()
        changes, hidden = self.changes[layer], self.hidden[layer]
        for path, entry in self.entries[layer].items():
            change = changes.get(path, "")
            if entry.kind == "dir" and not change:
                continue
            node = tree.put(path, entry.kind)
            node.change = change
            node.size_bytes, node.link = entry.size_bytes, entry.link
            node.waste = hidden.get(path, 0)
            if change == "M" and (below := self.version_below(layer, path)) is not None:
                node.size_before = self.entries[below][path].size_bytes
        self._put_gone(tree, layer)
        return tree.count()

    def seen_from(self, layer: int) -> CountedTree:
        """Everything that a layer and those below it show together, with that layer's changes."""
        tree = CountedTree()
        changes = self.changes[layer]
        for path, standing in FileTree(self.layers[: layer + 1]).standing.items():
            entry = self.entries[standing.layer].get(path, standing.entry)
            node = tree.put(path, entry.kind)
            node.change = changes.get(path, "") if standing.layer == layer else ""
            node.size_bytes, node.link = entry.size_bytes, entry.link
            node.waste = self.hidden[standing.layer].get(path, 0)
        self._put_gone(tree, layer)
        return tree.count()

    def whole(self) -> CountedTree:
        """What the image shows; the waste of a path is what lies hidden below it."""
        tree = CountedTree()
        hidden: dict[str, int] = {}
        for one in self.hidden:
            for path, count in one.items():
                hidden[path] = hidden.get(path, 0) + count
        for path, standing in FileTree(self.layers).standing.items():
            entry = self.entries[standing.layer].get(path, standing.entry)
            node = tree.put(path, entry.kind)
            node.size_bytes, node.link = entry.size_bytes, entry.link
            node.waste = hidden.get(path, 0)
        return tree.count()

    def _put_gone(self, tree: CountedTree, layer: int) -> None:
        for path, size_bytes in self._gone[layer].items():
            node = tree.put(path, "file" if path not in tree.nodes else tree.nodes[path].kind)
            node.change = "D"
            node.size_bytes = node.size_before = size_bytes

    # ------------------------------------------------------------------ what a layer does to those below

    def _judge(self, layer: LayerContents, below: FileTree) -> None:
        """Lay one more over those below: deletions first, as they mean those alone.

        So each layer is two of the tree's, and the tree's number of a layer is half of it.
        """
        changes: dict[str, str] = {}
        gone: dict[str, int] = {}
        signs: list[LayerEntry] = []
        own: list[LayerEntry] = []
        for entry in layer.entries:
            (signs if entry.kind in (WHITEOUT, OPAQUE) else own).append(entry)
        for entry in signs:
            inside = [f"{entry.path}/{name}" for name in below.names(entry.path)] if entry.kind == OPAQUE else ()
            for path in (entry.path,) if entry.kind == WHITEOUT else inside:
                gone[path] = self._hide(below, path)
                changes[path] = "D"
        below.add(msgspec.structs.replace(layer, entries=tuple(signs)))
        for entry in own:
            before = below.get(entry.path)
            if before is None:
                if gone.pop(entry.path, None) is not None:
                    changes[entry.path] = "M"
                else:
                    changes.setdefault(entry.path, "A")
            elif not (entry.kind == before.entry.kind == "dir"):
                self._hide(below, entry.path)
                changes[entry.path] = "M"
            elif _owned(entry) != _owned(before.entry):
                changes[entry.path] = "M"
        below.add(msgspec.structs.replace(layer, entries=tuple(own)))
        self.entries.append({entry.path: entry for entry in own if entry.path})
        self.changes.append(changes)
        self._gone.append(gone)

    def _hide(self, below: FileTree, path: str) -> int:
        """Note that a path and all below it are seen no more; the bytes they hold."""
        total, waiting = 0, [path]
        while waiting:
            one = waiting.pop()
            standing = below.get(one)
            waiting += [f"{one}/{name}" for name in below.names(one)]
            entry = self.entries[standing.layer // 2].get(one) if standing is not None else None
            if standing is not None and entry is not None and entry.size_bytes:
                self.hidden[standing.layer // 2][one] = entry.size_bytes
                total += entry.size_bytes
        return total


def _owned(entry: LayerEntry) -> tuple[int, int, int]:
    """What makes a directory that is listed again another one; its time alone says nothing."""
    return entry.mode, entry.uid, entry.gid
