"""Which of two ways new layers are kept: unpacked into directories, or as tars that are mounted as they lie.

Each layer says itself which way it is kept, so both may be found in one image. Whether tars can be mounted is
tried, never guessed: a kernel may lack it, its makers may have left it out, or the data root's file system can't.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import msgspec

from core.errors import CorruptDocument, EngineError, Unsupported
from core.linux.erofs import TAR
from core.linux.procfs import read_boot_id
from core.model.host_report import HostFeature
from core.state.documents import read_struct, write_struct
from core.state.leases import Lease
from core.state.paths import Roots
from core.storage.gc import INGEST
from core.storage.indexing import index_tar, opened_pair
from core.storage.layers import MOUNTED, UNPACKED, remove_directory
from core.trees.launch import Worker
from core.trees.tarread import BLOCK, FILE, Entry
from core.trees.tarwrite import header

DRIVERS = (UNPACKED, MOUNTED)
USUAL = UNPACKED
"""Where nobody has said what is wanted."""
_CONTENT = b"read through the tar"


class Tried(NamedTuple):
    """Whether tars can be mounted here, and what keeps them from it."""

    works: bool
    why: str = ""


class _Remembered(msgspec.Struct, frozen=True):
    boot_id: str
    works: bool
    why: str


def driver_of(roots: Roots) -> str:
    """How a new layer is kept."""
    wanted = roots.storage_driver or USUAL
    return MOUNTED if wanted == MOUNTED and can_mount(roots).works else UNPACKED


def can_mount(roots: Roots, *, anew: bool = False) -> Tried:
    """Whether tars can be mounted here, found out once a boot. Args: anew: don't go by what was found before."""
    path = roots.run / "storage.json"
    boot_id = read_boot_id()
    if not anew:
        try:
            known = read_struct(path, "storage", _Remembered)
            if known.boot_id == boot_id:
                return Tried(known.works, known.why)
        except (FileNotFoundError, CorruptDocument, Unsupported):
            pass  # nobody has asked yet
    tried, is_lasting = _try(roots)
    if not is_lasting:
        return tried
    try:
        write_struct(path, "storage", _Remembered(boot_id, tried.works, tried.why), durable=False)
    except EngineError:
        pass  # a full run root: the next one tries again
    return tried


def layer_feature(roots: Roots) -> HostFeature:
    """What doctor says of it."""
    if os.geteuid() != 0:
        return HostFeature(name="layers", standing="ok", found="only root can try whether tars can be mounted")
    tried = can_mount(roots, anew=True)
    if tried.works:
        how = "mounted" if driver_of(roots) == MOUNTED else "unpacked; storage-driver erofs would mount them"
        return HostFeature(name="layers", standing="ok", found=f"tars can be mounted; new ones are {how}")
    return HostFeature(
        name="layers",
        standing="warning" if roots.storage_driver == MOUNTED else "note",
        found=f"no tar can be mounted: {tried.why}",
        consequence="images are unpacked, which takes longer and more of the disk",
        remedy="boot Linux 6.12 or later with EROFS_FS and EROFS_FS_BACKED_BY_FILE, on ext4, xfs or btrfs",
    )


def _try(roots: Roots) -> tuple[Tried, bool]:
    """Mount a small tar from the data root, in a process of its own, as a container's layer, and read from it.

    Returns: what came of it, and whether the same would come of it again: a full disk says nothing of the host.
    """
    directory = roots.ingest / os.urandom(16).hex()
    with Lease(roots.leases, INGEST):
        try:
            directory.mkdir(mode=0o700)
            (directory / "below").mkdir()
            entry = Entry(b"probe", FILE, 0o644, 0, 0, len(_CONTENT), len(_CONTENT), 0, b"")
            (directory / TAR).write_bytes(header(entry) + _CONTENT.ljust(BLOCK, b"\0") + bytes(2 * BLOCK))
            with opened_pair(directory) as (tar, output):
                index_tar(tar, output, root=(0o755, 0, 0, 0), what="a tar to try with")
        except EngineError as error:
            return Tried(works=False, why=error.message), False
        except OSError as error:
            return Tried(works=False, why=f"{error.filename}: {(error.strerror or str(error)).lower()}"), False
        else:
            return _read_mounted(directory), True
        finally:
            if directory.exists():
                remove_directory(directory)


def _read_mounted(directory: Path) -> Tried:
    request = {"directory": str(directory), "below": str(directory / "below")}
    try:
        with Worker("try-mounted", request) as worker:
            said = worker.finish(what="")
    except EngineError as error:
        return Tried(works=False, why=error.message.replace(f"{directory}/", ""))
    is_same = said == _CONTENT.decode()
    return Tried(is_same, "" if is_same else "a file of a mounted tar has other content")
