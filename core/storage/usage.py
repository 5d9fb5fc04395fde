"""How many bytes a tree of files takes: apparent sizes, a file with several names counted once."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_O_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEPEST = 256
"""Levels that are counted: each takes a descriptor of the engine's."""


def tree_bytes(directory: Path) -> int:
    """Bytes of all regular files below a directory; what vanishes meanwhile does not count, links are not followed."""
    try:
        top = os.open(directory, _O_DIRECTORY)
    except OSError:
        return 0
    total = 0
    seen: set[tuple[int, int]] = set()
    levels = [(top, _names(top))]
    try:
        while levels:
            descriptor, names = levels[-1]
            if not names:
                os.close(levels.pop()[0])
                continue
            name = names.pop()
            try:
                there = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if stat.S_ISDIR(there.st_mode) and len(levels) < _DEEPEST:
                    inner = os.open(name, _O_DIRECTORY, dir_fd=descriptor)
                    levels.append((inner, _names(inner)))
                    continue
            except OSError:
                continue
            key = there.st_dev, there.st_ino
            if stat.S_ISREG(there.st_mode) and key not in seen:
                total += there.st_size
                if there.st_nlink > 1:
                    seen.add(key)
    finally:
        for descriptor, _ in levels:
            os.close(descriptor)
    return total


def _names(directory: int) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries]
