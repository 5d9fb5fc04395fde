"""Which changes go into an image, ticked in a tree: a directory's tick is that of all below it. Pure."""

from __future__ import annotations

from app.console.file_tree import CountedTree, FileNode

ALL, SOME, NONE = "all", "some", "none"


class Ticks:
    """Ticks of a tree's leaves; everything is ticked at first."""

    def __init__(self, tree: CountedTree) -> None:
        self.tree = tree
        self._leaves: dict[str, int] = {}
        self._off: dict[str, int] = {}
        """Of each node: how many leaves are below it, and how many of them are not ticked."""
        for node in sorted(tree.nodes.values(), key=lambda one: -one.depth):
            below = node.children.values()
            self._leaves[node.path] = sum(self._leaves[one.path] for one in below) if node.children else 1
            self._off[node.path] = 0

    def state(self, path: str) -> str:
        """ALL, SOME or NONE of what is at a path is ticked."""
        off = self._off.get(path, 0)
        return ALL if not off else NONE if off == self._leaves[path] else SOME

    def toggle(self, path: str) -> None:
        """Tick all below a path, or none of it if all was ticked."""
        node = self.tree.nodes.get(path)
        if node is None:
            return
        before, off = self._off[path], 0 if self._off[path] else self._leaves[path]
        waiting = [node]
        while waiting:
            one = waiting.pop()
            self._off[one.path] = self._leaves[one.path] if off else 0
            waiting += one.children.values()
        while path:
            path = path.rpartition("/")[0]
            self._off[path] += off - before

    def left_out(self) -> tuple[str, ...]:
        """The least paths, with a leading slash, that stand for all that is not ticked; sorted."""
        found: list[str] = []
        waiting: list[FileNode] = list(self.tree.root.children.values())
        while waiting:
            node = waiting.pop()
            state = self.state(node.path)
            if state == NONE:
                found.append("/" + node.path)
            elif state == SOME:
                waiting += node.children.values()
        return tuple(sorted(found))

    def counted(self) -> tuple[int, int, int]:
        """Ticked changes, all changes, and the bytes of the ticked ones."""
        size = 0
        waiting: list[FileNode] = [self.tree.root]
        while waiting:
            node = waiting.pop()
            if self.state(node.path) == NONE:
                continue
            if not node.children:
                size += node.size_bytes if node.change != "D" else 0
            waiting += node.children.values()
        every = self._leaves[""] if self.tree.root.children else 0
        return every - self._off[""], every, size
