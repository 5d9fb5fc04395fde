"""Events: what happened to an object, as `events` prints it and the journal keeps it."""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One journal record. `kind` is container, image, volume …; `actor` the object's id."""

    at_ns: int
    kind: str
    action: str
    actor: str
    attributes: dict[str, str] = {}
