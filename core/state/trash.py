"""Deleting in two steps: rename into trash/, which is atomic, then remove at leisure.

A crash between the two leaves garbage, never half an object; any engine empties the trash.
"""

from __future__ import annotations

import os
from pathlib import Path

from core.errors import wrapped
from core.linux.remove import remove_tree
from core.state.paths import Roots


def discard(roots: Roots, path: Path) -> None:
    """Make a file or directory disappear at once, then delete it. Missing is fine."""
    trash = roots.trash / os.urandom(16).hex()
    try:
        os.rename(path, trash)
    except FileNotFoundError:
        return
    except OSError as error:
        raise wrapped(error, "remove", path) from error
    _delete(roots, trash.name)


def empty(roots: Roots) -> None:
    """Delete what earlier crashes left in the trash."""
    for name in os.listdir(roots.trash):
        _delete(roots, name)


def _delete(roots: Roots, name: str) -> None:
    discard_elsewhere(roots.trash, name)


def discard_elsewhere(parent: Path, name: str) -> None:
    """Delete something at once that nobody else looks at, such as what a run left in the run root."""
    directory = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove_tree(directory, name)
    except OSError as error:
        raise wrapped(error, "delete", parent / name) from error
    finally:
        os.close(directory)
