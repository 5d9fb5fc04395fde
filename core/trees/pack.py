"""A tree of files into a tar: layers (with whiteouts), exports, and what cp takes out.

Names come in the order of their bytes, a directory before its content; times have whole seconds,
as docker's; second names of one file become hard links. Files are sent from the page cache to the
pipe inside the kernel; small ones are gathered first.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator

from core.linux.inroot import RESOLVE_NO_SYMLINKS, filesystem_magic, open_in_root
from core.trees import tarread, tarwrite
from core.trees.faults import over_limit, shown
from core.trees.tarread import Entry
from core.trees.unpack import OPAQUE_MARK, OPAQUE_XATTR, WHITEOUT, is_kept_xattr

_GATHER_BYTES = 1024 * 1024
_SMALL_BYTES = 128 * 1024
_WORTH_BYTES = 1024 * 1024
_MOST_PIECES = 10_000
_SECOND = 1_000_000_000
_O_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEPEST = 900

_KINDS = {
    stat.S_IFREG: tarread.FILE,
    stat.S_IFDIR: tarread.DIRECTORY,
    stat.S_IFLNK: tarread.SYMLINK,
    stat.S_IFCHR: tarread.CHAR,
    stat.S_IFBLK: tarread.BLOCK_DEVICE,
    stat.S_IFIFO: tarread.FIFO,
}


class Output:
    """Writes to a descriptor, small pieces together."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pieces: list[bytes] = []
        self._size = 0
        self._in_kernel = True

    def put(self, data: bytes) -> None:
        """Append."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= _GATHER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        view = memoryview(b"".join(self._pieces))
        self._pieces, self._size = [], 0
        while view:
            view = view[os.write(self._descriptor, view) :]

    def put_file(self, source: int, offset: int, size: int) -> None:
        """Exactly `size` bytes of an open file; one that shrinks meanwhile is filled with zeros."""
        at = 0
        if size > _SMALL_BYTES and self._in_kernel:
            self.flush()
            at = self._send(source, offset, size)
        while at < size:
            piece = os.pread(source, min(size - at, _GATHER_BYTES), offset + at)
            if not piece:
                piece = bytes(min(size - at, _GATHER_BYTES))
            self.put(piece)
            at += len(piece)

    def _send(self, source: int, offset: int, size: int) -> int:
        at = 0
        while at < size:
            try:
                sent = os.sendfile(self._descriptor, source, offset + at, size - at)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                    raise
                self._in_kernel = False
                return at
            if not sent:
                return at
            at += sent
        return at


KERNEL_MADE = {
    0x9FA0,  # proc
    0x62656572,  # sysfs
    0x27E0EB,  # cgroup
    0x63677270,  # cgroup2
    0x1CD1,  # devpts
    0x19800202,  # mqueue
}
"""File systems that hold no files of anybody: a running container's root is packed without what they show.
Source: linux/magic.h."""


class _Level:
    """One directory on the way down."""

    def __init__(self, descriptor: int, prefix: bytes) -> None:
        self.descriptor = descriptor
        self.prefix = prefix
        self.listing = _listing(descriptor)


class TreePacker:
    """Packs what lies below an open directory.

    Args: whiteouts: the directory is an overlay's upper one: 0:0 devices and opaque marks become
        `.wh.` entries; else such things are left as they are. left_out: names, relative to the root,
        that are passed over with all below them.
    """

    def __init__(self, root: int, output: Output, *, whiteouts: bool, left_out: frozenset[bytes] = frozenset()) -> None:
        self._root = root
        self._output = output
        self._whiteouts = whiteouts
        self._left_out = left_out
        self._seen: dict[tuple[int, int], bytes] = {}

    def pack_below(self, directory: bytes = b".", rename: bytes = b"") -> None:
        """Everything in a directory, named as if `directory` were `rename`."""
        top = self._open(directory)
        if top is None:
            return
        levels = [_Level(top, rename + b"/" if rename else b"")]
        try:
            while levels:
                level = levels[-1]
                following = next(level.listing, None)
                if following is None:
                    os.close(levels.pop().descriptor)
                    continue
                name, there = following
                named = level.prefix + name
                if named in self._left_out:
                    continue
                if not self._member(level.descriptor, name, named, there):
                    continue
                if len(levels) > _DEEPEST:
                    raise over_limit(f"{shown(named)}: too deep to be packed")
                child = self._open_child(level.descriptor, name)
                if child is None:
                    continue
                if self._whiteouts and _is_opaque(child):
                    self._put_opaque(named, there)
                levels.append(_Level(child, named + b"/"))
        finally:
            for level in levels:
                os.close(level.descriptor)

    def pack_one(self, parent: int, name: bytes, rename: bytes) -> bool:
        """One member by its parent directory; whether it is a directory, whose content may follow."""
        return self._member(parent, name, rename, os.stat(name, dir_fd=parent, follow_symlinks=False))

    def pack_root(self, name: bytes = b".") -> None:
        """The root directory itself."""
        there = os.stat(".", dir_fd=self._root)
        self._output.put(tarwrite.header(_entry(name, tarread.DIRECTORY, there, {})))

    def pack_whiteout(self, named: bytes, mtime_ns: int = 0) -> None:
        """The mark of a name that was deleted."""
        directory, _, last = named.rpartition(b"/")
        mark = (directory + b"/" if directory else b"") + WHITEOUT + last
        self._output.put(
            tarwrite.header(
                Entry(
                    name=mark,
                    kind=tarread.FILE,
                    mode=0o600,
                    uid=0,
                    gid=0,
                    size=0,
                    stored=0,
                    mtime_ns=mtime_ns,
                    link=b"",
                )
            )
        )

    def pack_chosen(self, paths: Iterable[bytes]) -> None:
        """Members by their paths, directories before what is in them; a path that begins with `-` was deleted.

        Each path is relative to the root and has `+` or `-` in front; none leads through a link.
        """
        parent, parent_path = -1, None
        try:
            for chosen in paths:
                path = chosen[1:]
                if chosen[:1] == b"-":
                    self.pack_whiteout(path)
                    continue
                directory, _, name = path.rpartition(b"/")
                if directory != parent_path:
                    if parent >= 0:
                        os.close(parent)
                    parent, parent_path = -1, None
                    parent = open_in_root(self._root, directory or b".", _O_DIRECTORY, resolve=RESOLVE_NO_SYMLINKS)
                    parent_path = directory
                self.pack_one(parent, name, path)
        finally:
            if parent >= 0:
                os.close(parent)

    def end(self) -> None:
        """The end mark."""
        self._output.put(tarwrite.END)
        self._output.flush()

    def _open(self, path: bytes) -> int | None:
        try:
            return open_in_root(self._root, path, _O_DIRECTORY, resolve=RESOLVE_NO_SYMLINKS)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _open_child(self, parent: int, name: bytes) -> int | None:
        """A directory to go into; None if it went away, became something else, or is the kernel's own."""
        try:
            child = os.open(name, _O_DIRECTORY, dir_fd=parent)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return None
            raise
        if os.fstat(child).st_dev != os.fstat(parent).st_dev and filesystem_magic(child) in KERNEL_MADE:
            os.close(child)
            return None
        return child

    def _member(self, parent: int, name: bytes, named: bytes, there: os.stat_result) -> bool:
        kind = _KINDS.get(stat.S_IFMT(there.st_mode))
        if kind is None:
            return False  # sockets have no place in a tar
        if kind is tarread.FILE:
            self._put_file(parent, name, named, there)
            return False
        if self._whiteouts and kind is tarread.CHAR and there.st_rdev == 0:
            self.pack_whiteout(named, there.st_mtime_ns // _SECOND * _SECOND)
            return False
        os.fchdir(parent)
        try:
            entry = _entry(named, kind, there, _xattrs(name))
            if kind is tarread.SYMLINK:
                entry.link = os.readlink(name)
                entry.mode = 0o777
            elif there.st_nlink > 1 and kind is not tarread.DIRECTORY and self._put_second_name(there, named):
                return False
        except FileNotFoundError:
            return False  # gone since it was listed
        if kind in (tarread.CHAR, tarread.BLOCK_DEVICE):
            entry.major, entry.minor = os.major(there.st_rdev), os.minor(there.st_rdev)
        self._output.put(tarwrite.header(entry))
        return kind is tarread.DIRECTORY

    def _put_file(self, parent: int, name: bytes, named: bytes, there: os.stat_result) -> None:
        if there.st_nlink > 1 and self._put_second_name(there, named):
            return
        try:
            source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):
                return  # gone, or no longer a file, since it was listed
            raise
        try:
            there = os.fstat(source)
            if not stat.S_ISREG(there.st_mode):
                return
            entry = _entry(named, tarread.FILE, there, _xattrs(source))
            pieces = _data_pieces(source, there)
            if pieces is not None:
                self._put_sparse(source, entry, pieces)
                return
            self._output.put(tarwrite.header(entry))
            if there.st_size:
                self._output.put_file(source, 0, there.st_size)
                self._output.put(tarwrite.padding(there.st_size))
        finally:
            os.close(source)

    def _put_sparse(self, source: int, entry: Entry, pieces: list[tuple[int, int]]) -> None:
        """A file with large holes: only what is stored is sent, in front of it where it belongs."""
        sparse_map = tarwrite.sparse_map(pieces)
        entry.sparse = pieces
        entry.stored = len(sparse_map) + sum(length for _, length in pieces)
        self._output.put(tarwrite.header(entry) + sparse_map)
        for offset, length in pieces:
            self._output.put_file(source, offset, length)
        self._output.put(tarwrite.padding(entry.stored))

    def _put_second_name(self, there: os.stat_result, named: bytes) -> bool:
        """A hard link to a file that was packed already; False if this is its first name."""
        key = there.st_dev, there.st_ino
        first = self._seen.setdefault(key, named)
        if first is named:
            return False
        entry = _entry(named, tarread.HARDLINK, there, {})
        entry.size = entry.stored = 0
        entry.link = first
        self._output.put(tarwrite.header(entry))
        return True

    def _put_opaque(self, named: bytes, there: os.stat_result) -> None:
        entry = _entry(named + b"/" + OPAQUE_MARK, tarread.FILE, there, {})
        entry.size = entry.stored = entry.mtime_ns = 0
        entry.mode = stat.S_IMODE(there.st_mode) & 0o777
        self._output.put(tarwrite.header(entry))


def _listing(descriptor: int) -> Iterator[tuple[bytes, os.stat_result]]:
    """Names and what they are, in the order of their bytes."""
    with os.scandir(descriptor) as entries:
        names = sorted(os.fsencode(entry.name) for entry in entries)
    for name in names:
        try:
            yield name, os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        except FileNotFoundError:
            continue


def _data_pieces(source: int, there: os.stat_result) -> list[tuple[int, int]] | None:
    """(offset, length) of what is stored of a file with a megabyte of holes or more; None: it is sent whole."""
    if there.st_size - there.st_blocks * 512 < _WORTH_BYTES:
        return None
    pieces: list[tuple[int, int]] = []
    at = 0
    while at < there.st_size:
        try:
            start = os.lseek(source, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break  # holes to the end
            return None
        at = min(os.lseek(source, start, os.SEEK_HOLE), there.st_size)
        pieces.append((start, at - start))
        if len(pieces) > _MOST_PIECES:
            return None
    return pieces


def _is_opaque(directory: int) -> bool:
    try:
        return os.getxattr(directory, OPAQUE_XATTR) == b"y"
    except OSError:
        return False


def _xattrs(target: int | bytes) -> dict[bytes, bytes]:
    """The attributes that travel. A name is looked up in the working directory."""
    found: dict[bytes, bytes] = {}
    try:
        names = os.listxattr(target) if isinstance(target, int) else os.listxattr(target, follow_symlinks=False)
        for name in names:
            key = os.fsencode(name)
            if is_kept_xattr(key):
                if isinstance(target, int):
                    found[key] = os.getxattr(target, name)
                else:
                    found[key] = os.getxattr(target, name, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENODATA, errno.EPERM):
            raise
    return found


def _entry(name: bytes, kind: str, there: os.stat_result, xattrs: dict[bytes, bytes]) -> Entry:
    size = there.st_size if kind is tarread.FILE else 0
    return Entry(
        name=name,
        kind=kind,
        mode=stat.S_IMODE(there.st_mode),
        uid=there.st_uid,
        gid=there.st_gid,
        size=size,
        stored=size,
        mtime_ns=there.st_mtime_ns // _SECOND * _SECOND,
        link=b"",
        xattrs=xattrs,
    )
