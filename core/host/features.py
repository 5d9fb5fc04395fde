"""`doctor`: everything a container needs of this host, looked at and, where it can be, tried.

Nothing is changed: mounts that are tried are detached and gone at once, namespaces end with the
process that was put into them.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import resource
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.host.cgroup_features import cgroup_features
from core.host.isolation_features import isolation_features
from core.host.network_features import network_features
from core.host.storage_features import storage_features
from core.linux.libc import LIBC
from core.model.host_report import HostFeature

_OLDEST_KERNEL = (5, 10)
_WHOLE_KERNEL = (5, 12)
_FEW_FILES = 4096
_STA_UNSYNC = 0x0040
_THIS_PROGRAM_S = 1_767_225_600
"""The beginning of 2026: a clock that shows less is wrong."""


def probe_host(data_root: Path) -> Sequence[HostFeature]:
    """Look at everything. Takes about a tenth of a second; needs no root, but can try more with it."""
    return [
        _kernel(),
        *isolation_features(),
        *cgroup_features(),
        *storage_features(data_root),
        *network_features(),
        *_programs(),
        _files(),
        _clock(),
        _init_system(),
    ]


def _kernel() -> HostFeature:
    release = platform.release()
    numbers = tuple(int(number) for number in re.findall(r"\d+", release)[:2])
    if numbers < _OLDEST_KERNEL:
        return HostFeature(
            name="kernel",
            standing="missing",
            found=release,
            consequence="no container starts: openat2, clone3 and pidfds are needed",
            remedy="boot Linux 5.10 or later",
        )
    if numbers < _WHOLE_KERNEL:
        return HostFeature(
            name="kernel",
            standing="note",
            found=release,
            consequence="a start takes 5 ms longer: the interpreter is sealed by a copy, not by a mount",
            remedy="boot Linux 5.12 or later",
        )
    return HostFeature(name="kernel", standing="ok", found=release)


def _programs() -> Iterator[HostFeature]:
    """What others bring: two programs, two libraries."""
    for program, package, lost in (
        ("ps", "procps", "`top` shows nothing"),
        ("busybox", "busybox-static", "`starter` and `demo` have nothing to make an image of"),
        (
            "iptables",
            "iptables",
            "beside Docker's daemon or another firewall that drops, networks reach no other hosts",
        ),
    ):
        place = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
        if place:
            yield HostFeature(name=program, standing="ok", found=place)
        else:
            yield HostFeature(
                name=program,
                standing="note",
                found="not installed",
                consequence=lost,
                remedy=f"apt-get install {package}",
            )


def _files() -> HostFeature:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = "no limit" if hard == resource.RLIM_INFINITY else str(hard)
    if hard == resource.RLIM_INFINITY or hard >= _FEW_FILES:
        return HostFeature(name="open files", standing="ok", found=found)
    return HostFeature(
        name="open files",
        standing="warning",
        found=found,
        consequence="a container's programs inherit that, and a busy server runs out of descriptors",
        remedy="ulimit -Hn 1048576, as root and before wharf starts its first container",
    )


class _Timex(ctypes.Structure):
    """struct timex, as far as its status; the rest is room for the kernel."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    ]


def _clock() -> HostFeature:
    now_s = time.time()
    found = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now_s))
    if now_s < _THIS_PROGRAM_S:
        return HostFeature(
            name="clock",
            standing="warning",
            found=found,
            consequence="ages, log times and filters by time are wrong",
            remedy="timedatectl set-time, or date -s",
        )
    reading = _Timex()
    if LIBC.adjtimex(ctypes.byref(reading)) >= 0 and reading.status & _STA_UNSYNC:
        return HostFeature(
            name="clock",
            standing="note",
            found=f"{found}, kept by nobody",
            consequence="log times drift from those of other machines",
            remedy="apt-get install systemd-timesyncd",
        )
    return HostFeature(name="clock", standing="ok", found=f"{found}, synchronised")


def _init_system() -> HostFeature:
    try:
        first = Path("/proc/1/comm").read_text().strip()
    except OSError:
        first = "unknown"
    if first == "systemd":
        return HostFeature(name="systemd", standing="ok", found="process 1")
    return HostFeature(
        name="systemd",
        standing="note",
        found=f"process 1 is {first}",
        consequence="nothing starts containers again after a reboot, save what you put into this machine's start-up",
    )
