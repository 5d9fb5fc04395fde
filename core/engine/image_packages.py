"""Which software an image's package databases list."""

from __future__ import annotations

from collections.abc import Sequence

from core.engine.files import image_view
from core.model.image import Package
from core.model.progress import CancelToken
from core.state.paths import Roots
from core.trees.launch import Worker


def read_packages(roots: Roots, layers: Sequence[str], what: str, cancel: CancelToken) -> list[Package]:
    """Packages sorted by manager and name; the databases are read by a worker that sees the image alone.

    Raises: Integrity, LimitExceeded, EngineError: a database can't be read.
    """
    if not layers:
        return []
    with Worker("packages", {"view": image_view(roots, layers)}) as worker:
        rows: list[dict[str, str]] = worker.finish(what=what, cancel=cancel)
    return [Package(**row) for row in rows]
