"""Whether an unpacked layer still is what its archive says: kinds, owners, modes, links, content.

Times and extended attributes are not compared: reading must not be enough to make a layer damaged.
The archive is trusted (its digest was checked before); the tree is walked without following a link.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from core.errors import EngineError
from core.model.display import safe_text
from core.model.progress import CancelToken
from core.state.paths import Roots
from core.storage.blobs import CHUNK_BYTES, open_blob
from core.storage.compression import plain_pieces
from core.trees import tarread
from core.trees.faults import TreeFault
from core.trees.source import Source
from core.trees.tarread import TarReader

_FORMATS = {
    tarread.FILE: stat.S_IFREG,
    tarread.DIRECTORY: stat.S_IFDIR,
    tarread.SYMLINK: stat.S_IFLNK,
    tarread.CHAR: stat.S_IFCHR,
    tarread.BLOCK_DEVICE: stat.S_IFBLK,
    tarread.FIFO: stat.S_IFIFO,
}
_WHITEOUT = b".wh."


class _Promise(msgspec.Struct):
    """What the archive says of one path; format 0: another name of a file."""

    format: int
    mode: int = 0
    is_mode_bent: bool = False
    """An access list's mask stands where the group's permissions are."""
    uid: int = 0
    gid: int = 0
    link: bytes = b""
    size: int = 0
    digest: bytes = b""


def first_difference(roots: Roots, blob: str, tree: Path, cancel: CancelToken) -> str:
    """A phrase about the first thing that differs, or nothing.

    Raises: EngineError: the archive can't be read. Cancelled.
    """
    promises = _promises(roots, blob, cancel)
    # an archive may write through its own links: then files lie elsewhere than their names say
    is_plain = all(_parent_format(promises, path) in (0, stat.S_IFDIR) for path in promises)
    found: set[bytes] = set()
    directories = {b""}
    for path, there in _walk(os.fsencode(tree)):
        cancel.check()
        found.add(path)
        if stat.S_ISDIR(there.st_mode):
            directories.add(path)
        promise = promises.get(path)
        if promise is None and not is_plain:
            continue
        why = _difference(os.path.join(os.fsencode(tree), path), there, promise, cancel)
        if why:
            return f"/{safe_text(path)} {why}"
    missing = [path for path in promises if path and path not in found and os.path.dirname(path) in directories]
    return f"/{safe_text(missing[0])} is missing" if missing else ""


def _parent_format(promises: dict[bytes, _Promise], path: bytes) -> int:
    parent = promises.get(os.path.dirname(path))
    return parent.format if parent is not None and path else 0


def _promises(roots: Roots, blob: str, cancel: CancelToken) -> dict[bytes, _Promise]:
    descriptor = open_blob(roots, blob)
    try:
        pieces = plain_pieces(lambda size: os.read(descriptor, size), what=f"blob {blob[7:19]}")
        reader = TarReader(Source(_reader(pieces)))
        promises: dict[bytes, _Promise] = {}
        for entry in reader:
            cancel.check()
            path = os.path.normpath(b"/" + entry.name).lstrip(b"/")
            if any(part.startswith(_WHITEOUT) for part in path.split(b"/")):
                continue
            promise = _Promise(_FORMATS.get(entry.kind, 0), entry.mode & 0o7777, uid=entry.uid, gid=entry.gid)
            promise.is_mode_bent = b"system.posix_acl_access" in entry.xattrs
            if entry.kind is tarread.SYMLINK:
                promise.link = entry.link
            elif entry.kind is tarread.FILE:
                promise.size = entry.size
                if entry.sparse is None:  # holes would have to be hashed as zeros: size and kind must do
                    digest = hashlib.sha256()
                    while piece := reader.read_piece(CHUNK_BYTES):
                        digest.update(piece)
                    promise.digest = digest.digest()
            promises[path] = promise
        return promises
    except TreeFault as fault:
        raise EngineError(f"blob {blob[7:19]} is no archive: {fault}") from None
    finally:
        os.close(descriptor)


def _reader(pieces: Iterator[bytes]) -> Callable[[int], bytes]:
    """A read(size) over pieces, as Source wants it."""
    rest = b""

    def read(size: int) -> bytes:
        nonlocal rest
        if not rest:
            rest = next(pieces, b"")
        piece, rest = rest[:size], rest[size:]
        return piece

    return read


def _walk(top: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    """Every path below a directory, relative to it, without following links."""
    waiting = [b""]
    while waiting:
        directory = waiting.pop()
        for entry in os.scandir(os.path.join(top, directory)):
            path = os.path.join(directory, entry.name)
            there = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(there.st_mode):
                waiting.append(path)
            yield path, there


def _difference(path: bytes, there: os.stat_result, promise: _Promise | None, cancel: CancelToken) -> str:
    form = stat.S_IFMT(there.st_mode)
    if promise is None:
        is_whiteout = form == stat.S_IFCHR and there.st_rdev == 0
        return "" if form == stat.S_IFDIR or is_whiteout else "is not in the archive"
    if promise.format == 0:
        return ""
    if form != promise.format:
        return "is of another kind"
    if (there.st_uid, there.st_gid) != (promise.uid, promise.gid):
        return f"belongs to {there.st_uid}:{there.st_gid}, not {promise.uid}:{promise.gid}"
    if form == stat.S_IFLNK:
        return "" if os.readlink(path) == promise.link else "leads elsewhere"
    if stat.S_IMODE(there.st_mode) != promise.mode and not promise.is_mode_bent:
        return f"has mode {stat.S_IMODE(there.st_mode):o}, not {promise.mode:o}"
    if form == stat.S_IFREG:
        if there.st_size != promise.size:
            return f"has {there.st_size} bytes, not {promise.size}"
        if promise.digest and _digest(path, cancel) != promise.digest:
            return "has other content"
    return ""


def _digest(path: bytes, cancel: CancelToken) -> bytes:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(CHUNK_BYTES):
            cancel.check()
            digest.update(piece)
    return digest.digest()
