"""Documents that are replaced, never changed in place, known by when and where they were written.

A value that was read of one is good for as long as the file's stamp is what it was then.
"""

from __future__ import annotations

import os
import time
from typing import Generic, TypeVar

_STEADY_NS = 1_000_000_000
"""Files that were written longer ago than this are known by their stamp; two writes within one tick of the
kernel's clock can't be told apart."""

T = TypeVar("T")

Stamp = tuple[int, int, int]
"""mtime in nanoseconds, inode, size."""


def stamp_of(there: os.stat_result) -> Stamp:
    """When and where a file was written."""
    return there.st_mtime_ns, there.st_ino, there.st_size


def is_steady(stamp: Stamp) -> bool:
    """Whether a change from now on would show in the stamp."""
    return time.time_ns() - stamp[0] > _STEADY_NS


class Remembered(Generic[T]):
    """Values of files, by name. Safe for many threads: at worst something is read twice."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Stamp, T]] = {}

    def get(self, name: str, stamp: Stamp) -> T | None:
        """What was read of a file that has this stamp."""
        known = self._known.get(name)
        return known[1] if known is not None and known[0] == stamp else None

    def keep(self, name: str, stamp: Stamp, value: T) -> None:
        """Remember what was read, if a change would be noticed. Args: stamp: taken before the reading."""
        if is_steady(stamp):
            self._known[name] = stamp, value
        else:
            self._known.pop(name, None)

    def forget(self, name: str) -> None:
        """The file is gone."""
        self._known.pop(name, None)
