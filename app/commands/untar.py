"""Unpack what `cp` brings out of a container, or `image unpack` out of an image, onto this host.

The tar is made by our engine, but of a tree that a container may be changing meanwhile: nothing
in it is believed. Every entry is made relative to directory descriptors that were opened without
following links, so no name and no link can lead out of the target. tarfile only reads headers.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Self

from core.errors import InvalidInput, UnsafeArchive, wrapped

_CHUNK = 1 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Pieces(io.RawIOBase):
    """An iterator of bytes as a file that can be read once."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """True: that is all it is for."""
        return True

    def read(self, size: int = -1) -> bytes:
        """So many bytes, fewer at the end only."""
        parts: list[memoryview] = []
        missing = size
        while size < 0 or missing:
            if not self._rest:
                self._rest = memoryview(next(self._pieces, b""))
                if not self._rest:
                    break
            part = self._rest if size < 0 else self._rest[:missing]
            self._rest = self._rest[len(part) :]
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)


ATTRIBUTE = "SCHILY.xattr."
"""What a PAX record of an extended attribute begins with."""
KEPT_ATTRIBUTES = ("user.", "security.capability", "system.posix_acl_")
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s2s")
_PLAIN_KINDS = (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE)


class _Info(tarfile.TarInfo):
    """Reads the headers that nearly all entries have five times as fast; the others as tarfile does."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """One header."""
        if len(buf) == tarfile.BLOCKSIZE and buf[156:157] in _PLAIN_KINDS and buf[345:346] == b"\0":
            name, mode, uid, gid, size, mtime, _sum, kind, link, magic, _version = _HEADER.unpack_from(buf)
            if magic == b"ustar\0" and not (uid[0] | gid[0] | size[0] | mtime[0]) & 0x80 and _sum_fits(buf):
                entry = cls(name.partition(b"\0")[0].decode(encoding, errors))
                entry.mode, entry.uid, entry.gid = _octal(mode), _octal(uid), _octal(gid)
                entry.size, entry.mtime, entry.type = _octal(size), _octal(mtime), kind
                entry.linkname = link.partition(b"\0")[0].decode(encoding, errors)
                if kind == tarfile.DIRTYPE:
                    entry.name = entry.name.rstrip("/")
                return entry
        return super().frombuf(buf, encoding, errors)


def _octal(field: bytes) -> int:
    try:
        return int(field.rstrip(b" \0") or b"0", 8)
    except ValueError:
        raise tarfile.HeaderError("invalid header") from None


def _sum_fits(block: bytes | bytearray) -> bool:
    return _octal(bytes(block[148:156])) == sum(block) - sum(block[148:156]) + 256


def unpack(
    pieces: Iterable[bytes], directory: str, *, rename: str | None, keep_owner: bool, keep_attributes: bool = False
) -> int:
    """Unpack a tar below a directory.

    Args: rename: what the first part of every name becomes; None: it stays. keep_owner: set uid
        and gid from the tar. keep_attributes: set extended attributes as well.
    Returns: how many attributes the file system there could not hold.
    Raises: UnsafeArchive: an entry would leave the directory. EngineError: the host refused.
    """
    try:
        root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with tarfile.open(fileobj=Pieces(pieces), mode="r|", errors="surrogateescape", tarinfo=_Info) as tar:
                unpacker = _Unpacker(root, rename, keep_owner, keep_attributes)
                try:
                    unpacker.run(tar)
                finally:
                    unpacker.close()
                return unpacker.attributes_lost
        finally:
            os.close(root)
    except tarfile.TarError as error:
        raise InvalidInput(f"the container's tar can't be read: {error}") from error
    except OSError as error:
        raise wrapped(error, "write to", error.filename or directory) from error


class _Unpacker:
    def __init__(self, root: int, rename: str | None, keep_owner: bool, keep_attributes: bool) -> None:
        self._root = root
        self._rename = rename
        self._keep_owner = keep_owner
        self._keep_attributes = keep_attributes
        self.attributes_lost = 0
        self._parent_parts: list[str] = []
        self._parent = os.dup(root)
        """The directory that the last entry went to: nearly always the next one's as well."""
        self._directories: list[tuple[list[str], int, int, Mapping[str, str]]] = []
        """Modes, times and attributes of directories, set last: what is put inside changes them, or would
        inherit them."""

    def run(self, tar: tarfile.TarFile) -> None:
        """Make every entry, then finish the directories, deepest first."""
        for entry in tar:
            parts = self._placed(entry.name)
            if parts:
                self._make(tar, entry, parts)
        for parts, mode, mtime, attributes in reversed(self._directories):
            number = os.open(parts[-1], _DIRECTORY, dir_fd=self._parent_of(parts))
            try:
                os.fchmod(number, mode)
                self._set_attributes(number, attributes)
                os.utime(number, (mtime, mtime))
            finally:
                os.close(number)

    def _placed(self, name: str) -> list[str]:
        """The names below the root that lead to an entry."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise UnsafeArchive(f"the entry {name!r} would leave the target directory")
        if self._rename is not None and parts:
            parts[0] = self._rename
        return parts

    def close(self) -> None:
        """Let go of what is kept open."""
        os.close(self._parent)

    def _parent_of(self, parts: list[str]) -> int:
        """The directory that an entry lies in; open until the next call."""
        if parts[:-1] != self._parent_parts:
            following = self._open_parent(parts)
            os.close(self._parent)
            self._parent, self._parent_parts = following, parts[:-1]
        return self._parent

    def _open_parent(self, parts: list[str]) -> int:
        number = os.dup(self._root)
        for part in parts[:-1]:
            try:
                following = os.open(part, _DIRECTORY, dir_fd=number)
            except FileNotFoundError:
                os.mkdir(part, 0o755, dir_fd=number)
                following = os.open(part, _DIRECTORY, dir_fd=number)
            except NotADirectoryError:
                raise UnsafeArchive(f"{'/'.join(parts)!r} leads through something that is no directory") from None
            finally:
                os.close(number)
            number = following
        return number

    def _make(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, parts: list[str]) -> None:
        self._make_in(self._parent_of(parts), tar, entry, parts)

    def _make_in(self, parent: int, tar: tarfile.TarFile, entry: tarfile.TarInfo, parts: list[str]) -> None:
        name, mode, mtime = parts[-1], entry.mode & 0o7777, int(entry.mtime)
        if entry.isdir():
            try:
                os.mkdir(name, 0o700, dir_fd=parent)
            except FileExistsError:
                if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
                    raise InvalidInput(f"cannot put the directory {entry.name} where a file is") from None
            self._directories.append((parts, mode, mtime, entry.pax_headers))
            self._own(parent, name, entry)
            return
        if entry.isreg():
            self._make_file(parent, tar, entry, name)
            return
        self._clear(parent, name, entry)
        if entry.issym():
            os.symlink(entry.linkname, name, dir_fd=parent)
            self._own(parent, name, entry)
            os.utime(name, (mtime, mtime), dir_fd=parent, follow_symlinks=False)
        elif entry.islnk():
            target = self._placed(entry.linkname)
            if not target:
                raise UnsafeArchive(f"the hard link {entry.name!r} leads to the directory itself")
            beside = self._open_parent(target)
            try:
                os.link(target[-1], name, src_dir_fd=beside, dst_dir_fd=parent, follow_symlinks=False)
            finally:
                os.close(beside)
        elif entry.isfifo() or entry.ischr() or entry.isblk():
            kind = stat.S_IFIFO if entry.isfifo() else stat.S_IFCHR if entry.ischr() else stat.S_IFBLK
            device = 0 if entry.isfifo() else os.makedev(entry.devmajor, entry.devminor)
            os.mknod(name, kind | mode, device, dir_fd=parent)
            self._own(parent, name, entry)
            os.chmod(name, mode, dir_fd=parent)  # as the archive has it, whatever the umask
            os.utime(name, (mtime, mtime), dir_fd=parent, follow_symlinks=False)

    def _make_file(self, parent: int, tar: tarfile.TarFile, entry: tarfile.TarInfo, name: str) -> None:
        try:
            number = os.open(name, _NEW, 0o600, dir_fd=parent)
        except FileExistsError:
            self._clear(parent, name, entry)
            number = os.open(name, _NEW, 0o600, dir_fd=parent)
        try:
            self._fill(number, tar, entry)
            if self._keep_owner:
                os.fchown(number, entry.uid, entry.gid)
            os.fchmod(number, entry.mode & 0o7777)  # after the owner: a change of owner clears setuid
            self._set_attributes(number, entry.pax_headers)
            os.utime(number, (int(entry.mtime), int(entry.mtime)))
        finally:
            os.close(number)

    def _own(self, parent: int, name: str, entry: tarfile.TarInfo) -> None:
        if self._keep_owner:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)

    def _set_attributes(self, number: int, headers: Mapping[str, str]) -> None:
        """Attributes that images carry, capabilities among them: after the owner, whose change takes them away."""
        if not self._keep_attributes:
            return
        for key, value in headers.items():
            name = key.removeprefix(ATTRIBUTE)
            if name != key and name.startswith(KEPT_ATTRIBUTES):
                try:
                    os.setxattr(
                        number, name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape")
                    )
                except OSError as error:
                    if error.errno not in (errno.EOPNOTSUPP, errno.EPERM):
                        raise
                    self.attributes_lost += 1

    def _clear(self, parent: int, name: str, entry: tarfile.TarInfo) -> None:
        """Make room: what a copy overwrites is replaced, never written through."""
        try:
            status = os.lstat(name, dir_fd=parent)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(status.st_mode):
            raise InvalidInput(f"cannot put the file {entry.name} where a directory is")
        os.unlink(name, dir_fd=parent)

    def _fill(self, number: int, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        for piece in _content(tar, entry):
            view = memoryview(piece)
            while view:
                view = view[os.write(number, view) :]


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> Iterator[bytes]:
    """A file's bytes; of one without holes straight from the stream, which stands where they begin."""
    if entry.sparse is not None or tar.fileobj is None:
        source = tar.extractfile(entry)
        assert source is not None
        while piece := source.read(_CHUNK):
            yield piece
        return
    left = entry.size
    while left:
        piece = tar.fileobj.read(min(left, _CHUNK))
        if not piece:
            raise tarfile.ReadError("unexpected end of data")
        left -= len(piece)
        yield piece
