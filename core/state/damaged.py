"""Setting aside: what can't stay where it is, but may hold something of somebody's.

    damaged/<uuid>/reason.txt      where it lay, and why it was moved
    damaged/<uuid>/<name>          the thing itself

Nothing of ours ever deletes here.
"""

from __future__ import annotations

import os
from pathlib import Path

from core.errors import wrapped
from core.linux.files import sync_directory, write_atomic
from core.state.paths import Roots


def set_aside(roots: Roots, path: Path, why: str) -> Path:
    """Move a file or directory to damaged/; where it lies now. Missing is fine: then nothing is made.

    Raises: NoSpace, EngineError: it stays where it was.
    """
    place = roots.damaged / os.urandom(8).hex()
    target = place / path.name
    try:
        if not os.path.lexists(path):
            return target
        place.mkdir(mode=0o700, parents=True)
        write_atomic(place / "reason.txt", f"{path}\n{why}\n".encode("utf-8", "surrogateescape"))
        os.rename(path, target)
        sync_directory(path.parent)
    except OSError as error:
        raise wrapped(error, "set aside", path) from error
    return target
