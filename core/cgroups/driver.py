"""What both cgroup versions can do for a container, and which one this host has.

A container's group is <hierarchy>/wharf-<root identity>/<container id>. The monitor makes it,
the first process joins it before anything of the container runs, the spawner samples it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from core.linux.bpf import DeviceRule


class Hierarchies(NamedTuple):
    """Where cgroup file systems are mounted: v1 by controller, v2 (None if there is none)."""

    v1: dict[str, str]
    v2: str | None

    @property
    def version(self) -> str:
        """1, 2, or hybrid (v1 does the work, a v2 tree stands beside it)."""
        if any(controller in self.v1 for controller in ("memory", "cpu", "pids")):
            return "hybrid" if self.v2 else "1"
        return "2"


class Counters(NamedTuple):
    """One reading of a group: totals, in the units the names give."""

    cpu_ns: int
    throttled_ns: int
    memory_bytes: int
    memory_limit_bytes: int
    pids: int
    read_bytes: int
    write_bytes: int
    oom_kills: int
    pressure: tuple[float, float, float]
    """PSI some/10 s of cpu, memory, io in per cent; -1 where there is none."""


class Sampler(Protocol):
    """Kept descriptors of one group's counters."""

    def read(self) -> Counters:
        """Read them all. Raises OSError when the group is gone."""

    def close(self) -> None:
        """Let go of the descriptors."""


class Cgroup(Protocol):
    """One container's group."""

    path: str
    """Relative to the hierarchy, for people."""

    def create(self) -> None:
        """Make it, and its ancestors as they must be."""

    def limit(self, limits: dict[str, Any]) -> list[str]:
        """Write limits (fields of model.limits.Limits); what this host can't do comes back as sentences.

        Raises: OSError: the kernel refused a value; it names the file.
        """

    def filter_devices(self, rules: Iterable[DeviceRule]) -> None:
        """Deny all devices but what the rules allow."""

    def open_for_clone(self) -> int | None:
        """A directory descriptor to clone a first process into, or None if it must call enter()."""

    def enter(self) -> None:
        """Move the calling, single-threaded process in."""

    def prepare_entry(self) -> None:
        """Open what enter() writes to, so that it works after the root has changed."""

    def close_entry(self) -> None:
        """Forget what prepare_entry() opened."""

    def freeze(self) -> None:
        """Stop all processes; returns when they have stopped."""

    def thaw(self) -> None:
        """Let them go on."""

    def processes(self) -> list[int]:
        """Host pids of all members."""

    def oom_kills(self) -> int:
        """How many members the kernel killed for want of memory."""

    def sampler(self) -> Sampler:
        """Open its counters."""

    def remove(self) -> None:
        """Kill what is left and remove it; nothing happens if it is gone."""


def disk_lines(rates: list[dict[str, Any]]) -> list[str]:
    """`major:minor value` of each disk. Raises: OSError: there is no such disk."""
    lines = []
    for rate in rates:
        number = os.stat(rate["path"]).st_rdev
        lines.append(f"{os.major(number)}:{os.minor(number)} {rate['value']}")
    return lines


_ESCAPE = re.compile(rb"\\([0-7]{3})")


def find_hierarchies(mountinfo: str = "/proc/self/mountinfo") -> Hierarchies:
    """Read where the cgroup file systems are mounted. Source: proc_pid_mountinfo(5)."""
    v1: dict[str, str] = {}
    v2: str | None = None
    with open(mountinfo, "rb") as file:
        for line in file:
            before, _, after = line.partition(b" - ")
            kind, _, options = after.partition(b" ")
            if not kind.startswith(b"cgroup"):
                continue
            point = os.fsdecode(_ESCAPE.sub(lambda m: bytes([int(m[1], 8)]), before.split()[4]))
            if kind == b"cgroup2":
                v2 = v2 or point
            else:
                for controller in options.split()[-1].decode().removeprefix("rw,").removeprefix("ro,").split(","):
                    v1.setdefault(controller, point)
    return Hierarchies(v1, v2)


def choose(hierarchies: Hierarchies, path: str) -> Cgroup:
    """The group at a path, by whatever this host offers."""
    if hierarchies.version == "2":
        from core.cgroups.v2 import V2Cgroup

        if hierarchies.v2 is None:
            raise OSError(2, "no cgroup file system is mounted", "/sys/fs/cgroup")
        return V2Cgroup(hierarchies.v2, path)
    from core.cgroups.v1 import V1Cgroup

    return V1Cgroup(hierarchies.v1, path)


def limits_of(hierarchies: Hierarchies) -> tuple[str, ...]:
    """What this host's groups can limit, of: cpu, cpuset, memory, swap, pids, oom-kill-disable."""
    if hierarchies.version == "2":
        with open(f"{hierarchies.v2}/cgroup.controllers") as file:
            there = set(file.read().split())
        if "memory" in there and os.path.exists("/proc/swaps"):
            there.add("swap")
    else:
        there = set(hierarchies.v1)
        memory = hierarchies.v1.get("memory", "")
        there |= {"swap"} if os.path.exists(f"{memory}/memory.memsw.limit_in_bytes") else set()
        there |= {"oom-kill-disable"} if os.path.exists(f"{memory}/memory.oom_control") else set()
    return tuple(name for name in ("cpu", "cpuset", "memory", "swap", "pids", "oom-kill-disable") if name in there)


def group_names(hierarchies: Hierarchies, parent: str) -> set[str]:
    """Names of all groups below a parent, in whichever hierarchy."""
    tops = {hierarchies.v2} if hierarchies.version == "2" else set(hierarchies.v1.values())
    names: set[str] = set()
    for top in tops:
        try:
            names.update(entry.name for entry in os.scandir(f"{top}/{parent}") if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            continue
    return names


def parse_table(data: bytes) -> dict[bytes, int]:
    """Read `name value` lines."""
    table: dict[bytes, int] = {}
    for line in data.splitlines():
        name, _, value = line.partition(b" ")
        if value.isdigit():
            table[name] = int(value)
    return table
