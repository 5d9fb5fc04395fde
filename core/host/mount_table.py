"""Which mount a path lies on. Source: proc_pid_mountinfo(5)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

_OCTAL = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """One line of the mount table."""

    point: Path
    fstype: str
    options: frozenset[str]
    passes: frozenset[str] = frozenset()
    """`shared`, `master` (a slave of somebody's): whether what is mounted below it is passed on."""


def mount_of(path: Path, mountinfo: str = "/proc/self/mountinfo") -> Mount:
    """The mount that holds an existing path: the last one of the longest point above it."""
    path = path.resolve()
    best = Mount(Path("/"), "unknown", frozenset())
    with open(mountinfo, "rb") as file:
        for line in file:
            before, _, after = line.partition(b" - ")
            fields = before.split()
            point = Path(os.fsdecode(_OCTAL.sub(lambda match: bytes([int(match[1], 8)]), fields[4])))
            if (point == path or point in path.parents) and len(point.parts) >= len(best.point.parts):
                fstype, _, rest = after.decode(errors="replace").partition(" ")
                of_file_system = rest.split()[-1].split(",") if rest.split() else []
                options = frozenset([*fields[5].decode().split(","), *(["ro"] if "ro" in of_file_system else [])])
                passes = frozenset(field.decode().partition(":")[0] for field in fields[6:])
                best = Mount(point, fstype, options, passes)
    return best
