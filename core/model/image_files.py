"""What lies in an image's layers, file by file, and what that tells: what shows, what is wasted, what differs.

Pure: contents come from the engine, everything here follows from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

WHITEOUT, OPAQUE = "whiteout", "opaque"


class LayerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a layer's archive."""

    path: str
    """From the root, without a leading slash; bytes that are no UTF-8 as surrogates."""
    kind: str
    """file, dir, symlink, hardlink, char, block, fifo; whiteout (hides `path` below); opaque (hides all in `path`)."""
    size_bytes: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime_s: int = 0
    link: str = ""
    """Where a symlink points, or which path a hard link is another name of."""
    digest: str = ""
    """sha256 of a file's content, where it was asked for."""
    attributes: str = ""
    """Hash of the extended attributes that travel (capabilities, ACLs, user.*); empty where there are none."""
    device: str = ""
    """major:minor of a device."""


class LayerContents(msgspec.Struct, frozen=True, kw_only=True):
    """One layer, its entries in the order of the archive."""

    chain_id: str
    diff_id: str
    entries: tuple[LayerEntry, ...]


class FileDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One path in which two trees differ."""

    path: str
    """From the root, with a leading slash."""
    kind: str
    """A added, C changed, D deleted: as `diff` says it, from the first tree to the second."""
    size_before: int = 0
    size_after: int = 0


class Standing(msgspec.Struct, frozen=True):
    """What shows at a path once all layers lie on one another."""

    entry: LayerEntry
    """What the path is: of a hard link, the file that it is another name of, under the link's path."""
    layer: int
    """Number of the layer it comes from; 0 is the lowest."""


class WastedFile(msgspec.Struct, frozen=True):
    """A path that several layers bring or delete again."""

    path: str
    total_bytes: int
    """Of all of them together; what a deletion hides counts as well."""
    times: int
    """How many layers have it."""


class Waste(msgspec.Struct, frozen=True):
    """How much of an image's bytes shows."""

    efficiency: float
    """0 to 1: the least that each path needs, of all bytes that it takes."""
    wasted_bytes: int
    """Of all files below."""
    files: tuple[WastedFile, ...]
    """The worst first."""


class FileTree:
    """Layers laid on one another, from the lowest up. Iterates over paths, sorted."""

    def __init__(self, layers: Iterable[LayerContents] = ()) -> None:
        self._standing: dict[str, Standing] = {}
        self._below: dict[str, set[str]] = {}
        """Names in each directory; the root is the empty path."""
        self._layers = 0
        for layer in layers:
            self.add(layer)

    def add(self, layer: LayerContents) -> None:
        """Lay one more on top. What a layer hides is what lay below it, whatever the archive's order."""
        number, self._layers = self._layers, self._layers + 1
        for entry in layer.entries:
            if entry.kind == WHITEOUT:
                self._take_away(entry.path)
            elif entry.kind == OPAQUE:
                for path in self._paths_in(entry.path):
                    self._take_away(path)
        for entry in layer.entries:
            if entry.kind not in (WHITEOUT, OPAQUE):
                self._put(entry, number)

    def _put(self, entry: LayerEntry, number: int) -> None:
        path = entry.path
        there = self._standing.get(path)
        if there is not None and there.entry.kind == "dir" and entry.kind != "dir":
            self._take_away(path)
        if entry.kind == "hardlink":
            target = self._standing.get(entry.link)
            if target is not None:
                entry = msgspec.structs.replace(target.entry, path=path)
        self._standing[path] = Standing(entry, number)
        while path:  # directories that the archive leaves out are there all the same
            directory, _, name = path.rpartition("/")
            names = self._below.setdefault(directory, set())
            if name in names:
                return
            names.add(name)
            path = directory
            if path and path not in self._standing:
                self._standing[path] = Standing(LayerEntry(path=path, kind="dir", mode=0o755), number)

    def _take_away(self, path: str) -> None:
        directory, _, name = path.rpartition("/")
        self._below.get(directory, set()).discard(name)
        waiting = [path]
        while waiting:
            one = waiting.pop()
            self._standing.pop(one, None)
            waiting.extend(self._paths_in(one))
            self._below.pop(one, None)

    def get(self, path: str) -> Standing | None:
        """What shows at a path without a leading slash."""
        return self._standing.get(path)

    def names(self, directory: str) -> list[str]:
        """Names in a directory, sorted; the root is the empty path."""
        return sorted(self._below.get(directory, ()))

    def bytes_below(self, path: str) -> int:
        """Bytes of the files at a path and below it."""
        total, waiting = 0, [path]
        while waiting:
            one = waiting.pop()
            there = self._standing.get(one)
            total += there.entry.size_bytes if there is not None else 0
            waiting.extend(self._paths_in(one))
        return total

    def _paths_in(self, directory: str) -> list[str]:
        prefix = f"{directory}/" if directory else ""
        return [prefix + name for name in self._below.get(directory, ())]

    @property
    def standing(self) -> Mapping[str, Standing]:
        """What shows, by path."""
        return self._standing

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._standing))

    def __len__(self) -> int:
        return len(self._standing)


def count_waste(layers: Sequence[LayerContents]) -> Waste:
    """How much of what layers bring shows in the end.

    As dive counts: every file counts in each layer that brings it, and a deletion by what it hides;
    the efficiency is the sum of each path's smallest appearance over that of all its appearances.
    """
    tree = FileTree()
    found: dict[str, list[int]] = {}
    for layer in layers:
        parents = {entry.path.rpartition("/")[0] for entry in layer.entries if entry.kind != OPAQUE}
        for entry in layer.entries:
            if entry.kind == WHITEOUT:
                found.setdefault(entry.path, []).append(tree.bytes_below(entry.path))
            elif entry.kind != OPAQUE and entry.path not in parents:
                found.setdefault(entry.path, []).append(entry.size_bytes)
        tree.add(layer)
    least = sum(min(sizes) for sizes in found.values())
    total = sum(sum(sizes) for sizes in found.values())
    files = [
        WastedFile(f"/{path}", sum(sizes), len(sizes)) for path, sizes in found.items() if len(sizes) > 1 and any(sizes)
    ]
    files.sort(key=lambda file: (-file.total_bytes, file.path))
    return Waste(least / total if total else 1.0, sum(file.total_bytes for file in files), tuple(files))


def is_same_file(before: LayerEntry, after: LayerEntry) -> bool:
    """Whether two entries are the same thing: kind, mode, owner, attributes and content. Times don't count."""
    return _looks_same(before, after) and before.digest == after.digest


def _looks_same(before: LayerEntry, after: LayerEntry) -> bool:
    if before.kind != after.kind or (before.uid, before.gid) != (after.uid, after.gid):
        return False
    if before.kind == "symlink":
        return before.link == after.link
    return (before.mode, before.size_bytes, before.attributes, before.device) == (
        after.mode,
        after.size_bytes,
        after.attributes,
        after.device,
    )


def needed_digests(first: FileTree, second: FileTree, shared: int) -> set[int]:
    """Numbers of shared layers whose files are to be read before two trees can be compared.

    A file that one tree has from a shared layer and the other one from a layer of its own, and that
    looks the same, may still have another content.

    Args: shared: how many of the lowest layers both trees have.
    """
    needed: set[int] = set()
    for path, after in second.standing.items():
        before = first.get(path)
        if before is None or (before.layer < shared) == (after.layer < shared):
            continue
        if before.entry.kind == "file" and _looks_same(before.entry, after.entry):
            needed.add(min(before.layer, after.layer))
    return needed


def differences(first: FileTree, second: FileTree, shared: int = 0) -> list[FileDifference]:
    """How two trees differ, sorted by path. Directories count by what they are, not by what is in them.

    Args: shared: how many of the lowest layers both trees have; what comes from those is the same.
    """
    found = []
    for path in first.standing.keys() | second.standing.keys():
        before, after = first.get(path), second.get(path)
        if before is not None and after is not None:
            if before.layer == after.layer < shared or is_same_file(before.entry, after.entry):
                continue
            kind = "C"
        else:
            kind = "D" if after is None else "A"
        found.append(
            FileDifference(
                path=f"/{path}",
                kind=kind,
                size_before=before.entry.size_bytes if before is not None else 0,
                size_after=after.entry.size_bytes if after is not None else 0,
            )
        )
    return sorted(found, key=lambda difference: difference.path)
