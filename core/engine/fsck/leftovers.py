"""What operations that died have left, and what does not belong here at all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from core.engine.fsck.survey import Survey
from core.engine.fsck.trouble import Trouble, damage, leftover
from core.linux.procfs import read_state
from core.state.damaged import set_aside
from core.state.paths import TOP_LEVEL, Roots
from core.state.trash import discard_elsewhere
from core.storage.downloads import is_kept
from core.storage.gc import INGEST

_TEMPORARY = re.compile(r".+\.(\d+)-[0-9a-f]{8}\.tmp")
"""What core.linux.files writes before it renames."""
_NOT_OURS = "it is nothing of this engine's"


def skeleton_troubles(survey: Survey) -> Iterator[Trouble]:
    """Directories of the data root that are missing; nothing else can be looked at before they are there."""
    for name in survey.missing_directories:
        path = survey.roots.data / name
        yield damage(
            "directory",
            name,
            "it is missing from the data root; what was in it is gone",
            "make it, empty",
            partial(_make_directory, survey.roots, path),
        )


def _make_directory(roots: Roots, path: Path) -> None:
    set_aside_if_file(roots, path)
    path.mkdir(mode=0o711, parents=True, exist_ok=True)


def set_aside_if_file(roots: Roots, path: Path) -> None:
    """Make room for a directory: what has its name and is none goes to damaged/."""
    if os.path.lexists(path) and not path.is_dir():
        set_aside(roots, path, "a directory of this name belongs here")


def leftover_troubles(survey: Survey) -> Iterator[Trouble]:
    """Everything found."""
    roots = survey.roots
    for path in survey.dead_leases:
        yield leftover("lease", path.name[:12], "its operation died", partial(path.unlink, missing_ok=True))
    for name in sorted(os.listdir(roots.trash)):
        yield _deletable("trash", roots.trash, name, "it was removed, but not all of it is gone")
    if INGEST not in survey.holds:
        for name in sorted(os.listdir(roots.ingest)):
            if is_kept(str(roots.ingest / name), name):
                continue  # the next pull goes on with it
            yield _deletable("ingest", roots.ingest, name, "it is half-made, and nobody is at it")
    for directory in _document_directories(roots):
        for name in sorted(os.listdir(directory)):
            found = _TEMPORARY.fullmatch(name)
            if found and not read_state(int(found[1])):
                yield _deletable(
                    "file", directory, name, "it was being written by a process that died", shown=directory
                )
    for path in survey.strangers:
        yield _stranger(roots, path)
    for name in sorted(os.listdir(roots.data)):
        if name not in TOP_LEVEL and not _TEMPORARY.fullmatch(name):
            yield _stranger(roots, roots.data / name)


def _document_directories(roots: Roots) -> Iterator[Path]:
    yield from (roots.data, roots.images, roots.refs, roots.origins)
    for parent in (roots.containers, roots.volumes, roots.layers, roots.networks):
        yield from (Path(entry.path) for entry in os.scandir(parent) if entry.is_dir(follow_symlinks=False))


def _deletable(kind: str, directory: Path, name: str, why: str, *, shown: Path | None = None) -> Trouble:
    key = str(directory / name) if shown else name[:24]
    return leftover(kind, key, why, lambda: discard_elsewhere(directory, name))


def _stranger(roots: Roots, path: Path) -> Trouble:
    return damage("file", str(path), _NOT_OURS, "move it to damaged/", lambda: set_aside(roots, path, _NOT_OURS))
