"""What a host offers containers and what it lacks, one feature at a time."""

from __future__ import annotations

from typing import Literal

import msgspec

Standing = Literal["ok", "note", "warning", "missing"]
"""note: something is not there that few would miss. warning: something asked for will not work as
asked. missing: without it no container runs."""


class HostFeature(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    name: str
    standing: Standing
    found: str
    """What there is, a phrase."""
    consequence: str = ""
    """What that means for containers, a sentence; empty where all is well."""
    remedy: str = ""
    """The command, or the deed, that mends it."""
