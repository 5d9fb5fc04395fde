"""Which of two ways new layers are kept: unpacked into directories, or as tars that are mounted as they lie.

Each layer says itself which way it is kept, so both may be found in one image. Whether tars can be mounted is
tried, never guessed: a kernel may lack it, its makers may have left it out, or the data root's file system can't.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import msgspec

from core.errors import CorruptDocument, EngineError, Unsupported
from core.linux.erofs import TAR
from core.linux.procfs import read_boot_id
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
    tried = _try(roots)
    try:
        write_struct(path, "storage", _Remembered(boot_id, tried.works, tried.why), durable=False)
    except EngineError:
        pass  # a full run root: the next one tries again
    return tried


def _try(roots: Roots) -> Tried:
    """Mount a small tar from the data root, in a process of its own, as a container's layer, and read from it."""
    directory = roots.ingest / os.urandom(16).hex()
    with Lease(roots.leases, INGEST):
        try:
            directory.mkdir(mode=0o700)
            (directory / "below").mkdir()
            entry = Entry(b"probe", FILE, 0o644, 0, 0, len(_CONTENT), len(_CONTENT), 0, b"")
            (directory / TAR).write_bytes(header(entry) + _CONTENT.ljust(BLOCK, b"\0") + bytes(2 * BLOCK))
            with opened_pair(directory) as (tar, output):
                index_tar(tar, output, root=(0o755, 0, 0, 0), what="a tar to try with")
            request = {"directory": str(directory), "below": str(directory / "below")}
            with Worker("try-mounted", request) as worker:
                said = worker.finish(what="mount a tar")
            if said != _CONTENT.decode():
                return Tried(works=False, why="a file of a mounted tar had other content")
        except EngineError as error:
            return Tried(works=False, why=error.message)
        except OSError as error:
            return Tried(works=False, why=f"{error.filename}: {(error.strerror or str(error)).lower()}")
        finally:
            if directory.exists():
                remove_directory(directory)
    return Tried(works=True)
