"""From a path inside a root to a descriptor, without ever leaving that root.

The only place where a container's path meets the host's file system. openat2(2) with
RESOLVE_IN_ROOT does it atomically in the kernel: `..`, absolute symlinks and magic links are all
held inside. What comes out is a descriptor, never a string, so nothing can be swapped afterwards.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat

from core.linux.libc import LIBC, check, syscall

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

PROC_SUPER_MAGIC = 0x9FA0


class _OpenHow(ctypes.Structure):
    """struct open_how of linux/openat2.h."""

    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    ]


def open_in_root(root: int, path: str | bytes, flags: int = os.O_PATH, *, mode: int = 0, resolve: int = 0) -> int:
    """Open a path as a process chrooted to `root` would, magic links refused.

    Raises: OSError: ENOENT, ELOOP, EXDEV, ENOTDIR … naming the path.
    """
    return _open(root, path, flags, mode, resolve | RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)


def _open(root: int, path: str | bytes, flags: int, mode: int, resolve: int) -> int:
    how = _OpenHow(flags=flags | os.O_CLOEXEC, mode=mode, resolve=resolve)
    name = os.fsencode(path).lstrip(b"/") or b"."
    for _ in range(32):
        try:
            return syscall("openat2", root, name, ctypes.byref(how), ctypes.sizeof(how), path=os.fsdecode(path))
        except OSError as error:
            if error.errno != errno.EAGAIN:  # a rename elsewhere raced with `..`: the kernel asks to try again
                raise
    raise OSError(errno.EAGAIN, "path changes too fast to be opened", os.fsdecode(path))


def open_beneath(root: int, path: str | bytes, flags: int = os.O_PATH) -> int:
    """Open a path below a directory; what would lead out of it, by a link or by `..`, is refused.

    Raises: OSError: EXDEV for those, and as open_in_root().
    """
    return _open(root, path, flags, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)


def make_directories(root: int, path: str | bytes, *, mode: int = 0o755) -> int:
    """mkdir -p inside a root; a descriptor of the last directory. Symlinks on the way are followed inside."""
    current = open_in_root(root, b".", os.O_PATH | os.O_DIRECTORY)
    done: list[bytes] = []
    try:
        for name in os.fsencode(path).split(b"/"):
            if name in (b"", b"."):
                continue
            done.append(name)
            if name == b"..":
                raise OSError(errno.EINVAL, "path with .. can't be made", os.fsdecode(path))
            try:
                following = open_in_root(root, b"/".join(done), os.O_PATH | os.O_DIRECTORY)
            except FileNotFoundError:
                os.mkdir(name, mode, dir_fd=current)
                following = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=current)
            os.close(current)
            current = following
    except BaseException:
        os.close(current)
        raise
    return current


def make_mount_point(root: int, path: str, *, directory: bool) -> int:
    """An O_PATH descriptor of a place to mount on, made (with its parents) if missing.

    Raises: OSError: ENOTDIR or EISDIR when something of the wrong kind is there.
    """
    try:
        found = open_in_root(root, path)
    except FileNotFoundError:
        if directory:
            return make_directories(root, path)
        parent = make_directories(root, os.path.dirname(path))
        try:
            name = os.path.basename(path)
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=parent))
            return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        finally:
            os.close(parent)
    is_directory = stat.S_ISDIR(os.fstat(found).st_mode)
    if is_directory != directory:
        os.close(found)
        code = errno.EISDIR if is_directory else errno.ENOTDIR
        raise OSError(code, os.strerror(code), path)
    return found


_fstatfs = LIBC.fstatfs


def filesystem_magic(descriptor: int) -> int:
    """The type of the file system an open path lies on, as its magic number. Source: statfs(2)."""
    buffer = ctypes.create_string_buffer(256)
    check(_fstatfs(descriptor, ctypes.byref(buffer)), "fstatfs")
    return int.from_bytes(buffer.raw[:8], "little")


def is_procfs(descriptor: int) -> bool:
    """Whether an open path lies on a proc file system."""
    return filesystem_magic(descriptor) == PROC_SUPER_MAGIC
