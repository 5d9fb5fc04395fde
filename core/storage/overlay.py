"""What a container mounts: its layers, an init layer with mount points, and a writable top.

    upper/  work/                      containers/<id>: the container's own
    layers/<top chain>/init/           mount points the image lacks, shared by all its containers
    layers/<chain>/diff/ …             the image, top first

The init layer is why diff and commit never show /etc/hosts and its like: they lie below the upper
directory. Nothing is mounted here; a process in a mount namespace of its own does that.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from core.errors import wrapped
from core.state.leases import Lease
from core.state.paths import Roots
from core.storage.gc import INGEST
from core.storage.layers import copy_directory_attributes, remove_directory

_MOUNT_POINTS = (
    ("dev/pts", "dir"),
    ("dev/shm", "dir"),
    ("dev/mqueue", "dir"),
    ("dev/console", "file"),
    ("proc", "dir"),
    ("sys", "dir"),
    (".dockerenv", "file"),
    ("etc/hosts", "file"),
    ("etc/hostname", "file"),
    ("etc/resolv.conf", "file"),
    ("etc/mtab", "link"),
)
_MTAB = "/proc/mounts"
_NO_LAYERS = "0" * 64
"""Where the init layer of an image without layers lies."""


def overlay_lowers(roots: Roots, layers: Sequence[str]) -> list[Path]:
    """Lower directories, top first, the init layer above all. ensure_init_layer() comes before."""
    return [_init_directory(roots, layers), *image_lowers(roots, layers)]


def image_lowers(roots: Roots, layers: Sequence[str]) -> list[Path]:
    """The image's own directories, top first."""
    return [roots.layer(chain) / "diff" for chain in reversed(layers)]


def _init_directory(roots: Roots, layers: Sequence[str]) -> Path:
    return roots.layer(layers[-1] if layers else _NO_LAYERS) / "init"


def ensure_init_layer(roots: Roots, layers: Sequence[str]) -> Path:
    """Make the init layer of an image unless it is there; safe when several do so at once.

    Raises: NoSpace, EngineError: naming the path.
    """
    target = _init_directory(roots, layers)
    if target.is_dir():
        return target
    building = roots.ingest / os.urandom(16).hex()
    with Lease(roots.leases, INGEST):
        try:
            target.parent.mkdir(mode=0o700, exist_ok=True)
            building.mkdir(mode=0o755)
            _fill(building, image_lowers(roots, layers))
            try:
                os.rename(building, target)
            except OSError:
                if not target.is_dir():
                    raise
        except OSError as error:
            raise wrapped(error, "write", target) from error
        finally:
            if building.exists():
                remove_directory(building)
    return target


def prepare_upper(
    roots: Roots, layers: Sequence[str], directory: Path, *, only: Sequence[str] = ("upper", "work")
) -> None:
    """Make upper/ and work/ in a container's directory; the upper gets the owner and mode of the image's root.

    Args: only: which of the two.
    """
    try:
        if "work" in only:
            (directory / "work").mkdir(mode=0o700)
        if "upper" not in only:
            return
        upper = directory / "upper"
        upper.mkdir(mode=0o755)
        if layers:
            copy_directory_attributes(roots.layer(layers[-1]) / "diff", upper)
        else:
            os.chmod(upper, 0o755)
    except OSError as error:
        raise wrapped(error, "write", directory) from error


class _Merged:
    """A directory as overlay would show it: the layers that take part, top first."""

    def __init__(self, directories: list[Path]) -> None:
        self.directories = directories

    def find(self, name: str) -> tuple[os.stat_result | None, _Merged]:
        """What a name shows (not following it), and the merged directory if it is one."""
        top: os.stat_result | None = None
        parts: list[Path] = []
        for directory in self.directories:
            try:
                there = os.stat(directory / name, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if not stat.S_ISDIR(there.st_mode):
                if top is None and not _is_whiteout(there):
                    top = there
                break
            top = top or there
            parts.append(directory / name)
            if _is_opaque(directory / name):
                break
        return top, _Merged(parts)


def _is_whiteout(there: os.stat_result) -> bool:
    return stat.S_ISCHR(there.st_mode) and there.st_rdev == 0


def _is_opaque(directory: Path) -> bool:
    try:
        return os.getxattr(directory, "trusted.overlay.opaque", follow_symlinks=False) == b"y"
    except OSError:
        return False


def _fill(building: Path, lowers: list[Path]) -> None:
    """Make what the image lacks. Only names of our own are looked up, one at a time, following nothing."""
    if lowers:
        copy_directory_attributes(lowers[0], building)
    times: list[tuple[Path, int]] = []
    for path, kind in _MOUNT_POINTS:
        *parents, name = path.split("/")
        merged, there = _Merged(lowers), building
        for parent in parents:
            _, merged = merged.find(parent)
            there = there / parent
            if not there.is_dir():
                # a link or a file of the image in this place is covered by a directory, as docker does
                there.mkdir(mode=0o755)
                if merged.directories:
                    copy_directory_attributes(merged.directories[0], there)
                    times.append((there, there.stat().st_mtime_ns))
        found, _ = merged.find(name)
        if kind == "dir" and not (found and stat.S_ISDIR(found.st_mode)):
            (there / name).mkdir(mode=0o755)
        elif kind == "file" and not (found and stat.S_ISREG(found.st_mode)):
            (there / name).touch(mode=0o755)
        elif kind == "link" and not (found and stat.S_ISLNK(found.st_mode)):
            os.symlink(_MTAB, there / name)
    for directory, mtime_ns in reversed(times):
        os.utime(directory, ns=(mtime_ns, mtime_ns))
    if lowers:
        mtime_ns = lowers[0].stat().st_mtime_ns
        os.utime(building, ns=(mtime_ns, mtime_ns))
