"""Control groups: which version, which controllers, and whether they may be used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from core.cgroups import driver
from core.model.host_report import HostFeature

_LOST = {
    "cpu": "--cpus and --cpu-shares have no effect",
    "cpuset": "--cpuset-cpus has no effect",
    "memory": "--memory has no effect, and memory is not shown",
    "pids": "--pids-limit has no effect: a fork bomb is not held back",
    "io": "block I/O is neither limited nor shown",
}
_V1_NAMES = {"io": "blkio"}


def cgroup_features() -> Iterator[HostFeature]:
    """One feature for the hierarchy, one for the controllers, one each for swap and pressure."""
    hierarchies = driver.find_hierarchies()
    if not hierarchies.v1 and hierarchies.v2 is None:
        yield HostFeature(
            name="cgroups",
            standing="missing",
            found="no control group file system is mounted",
            consequence="no container starts: its processes could not be limited, frozen or ended together",
            remedy="mount -t cgroup2 none /sys/fs/cgroup",
        )
        return
    version = {"1": "version 1", "2": "version 2", "hybrid": "version 1, with an empty version 2 beside it"}
    top = Path(hierarchies.v2 if hierarchies.version == "2" and hierarchies.v2 else hierarchies.v1["pids"])
    if os.statvfs(top).f_flag & os.ST_RDONLY:
        yield HostFeature(
            name="cgroups",
            standing="missing",
            found=f"{top} is mounted read-only",
            consequence="no container starts: no group can be made for it",
            remedy=f"mount -o remount,rw {top}",
        )
        return
    yield HostFeature(name="cgroups", standing="ok", found=version[hierarchies.version])
    yield from _controllers(hierarchies)
    yield _swap(hierarchies)
    yield _pressure()


def _controllers(hierarchies: driver.Hierarchies) -> Iterator[HostFeature]:
    if hierarchies.version == "2":
        assert hierarchies.v2 is not None
        there = set(Path(hierarchies.v2, "cgroup.controllers").read_text().split())
    else:
        there = {name for name in _LOST if _V1_NAMES.get(name, name) in hierarchies.v1}
        for name, need in (("devices", "no container starts: its devices could not be filtered"), ("freezer", "")):
            if name not in hierarchies.v1:
                yield HostFeature(
                    name=f"{name} cgroup",
                    standing="missing" if need else "warning",
                    found="not mounted",
                    consequence=need or "pause does not work, and commit can't hold a container still",
                    remedy=f"mkdir /sys/fs/cgroup/{name} && mount -t cgroup -o {name} none /sys/fs/cgroup/{name}",
                )
    absent = [name for name in _LOST if name not in there]
    if not absent:
        yield HostFeature(name="controllers", standing="ok", found=", ".join(sorted(there & _LOST.keys())))
    for name in absent:
        boot = "cgroup_enable=memory" if name == "memory" else f"a kernel with the {name} controller"
        yield HostFeature(
            name=f"{name} cgroup",
            standing="warning",
            found="this kernel offers none",
            consequence=_LOST[name],
            remedy=f"boot with {boot}",
        )


def _swap(hierarchies: driver.Hierarchies) -> HostFeature:
    if hierarchies.version == "2":
        counts = any(Path(hierarchies.v2 or "").glob("*/memory.swap.max"))
    else:
        counts = Path(hierarchies.v1.get("memory", ""), "memory.memsw.limit_in_bytes").exists()
    if counts:
        return HostFeature(name="swap accounting", standing="ok", found="swap is counted and limited")
    return HostFeature(
        name="swap accounting",
        standing="note",
        found="swap is not counted",
        consequence="--memory-swap has no effect: what --memory holds back may go to swap",
        remedy="boot with swapaccount=1",
    )


def _pressure() -> HostFeature:
    try:
        Path("/proc/pressure/cpu").read_bytes()
    except OSError:
        return HostFeature(
            name="pressure",
            standing="note",
            found="this kernel does not measure it",
            consequence="statistics show no time that processes waited for cpu, memory or disks",
            remedy="boot with psi=1",
        )
    return HostFeature(name="pressure", standing="ok", found="cpu, memory, io")
