"""An image's layers laid over each other: what each adds, changes and deletes, and what upper ones hide. Pure.

Made once in a worker from what lies in the layers; each tree that is looked at is cut from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.console.file_tree import FileTree
from core.model.image_files import LayerContents, LayerEntry

_SIGNS = ("whiteout", "opaque")


class _Place:
    """A path of the merged tree: whose entry shows there just now."""

    __slots__ = ("children", "entry", "layer")

    def __init__(self, entry: LayerEntry | None, layer: int) -> None:
        self.entry = entry
        self.layer = layer
        self.children: dict[str, _Place] = {}

    @property
    def kind(self) -> str:
        """As an entry says it; what no archive lists is a directory."""
        return self.entry.kind if self.entry is not None else "dir"


class LayerTrees:
    """The layers of one image, lowest first."""

    def __init__(self, layers: Sequence[LayerContents]) -> None:
        self.layers = tuple(layers)
        self.entries: list[dict[str, LayerEntry]] = []
        """Of each layer, by path, what it holds itself."""
        self.changes: list[dict[str, str]] = []
        """Of each layer, by path: A, M or D."""
        self._gone: list[dict[str, int]] = []
        """Of each layer: what was deleted, and how many bytes that were."""
        self.hidden: list[dict[str, int]] = [{} for _ in layers]
        """Of each layer: what upper ones hide, and how many bytes that are."""
        root = _Place(None, -1)
        for number in range(len(self.layers)):
            self._lay(root, number, judge=True)

    @property
    def wasted_bytes(self) -> int:
        """Of all that is stored and never seen."""
        return sum(sum(layer.values()) for layer in self.hidden)

    def waste(self) -> list[tuple[str, int, int]]:
        """Paths that hold hidden bytes, the worst first: the path, those bytes, and in how many layers it lies."""
        total: dict[str, int] = {}
        for layer in self.hidden:
            for path, count in layer.items():
                if count:
                    total[path] = total.get(path, 0) + count
        worst = sorted(total.items(), key=lambda one: (-one[1], one[0]))
        return [(path, count, sum(path in layer for layer in self.entries)) for path, count in worst]

    def version_below(self, layer: int, path: str) -> int | None:
        """The layer whose file a layer's entry replaces or deletes."""
        if self.changes[layer].get(path) not in ("M", "D"):
            return None
        return next((number for number in range(layer - 1, -1, -1) if path in self.entries[number]), None)

    def owner(self, path: str) -> int | None:
        """The layer whose file shows at a path of the whole image."""
        return next((number for number in range(len(self.layers) - 1, -1, -1) if path in self.entries[number]), None)

    # ------------------------------------------------------------------ trees

    def changed(self, layer: int) -> FileTree:
        """What one layer adds, changes and deletes."""
        tree = FileTree()
        changes, hidden = self.changes[layer], self.hidden[layer]
        for path, entry in self.entries[layer].items():
            change = changes.get(path, "")
            if entry.kind == "dir" and not change:
                continue
            node = tree.put(path, entry.kind)
            node.change = change
            node.size_bytes = entry.size_bytes
            node.waste = hidden.get(path, 0)
            if change == "M" and (below := self.version_below(layer, path)) is not None:
                node.size_before = self.entries[below][path].size_bytes
        self._put_gone(tree, layer)
        return tree.count()

    def seen_from(self, layer: int) -> FileTree:
        """Everything that a layer and those below it show together, with that layer's changes."""
        tree = FileTree()
        changes = self.changes[layer]
        for path, place in self._shown_by(layer):
            node = tree.put(path, place.kind)
            node.change = changes.get(path, "") if place.layer == layer else ""
            if place.entry is not None:
                node.size_bytes = place.entry.size_bytes
                node.waste = self.hidden[place.layer].get(path, 0)
        self._put_gone(tree, layer)
        return tree.count()

    def whole(self) -> FileTree:
        """What the image shows; the waste of a path is what lies hidden below it."""
        tree = FileTree()
        hidden: dict[str, int] = {}
        for one in self.hidden:
            for path, count in one.items():
                hidden[path] = hidden.get(path, 0) + count
        for path, place in self._shown_by(len(self.layers) - 1):
            node = tree.put(path, place.kind)
            node.size_bytes = place.entry.size_bytes if place.entry is not None else 0
            node.waste = hidden.get(path, 0)
        return tree.count()

    def _shown_by(self, layer: int) -> Iterator[tuple[str, _Place]]:
        root = _Place(None, -1)
        for number in range(layer + 1):
            self._lay(root, number, judge=False)
        return _walk(root)

    def _put_gone(self, tree: FileTree, layer: int) -> None:
        for path, size_bytes in self._gone[layer].items():
            node = tree.put(path, "file" if path not in tree.nodes else tree.nodes[path].kind)
            node.change = "D"
            node.size_bytes = node.size_before = size_bytes

    # ------------------------------------------------------------------ laying one over the others

    def _lay(self, root: _Place, number: int, *, judge: bool) -> None:
        changes: dict[str, str] = {}
        gone: dict[str, int] = {}
        entries = [entry for entry in self.layers[number].entries if entry.path]
        places: dict[str, _Place] = {"": root}
        for entry in entries:
            if entry.kind in _SIGNS:
                for path in _hidden_by(entry, root):
                    gone[path] = self._hide(_take(root, path), path, judge=judge)
                    changes[path] = "D"
        own: dict[str, LayerEntry] = {}
        for entry in entries:
            if entry.kind in _SIGNS:
                continue
            above, _, name = entry.path.rpartition("/")
            parent = places.get(above)
            if parent is None:
                parent = places[above] = _reach(root, above, number)
            before = parent.children.get(name)
            if before is not None and before.kind == "dir" and entry.kind == "dir":
                if before.layer != number and _differs(before.entry, entry):
                    changes[entry.path] = "M"
                before.entry, before.layer = entry, number
            else:
                if before is None:
                    changes[entry.path] = "M" if gone.pop(entry.path, None) is not None else "A"
                elif before.layer != number:
                    changes[entry.path] = "M"
                    self._hide(before, entry.path, judge=judge)
                if before is not None and before.kind == "dir":
                    places = {path: one for path, one in places.items() if not _is_below(path, entry.path)}
                parent.children[name] = _Place(entry, number)
            own[entry.path] = entry
        if judge:
            self.entries.append(own)
            self.changes.append(changes)
            self._gone.append(gone)

    def _hide(self, place: _Place | None, path: str, *, judge: bool) -> int:
        """Note that a place and all below it are seen no more; the bytes they hold."""
        total = 0
        for inner, one in [] if place is None else [(path, place), *_walk(place, path + "/")]:
            size_bytes = one.entry.size_bytes if one.entry is not None else 0
            total += size_bytes
            if judge and one.layer >= 0 and size_bytes:
                self.hidden[one.layer][inner] = size_bytes
        return total


def _walk(place: _Place, prefix: str = "") -> Iterator[tuple[str, _Place]]:
    """All below a place, parents first; of any depth."""
    waiting = [(prefix, place)]
    while waiting:
        above, one = waiting.pop()
        for name, child in one.children.items():
            path = above + name
            yield path, child
            if child.children:
                waiting.append((path + "/", child))


def _hidden_by(entry: LayerEntry, root: _Place) -> list[str]:
    """The paths that a whiteout or an opaque directory deletes."""
    if entry.kind == "whiteout":
        return [entry.path]
    place: _Place | None = root
    for name in entry.path.split("/"):
        place = place.children.get(name) if place is not None else None
    return [f"{entry.path}/{name}" for name in place.children] if place is not None else []


def _take(root: _Place, path: str) -> _Place | None:
    """Take a place out of the tree."""
    *above, name = path.split("/")
    place = root
    for part in above:
        found = place.children.get(part)
        if found is None:
            return None
        place = found
    return place.children.pop(name, None)


def _reach(root: _Place, path: str, layer: int) -> _Place:
    """The directory at a path, made where the archive did not bother to list it."""
    place = root
    for name in path.split("/"):
        found = place.children.get(name)
        if found is None or found.kind != "dir":
            found = place.children[name] = _Place(None, layer)
        place = found
    return place


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(top + "/")


def _differs(before: LayerEntry | None, now: LayerEntry) -> bool:
    """Whether a directory that is listed again is another one; its time alone says nothing."""
    return before is None or (before.mode, before.uid, before.gid) != (now.mode, now.uid, now.gid)
