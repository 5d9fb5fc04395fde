"""The files of volumes: looked at, changed, and taken out and in as tars.

A volume that is a directory of this host is looked into from here; everything else, and all that
writes, is a worker's work: it sees the volume as its root. What lies in memory is reached through the mount
namespace that its users hold; another file system is mounted for the worker alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from core.engine.files import ask, copy_in_view, file_entries, opened, stream
from core.errors import EngineError, NotFound, wrapped
from core.linux.procfs import is_same_process
from core.model.progress import CancelToken, Progress, Report
from core.model.volume import FileEntry, Volume
from core.model.volume_options import VolumeDevice, read_volume_device
from core.state.paths import Roots

_T = TypeVar("_T")
_PIECE_BYTES = 1 << 20


def data_directory(volume: Volume) -> Path | None:
    """Where a volume's files are on this host; None: they are mounted, while somebody uses them."""
    device = read_volume_device(volume.options)
    if device is None:
        return Path(volume.mountpoint)
    return Path(device.device) if device.kind == "bind" else None


class VolumeFiles:
    """The files of one volume."""

    def __init__(self, roots: Roots, volume: Volume) -> None:
        self._roots = roots
        self._volume = volume
        self._device = read_volume_device(volume.options)
        self._what = f"volume {volume.name}"

    def list_dir(self, path: str) -> Sequence[FileEntry]:
        """A directory, names sorted."""
        from core.trees import copy

        if data_directory(self._volume) is None:
            with self._view() as (view, descriptors):
                return file_entries(ask("list", {"view": view, "path": path}, descriptors, self._what))
        return file_entries(self._look("list", lambda root: copy.list_directory(root, os.fsencode(path))))

    def find(self, path: str, text: str) -> Sequence[FileEntry]:
        """What has a text in its name, at any depth below a directory; names are relative paths."""
        from core.trees import copy

        if data_directory(self._volume) is None:
            with self._view() as (view, descriptors):
                request = {"view": view, "path": path, "text": text}
                return file_entries(ask("find", request, descriptors, self._what))
        return file_entries(self._look("search", lambda root: copy.find(root, os.fsencode(path), text)))

    def read_file(self, path: str, offset: int, length: int) -> bytes:
        """Part of a regular file."""
        import base64

        from core.trees import copy

        if data_directory(self._volume) is None:
            with self._view() as (view, descriptors):
                request = {"view": view, "path": path, "offset": offset, "length": length}
                return base64.b64decode(ask("read", request, descriptors, self._what))
        return self._look("read", lambda root: copy.read_file(root, os.fsencode(path), offset, length))

    def _look(self, verb: str, action: Callable[[int], _T]) -> _T:
        from core.trees.faults import TreeFault
        from core.trees.launch import to_engine_error

        directory = data_directory(self._volume)
        assert directory
        try:
            root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise self._gone(error) from None
        try:
            return action(root)
        except TreeFault as fault:
            raise to_engine_error(fault, self._what) from None
        except OSError as error:
            raise wrapped(error, verb, self._what) from error
        finally:
            os.close(root)

    def write_file(self, path: str, data: bytes) -> None:
        """Replace the content of a regular file that is there; owner, mode and second names stay."""
        with self._view(writable=True) as (view, descriptors), ExitStack() as held:
            content = held.enter_context(open(os.memfd_create("content"), "w+b"))
            content.write(data)
            content.flush()
            request = {"view": view, "path": path, "content": content.fileno()}
            ask("write", request, [*descriptors, content.fileno()], self._what)

    def remove_path(self, path: str) -> None:
        """Delete a file, or a directory with all that is in it."""
        with self._view(writable=True) as (view, descriptors):
            ask("remove", {"view": view, "path": path}, descriptors, self._what)

    def copy_out(self, path: str, cancel: CancelToken) -> Iterator[bytes]:
        """A tar of a file or tree; its top entry is the path's last name."""
        with self._view() as (view, descriptors):
            yield from stream("copy-out", {"view": view, "path": path}, descriptors, self._what, cancel)

    def copy_in(self, path: str, tar: Iterable[bytes], *, archive: bool, strict_end: bool = False) -> None:
        """Unpack a plain tar into an existing directory."""
        with self._view(writable=True) as (view, descriptors):
            copy_in_view(view, descriptors, path, tar, archive=archive, what=self._what, strict_end=strict_end)

    def export(self, report: Report, cancel: CancelToken) -> Iterator[bytes]:
        """All of it as one tar, owners and attributes included."""
        done = 0
        for piece in self.copy_out("/.", cancel):
            done += len(piece)
            report(Progress(what=f"exporting {self._what}", done_bytes=done))
            yield piece

    def import_tar(self, source: BinaryIO, report: Report, cancel: CancelToken) -> None:
        """Unpack a tar, plain or compressed, over what is there."""
        from core.storage.compression import plain_pieces

        done, total = 0, _size_of(source)

        def read(size: int) -> bytes:
            nonlocal done
            cancel.check()
            try:
                data = source.read(min(size, _PIECE_BYTES))
            except OSError as error:
                raise wrapped(error, "read", "the archive") from error
            done += len(data)
            report(Progress(what=f"importing into {self._what}", done_bytes=done, total_bytes=total))
            return data

        self.copy_in("/", plain_pieces(read, what="the archive"), archive=True, strict_end=True)

    # ── what a worker is to see ────────────────────────────────────────────────────────────────

    @contextmanager
    def _view(self, *, writable: bool = False) -> Iterator[tuple[dict[str, Any], list[int]]]:
        with ExitStack() as held:
            directory = data_directory(self._volume)
            device = self._device
            read_only = not writable or (device is not None and device.is_read_only)
            if directory is not None:
                try:
                    root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                except OSError as error:
                    raise self._gone(error) from None
                held.callback(os.close, root)
                yield {"directory": root, "read_only": read_only}, [root]
                return
            assert device
            if device.kind == "memory":
                namespace = self._namespace(held)
                yield {"namespace": namespace}, [namespace]
                return
            yield {"device": self._device_view(device), "read_only": read_only}, []

    def _device_view(self, device: VolumeDevice) -> dict[str, Any]:
        from core.engine.special_mounts import resolved_words

        words = resolved_words(device)
        return {"source": device.device, "fstype": device.fstype, "words": words, "place": self._volume.mountpoint}

    def _namespace(self, held: ExitStack) -> int:
        """The mount namespace of a volume in memory, which one of its users' monitors has open."""
        from core.engine.special_mounts import shared_directory

        for note in sorted(shared_directory(self._roots, self._volume.name).glob("*.json")):
            try:
                holder = json.loads(note.read_bytes())
                if is_same_process(holder["pid"], holder["start_ticks"]):
                    return opened(
                        held, Path(f"/proc/{holder['pid']}/fd/{holder['descriptor']}"), os.O_RDONLY | os.O_CLOEXEC
                    )
            except (OSError, ValueError, KeyError, TypeError, EngineError):
                continue  # it has just let go
        raise NotFound(
            f"{self._what} lies in memory and nobody uses it just now: it is empty",
            kind="volume",
            key=self._volume.name,
            hint="start a container that mounts it",
        )

    def _gone(self, error: OSError) -> EngineError:
        if self._device is None and isinstance(error, FileNotFoundError):
            return NotFound(
                f"{self._what} has no files any more", kind="volume", key=self._volume.name, hint="run fsck"
            )
        return wrapped(error, "open", str(data_directory(self._volume)))


def _size_of(source: BinaryIO) -> int | None:
    try:
        return os.fstat(source.fileno()).st_size or None
    except (OSError, AttributeError):
        return None
