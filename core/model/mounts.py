"""Bind mounts, volumes and tmpfs: what a person asked to see inside the container."""

from __future__ import annotations

from typing import Literal

import msgspec

MountKind = Literal["bind", "volume", "tmpfs"]


class MountSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One wished mount, before volumes have been looked up.

    `source` is a host path (bind), a volume's name or empty for an anonymous one (volume),
    or empty (tmpfs). `target` is an absolute, cleaned path inside the container.
    """

    kind: MountKind
    source: str = ""
    target: str
    read_only: bool = False
    create_source: bool = False
    """-v makes a missing host directory; --mount does not."""
    no_copy: bool = False
    propagation: str = ""
    options: tuple[str, ...] = ()
    """tmpfs only: size=…, mode=…, noexec, …"""


class Mount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A mount of a created container: `source` is the host directory or file that is shown."""

    kind: MountKind
    name: str = ""
    """The volume's name, empty for the others."""
    source: str = ""
    target: str
    read_only: bool = False
    propagation: str = ""
    options: tuple[str, ...] = ()
    anonymous: bool = False
    no_copy: bool = False
    create_source: bool = False
