"""A tar of a file or tree of this host, for `cp` into a container and for `image pack`."""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from collections.abc import Iterator

from app.commands.untar import ATTRIBUTE, KEPT_ATTRIBUTES
from core.errors import InvalidInput, wrapped

_CHUNK = 1 << 20
_BLOCK = 512


def pack(source: str, entry: str, *, keep_owner: bool, keep_attributes: bool = False) -> Iterator[bytes]:
    """The pieces of a tar whose top entry is called `entry`; empty: only what is inside the directory.

    Links are kept as links. Without keep_owner everything belongs to root, as docker's cp has it; with
    keep_attributes extended attributes travel as well.
    Raises: EngineError: something can't be read, or is a socket.
    """
    seen: dict[tuple[int, int], str] = {}
    for path, name in _walk(source, entry):
        try:
            yield from _one(path, name, seen, keep_owner, keep_attributes)
        except OSError as error:
            raise wrapped(error, "read", path) from error
    yield b"\0" * (2 * _BLOCK)


def _walk(source: str, entry: str) -> Iterator[tuple[str, str]]:
    if entry:
        yield source, entry
    if stat.S_ISDIR(os.lstat(source).st_mode):
        for name in sorted(os.listdir(source)):
            yield from _walk(os.path.join(source, name), f"{entry}/{name}" if entry else name)


def _one(
    path: str, name: str, seen: dict[tuple[int, int], str], keep_owner: bool, keep_attributes: bool
) -> Iterator[bytes]:
    status = os.lstat(path)
    info = tarfile.TarInfo(name)
    if keep_attributes and not stat.S_ISLNK(status.st_mode):
        info.pax_headers = _attributes(path)
    info.mode = stat.S_IMODE(status.st_mode)
    info.mtime = int(status.st_mtime)
    if keep_owner:
        info.uid, info.gid = status.st_uid, status.st_gid
    if stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(status.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        inode = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and inode in seen:
            info.type, info.linkname = tarfile.LNKTYPE, seen[inode]
        else:
            seen[inode] = name
            yield from _file(path, info)
            return
    elif stat.S_ISFIFO(status.st_mode):
        info.type = tarfile.FIFOTYPE
    elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        info.type = tarfile.CHRTYPE if stat.S_ISCHR(status.st_mode) else tarfile.BLKTYPE
        info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    else:
        raise InvalidInput(f"cannot copy the socket {path}", hint="leave it out")
    yield _header(info)


def _attributes(path: str) -> dict[str, str]:
    """Extended attributes as PAX records; none where the file system has none."""
    try:
        names = [name for name in os.listxattr(path, follow_symlinks=False) if name.startswith(KEPT_ATTRIBUTES)]
        values = [os.getxattr(path, name, follow_symlinks=False) for name in names]
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return {}
    return {
        ATTRIBUTE + name: value.decode("utf-8", "surrogateescape") for name, value in zip(names, values, strict=True)
    }


def _file(path: str, info: tarfile.TarInfo) -> Iterator[bytes]:
    with open(path, "rb") as file:
        info.size = os.fstat(file.fileno()).st_size
        yield _header(info)
        left = info.size
        while left:
            piece = file.read(min(_CHUNK, left))
            if not piece:
                raise InvalidInput(f"{path} became shorter while it was read", hint="copy it again")
            left -= len(piece)
            yield piece
    if info.size % _BLOCK:
        yield b"\0" * (_BLOCK - info.size % _BLOCK)


_PLAIN = "%s%07o\0%07o\0%07o\0%011o\0%011o\0        %s%sustar\x0000%s%07o\0%07o\0"


def _header(info: tarfile.TarInfo) -> bytes:
    """A member's header; of what fits into a plain one, as nearly everything does, made five times as fast."""
    name = info.name + "/" * info.isdir()
    is_small = info.size < 1 << 33 and info.uid < 1 << 21 and info.gid < 1 << 21 and 0 <= info.mtime < 1 << 33
    is_small = is_small and not info.pax_headers
    if is_small and len(name) <= 100 and len(info.linkname) <= 100 and name.isascii() and info.linkname.isascii():
        numbers = (info.mode, info.uid, info.gid, info.size, int(info.mtime))
        ends = (bytes(64).decode(), info.devmajor, info.devminor)
        kind, link = info.type.decode(), info.linkname.ljust(100, "\0")
        raw = (_PLAIN % (name.ljust(100, "\0"), *numbers, kind, link, *ends)).encode().ljust(_BLOCK, b"\0")
        return raw[:148] + b"%06o\0 " % sum(raw) + raw[156:]
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
