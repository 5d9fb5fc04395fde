"""The platform of this machine, as images call it: the one that its containers can have."""

from __future__ import annotations

import os

_MACHINES = {"x86_64": ("amd64", ""), "aarch64": ("arm64", "v8"), "armv7l": ("arm", "v7"), "i686": ("386", "")}


def _own_platform() -> tuple[str, ...]:
    machine = os.uname().machine
    architecture, variant = _MACHINES.get(machine, (machine, ""))
    spelled = ("linux", architecture, f"linux/{architecture}")
    return (*spelled, f"linux/{architecture}/{variant}") if variant else spelled


OWN_PLATFORM = _own_platform()
"""Every way to write it; the empty word is left to be the default."""
