"""Where the file browser's files are: in a container, a volume, an image, or on this host.

Every method blocks and is called from worker threads; a refusal is an EngineError. Tars are what travels
between two of them: plain ones, whose top entry has the last name of the path that was taken.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from core.backend import Backend
from core.errors import InvalidInput, Unsupported, wrapped
from core.model.display import safe_text
from core.model.progress import CancelToken
from core.model.volume import FileEntry

MOST_FOUND = 1_000
_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "link",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


class FileSource(Protocol):
    """A tree of files that can be looked into, and perhaps changed."""

    @property
    def title(self) -> str:
        """What it is called on the screen; safe text."""

    @property
    def is_writable(self) -> bool:
        """Whether it can be changed at all."""

    def on_command_line(self, path: str) -> str:
        """How a command names a path of it; empty where none can."""

    def list_dir(self, path: str) -> Sequence[FileEntry]:
        """A directory."""

    def find_files(self, path: str, text: str) -> Sequence[FileEntry]:
        """What has a text in its name, below a directory; names are paths relative to it."""

    def read_file(self, path: str, length: int) -> bytes:
        """A file's beginning."""

    def write_file(self, path: str, data: bytes) -> None:
        """Replace the content of a file that is there."""

    def remove_path(self, path: str) -> None:
        """Delete a file, or a directory with all that is in it."""

    def copy_out(self, path: str, cancel: CancelToken) -> Iterator[bytes]:
        """A tar of a file or tree."""

    def copy_in(self, path: str, tar: Iterable[bytes], *, archive: bool) -> None:
        """Unpack a tar into a directory; `archive` keeps owners."""


class ContainerFiles:
    """A container's root with all that is mounted on it; running or not."""

    is_writable = True

    def __init__(self, backend: Backend, key: str, name: str) -> None:
        self._containers = backend.containers
        self._key = key
        self._name = name

    @property
    def title(self) -> str:
        return safe_text(self._name)

    def on_command_line(self, path: str) -> str:
        return f"{self._name}:{path}"

    def list_dir(self, path: str) -> Sequence[FileEntry]:
        return self._containers.list_dir(self._key, path)

    def find_files(self, path: str, text: str) -> Sequence[FileEntry]:
        return self._containers.find_files(self._key, path, text)

    def read_file(self, path: str, length: int) -> bytes:
        return self._containers.read_file(self._key, path, 0, length)

    def write_file(self, path: str, data: bytes) -> None:
        self._containers.write_file(self._key, path, data)

    def remove_path(self, path: str) -> None:
        self._containers.remove_path(self._key, path)

    def copy_out(self, path: str, cancel: CancelToken) -> Iterator[bytes]:
        return self._containers.copy_out(self._key, path, cancel)

    def copy_in(self, path: str, tar: Iterable[bytes], *, archive: bool) -> None:
        self._containers.copy_in(self._key, path, tar, archive=archive)


class VolumeFiles:
    """A volume, used or not."""

    is_writable = True

    def __init__(self, backend: Backend, name: str) -> None:
        self._volumes = backend.volumes
        self._name = name

    @property
    def title(self) -> str:
        return safe_text(self._name)

    def on_command_line(self, path: str) -> str:
        return ""

    def list_dir(self, path: str) -> Sequence[FileEntry]:
        return self._volumes.list_dir(self._name, path)

    def find_files(self, path: str, text: str) -> Sequence[FileEntry]:
        return self._volumes.find_files(self._name, path, text)

    def read_file(self, path: str, length: int) -> bytes:
        return self._volumes.read_file(self._name, path, 0, length)

    def write_file(self, path: str, data: bytes) -> None:
        self._volumes.write_file(self._name, path, data)

    def remove_path(self, path: str) -> None:
        self._volumes.remove_path(self._name, path)

    def copy_out(self, path: str, cancel: CancelToken) -> Iterator[bytes]:
        return self._volumes.copy_out(self._name, path, cancel)

    def copy_in(self, path: str, tar: Iterable[bytes], *, archive: bool) -> None:
        self._volumes.copy_in(self._name, path, tar, archive=archive)


class ImageFiles:
    """An image's tree: to be looked at and copied from."""

    is_writable = False

    def __init__(self, backend: Backend, key: str, title: str) -> None:
        self._images = backend.images
        self._key = key
        self._title = title

    @property
    def title(self) -> str:
        return safe_text(self._title)

    def on_command_line(self, path: str) -> str:
        return ""

    def list_dir(self, path: str) -> Sequence[FileEntry]:
        return self._images.list_dir(self._key, path)

    def find_files(self, path: str, text: str) -> Sequence[FileEntry]:
        return self._images.find_files(self._key, path, text)

    def read_file(self, path: str, length: int) -> bytes:
        return self._images.read_file(self._key, path, 0, length)

    def copy_out(self, path: str, cancel: CancelToken) -> Iterator[bytes]:
        return self._images.copy_out(self._key, path, cancel)

    def write_file(self, path: str, data: bytes) -> None:
        raise _unchangeable()

    def remove_path(self, path: str) -> None:
        raise _unchangeable()

    def copy_in(self, path: str, tar: Iterable[bytes], *, archive: bool) -> None:
        raise _unchangeable()


def _unchangeable() -> Unsupported:
    return Unsupported("an image can't be changed", hint="run a container of it, change that, and commit it")


class HostFiles:
    """This host's own files: the other side of a copy."""

    title = "this host"
    is_writable = True

    def on_command_line(self, path: str) -> str:
        return path

    def list_dir(self, path: str) -> Sequence[FileEntry]:
        try:
            names = sorted(os.listdir(path))
        except OSError as error:
            raise wrapped(error, "list", path) from None
        return [row for name in names if (row := _row(os.path.join(path, name), name))]

    def find_files(self, path: str, text: str) -> Sequence[FileEntry]:
        found: list[FileEntry] = []
        for directory, directories, files in os.walk(path):
            for name in (*directories, *files):
                whole = os.path.join(directory, name)
                if text.casefold() in name.casefold() and (row := _row(whole, os.path.relpath(whole, path))):
                    found.append(row)
            if len(found) >= MOST_FOUND:
                break
        return found

    def read_file(self, path: str, length: int) -> bytes:
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise InvalidInput(f"{path} is not a regular file")
            with open(path, "rb") as file:
                return file.read(length)
        except OSError as error:
            raise wrapped(error, "read", path) from None

    def copy_out(self, path: str, cancel: CancelToken) -> Iterator[bytes]:
        from app.commands.maketar import pack

        for piece in pack(path, os.path.basename(path), keep_owner=True):
            cancel.check()
            yield piece

    def copy_in(self, path: str, tar: Iterable[bytes], *, archive: bool) -> None:
        from app.commands.untar import unpack

        unpack(tar, path, rename=None, keep_owner=archive)

    def write_file(self, path: str, data: bytes) -> None:
        raise _not_ours()

    def remove_path(self, path: str) -> None:
        raise _not_ours()


def _not_ours() -> Unsupported:
    return Unsupported("files of this host are not changed from here", hint="use a shell for that")


def _row(path: str, name: str) -> FileEntry | None:
    try:
        there = os.lstat(path)
        link = os.readlink(path) if stat.S_ISLNK(there.st_mode) else ""
    except OSError:
        return None  # it has just gone
    return FileEntry(
        name=name,
        kind=_KINDS.get(stat.S_IFMT(there.st_mode), "file"),
        mode=stat.S_IMODE(there.st_mode),
        uid=there.st_uid,
        gid=there.st_gid,
        size_bytes=there.st_size,
        mtime_ns=there.st_mtime_ns,
        link=link,
    )
