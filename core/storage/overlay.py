"""What a container mounts: its layers, an init layer with mount points, and a writable top.

    upper/  work/                      containers/<id>: the container's own
    layers/<top chain>/init/           mount points the image lacks, shared by all its containers
    layers/<chain>/diff/ …             the image, top first; or tree.erofs, which stands for a tar to be mounted

The init layer is why diff and commit never show /etc/hosts and its like: they lie below the upper
directory. Nothing is mounted here; a process in a mount namespace of its own does that.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from core.errors import wrapped
from core.state.leases import Lease
from core.state.paths import Roots
from core.storage.gc import INGEST
from core.storage.layer_tree import LayerTree, Place, open_layer_tree
from core.storage.layers import copy_attributes, lower_of, remove_directory, root_of

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
    """The image's own layers, top first."""
    return [lower_of(roots, chain) for chain in reversed(layers)]


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
            with ExitStack() as held:
                _fill(building, [held.enter_context(open_layer_tree(path)) for path in image_lowers(roots, layers)])
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
            copy_attributes(root_of(roots, layers[-1]), upper)
        else:
            os.chmod(upper, 0o755)
    except OSError as error:
        raise wrapped(error, "write", directory) from error


def _find(layers: Sequence[LayerTree], path: str) -> tuple[Place | None, Sequence[LayerTree]]:
    """What a path shows as overlay would, no link followed; of a directory also the layers that take part, top first.

    Args: layers: those that take part in the directory it lies in.
    """
    top: Place | None = None
    parts: list[LayerTree] = []
    for layer in layers:
        there = layer.find(path)
        if there is None:
            continue
        if not stat.S_ISDIR(there.mode):
            return (top if top or there.is_whiteout else there), parts
        top = top or there
        parts.append(layer)
        if there.is_opaque:
            break
    return top, parts


def _fill(building: Path, layers: Sequence[LayerTree]) -> None:
    """Make what the image lacks. Only names of our own are looked up, one at a time, following nothing."""
    root, _ = _find(layers, "")
    if layers and root is None:
        raise FileNotFoundError(2, "its layers have no files any more")
    if root:
        copy_attributes(root, building)
    times: list[tuple[Path, int]] = []
    for path, kind in _MOUNT_POINTS:
        parents = path.split("/")[:-1]
        parts, there = layers, building
        for depth in range(len(parents)):
            found, parts = _find(parts, "/".join(parents[: depth + 1]))
            there = there / parents[depth]
            if not there.is_dir():
                # a link or a file of the image in this place is covered by a directory, as docker does
                there.mkdir(mode=0o755)
                if found and parts:
                    copy_attributes(found, there)
                    times.append((there, found.mtime_ns))
        found, _ = _find(parts, path)
        name = building / path
        if kind == "dir" and not (found and stat.S_ISDIR(found.mode)):
            name.mkdir(mode=0o755)
        elif kind == "file" and not (found and stat.S_ISREG(found.mode)):
            name.touch(mode=0o755)
        elif kind == "link" and not (found and stat.S_ISLNK(found.mode)):
            os.symlink(_MTAB, name)
    for directory, mtime_ns in reversed(times):
        os.utime(directory, ns=(mtime_ns, mtime_ns))
    if root:
        os.utime(building, ns=(root.mtime_ns, root.mtime_ns))
