"""A layer's tar into a layer's directory, the way overlayfs wants to find it.

`.wh.name` becomes a character device 0:0, `.wh..wh..opq` the mark trusted.overlay.opaque on its
directory; marks that an archive brings along itself are dropped, or it could forge them. Runs
with the layer's directory as its root; every entry is reached through the descriptor of its
parent, found by openat2(RESOLVE_IN_ROOT).

Facts: image-spec layer.md ("Applying Changesets"), kernel Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from core.linux.inroot import make_directories, open_in_root
from core.linux.remove import remove_tree
from core.trees import tarread
from core.trees.faults import INVALID, TreeFault, from_os_error, shown, unsafe
from core.trees.source import Source
from core.trees.tarread import Entry, Limits, TarReader

WHITEOUT = b".wh."
OPAQUE_MARK = b".wh..wh..opq"
AUFS_OWN = b".wh..wh."
OPAQUE_XATTR = "trusted.overlay.opaque"
DEFAULT_ACL = b"system.posix_acl_default"
_REPORT_EVERY_BYTES = 16 * 1024 * 1024
_REPORT_EVERY_ENTRIES = 500
_O_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_O_PARENT = os.O_PATH | os.O_DIRECTORY


def is_kept_xattr(name: bytes) -> bool:
    """Whether an extended attribute travels in layers: file capabilities, ACLs, and users' own."""
    if name.startswith(b"user."):
        return not name.startswith(b"user.overlay.")
    return name in (b"security.capability", b"system.posix_acl_access", DEFAULT_ACL)


NOBODYS, ALL_BELOW = b"", b"."


def read_mark(entry: Entry, directory: bytes, name: bytes) -> bytes | None:
    """What an entry hides of the layers below: a name in its directory, ALL_BELOW (everything in it), or NOBODYS.

    Args: directory, name: its cleaned path, taken apart.
    Returns: None where it is no mark; NOBODYS is of aufs' own, and means nothing to anybody else.
    Raises: TreeFault: unsafe, a mark that can't be meant.
    """
    if any(part.startswith(WHITEOUT) for part in directory.split(b"/")):
        if directory.partition(b"/")[0].startswith(AUFS_OWN):
            return NOBODYS  # its hard link store
        raise unsafe(entry.name, "a whiteout used as a directory")
    if not name.startswith(WHITEOUT):
        return None
    if name == OPAQUE_MARK:
        return ALL_BELOW
    if name.startswith(AUFS_OWN):
        return NOBODYS
    hidden = name[len(WHITEOUT) :]
    if hidden in (b"", b".", b".."):
        raise unsafe(entry.name, "a whiteout of nothing")
    return hidden


def clean_name(raw: bytes) -> bytes:
    """An entry's path relative to the root, without `.` and empty components; b"" is the root itself.

    Raises: TreeFault: unsafe, it has `..`.
    """
    parts = [part for part in raw.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise unsafe(raw, "its path climbs out with ..")
    return b"/".join(parts)


class Unpacker:
    """Applies entries below an open directory.

    Args: root: the root that links are followed in; it should be this process's root as well.
        below: a directory of it that entries are relative to. whiteouts: a layer's tar; else names
        beginning with `.wh.` are files like any other. owners: False gives everything to root (cp
        without -a). keep_kinds: a directory never replaces a file, nor the other way round (cp).
        report: told the bytes read, now and then; what it raises ends the work.
    """

    def __init__(
        self,
        root: int,
        *,
        limits: Limits,
        whiteouts: bool,
        below: bytes = b"",
        owners: bool = True,
        keep_kinds: bool = False,
        strict_end: bool = False,
        report: Callable[[int], None] = lambda done: None,
    ) -> None:
        self._root = root
        self._limits = limits
        self._whiteouts = whiteouts
        self._below = below
        self._owners = owners
        self._keep_kinds = keep_kinds
        self._strict_end = strict_end
        self._report = report
        self._parent_path: bytes | None = None
        self._parent = -1
        self._directory_times = bytearray()
        self._directory_acls: list[tuple[bytes, bytes]] = []
        self.entries = 0
        self.size = 0
        """Bytes of all regular files and of the targets of links, as docker counts."""

    def unpack(self, source: Source) -> None:
        """Apply a whole archive. Raises: TreeFault: naming entry and rule."""
        os.umask(0)
        reader = TarReader(source, self._limits, strict_end=self._strict_end)
        next_report = _REPORT_EVERY_BYTES
        name = b""
        try:
            for entry in reader:
                name = entry.name
                self._apply(reader, entry)
                self.entries += 1
                if self.entries % _REPORT_EVERY_ENTRIES == 0 or source.position >= next_report:
                    self._report(source.position)
                    next_report = source.position + _REPORT_EVERY_BYTES
            self._finish_directories()
        except OSError as error:
            raise from_os_error(error, f"unpack {shown(name)}") from error
        finally:
            self._forget_parent()
        source.drain()

    def _apply(self, reader: TarReader, entry: Entry) -> None:
        path = self._place(clean_name(entry.name))
        directory, _, name = path.rpartition(b"/")
        if self._whiteouts and WHITEOUT in path and self._apply_whiteout(entry, directory, name):
            return
        if path == self._below:
            self._set_root(entry)
            return
        if len(name) > 255:
            raise unsafe(entry.name, "a name longer than 255 bytes")
        parent = self._open_parent(entry, directory)
        kind = entry.kind
        if kind is tarread.FILE:
            self._make_file(reader, entry, parent, name)
            return
        if kind is tarread.DIRECTORY:
            self._make_directory(entry, parent, name, path)
            return
        replace_other = self._replacing(parent, name)
        if kind is tarread.HARDLINK:
            replace_other(lambda: self._make_hardlink(entry, parent, name))
            return
        if kind is tarread.SYMLINK:
            if not entry.link:
                raise unsafe(entry.name, "a symbolic link to nothing")
            replace_other(lambda: os.symlink(entry.link, name, dir_fd=parent))
            self.size += len(entry.link)
        else:
            self._make_node(entry, parent, name, replace_other)
        if self._owners:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        if kind is not tarread.SYMLINK:
            os.chmod(name, entry.mode, dir_fd=parent)
        self._set_xattrs_by_name(entry, parent, name)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _place(self, path: bytes) -> bytes:
        """A cleaned path, relative to the root."""
        return self._below + b"/" + path if self._below and path else path or self._below

    # whiteouts

    def _apply_whiteout(self, entry: Entry, directory: bytes, name: bytes) -> bool:
        """Handle marks; True if the entry was one. Marks as parents are refused."""
        hidden = read_mark(entry, directory, name)
        if hidden is None:
            return False
        if hidden == NOBODYS:
            return True
        parent = self._open_parent(entry, directory)
        if hidden == ALL_BELOW:
            self._mark_opaque(parent, b".")
            return True
        try:
            os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=parent)
        except FileExistsError:
            # this layer has brought the name already: the whiteout means what lies below only
            if stat.S_ISDIR(os.stat(hidden, dir_fd=parent, follow_symlinks=False).st_mode):
                self._mark_opaque(parent, hidden)
        return True

    def _mark_opaque(self, parent: int, name: bytes) -> None:
        os.fchdir(parent)
        os.setxattr(name, OPAQUE_XATTR, b"y", follow_symlinks=False)

    # kinds of entries

    def _make_file(self, reader: TarReader, entry: Entry, parent: int, name: bytes) -> None:
        try:
            descriptor = os.open(name, _O_NEW, entry.mode, dir_fd=parent)
        except FileExistsError:
            self._clear(parent, name)
            descriptor = os.open(name, _O_NEW, entry.mode, dir_fd=parent)
        try:
            if entry.sparse is not None:
                os.ftruncate(descriptor, entry.size)
                for offset, length in entry.sparse:
                    os.lseek(descriptor, offset, os.SEEK_SET)
                    reader.copy_body(descriptor, length)
            elif entry.stored:
                reader.copy_body(descriptor, entry.stored)
            if self._owners:
                os.fchown(descriptor, entry.uid, entry.gid)
            os.fchmod(descriptor, entry.mode)  # chown drops set-id bits, and a default ACL may have bent the mode
            for key, value in entry.xattrs.items():
                if is_kept_xattr(key):
                    _set_xattr(descriptor, key, value)
            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(descriptor)
        self.size += entry.size

    def _make_directory(self, entry: Entry, parent: int, name: bytes, path: bytes) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            there = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISDIR(there.st_mode):
                if self._keep_kinds:
                    raise TreeFault(
                        INVALID, f"cannot overwrite non-directory {shown(entry.name)} with a directory"
                    ) from None
                hid_lower = stat.S_ISCHR(there.st_mode) and there.st_rdev == 0
                os.unlink(name, dir_fd=parent)
                os.mkdir(name, 0o700, dir_fd=parent)
                if self._whiteouts and hid_lower:
                    self._mark_opaque(parent, name)
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            self._set_directory(entry, descriptor, path)
        finally:
            os.close(descriptor)

    def _set_root(self, entry: Entry) -> None:
        if entry.kind is not tarread.DIRECTORY:
            raise unsafe(entry.name, "the root must be a directory")
        descriptor = open_in_root(self._root, self._below or b".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._set_directory(entry, descriptor, self._below or b".")
        finally:
            os.close(descriptor)

    def _set_directory(self, entry: Entry, descriptor: int, path: bytes) -> None:
        if self._owners:
            os.fchown(descriptor, entry.uid, entry.gid)
        os.fchmod(descriptor, entry.mode)
        for key, value in entry.xattrs.items():
            if key == DEFAULT_ACL:
                self._directory_acls.append((path, value))  # set at the end: children would inherit it now
            elif is_kept_xattr(key):
                _set_xattr(descriptor, key, value)
        # set at the end, because every child made below moves it; kept as one string, for a million
        # directories would take 200 MB as objects
        self._directory_times += path + b"\0" + entry.mtime_ns.to_bytes(8, "little", signed=True)

    def _make_hardlink(self, entry: Entry, parent: int, name: bytes) -> None:
        if b".." in entry.link.split(b"/"):
            raise unsafe(entry.name, f"a hard link to {shown(entry.link)}, which climbs out with ..")
        target = self._place(clean_name(entry.link))
        directory, _, target_name = target.rpartition(b"/")
        try:
            where = open_in_root(self._root, directory or b".", _O_PARENT)
            try:
                os.link(target_name, name, src_dir_fd=where, dst_dir_fd=parent, follow_symlinks=False)
            finally:
                os.close(where)
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EPERM, errno.ELOOP, errno.EINVAL):
                raise unsafe(
                    entry.name,
                    f"a hard link to {shown(entry.link)}, which this archive has not brought"
                    if error.errno != errno.EPERM
                    else "a hard link to a directory",
                ) from None
            raise

    def _make_node(
        self, entry: Entry, parent: int, name: bytes, replace_other: Callable[[Callable[[], None]], None]
    ) -> None:
        device = 0
        kind = {tarread.FIFO: stat.S_IFIFO, tarread.CHAR: stat.S_IFCHR, tarread.BLOCK_DEVICE: stat.S_IFBLK}[entry.kind]
        if entry.kind is not tarread.FIFO:
            if not 0 <= entry.major < 1 << 12 or not 0 <= entry.minor < 1 << 20:
                raise unsafe(entry.name, f"device {entry.major}:{entry.minor} does not exist")
            if self._whiteouts and entry.kind is tarread.CHAR and entry.major == entry.minor == 0:
                raise unsafe(entry.name, "a character device 0:0 is overlayfs' own mark")
            device = os.makedev(entry.major, entry.minor)
        replace_other(lambda: os.mknod(name, kind | entry.mode, device, dir_fd=parent))

    # reaching and replacing

    def _open_parent(self, entry: Entry, directory: bytes) -> int:
        """The directory an entry lies in, made if the archive has not; the last one is remembered."""
        if directory == self._parent_path:
            return self._parent
        self._forget_parent()
        try:
            self._parent = open_in_root(self._root, directory or b".", _O_PARENT)
        except FileNotFoundError:
            self._parent = self._make_parents(entry, directory)
        except OSError as error:
            raise self._bad_parent(entry, error) from None
        self._parent_path = directory
        return self._parent

    def _make_parents(self, entry: Entry, directory: bytes) -> int:
        try:
            return make_directories(self._root, directory)
        except OSError as error:
            if error.errno == errno.EEXIST:
                raise unsafe(entry.name, "its directory is a link that leads nowhere") from None
            raise self._bad_parent(entry, error) from None

    @staticmethod
    def _bad_parent(entry: Entry, error: OSError) -> TreeFault:
        reasons = {
            errno.ENOTDIR: "its directory is not one",
            errno.ELOOP: "its directory is a link that goes round in circles",
            errno.ENAMETOOLONG: "a name longer than 255 bytes",
            errno.EXDEV: "its directory lies outside",
        }
        if error.errno in reasons:
            return unsafe(entry.name, reasons[error.errno])
        return from_os_error(error, f"unpack {shown(entry.name)}")

    def _forget_parent(self) -> None:
        if self._parent >= 0:
            os.close(self._parent)
        self._parent, self._parent_path = -1, None

    def _replacing(self, parent: int, name: bytes) -> Callable[[Callable[[], None]], None]:
        """A caller for something that makes `name`, and may find it taken by an earlier entry."""

        def call(make: Callable[[], None]) -> None:
            try:
                make()
            except FileExistsError:
                self._clear(parent, name)
                make()

        return call

    def _clear(self, parent: int, name: bytes) -> None:
        """Remove what an earlier entry left at a name that comes again as another thing."""
        there = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISDIR(there.st_mode):
            os.unlink(name, dir_fd=parent)
            return
        if self._keep_kinds:
            raise TreeFault(INVALID, f"cannot overwrite directory {shown(name)} with a non-directory")
        remove_tree(parent, name)

    def _set_xattrs_by_name(self, entry: Entry, parent: int, name: bytes) -> None:
        for key, value in entry.xattrs.items():
            if is_kept_xattr(key):
                os.fchdir(parent)  # neither symlinks nor devices can be opened to set them
                _set_xattr(name, key, value)

    def _finish_directories(self) -> None:
        self._forget_parent()
        os.fchdir(self._root)
        for path, value in self._directory_acls:
            if (descriptor := self._open_if_directory(path)) is not None:
                _set_xattr(descriptor, DEFAULT_ACL, value)
                os.close(descriptor)
        at, data = 0, self._directory_times
        while at < len(data):
            end = data.index(b"\0", at)
            path = bytes(data[at:end])
            mtime_ns = int.from_bytes(data[end + 1 : end + 9], "little", signed=True)
            at = end + 9
            try:
                os.utime(path, ns=(mtime_ns, mtime_ns), follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                continue  # a later entry has replaced it

    def _open_if_directory(self, path: bytes) -> int | None:
        try:
            return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._root)
        except OSError:
            return None  # a later entry has replaced it


def _set_xattr(target: int | bytes, name: bytes, value: bytes) -> None:
    """Set an attribute where the file system can hold it; what it can't hold is left out, as docker does."""
    try:
        if isinstance(target, int):
            os.setxattr(target, name, value)
        else:
            os.setxattr(target, name, value, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EPERM, errno.EINVAL):
            raise
