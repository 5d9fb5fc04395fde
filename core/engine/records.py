"""The documents of containers: finding, reading, naming, creating and removing them on disk.

A container's state on disk is its monitor's word. When the monitor is gone without a last word
(kill -9, power), what can be known is worked out here; the same rule for every reader.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from core.errors import (
    AlreadyExists,
    Conflict,
    CorruptDocument,
    EngineError,
    InvalidInput,
    NotFound,
    Unsupported,
    wrapped,
)
from core.linux import procfs
from core.linux.checkpoints import checkpoint
from core.linux.files import is_locked, sync_directory
from core.model.container import (
    Container,
    ContainerConfig,
    ContainerSettings,
    ContainerState,
    Created,
    Damaged,
    Exited,
    Removing,
    Restarting,
    Running,
)
from core.model.health import Health
from core.model.ids import NAME_RULE, is_full_id, is_id_prefix, is_name, short_id
from core.model.limits import Limits
from core.model.names import invent_name
from core.state.documents import read_struct, write_struct
from core.state.leases import Lease
from core.state.locks import Rank, locked
from core.state.paths import Roots
from core.state.trash import discard, discard_elsewhere

_LOST_CODE = 255
_TAKEOVER_S = 5.0
_POLL_S = 0.002
BUILDING = ".new-"
HELD_UP = "held-up"
"""A file of a container's run root, as core.monitor.life writes it."""


_STEADY_NS = 1_000_000_000
"""Documents that were written longer ago than this are known by their times; two writes within one tick of
the kernel's clock can't be told apart."""
_Stamp = tuple[int, ...]


def _stamp(directory: str) -> _Stamp:
    """When the documents in a container's directory were last written; empty if it is gone."""
    try:
        times = [os.stat(directory).st_mtime_ns]
        for name in ("state.json", "settings.json"):
            try:
                times.append(os.stat(f"{directory}/{name}").st_mtime_ns)
            except FileNotFoundError:
                times.append(0)
        return tuple(times)
    except OSError:
        return ()


class ContainerRecords:
    """Every container of a data root."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._boot_id = procfs.read_boot_id()
        self._configs: dict[str, tuple[int, ContainerConfig]] = {}
        self._kept: dict[str, tuple[_Stamp, Container]] = {}
        """Containers as they were read, by id; states not settled."""
        self._hopeless: set[tuple[str, int]] = set()
        """Orphans (id and inode of their state) that no monitor can take over."""

    # ── reading ────────────────────────────────────────────────────────────────────────────────

    def ids(self) -> list[str]:
        """Full ids of all containers."""
        return [name for name in os.listdir(self._roots.containers) if is_full_id(name)]

    def all(self) -> list[Container]:
        """All containers, newest first; one that is being removed meanwhile is left out."""
        found = []
        for container_id in self.ids():
            try:
                found.append(self.load(container_id))
            except NotFound:
                continue
        return sorted(found, key=lambda container: -container.config.created_ns)

    def load(self, container_id: str) -> Container:
        """Read one by its full id. Raises: NotFound. Damaged documents give a damaged container."""
        stamp = _stamp(f"{self._roots.containers}/{container_id}")
        known = self._kept.get(container_id)
        if known is not None and known[0] == stamp:
            container = known[1]
        else:
            container = self._read(container_id)
            if stamp and time.time_ns() - max(stamp) > _STEADY_NS:
                self._kept[container_id] = stamp, container
            else:
                self._kept.pop(container_id, None)
        if not isinstance(container.state, Running):
            return container
        return self._settled(self._with_hindrance(container, container.state))

    def _with_hindrance(self, container: Container, state: Running) -> Container:
        """What its monitor says of an output that waits: in the run root, for the disk may be full."""
        try:
            held_up = (self._roots.runtime(container.id) / HELD_UP).read_text()
        except OSError:
            return container
        return msgspec.structs.replace(container, state=msgspec.structs.replace(state, held_up=held_up))

    def _settled(self, container: Container) -> Container:
        state = self._settle(container.id, container.state)
        if state == container.state:
            return container
        health = msgspec.structs.replace(container.health, status="unhealthy") if container.health else None
        return msgspec.structs.replace(container, state=state, health=health)

    def _read(self, container_id: str) -> Container:
        directory = self._roots.container(container_id)
        try:
            config = self._config(container_id)
            settings = self.read_settings(directory, config)
            state = self.read_state(directory)
        except FileNotFoundError as error:
            if not directory.exists():
                raise _no_such(container_id) from None
            return self._damaged(container_id, f"{error} is missing")
        except (CorruptDocument, Unsupported) as error:
            return self._damaged(container_id, error.message)
        health = self._health(directory, state) if config.health and config.health.is_on else None
        return Container(config=config, settings=settings, state=state, directory=str(directory), health=health)

    def _health(self, directory: Path, state: ContainerState) -> Health | None:
        """What its monitor noted; docker calls what does not run unhealthy, whatever it was before."""
        try:
            health = read_struct(directory / "health.json", "container.health", Health)
        except (FileNotFoundError, CorruptDocument, Unsupported):
            return None  # not started yet, damaged, or a later version's: the next answer is written anew
        if isinstance(state, Running):
            return health
        return msgspec.structs.replace(health, status="unhealthy")

    def _config(self, container_id: str) -> ContainerConfig:
        """config.json never changes: it is read once, and again only if the file is another one."""
        path = self._roots.container(container_id) / "config.json"
        inode = os.stat(path).st_ino
        known = self._configs.get(container_id)
        if known is None or known[0] != inode:
            known = inode, read_struct(path, "container.config", ContainerConfig)
            self._configs[container_id] = known
        return known[1]

    def read_settings(self, directory: Path, config: ContainerConfig) -> ContainerSettings:
        """What was never changed is still as it was created."""
        try:
            return read_struct(directory / "settings.json", "container.settings", ContainerSettings)
        except FileNotFoundError:
            if config.settings is None:
                raise
            return config.settings

    def read_state(self, directory: Path) -> ContainerState:
        """Without a state it was never started; an empty one is what a power cut leaves of "running"."""
        path = directory / "state.json"
        try:
            state: ContainerState = read_struct(path, "container.state", _STATE_TYPE)
        except FileNotFoundError:
            if not directory.exists():
                raise
            return Created()
        except CorruptDocument:
            if path.stat().st_size:
                raise
            why = "the host lost power while it ran"
            return Exited(exit_code=_LOST_CODE, started_ns=0, finished_ns=path.stat().st_mtime_ns, error=why)
        return state

    def _damaged(self, container_id: str, why: str) -> Container:
        """Enough of a container to be listed and removed; its name is looked for among the links."""
        name = next((name for name, target in self._names() if target == container_id), container_id[:12])
        try:
            config = self._config(container_id)
        except (FileNotFoundError, CorruptDocument, Unsupported):
            from core.model.container import ContainerSpec

            config = ContainerConfig(
                id=container_id,
                created_ns=0,
                spec=ContainerSpec(image=""),
                image_id="",
                image_name="",
                layers=(),
                entrypoint=(),
                command=(),
                env=(),
                working_dir="",
                user="",
                hostname="",
                stop_signal="",
                labels={},
            )
        settings = ContainerSettings(name=name, limits=Limits())
        directory = str(self._roots.container(container_id))
        return Container(config=config, settings=settings, state=Damaged(why=why), directory=directory)

    def _settle(self, container_id: str, state: ContainerState) -> ContainerState:
        """Running is true only while a monitor says so, or at least the process still lives."""
        if not isinstance(state, (Running, Restarting)):
            return state
        if is_locked(self._roots.alive_lock(container_id)):
            return self._kept_exit(container_id) or state  # it may be over, and its monitor about to leave
        if state.boot_id != self._boot_id:
            return self._lost(state, "the host was restarted while it ran")
        if kept := self._kept_exit(container_id):
            return kept
        # its monitor may have ended properly between our two looks
        again = self.read_state(self._roots.container(container_id))
        if not isinstance(again, (Running, Restarting)):
            return again
        is_managed = self._is_taken_over(container_id)
        again = self.read_state(self._roots.container(container_id))
        if is_managed or not isinstance(again, (Running, Restarting)):
            return again
        if isinstance(state, Restarting):
            return self._lost(state, "its monitor was killed before it could start it again")
        if procfs.is_same_process(state.pid, state.start_ticks) and procfs.read_state(state.pid) != "Z":
            return state
        return self._lost(state, "its monitor was killed before it could note the exit code")

    def _is_taken_over(self, container_id: str) -> bool:
        """Have a monitor that was killed followed by another one, and wait until that is in charge."""
        from core.engine.launch import look_for_orphans

        try:
            orphan = container_id, os.stat(self._roots.container(container_id) / "state.json").st_ino
            if orphan in self._hopeless:
                return False
            if container_id not in look_for_orphans(self._roots):
                self._hopeless.add(orphan)
                return False
            deadline = time.monotonic() + _TAKEOVER_S
            while time.monotonic() < deadline:
                if is_locked(self._roots.alive_lock(container_id)):
                    return True
                if os.stat(self._roots.container(container_id) / "state.json").st_ino != orphan[1]:
                    return True  # it has put things in order, and left
                time.sleep(_POLL_S)
        except (EngineError, OSError):
            pass  # as it stands: the next look may find more
        return False

    def _lost(self, state: Running | Restarting, why: str) -> Exited:
        code = state.exit_code if isinstance(state, Restarting) else _LOST_CODE
        finished_ns = state.finished_ns if isinstance(state, Restarting) else state.started_ns
        return Exited(exit_code=code, started_ns=state.started_ns, finished_ns=finished_ns, error=why)

    def _kept_exit(self, container_id: str) -> Exited | None:
        """What a monitor with a full disk left in the run root."""
        try:
            fields = json.loads((self._roots.runtime(container_id) / "exit.json").read_bytes())
            return Exited(**fields)
        except (OSError, ValueError, TypeError):
            return None

    def is_managed(self, container_id: str) -> bool:
        """Whether a monitor lives."""
        return is_locked(self._roots.alive_lock(container_id))

    def resolve(self, key: str) -> str:
        """The full id behind a name, an id or an unambiguous beginning of one.

        Raises: NotFound, Conflict: with docker's words.
        """
        name = key.removeprefix("/")
        if is_full_id(name) and self._roots.container(name).exists():
            return name
        if is_name(name):
            try:
                target = os.path.basename(os.readlink(self._roots.names / name))
            except OSError:
                target = ""
            if is_full_id(target) and self._roots.container(target).exists():
                return target
        if is_id_prefix(name):
            matches = [container_id for container_id in self.ids() if container_id.startswith(name)]
            if len(matches) == 1:
                return matches[0]
            if matches:
                raise Conflict(f"multiple IDs found with provided prefix: {name}", hint="write more of the id")
        raise _no_such(key)

    def get(self, key: str) -> Container:
        """resolve() and load()."""
        return self.load(self.resolve(key))

    # ── writing ────────────────────────────────────────────────────────────────────────────────

    def lock(self, container_id: str, purpose: str, *, wait_s: float = 15.0) -> AbstractContextManager[int]:
        """Hold a container's lock. Raises: Busy, NotFound."""
        path = self._roots.container(container_id) / "lock"
        return self._lock(path, container_id, purpose, wait_s)

    @contextmanager
    def _lock(self, path: Path, container_id: str, purpose: str, wait_s: float) -> Iterator[int]:
        what = f"container {short_id(container_id)}"
        manager = locked(path, Rank.CONTAINER, what=what, purpose=purpose, wait_s=wait_s)
        try:
            descriptor = manager.__enter__()
        except FileNotFoundError:
            raise _no_such(container_id) from None
        try:
            yield descriptor
        finally:
            manager.__exit__(None, None, None)

    def write_state(self, container_id: str, state: ContainerState) -> None:
        """Only under the container's lock, and only while no monitor lives."""
        write_struct(self._roots.container(container_id) / "state.json", "container.state", state)

    def write_settings(self, container_id: str, settings: ContainerSettings) -> None:
        """Only under the container's lock."""
        write_struct(self._roots.container(container_id) / "settings.json", "container.settings", settings)

    @contextmanager
    def building(self, container_id: str) -> Iterator[Path]:
        """A hidden directory to make a container in; whatever happens, nothing of it stays unless publish() ran."""
        hidden = self._roots.containers / f"{BUILDING}{container_id}"
        with Lease(self._roots.leases, f"container {container_id}"):
            try:
                hidden.mkdir(mode=0o711)
                yield hidden
            except OSError as error:
                raise wrapped(error, "create container in", hidden) from error
            finally:
                if hidden.exists():
                    discard(self._roots, hidden)

    def publish(self, hidden: Path, config: ContainerConfig, name: str) -> None:
        """Write what it is, take the name, and make it a container by one rename.

        What is made with --rm need not outlive a power cut, and so nobody waits for the disk.
        Raises: AlreadyExists: the name is taken.
        """
        durable = not config.spec.auto_remove
        write_struct(hidden / "config.json", "container.config", config, durable=durable)
        (hidden / "lock").touch(mode=0o600)
        self._take_name(name, config.id)
        checkpoint("create:named")
        try:
            os.rename(hidden, self._roots.container(config.id))
            if durable:
                sync_directory(self._roots.containers)
        except OSError:
            self.free_name(name, config.id)
            raise

    def choose_name(self, wished: str) -> str:
        """Check a wished name, or invent a free one. Raises: InvalidInput, AlreadyExists."""
        name = wished.removeprefix("/")
        if wished:
            if not is_name(name):
                raise InvalidInput(
                    f"Invalid container name ({wished}), only {NAME_RULE} are allowed",
                    hint="begin with a letter or digit, and use two characters or more",
                )
            self._refuse_taken(name)
            return name
        for attempt in range(6):
            name = invent_name(lambda below: int.from_bytes(os.urandom(8), "big") % below, attempt)
            if not os.path.lexists(self._roots.names / name):
                return name
        return os.urandom(6).hex()

    def _refuse_taken(self, name: str) -> None:
        link = self._roots.names / name
        try:
            owner = os.path.basename(os.readlink(link))
        except OSError:
            return
        if is_full_id(owner) and (self._roots.container(owner).exists() or self._is_being_made(owner)):
            raise AlreadyExists(
                f'Conflict. The container name "/{name}" is already in use by container "{owner}".'
                " You have to remove (or rename) that container to be able to reuse that name.",
            )
        link.unlink(missing_ok=True)  # its container is gone, or died half-made

    def _is_being_made(self, container_id: str) -> bool:
        """A half-made container counts while the operation that makes it lives."""
        from core.state.leases import live_holds

        hidden = self._roots.containers / f"{BUILDING}{container_id}"
        return hidden.exists() and f"container {container_id}" in live_holds(self._roots.leases)

    def _take_name(self, name: str, container_id: str) -> None:
        for _ in range(3):
            try:
                os.symlink(f"../containers/{container_id}", self._roots.names / name)
                return
            except FileExistsError:
                self._refuse_taken(name)
        raise EngineError(f"the name {name} changes hands too fast", hint="try again")

    def free_name(self, name: str, container_id: str) -> None:
        """Give a name back, if it is still this container's."""
        link = self._roots.names / name
        try:
            if os.path.basename(os.readlink(link)) == container_id:
                link.unlink()
        except OSError:
            pass

    def rename(self, container: Container, name: str) -> ContainerSettings:
        """Take the new name, note it, give the old one back. Under the lock."""
        new = self.choose_name(name)
        self._take_name(new, container.id)
        settings = msgspec.structs.replace(container.settings, name=new)
        self.write_settings(container.id, settings)
        self.free_name(container.name, container.id)
        return settings

    def erase(self, container: Container) -> None:
        """Take a container away by one rename, then delete what it was. Under the lock."""
        self.write_state_quietly(container.id, Removing())
        checkpoint("remove:marked")
        discard(self._roots, self._roots.container(container.id))
        checkpoint("remove:discarded")
        discard_elsewhere(self._roots.run / "c", self._roots.runtime(container.id).name)
        self.free_name(container.name, container.id)
        self._configs.pop(container.id, None)
        self._kept.pop(container.id, None)

    def write_state_quietly(self, container_id: str, state: ContainerState) -> None:
        """As write_state(), but a full disk must not keep a container from being removed."""
        try:
            self.write_state(container_id, state)
        except EngineError:
            pass

    def _names(self) -> list[tuple[str, str]]:
        return [
            (e.name, os.path.basename(os.readlink(e.path))) for e in os.scandir(self._roots.names) if e.is_symlink()
        ]

    def sweep(self) -> None:
        """Clear what dead operations left: half-made containers and names that lead nowhere."""
        for entry in os.listdir(self._roots.containers):
            if entry.startswith(BUILDING) and not self._is_being_made(entry.removeprefix(BUILDING)):
                discard(self._roots, self._roots.containers / entry)
        for name, target in self._names():
            if not self._roots.container(target).exists() and not self._is_being_made(target):
                self.free_name(name, target)

    def sweep_temporary(self) -> None:
        """Take away what was made with --rm and ended with an earlier boot, as docker's daemon does when it starts.

        An empty config.json is all that a power cut leaves of one that was just being made.
        """
        for container_id in self.ids():
            directory = self._roots.container(container_id)
            try:
                if os.path.getsize(directory / "config.json"):
                    config = self._config(container_id)
                    if not config.spec.auto_remove or not self._is_of_earlier_boot(directory):
                        continue
                    for mount in config.mounts:
                        if mount.kind == "volume" and mount.anonymous:
                            discard(self._roots, self._roots.volume(mount.name))
            except (OSError, CorruptDocument, Unsupported):
                continue  # damaged: it is shown, and kept
            discard(self._roots, directory)

    def _is_of_earlier_boot(self, directory: Path) -> bool:
        if not (directory / "state.json").exists():
            return False
        state = self.read_state(directory)
        if isinstance(state, (Running, Restarting)):
            return state.boot_id != self._boot_id
        return (directory / "state.json").stat().st_size == 0


_STATE_TYPE: Any = Created | Running | Restarting | Exited | Removing


def _no_such(key: str) -> NotFound:
    return NotFound(f"No such container: {key}", kind="container", key=key)
