"""Single names in a layer, looked up where it lies, in its directory or in the index of its tar: nothing is mounted."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol

from core.errors import CorruptDocument
from core.linux.erofs import TREE

UNPACKED_FILES = "diff"
_OPAQUE = "trusted.overlay.opaque"


class Place(NamedTuple):
    """What lies at a path of a layer, no link followed."""

    mode: int
    uid: int
    gid: int
    mtime_ns: int
    device: int
    is_opaque: bool

    @property
    def is_whiteout(self) -> bool:
        """Whether it hides what layers below have in its place."""
        return stat.S_ISCHR(self.mode) and self.device == 0


class LayerTree(Protocol):
    """One layer's names. Use it as a context manager."""

    def find(self, path: str) -> Place | None:
        """What lies at a path relative to the root, "" being that itself. None: nothing, or its parent is no directory.

        Raises: OSError. CorruptDocument.
        """

    def __enter__(self) -> LayerTree: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_layer_tree(lower: Path) -> LayerTree:
    """Of a lower: a directory, or a `tree.erofs`. Raises: OSError. CorruptDocument: that file is damaged."""
    return _Indexed(lower) if lower.name == TREE else _Unpacked(lower)


class _Unpacked:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> _Unpacked:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def find(self, path: str) -> Place | None:
        place = self._directory
        for part in path.split("/"):  # one at a time: a link of the image on the way leads into the host
            try:
                there = os.stat(place, follow_symlinks=False)
            except FileNotFoundError:
                return None
            if not stat.S_ISDIR(there.st_mode):
                return None
            place = place / part
        try:
            there = os.stat(place, follow_symlinks=False)
        except FileNotFoundError:
            return None
        is_opaque = stat.S_ISDIR(there.st_mode) and _is_opaque(place)
        return Place(there.st_mode, there.st_uid, there.st_gid, there.st_mtime_ns, there.st_rdev, is_opaque)


def _is_opaque(directory: Path) -> bool:
    try:
        return os.getxattr(directory, _OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False


class _Indexed:
    def __init__(self, path: Path) -> None:
        from core.trees.erofs_read import TreeFile  # most layers are directories

        self._path = path
        try:
            self._file = TreeFile(path)
        except ValueError as error:
            raise self._damaged(error) from None

    def __enter__(self) -> _Indexed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.__exit__(kind, error, trace)

    def find(self, path: str) -> Place | None:
        try:
            found = self._file.find(os.fsencode(path))
            if found is None:
                return None
            is_opaque = stat.S_ISDIR(found.mode) and self._file.is_opaque(found)
        except ValueError as error:
            raise self._damaged(error) from None
        return Place(found.mode, found.uid, found.gid, found.mtime_ns, found.device, is_opaque)

    def _damaged(self, error: ValueError) -> CorruptDocument:
        return CorruptDocument(f"{self._path} is damaged: {error}", hint="wharf fsck --deep --repair makes it anew")
