"""Whom an image is for: `os/arch[/variant]`, and which of several fits best."""

from __future__ import annotations

import re

import msgspec

from core.errors import InvalidInput

_PART = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "armel": "arm",
    "armv7l": "arm",
    "armv6l": "arm",
    "i386": "386",
    "i686": "386",
}
_VARIANTS = {"armv7l": "v7", "armhf": "v7", "armv6l": "v6", "armel": "v6"}
_SYSTEMS = {"darwin", "freebsd", "linux", "windows"}


class Platform(msgspec.Struct, frozen=True):
    """An operating system and a processor, as Go names them."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def machine_platform(machine: str) -> Platform:
    """What a machine that calls itself so (uname -m) runs."""
    return Platform("linux", _ARCHITECTURES.get(machine, machine), _VARIANTS.get(machine, ""))


def parse_platform(text: str, machine: str) -> Platform:
    """Read `--platform`; what is left out is this machine's.

    Raises: InvalidInput: in docker's words.
    """
    parts = text.lower().split("/")
    if not 1 <= len(parts) <= 3 or not all(map(_PART.fullmatch, parts)):
        raise InvalidInput(
            f'"{text}" is an invalid platform: must be of the form os/arch[/variant]', hint="for example linux/arm64"
        )
    here = machine_platform(machine)
    if len(parts) == 1:
        if parts[0] in _SYSTEMS:
            return Platform(parts[0], here.architecture, here.variant)
        parts = ["linux", *parts]
    architecture = _ARCHITECTURES.get(parts[1], parts[1])
    variant = parts[2] if len(parts) == 3 else _VARIANTS.get(parts[1], "")
    return Platform(parts[0], architecture, variant)


def fitness(wanted: Platform, offered: Platform) -> int | None:
    """How well an image suits a wish: 0 is exactly it, more is worse, None not at all.

    An arm processor runs what was made for older ones; amd64 and amd64/v1, arm64 and arm64/v8 are the same.
    """
    if (wanted.os, wanted.architecture) != (offered.os, offered.architecture):
        return None
    plain = {"amd64": "v1", "arm64": "v8", "arm": "v7"}.get(wanted.architecture, "")
    has, needs = wanted.variant or plain, offered.variant or plain
    if has == needs:
        return 0
    if has[:1] == needs[:1] == "v" and has[1:].isdigit() and needs[1:].isdigit() and int(needs[1:]) < int(has[1:]):
        return int(has[1:]) - int(needs[1:])
    return None
