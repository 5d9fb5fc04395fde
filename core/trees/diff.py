"""What a container has changed: its upper directory compared with the image below.

Only the upper directory is walked; every name in it is looked up once in the merged lower tree. The
result is what docker finds by comparing both whole trees (moby: pkg/archive, changes.go): attributes
count, sizes and times of directories don't, and a directory with changes inside is changed itself.
"""

from __future__ import annotations

import os
import stat

from core.trees.faults import over_limit, shown
from core.trees.unpack import OPAQUE_XATTR

ADDED, CHANGED, DELETED = "A", "C", "D"
_O_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SECOND = 1_000_000_000
_DEEPEST = 900


class Comparison:
    """Collects changes as (kind, path)."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, bytes]] = []

    def compare(self, upper: int, lower: int | None, path: bytes = b"", depth: int = 0) -> None:
        """Compare one directory of the upper tree with the same one below; None: there is none, or it is hidden."""
        if depth > _DEEPEST:
            raise over_limit(f"{shown(path)}: too deep to be compared")
        names = _names(upper)
        for name in names:
            self._compare_name(upper, lower, name, path + b"/" + name, depth)
        if lower is not None and _is_opaque(upper):
            taken = set(names)
            self.changes.extend((DELETED, path + b"/" + name) for name in _names(lower) if name not in taken)

    def _compare_name(self, upper: int, lower: int | None, name: bytes, path: bytes, depth: int) -> None:
        new, old = _lookup(upper, name), _lookup(lower, name)
        if new is None:
            return
        if stat.S_ISCHR(new.st_mode) and new.st_rdev == 0:
            if old is not None:
                self.changes.append((DELETED, path))
            return
        listed = len(self.changes)
        if old is None:
            self.changes.append((ADDED, path))
        elif _differs(old, new) or (_capability(lower, name) != _capability(upper, name)):
            self.changes.append((CHANGED, path))
        if not stat.S_ISDIR(new.st_mode):
            return
        is_listed = len(self.changes) > listed
        self._descend(upper, lower if old is not None and stat.S_ISDIR(old.st_mode) else None, name, path, depth)
        if not is_listed and len(self.changes) > listed:
            self.changes.insert(listed, (CHANGED, path))

    def _descend(self, upper: int, lower: int | None, name: bytes, path: bytes, depth: int) -> None:
        inner_upper = _open(upper, name)
        inner_lower = _open(lower, name)
        try:
            if inner_upper is not None:
                self.compare(inner_upper, inner_lower, path, depth + 1)
        finally:
            for descriptor in (inner_upper, inner_lower):
                if descriptor is not None:
                    os.close(descriptor)


def _names(directory: int) -> list[bytes]:
    with os.scandir(directory) as entries:
        return sorted(os.fsencode(entry.name) for entry in entries)


def _lookup(directory: int | None, name: bytes) -> os.stat_result | None:
    if directory is None:
        return None
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _open(directory: int | None, name: bytes) -> int | None:
    if directory is None:
        return None
    try:
        return os.open(name, _O_DIRECTORY, dir_fd=directory)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_opaque(directory: int) -> bool:
    try:
        return os.getxattr(directory, OPAQUE_XATTR) == b"y"
    except OSError:
        return False


def _differs(old: os.stat_result, new: os.stat_result) -> bool:
    if (old.st_mode, old.st_uid, old.st_gid, old.st_rdev) != (new.st_mode, new.st_uid, new.st_gid, new.st_rdev):
        return True
    if stat.S_ISDIR(new.st_mode):
        return False
    return old.st_size != new.st_size or not _same_time(old.st_mtime_ns, new.st_mtime_ns)


def _same_time(one_ns: int, other_ns: int) -> bool:
    """Equal, or equal in whole seconds where one of them has no finer part (it came out of a tar)."""
    if one_ns == other_ns:
        return True
    return one_ns // _SECOND == other_ns // _SECOND and (one_ns % _SECOND == 0 or other_ns % _SECOND == 0)


def _capability(directory: int | None, name: bytes) -> bytes:
    if directory is None:
        return b""
    os.fchdir(directory)
    try:
        return os.getxattr(name, "security.capability", follow_symlinks=False)
    except OSError:
        return b""
