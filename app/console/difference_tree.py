"""How two trees differ, as one tree. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from app.console.file_tree import CountedTree
from core.model.container import Change
from core.model.image_files import FileDifference


def difference_tree(differences: Iterable[FileDifference]) -> CountedTree:
    """A tree of what was added, changed and deleted, sizes as they are now and as they were."""
    tree = CountedTree()
    paths = [(one.path.strip("/"), one) for one in differences]
    parents = {path.rpartition("/")[0] for path, _one in paths}
    for path, one in paths:
        if not path:
            continue
        node = tree.put(path, "dir" if path in parents else "file")
        node.change = one.kind
        node.size_bytes = one.size_after
        node.size_before = one.size_before
    return tree.count()


def change_tree(changes: Iterable[Change], sized: Iterable[FileDifference]) -> CountedTree:
    """A container's changes as a tree, with the sizes that are known of them."""
    known = {one.path: one for one in sized}
    return difference_tree(
        FileDifference(
            path=change.path,
            kind=change.kind,
            size_before=known[change.path].size_before if change.path in known else 0,
            size_after=known[change.path].size_after if change.path in known else 0,
        )
        for change in changes
    )
