"""Where the data root lies, how much room it has, and whether overlays work on it."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from core.host.mount_table import mount_of
from core.linux.mounts import new_filesystem
from core.model.host_report import HostFeature

_LEAST_BYTES = 1 << 30
_LEAST_INODES = 10_000
_NO_UPPER = ("overlay", "nfs", "nfs4", "vfat", "exfat", "fuseblk", "9p", "virtiofs", "squashfs", "erofs")
"""File systems that can't hold an overlay's upper directory, or not all that an image holds."""


def storage_features(data_root: Path) -> Iterator[HostFeature]:
    """Of the file system that holds the data root, or will."""
    there = data_root
    while not there.exists():
        there = there.parent
    mount = mount_of(there)
    yield _file_system(data_root, mount.fstype, mount.options)
    yield _room(there)
    yield _overlay(there)


def _file_system(data_root: Path, fstype: str, options: frozenset[str]) -> HostFeature:
    found = f"{data_root} is on {fstype}"
    if "ro" in options:
        return HostFeature(
            name="data root",
            standing="missing",
            found=f"{found}, mounted read-only",
            consequence="nothing can be stored",
            remedy="mount it read-write, or name another place with --root",
        )
    if fstype in _NO_UPPER:
        return HostFeature(
            name="data root",
            standing="missing",
            found=found,
            consequence="containers can't write: an overlay needs a file system with its own attributes and devices",
            remedy="name a place on ext4, xfs or btrfs with --root",
        )
    if fstype == "tmpfs":
        return HostFeature(
            name="data root",
            standing="warning",
            found=found,
            consequence="images, containers and volumes are gone after a reboot, and take memory until then",
            remedy="name a place on a disk with --root",
        )
    if hindered := options & {"nodev", "noexec", "nosuid"}:
        return HostFeature(
            name="data root",
            standing="warning",
            found=f"{found}, mounted {', '.join(sorted(hindered))}",
            consequence="volumes inherit that: programs and devices in them don't work",
            remedy="mount it without, or name another place with --root",
        )
    return HostFeature(name="data root", standing="ok", found=found)


def _room(there: Path) -> HostFeature:
    state = os.statvfs(there)
    free, inodes = state.f_bavail * state.f_frsize, state.f_favail
    found = f"{free / 1e9:.1f} GB free of {state.f_blocks * state.f_frsize / 1e9:.1f} GB"
    if free < _LEAST_BYTES or (state.f_files and inodes < _LEAST_INODES):
        return HostFeature(
            name="disk space",
            standing="warning",
            found=found if free < _LEAST_BYTES else f"{inodes} files can still be made",
            consequence="loading images and writing logs will soon fail, and processes that write wait for room",
            remedy="wharf system prune -a, or give the file system more room",
        )
    return HostFeature(name="disk space", standing="ok", found=found)


def _overlay(there: Path) -> HostFeature:
    """Really make one, as a detached mount that nobody sees: what a kernel lists it may still refuse."""
    if os.geteuid() != 0:
        with open("/proc/filesystems") as file:
            is_listed = any(line.split()[-1] == "overlay" for line in file)
        found = "this kernel has it" if is_listed else "not loaded; it is tried as root only"
        return HostFeature(name="overlay", standing="ok" if is_listed else "note", found=found)
    try:
        place = Path(tempfile.mkdtemp(prefix=".overlay-", dir=there))
    except OSError as error:
        return HostFeature(
            name="overlay",
            standing="missing",
            found=f"{there} can't be written: {error.strerror}",
            consequence="nothing can be stored",
            remedy="name another place with --root",
        )
    try:
        parts = {name: place / name for name in ("lowerdir", "upperdir", "workdir")}
        for path in parts.values():
            path.mkdir()
        os.close(new_filesystem("overlay", {name: str(path) for name, path in parts.items()}))
    except OSError as error:
        lacks = error.errno == errno.ENODEV
        return HostFeature(
            name="overlay",
            standing="missing",
            found="this kernel has none" if lacks else f"refused: {error.strerror}",
            consequence="no container starts: its root is an overlay of its image's layers",
            remedy="modprobe overlay" if lacks else "name a place on ext4 or xfs with --root",
        )
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return HostFeature(name="overlay", standing="ok", found=f"mounts on {there}")
