"""Engines for tests that need images but no containers, and what must be true of their stores."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

from core.engine.engine import Engine, open_engine
from core.linux.erofs import is_tree, mount_tree
from core.model.image import Loaded
from core.model.progress import CancelToken, silent
from core.storage.layers import lower_of


def open_store(directory: Path) -> Engine:
    """An engine whose data and run roots lie in a directory of the test."""
    return open_engine(directory / "data", directory / "run")


def import_tar(engine: Engine, data: bytes, reference: str = "made:1") -> Path:
    """Import a tar; the root of its only layer."""
    engine.images.import_tar(io.BytesIO(data), reference, silent, CancelToken())
    return layer_files(engine, engine.images.inspect(reference).layers[-1])


def layer_files(engine: Engine, chain: str) -> Path:
    """The root of a layer: its directory, or its tar mounted where nobody but this process sees it."""
    lower = str(lower_of(engine.roots, chain))
    if not is_tree(lower):
        return Path(lower)
    _mounted.append(mount_tree(lower))
    return Path(f"/proc/{os.getpid()}/fd/{_mounted[-1]}")


_mounted: list[int] = []
"""Kept until let_go(): a mount lasts as long as its descriptor."""


def let_go() -> None:
    """Unmount what layer_files() has mounted."""
    while _mounted:
        os.close(_mounted.pop())


def load(engine: Engine, data: bytes) -> Sequence[Loaded]:
    return engine.images.load(io.BytesIO(data), silent, CancelToken())


def save(engine: Engine, *keys: str, format: str = "docker-archive") -> bytes:
    sink = io.BytesIO()
    engine.images.save(keys, sink, silent, CancelToken(), format=format)
    return sink.getvalue()


def contents(engine: Engine) -> set[str]:
    """Everything of the store that an operation could leave behind, half-made things included."""
    roots = engine.roots
    found: set[str] = set()
    for directory in (roots.layers, roots.images, roots.refs, roots.ingest, roots.leases, roots.trash, roots.volumes):
        found.update(f"{directory.name}/{name}" for name in os.listdir(directory))
    for first in roots.blobs.iterdir():
        found.update(f"blobs/{blob.name}" for blob in first.iterdir())
    found.discard("refs/.lock")
    return found
