"""Trees of files with what is below each directory counted in: of a layer, an image, a comparison. Pure.

A tree is made once, in a worker; looking at it costs only what is open (`Outline`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from core.model.display import safe_text


class FileNode:
    """One path. A directory's figures are those of all that is below it."""

    __slots__ = (
        *("change", "children", "depth", "files", "kind", "link", "name", "path", "size_before", "size_bytes", "waste"),
    )

    def __init__(self, name: str, path: str, depth: int, *, kind: str = "dir") -> None:
        self.name = name
        self.path = path
        """From the root, without a leading slash; the root itself is empty."""
        self.depth = depth
        self.kind = kind
        self.link = ""
        """Where a symbolic link points, or which path a hard link is another name of."""
        self.change = ""
        """A added, M changed, D deleted, or nothing of it."""
        self.size_bytes = 0
        self.size_before = 0
        """What it was, or what went, where that is known."""
        self.waste = 0
        """Bytes that an upper layer hides."""
        self.files = 0
        """How many below it are no directories."""
        self.children: dict[str, FileNode] = {}

    @property
    def shown_name(self) -> str:
        """Safe text."""
        return safe_text(self.name)


class CountedTree:
    """A root and every node by path."""

    def __init__(self) -> None:
        self.root = FileNode("", "", -1)
        self.nodes: dict[str, FileNode] = {"": self.root}

    def put(self, path: str, kind: str = "dir") -> FileNode:
        """The node at a path, made with its parents where they are not there."""
        found = self.nodes.get(path)
        if found is not None:
            if kind != "dir" or not found.children:
                found.kind = kind
            return found
        *above, name = path.split("/")
        parent = self.nodes.get("/".join(above)) or self._reach(above)
        node = FileNode(name, path, parent.depth + 1, kind=kind)
        parent.children[name] = self.nodes[path] = node
        return node

    def _reach(self, names: list[str]) -> FileNode:
        """A directory, with all above it; of any depth."""
        node = self.root
        for name in names:
            child = node.children.get(name)
            if child is None:
                path = f"{node.path}/{name}" if node.path else name
                child = node.children[name] = self.nodes[path] = FileNode(name, path, node.depth + 1)
            node = child
        return node

    def count(self) -> CountedTree:
        """Add up what is below each directory, and put children in order; the last thing done to a tree."""
        for node in sorted(self.nodes.values(), key=lambda one: -one.depth):
            if node.children:
                below = list(node.children.values())
                node.size_bytes = sum(one.size_bytes for one in below if one.change != "D")
                node.size_before = sum(one.size_before for one in below)
                node.waste = sum(one.waste for one in below)
                node.files = sum(one.files for one in below)
                below.sort(key=lambda one: (one.kind != "dir", one.name))
                node.children = {one.name: one for one in below}
            elif node.kind != "dir":
                node.files = 1
        return self


class Outline:
    """Which nodes of a tree are shown: those whose parents are open, or that a filter finds, in some order."""

    def __init__(self, tree: CountedTree) -> None:
        self.tree = tree
        self.opened: set[str] = {""}
        self._found: set[str] | None = None
        self._folded: list[tuple[str, str]] | None = None

    def open_first(self, rows: int) -> None:
        """Open what is alone in its directory, and more as long as it fits, so that something is to be seen."""
        node = self.tree.root
        shown = len(node.children)
        while len(node.children) == 1:
            (node,) = node.children.values()
            self.opened.add(node.path)
            shown += len(node.children)
        waiting = list(node.children.values())
        while waiting:
            node = waiting.pop(0)
            if node.children and shown + len(node.children) <= rows:
                self.opened.add(node.path)
                shown += len(node.children)
                waiting += node.children.values()

    def toggle(self, path: str) -> None:
        """Open a directory, or close it."""
        self.opened ^= {path}

    def open_all_below(self, path: str) -> bool:
        """Open a directory and every one below it; False if all of them were open already."""
        node = self.tree.nodes.get(path)
        waiting = [node] if node is not None else []
        before = len(self.opened)
        while waiting:
            one = waiting.pop()
            if one.children:
                self.opened.add(one.path)
                waiting += one.children.values()
        return len(self.opened) > before

    def find(self, test: Callable[[dict[str, str]], bool] | None, needle: str = "") -> None:
        """Show what passes a test, with its parents; None: all. `needle`: the test is this plain text alone."""
        if test is None:
            self._found = None
            return
        if needle:
            if self._folded is None:
                self._folded = [(path.casefold(), path) for path in self.tree.nodes if path]
            hits: Iterable[str] = [path for folded, path in self._folded if needle in folded]
        else:
            hits = [
                path
                for path, node in self.tree.nodes.items()
                if path and test({"path": path, "kind": node.kind, "change": node.change})
            ]
        found: set[str] = set()
        for path in hits:
            while path and path not in found:
                found.add(path)
                path = path.rpartition("/")[0]
        self._found = found

    def rows(self, order: Callable[[FileNode], Any] | None = None, *, reverse: bool = False) -> list[FileNode]:
        """What is shown, from top to bottom."""
        rows: list[FileNode] = []
        found, opened = self._found, self.opened
        stack: list[Iterator[FileNode]] = [self._below(self.tree.root, order, reverse)]
        while stack:
            for node in stack[-1]:
                if found is not None and node.path not in found:
                    continue
                rows.append(node)
                if node.children and (found is not None or node.path in opened):
                    stack.append(self._below(node, order, reverse))
                    break
            else:
                stack.pop()
        return rows

    def is_open(self, node: FileNode) -> bool:
        """Whether what is below a directory is shown."""
        return self._found is not None or node.path in self.opened

    def _below(self, node: FileNode, order: Callable[[FileNode], Any] | None, reverse: bool) -> Iterator[FileNode]:
        children = node.children.values()
        return iter(children if order is None else sorted(children, key=order, reverse=reverse))
