"""Single paths inside a root: what lies there, lists and pieces of files, and tars in and out (cp)."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from typing import Any

from core.linux.inroot import filesystem_magic, open_in_root
from core.linux.remove import remove_tree
from core.trees.faults import INVALID, MISSING, TreeFault, shown
from core.trees.pack import KERNEL_MADE, Output, TreePacker
from core.trees.source import Source
from core.trees.tarread import Limits
from core.trees.unpack import Unpacker

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "link",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
LONGEST_READ = 4 * 1024 * 1024
MOST_LISTED = 200_000
MOST_FOUND = 1_000
_MOST_OPEN = 20_000
"""Directories that are kept open while others are looked through; more are left out."""


def split(path: bytes) -> tuple[bytes, bytes]:
    """Directory and last name of a path, dots resolved by the text; the name is empty for the root itself."""
    clean = posixpath.normpath(b"/" + path.lstrip(b"/"))
    directory, _, name = clean.rpartition(b"/")
    return directory or b"/", name


def open_parent(root: int, path: bytes) -> tuple[int, bytes]:
    """The directory a path's last name lies in (links followed inside the root), and that name.

    Raises: TreeFault: missing.
    """
    directory, name = split(path)
    try:
        return open_in_root(root, directory, os.O_PATH | os.O_DIRECTORY), name or b"."
    except OSError as error:
        raise _missing(path, error) from None


def _missing(path: bytes, error: OSError) -> TreeFault:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return TreeFault(MISSING, f"no such file or directory: {shown(path)}")
    return TreeFault(INVALID, f"{shown(path)}: {os.strerror(error.errno or 0).lower()}")


def stat_path(root: int, path: bytes) -> dict[str, Any]:
    """What lies at a path; a link is not followed."""
    parent, name = open_parent(root, path)
    try:
        there = os.stat(name, dir_fd=parent, follow_symlinks=False)
        link = os.readlink(name, dir_fd=parent) if stat.S_ISLNK(there.st_mode) else b""
    except OSError as error:
        raise _missing(path, error) from None
    finally:
        os.close(parent)
    return {
        "name": os.fsdecode(split(path)[1] or b"/"),
        "size": there.st_size,
        "mode": there.st_mode,
        "mtime": there.st_mtime_ns,
        "link": os.fsdecode(link),
    }


def list_directory(root: int, path: bytes) -> list[dict[str, Any]]:
    """A directory's rows, names sorted."""
    try:
        directory = open_in_root(root, path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno == errno.ENOTDIR:
            raise TreeFault(INVALID, f"not a directory: {shown(path)}") from None
        raise _missing(path, error) from None
    try:
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries)
        return [row for name in names[:MOST_LISTED] if (row := describe(directory, name)) is not None]
    finally:
        os.close(directory)


def find(root: int, path: bytes, text: str) -> list[dict[str, Any]]:
    """Rows of what lies at any depth below a directory and has a text in its name, upper and lower case alike.

    Names are paths relative to the directory; no link is followed. At most MOST_FOUND rows.
    """
    try:
        top = open_in_root(root, path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _missing(path, error) from None
    wanted = text.casefold()
    found: list[dict[str, Any]] = []
    waiting = [(top, "")]
    visited = 0
    try:
        while waiting and len(found) < MOST_FOUND and visited < MOST_LISTED:
            directory, prefix = waiting.pop()
            try:
                with os.scandir(directory) as entries:
                    listed = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
                visited += len(listed)
                for name, _ in listed:
                    if wanted in name.casefold() and (row := describe(directory, name)):
                        found.append({**row, "name": prefix + name})
                for name in [name for name, is_directory in reversed(listed) if is_directory]:
                    if len(waiting) < _MOST_OPEN and (below := _open_directory(directory, name)) is not None:
                        waiting.append((below, f"{prefix}{name}/"))
            finally:
                os.close(directory)
    finally:
        for directory, _ in waiting:
            os.close(directory)
    return found[:MOST_FOUND]


def _open_directory(parent: int, name: str) -> int | None:
    """A directory to go on into; None if it went away, or is one of the kernel's own file systems."""
    try:
        directory = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except OSError:
        return None
    if filesystem_magic(directory) in KERNEL_MADE:
        os.close(directory)
        return None
    return directory


def describe(directory: int, name: str) -> dict[str, Any] | None:
    """One row of a directory; None if the name went away."""
    try:
        there = os.stat(name, dir_fd=directory, follow_symlinks=False)
        link = os.readlink(name, dir_fd=directory) if stat.S_ISLNK(there.st_mode) else ""
    except FileNotFoundError:
        return None
    return {
        "name": name,
        "kind": _KINDS.get(stat.S_IFMT(there.st_mode), "file"),
        "mode": stat.S_IMODE(there.st_mode),
        "uid": there.st_uid,
        "gid": there.st_gid,
        "size": there.st_size,
        "mtime": there.st_mtime_ns,
        "link": link,
    }


def read_file(root: int, path: bytes, offset: int, length: int) -> bytes:
    """Part of a regular file; anything else is refused before it is opened (a device might act on it)."""
    try:
        found = open_in_root(root, path)
        kind = os.fstat(found)
        os.close(found)
        if not stat.S_ISREG(kind.st_mode):
            raise TreeFault(INVALID, f"not a regular file: {shown(path)}")
        descriptor = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise _missing(path, error) from None
    try:
        if not os.path.samestat(kind, os.fstat(descriptor)):
            raise TreeFault(INVALID, f"{shown(path)} was exchanged while it was opened")
        return os.pread(descriptor, max(0, min(length, LONGEST_READ)), max(0, offset))
    finally:
        os.close(descriptor)


def copy_out(root: int, path: bytes, output: int) -> None:
    """A tar of a file or tree, whose top entry is the path's last name; a link is sent as a link.

    A trailing slash follows it, and `/.` means the content of a directory.
    """
    target, top = _resolve_top(root, path)
    parent, name = open_parent(root, target)
    try:
        try:
            os.stat(name, dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            raise _missing(path, error) from None
        packer = TreePacker(parent, Output(output), whiteouts=False)
        if packer.pack_one(parent, name, top):
            packer.pack_below(name if name != b"." else b"", top)
        packer.end()
    finally:
        os.close(parent)


def _resolve_top(root: int, path: bytes) -> tuple[bytes, bytes]:
    """The path to pack, and the name its top entry gets."""
    if not path.endswith((b"/", b"/.")):
        return path, split(path)[1] or b"."
    stripped = path.removesuffix(b".").rstrip(b"/")
    current = stripped or b"/"
    for _ in range(40):
        parent, name = open_parent(root, current)
        try:
            link = os.readlink(name, dir_fd=parent)
        except OSError:
            break
        finally:
            os.close(parent)
        current = link if link.startswith(b"/") else split(current)[0] + b"/" + link
    return current, b"." if path.endswith(b"/.") else split(stripped)[1] or b"."


def write_file(root: int, path: bytes, content: int) -> None:
    """Replace the content of a regular file by that of an open one; what was there comes back if it does not fit."""
    before = read_file(root, path, 0, LONGEST_READ)
    descriptor = open_in_root(root, path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise TreeFault(INVALID, f"{shown(path)} was exchanged while it was opened")
        if os.fstat(descriptor).st_size > LONGEST_READ:
            raise TreeFault(INVALID, f"{shown(path)} is larger than {LONGEST_READ} bytes: it is not edited in place")
        data = os.pread(content, os.fstat(content).st_size, 0)
        try:
            _write_all(descriptor, data)
        except OSError:
            _write_all(descriptor, before)
            raise
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view, at = memoryview(data), 0
    while at < len(view):
        at += os.pwrite(descriptor, view[at:], at)
    os.ftruncate(descriptor, len(data))


def remove_path(root: int, path: bytes) -> None:
    """Delete what lies at a path, a link itself and not what it leads to; never the root."""
    parent, name = open_parent(root, path)
    try:
        if name == b".":
            raise TreeFault(INVALID, "the root itself can't be deleted")
        try:
            os.stat(name, dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            raise _missing(path, error) from None
        where = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
        try:
            remove_tree(where, os.fsdecode(name))
        finally:
            os.close(where)
    finally:
        os.close(parent)


def copy_in(
    root: int, path: bytes, source: Source, *, limits: Limits, owners: bool, strict_end: bool = False
) -> dict[str, int]:
    """Unpack a tar into an existing directory."""
    try:
        os.close(open_in_root(root, path, os.O_PATH | os.O_DIRECTORY))
    except OSError as error:
        if error.errno == errno.ENOTDIR:
            raise TreeFault(INVALID, f"not a directory: {shown(path)}") from None
        raise _missing(path, error) from None
    below = posixpath.normpath(b"/" + path.lstrip(b"/")).lstrip(b"/")
    unpacker = Unpacker(
        root, limits=limits, whiteouts=False, below=below, owners=owners, keep_kinds=True, strict_end=strict_end
    )
    unpacker.unpack(source)
    return {"entries": unpacker.entries, "size": unpacker.size}
