"""In which registries a layer was met, and packed as which blob: so that a push can have it mounted instead of sent.

    origins/<diff id hex>.json     newest last

A hint and no more: a registry is asked before anything rests on it, and a file that can't be read is
as good as none.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from core.errors import EngineError
from core.state.documents import read_struct, write_struct
from core.state.paths import Roots

_MOST = 16


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """One repository that has, or had, a layer."""

    host: str
    path: str
    blob: str
    """Digest of the packed archive there."""
    blob_bytes: int
    media_type: str


class OriginsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """origins/<diff id hex>.json."""

    origins: tuple[Origin, ...] = ()


def read_origins(roots: Roots, diff_id: str) -> tuple[Origin, ...]:
    """All that is known of a layer, newest first."""
    try:
        found = read_struct(roots.origins / f"{_hex(diff_id)}.json", "origins", OriginsRecord)
    except (FileNotFoundError, EngineError):
        return ()
    return found.origins[::-1]


def remember_origin(roots: Roots, diff_id: str, origin: Origin) -> None:
    """Note where a layer was met. A disk that is full forgets it."""
    known = read_origins(roots, diff_id)[::-1]
    if origin in known:
        return
    kept = tuple(o for o in known if (o.host, o.path, o.media_type) != (origin.host, origin.path, origin.media_type))
    record = OriginsRecord(origins=(*kept, origin)[-_MOST:])
    with suppress(EngineError):
        write_struct(roots.origins / f"{_hex(diff_id)}.json", "origins", record, durable=False)


def forget_origins(roots: Roots, kept: set[str]) -> None:
    """Throw away what is known of layers other than these (diff ids)."""
    names = {f"{_hex(diff_id)}.json" for diff_id in kept}
    for path in roots.origins.iterdir():
        if path.name not in names:
            path.unlink(missing_ok=True)


def _hex(diff_id: str) -> str:
    return diff_id.removeprefix("sha256:")
