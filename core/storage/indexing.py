"""A layer's tar made ready for mounting: its index, written by a worker of its own that reads it once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from core.errors import wrapped
from core.linux.erofs import TAR, TREE
from core.model.progress import CancelToken
from core.trees.launch import Worker, limits_argument
from core.trees.tarread import DEFAULT_LIMITS, Limits

Root = tuple[int, int, int, int]
"""Mode, uid, gid and mtime (ns) of a tree's root."""


class Indexed(NamedTuple):
    """What came out; `why` says what keeps the tar from being mounted, and nothing else counts then."""

    why: str = ""
    entries: int = 0
    size_bytes: int = 0
    """Of all files, as docker counts."""
    tree_bytes: int = 0
    tar_bytes: int = 0


def index_tar(
    tar: int,
    output: int,
    *,
    root: Root,
    what: str,
    limits: Limits = DEFAULT_LIMITS,
    strict_end: bool = False,
    report: Callable[[int], None] | None = None,
    cancel: CancelToken | None = None,
) -> Indexed:
    """Write the index of an open tar into an open file, durably. The same tar and root give the same bytes.

    Args: root: what the root is like where the archive says nothing of it.
    Raises: UnsafeArchive, Integrity, LimitExceeded, NoSpace, Cancelled.
    """
    request = {
        "output": output,
        "root": root,
        "limits": limits_argument(limits),
        "strict_end": strict_end,
    }
    with Worker("index", request, descriptors=(output,), stdin=tar) as worker:
        found: dict[str, Any] = worker.finish(what=what, cancel=cancel, report=report)
    return Indexed(**found, tar_bytes=os.fstat(tar).st_size)


@contextmanager
def opened_pair(directory: Path) -> Iterator[tuple[int, int]]:
    """A layer's tar to be read, and its index to be written."""
    with ExitStack() as held:
        for path, flags in ((directory / TAR, os.O_RDONLY), (directory / TREE, os.O_WRONLY | os.O_CREAT | os.O_EXCL)):
            try:
                descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o444)
            except OSError as error:
                raise wrapped(error, "open", path) from error
            held.callback(os.close, descriptor)
            if path.name == TAR:
                tar = descriptor
        yield tar, descriptor
