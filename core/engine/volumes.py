"""Volumes, as the seam offers them: directories that outlive containers.

    volumes/<name>/          0700: what lies inside is for containers, and for root
        volume.json
        lock                 held while first content is copied in
        POPULATING           there while it is: a crash then leaves content that is thrown away
        _data/               what containers mount

A volume appears by one rename and goes by one rename to trash, under its own lock. Whoever makes a
container that will mount it holds a lease on `volume <name>` until the container's config is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, BinaryIO, Protocol

import msgspec

from core.errors import CorruptDocument, EngineError, InUse, InvalidInput, NoSpace, NotFound, Unsupported, wrapped
from core.linux.files import sync_directory
from core.linux.remove import remove_tree
from core.model.container import Container
from core.model.ids import NAME_RULE, is_name
from core.model.progress import CancelToken, Report
from core.model.pruning import EVERYTHING, PruneFilter
from core.model.volume import FileEntry, Volume
from core.model.volume_options import read_volume_device
from core.state import journal
from core.state.documents import read_struct, write_struct
from core.state.leases import Lease, live_holds
from core.state.locks import Rank, locked
from core.state.paths import Roots
from core.state.trash import discard
from core.storage.gc import INGEST
from core.storage.layers import remove_directory
from core.storage.usage import tree_bytes

if TYPE_CHECKING:
    from core.engine.volume_files import VolumeFiles

POPULATING = "POPULATING"
_COPY_S = 600.0
"""How long others wait while first content is copied."""
Names = list[str]


class AllContainers(Protocol):
    """What volumes need to know of containers."""

    def all(self) -> Sequence[Container]:
        """Every container; takes no lock."""


class EngineVolumes:
    """core.backend.Volumes over one data root.

    Args: containers: asked who mounts what.
    """

    def __init__(self, roots: Roots, containers: AllContainers) -> None:
        self._roots = roots
        self._containers = containers

    def exists(self, name: str) -> bool:
        """Whether there is one."""
        return is_name(name) and self._roots.volume(name).exists()

    def create(
        self,
        name: str = "",
        *,
        labels: dict[str, str] | None = None,
        driver: str = "local",
        options: dict[str, str] | None = None,
        lease: Lease | None = None,
    ) -> Volume:
        """Make one, or return the one of that name; an empty name makes an anonymous one.

        Args: options: see core.model.volume_options. lease: holds the volume from before it can be seen.
        """
        if driver != "local":
            raise Unsupported(
                f'error looking up volume plugin {driver}: plugin "{driver}" not found', hint="the only driver is local"
            )
        anonymous = not name
        name = name or os.urandom(32).hex()
        _check_name(name)
        try:
            read_volume_device(options or {})
        except EngineError as error:
            raise type(error)(f"create {name}: {error.message}", hint=error.hint) from None
        if lease is not None:
            lease.add(f"volume {name}")
        volume = Volume(
            name=name, created_ns=time_ns(), labels=labels or {}, anonymous=anonymous, options=options or {}
        )
        if self._make(volume):
            journal.append(self._roots.journal, "volume", "create", name, {"driver": driver})
        return self.inspect(name)

    def _make(self, volume: Volume) -> bool:
        """Publish a new volume; False if there is one of that name, which is not being removed either."""
        target = self._roots.volume(volume.name)
        building = self._roots.ingest / os.urandom(16).hex()
        while True:
            try:
                with locked(target / "lock", Rank.VOLUME, what=f"volume {volume.name}", wait_s=_COPY_S):
                    return False
            except FileNotFoundError:
                pass  # there is none
            with Lease(self._roots.leases, INGEST):
                try:
                    building.mkdir(mode=0o700)
                    (building / "_data").mkdir()
                    (building / "_data").chmod(0o755)
                    write_struct(building / "volume.json", "volume", volume)
                    os.rename(building, target)
                    sync_directory(self._roots.volumes)
                    return True
                except OSError as error:
                    if not target.exists():
                        raise wrapped(error, "create volume", target) from error
                finally:
                    if building.exists():
                        remove_directory(building)

    def list(self, *, sizes: bool = False) -> Sequence[Volume]:
        """Sorted by name."""
        users = self._users()
        names = sorted(e.name for e in os.scandir(self._roots.volumes) if not e.name.startswith("."))
        found = [self._read(name, users, sizes=sizes) for name in names]
        return [volume for volume in found if volume is not None]

    def inspect(self, name: str) -> Volume:
        """One volume."""
        volume = self._read(name, self._users(), sizes=False) if is_name(name) else None
        if volume is None:
            raise _no_such_volume(name)
        return volume

    def _read(self, name: str, users: dict[str, tuple[str, ...]], *, sizes: bool) -> Volume | None:
        directory = self._roots.volume(name)
        try:
            volume = read_struct(directory / "volume.json", "volume", Volume)
        except (FileNotFoundError, CorruptDocument):
            # what it holds matters more than its labels: a volume without a readable record is shown as a plain one
            try:
                created_ns = os.stat(directory / "_data").st_ctime_ns
            except OSError:
                return None
            volume = Volume(name=name, created_ns=created_ns)
        data = directory / "_data"
        return msgspec.structs.replace(
            volume,
            name=name,
            mountpoint=str(data),
            used_by=users.get(name, ()),
            size_bytes=self._size(volume, data) if sizes else None,
        )

    def _size(self, volume: Volume, data: Path) -> int | None:
        """None: it is not of this disk, or not there just now."""
        try:
            return tree_bytes(data) if not volume.options else None
        except OSError:
            return None

    def _users(self) -> dict[str, tuple[str, ...]]:
        users: dict[str, tuple[str, ...]] = {}
        for container in self._containers.all():
            for mount in container.config.mounts:
                if mount.kind == "volume":
                    users[mount.name] = (*users.get(mount.name, ()), container.id)
        return users

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove it, unless a container uses it; `force` forgives a missing one."""
        if not is_name(name) or not self._roots.volume(name).exists():
            if force:
                return
            raise _no_such_volume(name)
        self._remove(name)

    def remove_unused(self, name: str) -> None:
        """Remove it if nobody else uses it and it is there."""
        try:
            self._remove(name)
        except (InUse, NotFound):
            return

    def _remove(self, name: str) -> None:
        directory = self._roots.volume(name)
        try:
            with locked(directory / "lock", Rank.VOLUME, what=f"volume {name}", purpose="removes it"):
                users = self._users().get(name, ())
                if users:
                    raise InUse(
                        f"remove {name}: volume is in use - [{', '.join(users)}]", hint="remove these containers first"
                    )
                if f"volume {name}" in live_holds(self._roots.leases):
                    raise InUse(
                        f"remove {name}: volume is in use by something that is just at work on it", hint="try again"
                    )
                discard(self._roots, directory)
        except FileNotFoundError:
            raise _no_such_volume(name) from None
        except OSError as error:
            raise wrapped(error, "remove volume", name) from error
        with suppress(NoSpace):  # removing must work on a full disk: an event is less than that
            journal.append(self._roots.journal, "volume", "destroy", name, {"driver": "local"})

    def prune(self, which: PruneFilter = EVERYTHING, *, all: bool = False) -> tuple[Sequence[str], int]:
        """Remove unused anonymous (or all unused) volumes: their names and the bytes freed."""
        removed: Names = []
        freed = 0
        for volume in self.list():
            if volume.used_by or not (volume.anonymous or all) or not which.admits(volume.labels, volume.created_ns):
                continue
            size = tree_bytes(self._roots.volume(volume.name) / "_data")
            try:
                self._remove(volume.name)
            except (InUse, NotFound):
                continue  # somebody was faster
            removed.append(volume.name)
            freed += size
        with suppress(NoSpace):
            journal.append(self._roots.journal, "volume", "prune", "", {"reclaimed": str(freed)})
        return removed, freed

    def copy_up(self, layers: Sequence[str], target: str, name: str) -> bool:
        """Fill an empty volume with what the image has at `target`, attributes included; whether that was done.

        Raises: NoSpace …: the volume is empty again then.
        """
        from core.engine.files import copy_image_tree
        from core.engine.volume_files import data_directory

        directory = self._roots.volume(name)
        volume = self._known(name)
        data = data_directory(volume)
        if data is None or (volume.options and not data.is_dir()):
            return False  # what it will be is mounted when a container starts
        with locked(
            directory / "lock", Rank.VOLUME, what=f"volume {name}", purpose="copies first content", wait_s=_COPY_S
        ):
            try:
                mark = directory / POPULATING
                if mark.exists() and not volume.options:
                    empty_directory(data)  # whoever was at it has died
                elif any(os.scandir(data)):
                    return False  # of a directory of the host's own, even if somebody died: it may hold other things
                mark.touch(mode=0o600)
                try:
                    return copy_image_tree(self._roots, layers, target, data, f"volume {name}")
                except BaseException:
                    empty_directory(data)
                    raise
                finally:
                    mark.unlink()
            except OSError as error:
                raise wrapped(error, "copy into volume", data) from error

    def update(self, name: str, *, add_labels: dict[str, str], remove_labels: Sequence[str] = ()) -> Volume:
        """Change its labels, and nothing else."""
        directory = self._roots.volume(name)
        try:
            with locked(directory / "lock", Rank.VOLUME, what=f"volume {name}", purpose="changes labels"):
                volume = read_struct(directory / "volume.json", "volume", Volume)
                labels = {key: value for key, value in volume.labels.items() if key not in remove_labels}
                volume = msgspec.structs.replace(volume, labels={**labels, **add_labels})
                write_struct(directory / "volume.json", "volume", volume)
        except FileNotFoundError:
            raise _no_such_volume(name) from None
        return self.inspect(name)

    # ── files ──────────────────────────────────────────────────────────────────────────────────

    def files(self, name: str) -> VolumeFiles:
        """The files of a volume."""
        from core.engine.volume_files import VolumeFiles

        return VolumeFiles(self._roots, self._known(name))

    def _known(self, name: str) -> Volume:
        """One volume, without who uses it."""
        volume = self._read(name, {}, sizes=False) if is_name(name) else None
        if volume is None:
            raise _no_such_volume(name)
        return volume

    def list_dir(self, name: str, path: str) -> Sequence[FileEntry]:
        """A directory inside it."""
        return self.files(name).list_dir(path)

    def find_files(self, name: str, path: str, text: str) -> Sequence[FileEntry]:
        """What has a text in its name, at any depth below a directory inside it."""
        return self.files(name).find(path, text)

    def read_file(self, name: str, path: str, offset: int = 0, length: int = 65536) -> bytes:
        """Part of a file inside it."""
        return self.files(name).read_file(path, offset, length)

    def write_file(self, name: str, path: str, data: bytes) -> None:
        """Replace the content of a file inside it."""
        self.files(name).write_file(path, data)

    def remove_path(self, name: str, path: str) -> None:
        """Delete a file or tree inside it."""
        self.files(name).remove_path(path)

    def copy_out(self, name: str, path: str, cancel: CancelToken | None = None) -> Iterator[bytes]:
        """A tar of a file or tree inside it."""
        with self._used(name):
            yield from self.files(name).copy_out(path, cancel or CancelToken())

    def copy_in(self, name: str, path: str, tar: Iterable[bytes], *, archive: bool = False) -> None:
        """Unpack a tar into an existing directory of it."""
        with self._used(name):
            self.files(name).copy_in(path, tar, archive=archive)

    def export(self, name: str, report: Report, cancel: CancelToken) -> Iterator[bytes]:
        """All of it as one tar."""
        with self._used(name):
            yield from self.files(name).export(report, cancel)

    def import_tar(self, name: str, source: BinaryIO, report: Report, cancel: CancelToken) -> None:
        """Unpack a tar, plain or compressed, over what is there."""
        with self._used(name):
            self.files(name).import_tar(source, report, cancel)

    def _used(self, name: str) -> Lease:
        """While it is held, nobody removes the volume."""
        return Lease(self._roots.leases, f"volume {name}")


def _check_name(name: str) -> None:
    if len(name) == 1 and name.isalnum():
        raise InvalidInput(
            "volume name is too short, names should be at least two alphanumeric characters", hint="choose a longer one"
        )
    if not is_name(name):
        raise InvalidInput(
            f'create {name[:100]}: "{name[:100]}" includes invalid characters for a local volume name, '
            f'only "{NAME_RULE}" are allowed',
            hint="if you intended to pass a host directory, use absolute path",
        )


def _no_such_volume(name: str) -> EngineError:
    return NotFound(
        f"get {name}: no such volume", kind="volume", key=name, hint="list the volumes that are here with `volume ls`"
    )


def empty_directory(directory: Path) -> None:
    """Delete all that is in a directory. Raises: OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        for name in os.listdir(descriptor):
            remove_tree(descriptor, name)
    finally:
        os.close(descriptor)
