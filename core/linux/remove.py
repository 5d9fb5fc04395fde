"""Deleting whole trees by descriptors: no link is followed, no depth is too deep, one descriptor at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable

_O_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(parent: int, name: str | bytes) -> None:
    """rm -rf of `name` in an open directory; missing is fine, and so is somebody who deletes the same tree.

    The way back up is `..`, so nobody may move directories of the tree meanwhile.
    Raises: OSError: naming what could not be removed.
    """
    try:
        current = os.open(name, _O_DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        _unlink(name, parent)
        return
    try:
        waiting = [_remove_files(current)]
        entered: list[bytes] = []
        while waiting:
            if waiting[-1]:
                child = waiting[-1].pop()
                try:
                    following = os.open(child, _O_DIRECTORY, dir_fd=current)
                except FileNotFoundError:
                    continue
                os.close(current)
                current = following
                entered.append(child)
                waiting.append(_remove_files(current))
                continue
            waiting.pop()
            if entered:
                following = os.open("..", _O_DIRECTORY, dir_fd=current)
                os.close(current)
                current = following
                _rmdir(entered.pop(), current)
    finally:
        os.close(current)
    _rmdir(name, parent)


def _unlink(name: str | bytes, directory: int) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass  # somebody else cleans up as well


def _rmdir(name: str | bytes, directory: int) -> None:
    try:
        os.rmdir(name, dir_fd=directory)
    except FileNotFoundError:
        pass  # somebody else cleans up as well


def _remove_files(directory: int) -> list[bytes]:
    """Unlink all that is no directory; the names of those that are."""
    directories: list[bytes] = []
    with os.scandir(directory) as entries:
        listed: Iterable[tuple[bytes, bool]] = [(os.fsencode(e.name), e.is_dir(follow_symlinks=False)) for e in entries]
    for name, is_directory in listed:
        if is_directory:
            directories.append(name)
        else:
            _unlink(name, directory)
    return directories
