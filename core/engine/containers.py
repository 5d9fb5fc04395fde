"""Containers, as the seam offers them: create, run, look, end. Each use case owns the order of its steps.

What looks into files, logs and processes is imported by the call that needs it: a start does not, and a
list does not need what starts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from core.backend import AttachWish, CreateResult, LogView, PathStat, UpdateWish
from core.engine import launch
from core.engine.attachments import LocalAttachment, MonitorGone, Successor, ask, await_leave
from core.engine.image_users import HeldContainer
from core.engine.images import EngineImages
from core.engine.networks import EngineNetworks
from core.engine.records import ContainerRecords
from core.engine.tree import Tree
from core.engine.volumes import EngineVolumes
from core.errors import EngineError, InvalidInput, NotFound, SandboxFailed, Unsupported, WrongState
from core.linux.checkpoints import checkpoint
from core.model.container import (
    Change,
    Container,
    ContainerSpec,
    Created,
    Damaged,
    ExecSpec,
    Exited,
    ProcessTable,
    Restarting,
    Running,
)
from core.model.isolation import REMAP
from core.model.limits import Limits
from core.model.log_drivers import LogConfig
from core.model.logs import LogLine, LogQuery
from core.model.merge import process_environment
from core.model.progress import CancelToken, Report
from core.model.pruning import EVERYTHING, PruneFilter
from core.model.signals import parse_signal
from core.model.stats import StatsSample
from core.model.volume import FileEntry
from core.state import journal
from core.state.paths import Roots
from core.storage.overlay import overlay_lowers
from core.storage.usage import tree_bytes

_GRACE_S = 10
_KILL_S = 10.0
_POLL_S = 0.05
_LOST_CODE = 255
_SUCCESSOR_S = 5.0


class EngineContainers:
    """core.backend.Containers over one data root."""

    def __init__(self, roots: Roots, records: ContainerRecords) -> None:
        self._roots = roots
        self._records = records
        self.log_defaults = LogConfig()
        """For containers that are made without a wish of their own."""
        self.images: EngineImages
        self.networks: EngineNetworks
        self.volumes: EngineVolumes

    # ── making ─────────────────────────────────────────────────────────────────────────────────

    def create(self, spec: ContainerSpec) -> CreateResult:
        """Make a container; nothing is left behind if that fails."""
        from core.engine import creating

        return creating.create(
            self._roots, self._records, self.images, self.volumes, self.networks, spec, self.log_defaults
        )

    def start(self, key: str, attach: AttachWish | None = None) -> LocalAttachment | None:
        """Start it; with a wish, every byte from the first on comes through the attachment."""
        container_id = self._records.resolve(key)
        with self._records.lock(container_id, "start"):
            container = self._records.load(container_id)
            match container.state:
                case Running(paused=True):
                    raise WrongState(
                        "cannot start a paused container, try unpause instead", hint=f"unpause {container.name}"
                    )
                case Running() if attach is None:
                    return None
                case Damaged(why=why):
                    raise WrongState(f"container {container.name} is damaged: {why}", hint="remove it with rm -f")
                case Running():
                    pass
                case Restarting():
                    self.tell(container, {"op": "go"})
                    if attach is None:
                        return None
                case _:
                    if attach:
                        self._note(container, "attach")
                    return self._launch(container, attach)
        assert attach is not None
        return self.attach(key, attach)

    def _launch(self, container: Container, attach: AttachWish | None) -> LocalAttachment | None:
        from core.engine.sandboxes import build_sandbox

        try:
            claimed = self.networks.claim(container)
            sandbox = build_sandbox(self._roots, container, self._records.get, claimed)
            wish = msgspec.to_builtins(attach) if attach else None
            places = {name: str(getattr(sandbox, name)) for name in launch.PLACES}
            connection, answer = launch.request_start(self._roots, msgspec.json.encode(sandbox), places, wish)
        except EngineError as error:
            self._note_failure(container, error)
            raise
        if answer.get("event") == "running":
            connection.close()
            return self._attach(container, attach, from_start=True) if attach else None
        if attach:
            return LocalAttachment(connection, self._successor(container, attach, answer))
        connection.close()
        return None

    def _successor(self, container: Container, wish: AttachWish, answer: dict[str, Any]) -> Successor:
        """Where the streams go on if their monitor is killed."""
        request = {"op": "attach", **msgspec.to_builtins(wish)}
        path = self._roots.monitor_socket(container.id)
        taken = int(answer.get("taken") or 0)
        return Successor(
            path,
            request,
            answer.get("position"),
            lambda: self._code_of_ended(container.id),
            taken,
            lambda position: self._logged_since(container.id, position),
        )

    def _logged_since(self, container_id: str, position: list[int]) -> Iterator[tuple[int, bytes]]:
        from core.logs.reader import read_batches

        return read_batches(self._roots.container(container_id) / "logs", *position)

    def _code_of_ended(self, container_id: str) -> int | None:
        try:
            state = self._records.load(container_id).state
        except NotFound:
            return _LOST_CODE
        if isinstance(state, Running):
            return None
        return state.exit_code if isinstance(state, (Created, Exited, Restarting)) else _LOST_CODE

    def _note_failure(self, container: Container, error: EngineError) -> None:
        """A monitor notes its own failures; what failed before it, is noted (or removed) here."""
        if isinstance(error, SandboxFailed):
            return
        self.networks.release(container)
        if container.config.spec.auto_remove:
            self._erase(container)
        else:
            self._records.write_state_quietly(container.id, Created(error=error.message, exit_code=125))

    # ── streams ────────────────────────────────────────────────────────────────────────────────

    def attach(self, key: str, wish: AttachWish) -> LocalAttachment:
        """Join the streams of a running container."""
        container = self._running(key, "attach to")
        attachment = self._attach(container, wish)
        self._note(container, "attach")
        return attachment

    def _attach(self, container: Container, wish: AttachWish, *, from_start: bool = False) -> LocalAttachment:
        request = {"op": "attach", **msgspec.to_builtins(wish), "from_start": from_start}
        connection, answer = self._ask(container, request)
        return LocalAttachment(connection, self._successor(container, wish, answer))

    def exec(self, key: str, spec: ExecSpec, wish: AttachWish | None = None) -> LocalAttachment | None:
        """Run one more process inside; None when detached."""
        if not spec.argv:
            raise InvalidInput("no exec command specified", hint="write the command after the container's name")
        container = self._running(key, "exec in")
        config = container.config
        exec_id = os.urandom(32).hex()
        env = (*self.networks.link_variables(container), *config.env, *spec.env)
        request: dict[str, Any] = {
            "op": "exec",
            "id": exec_id,
            "argv": spec.argv,
            "env": process_environment(env, hostname=config.hostname, tty=spec.tty),
            "cwd": spec.working_dir or config.working_dir or "/",
            "user": spec.user or config.user,
            "tty": spec.tty,
            "stdin": spec.attach_stdin,
            "privileged": spec.privileged,
            "detach": spec.detach,
            "hangs_up": spec.hangs_up,
        }
        if wish:
            request |= {"rows": wish.rows, "columns": wish.columns, "stdout": wish.stdout, "stderr": wish.stderr}
        self._note(container, f"exec_create: {spec.argv[0]} {' '.join(spec.argv[1:])}", execID=exec_id)
        connection, answer = self._ask(container, request, timeout_s=20.0)
        if answer.get("event") == "failed":
            connection.close()
            raise SandboxFailed(
                str(answer.get("text")),
                stage=str(answer.get("stage")),
                errno=int(answer.get("errno") or 0),
                path=answer.get("path"),
                exit_code=127 if answer.get("code") == 127 else 126,  # docker's exec knows no 125
            )
        if spec.detach:
            connection.close()
            return None
        again = {**request, "op": "resume-exec", "key": answer.get("key")}
        path = self._roots.monitor_socket(container.id)
        successor = Successor(path, again, None, lambda: self._code_of_ended(container.id))
        return LocalAttachment(connection, successor)

    def _ask(self, container: Container, request: dict[str, Any], *, timeout_s: float | None = 10.0) -> Any:
        """Ask its monitor; one that is killed meanwhile is followed by another one, which is asked then."""
        path, whose = self._roots.monitor_socket(container.id), f"container {container.name}"
        deadline = time.monotonic() + _SUCCESSOR_S
        while True:
            try:
                return ask(path, request, timeout_s=timeout_s, whose=whose)
            except MonitorGone as error:
                is_over = not isinstance(self._records.load(container.id).state, (Running, Restarting))
                if is_over or time.monotonic() > deadline:
                    raise WrongState(f"container {container.id} is not running") from error
                time.sleep(_POLL_S / 10)

    def tell(self, container: Container, request: dict[str, Any]) -> None:
        """Ask its monitor for something that has no answer but done. Raises: WrongState: it refuses, or is gone."""
        connection, _ = self._ask(container, request)
        connection.close()

    # ── ending ─────────────────────────────────────────────────────────────────────────────────

    def stop(self, key: str, timeout_s: int | None = None, signal: str = "", *, by: str = "hand") -> None:
        """Its stop signal, then SIGKILL after timeout_s.

        Args: by: hand, or shutdown, after which its policy starts it again at the next boot.
        """
        container = self._records.get(key)
        if isinstance(container.state, Restarting):
            self._stay_ended(container, by)  # from here on it is ended, or was a little faster and runs
            container = self._records.load(container.id)
            if not isinstance(container.state, Running):
                self._note(container, "stop")
        if not isinstance(container.state, Running):
            return
        self._stay_ended(container, by)
        checkpoint("stop:asked")
        own_s = container.config.spec.stop_timeout_s
        grace_s = timeout_s if timeout_s is not None else _GRACE_S if own_s is None else own_s
        number = parse_signal(signal or container.config.stop_signal or "TERM")
        try:
            if container.state.paused:
                self.tell(container, {"op": "unpause"})
            self.tell(container, {"op": "signal", "number": number})
            checkpoint("stop:signalled")
            if self._await_exit(container, None if grace_s < 0 else float(grace_s)) is None:
                self._kill_hard(container)
        except WrongState:
            self._kill_hard(container)
        self._note(container, "stop")

    def _stay_ended(self, container: Container, by: str = "hand") -> None:
        """Tell the monitor that its policy counts no more; one that is gone starts nothing anyway."""
        try:
            self.tell(container, {"op": "stop", "by": by})
        except EngineError:
            pass  # what follows ends the process by other means

    def _kill_hard(self, container: Container, *, drops_rest: bool = False) -> None:
        """SIGKILL through the monitor, or, if that is gone, to the process we have on record.

        Args: drops_rest: last output that a full disk does not take is not waited for.
        """
        from core.linux import pidfd

        try:
            self.tell(container, {"op": "stop"})
            self.tell(container, {"op": "signal", "number": 9, "drops_rest": drops_rest})
        except EngineError:
            state = container.state
            if isinstance(state, Running):
                descriptor = pidfd.open_verified(state.pid, state.start_ticks)
                if descriptor is not None:
                    pidfd.send_signal(descriptor, 9)
        if self._await_exit(container, _KILL_S) is not None:
            return
        try:
            state = self._records.load(container.id).state
        except NotFound:
            return
        if isinstance(state, Running) and state.held_up:
            raise EngineError(
                f"container {container.name} has ended, but {state.held_up}",
                hint=f"make room on the disk, or drop what waits: kill {container.name}",
            )
        if isinstance(state, Running):
            raise EngineError(
                f"container {container.name} did not end within {_KILL_S:.0f} s of SIGKILL",
                hint="a process of it may hang in the kernel: look at its state with top",
            )

    def _await_exit(self, container: Container, timeout_s: float | None) -> int | None:
        """The exit code, or None if it still runs after timeout_s."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            connection, answer = ask(
                self._roots.monitor_socket(container.id),
                {"op": "wait"},
                timeout_s=None if timeout_s is None else max(timeout_s, 0.001),
            )
            if answer.get("leaving"):
                await_leave(connection)
            connection.close()
            return int(answer["code"])
        except WrongState:
            pass  # it ended, or its monitor died: the documents tell
        except EngineError:
            return None
        while deadline is None or time.monotonic() < deadline:
            try:
                state = self._records.load(container.id).state
            except NotFound:
                if self._records.is_managed(container.id):
                    continue  # its name and its run root are about to go
                return 0
            if not isinstance(state, (Running, Restarting)):
                return state.exit_code if isinstance(state, Exited) else 0
            time.sleep(_POLL_S)
        return None

    def restart(self, key: str, timeout_s: int | None = None, signal: str = "") -> None:
        """Stop, then start."""
        container_id = self._records.resolve(key)
        self.stop(container_id, timeout_s, signal)
        self.start(container_id)
        self._note(self._records.load(container_id), "restart")

    def kill(self, key: str, signal: str = "KILL") -> None:
        """Send a signal to its first process."""
        number = parse_signal(signal)
        container = self._records.get(key)
        if isinstance(container.state, Restarting):
            return self.stop(container.id)
        container = self._running(key, "kill")
        if number in (9, parse_signal(container.config.stop_signal or "TERM")):
            self._stay_ended(container)
        self.tell(container, {"op": "signal", "number": number, "drops_rest": number == 9})
        if number == 9:
            self._await_exit(container, _KILL_S)

    def pause(self, key: str) -> None:
        """Freeze all its processes."""
        container = self._running(key, "pause")
        if container.status == "paused":
            raise WrongState(f"container {container.id} is already paused")
        self.tell(container, {"op": "pause"})

    def unpause(self, key: str) -> None:
        """Thaw them."""
        container = self._records.get(key)
        if container.status != "paused":
            raise WrongState(f"container {container.id} is not paused")
        self.tell(container, {"op": "unpause"})

    def remove(self, key: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove it; running only by force."""
        container_id = self._records.resolve(key)
        container = self._records.load(container_id)
        if isinstance(container.state, Running):
            if not force:
                shown = "paused" if container.state.paused else "running"
                wish = "Unpause and then stop" if container.state.paused else "Stop"
                raise WrongState(
                    f"cannot remove container {container.name!r}: container is {shown}: "
                    f"{wish.lower()} the container before removing or force remove",
                    hint=f"rm -f {container.name} does both",
                )
            self._kill_hard(container, drops_rest=True)
        if isinstance(container.state, Restarting):
            if not force:
                raise WrongState(
                    f"cannot remove container {container.name!r}: container is restarting: "
                    "stop the container before removing or force remove",
                    hint=f"rm -f {container.name} does both",
                )
            self.stop(container.id)
        try:
            with self._records.lock(container_id, "remove"):
                self._erase(self._records.load(container_id))
        except NotFound:
            if not container.config.spec.auto_remove:
                raise  # else its monitor was faster
        if volumes:
            self._remove_anonymous_volumes(container)

    def _erase(self, container: Container) -> None:
        if isinstance(container.state, (Running, Restarting)):
            raise WrongState(f"container {container.name} was started meanwhile", hint="try again")
        self._remove_group(container)
        self.networks.release(container)
        self._records.erase(container)
        self._note(container, "destroy")

    def _remove_group(self, container: Container) -> None:
        """Nearly always its monitor has done so; a task that was dying then is gone by now, or a reason to wait."""
        from core.cgroups import driver
        from core.engine.sandboxes import group_path

        group = driver.choose(driver.find_hierarchies(), group_path(self._roots, container))
        try:
            group.remove()
        except OSError as error:
            pids = ", ".join(map(str, group.processes()[:5])) or "none that it names"
            raise EngineError(
                f"cannot remove container {container.name!r}: its control group {group.path} does not empty"
                f" (processes: {pids})",
                hint="a process may hang in the kernel: remove the container again once it is gone",
            ) from error

    def _remove_anonymous_volumes(self, container: Container) -> None:
        for mount in container.config.mounts:
            if mount.kind == "volume" and mount.anonymous:
                self.volumes.remove_unused(mount.name)

    def prune(self, which: PruneFilter = EVERYTHING) -> tuple[Sequence[str], int]:
        """Remove all stopped ones."""
        removed: list[str] = []
        freed = 0
        for container in self._records.all():
            if container.status not in ("created", "exited", "dead"):
                continue
            if not which.admits(container.config.labels, container.config.created_ns):
                continue
            size = tree_bytes(self._roots.container(container.id) / "upper")
            try:
                self.remove(container.id)
            except (WrongState, NotFound):
                continue  # started, or removed by somebody else, meanwhile
            checkpoint("prune:removed")
            removed.append(container.id)
            freed += size
        journal.append(self._roots.journal, "container", "prune", "", {"reclaimed": str(freed)})
        return removed, freed

    def rename(self, key: str, name: str) -> None:
        """Give it another name."""
        container_id = self._records.resolve(key)
        if not name:
            raise InvalidInput("neither old nor new names may be empty", hint="write a new name")
        with self._records.lock(container_id, "rename"):
            container = self._records.load(container_id)
            if name.removeprefix("/") == container.name:
                raise InvalidInput("renaming a container with the same name as its current name")
            settings = self._records.rename(container, name)
            if isinstance(container.state, (Running, Restarting)):
                link = str(self._roots.names / settings.name)
                self.tell(container, {"op": "rename", "name": settings.name, "name_link": link})
                self.networks.rename(msgspec.structs.replace(container, settings=settings), container.name)
        self._note(container, "rename", name=settings.name, oldName=f"/{container.name}")

    def update(self, key: str, wish: UpdateWish) -> Sequence[str]:
        """Change limits and restart policy, live where it runs and for later starts."""
        from core.engine.checking import check_host_limits
        from core.model.limits import updated_limits

        container_id = self._records.resolve(key)
        with self._records.lock(container_id, "update"):
            container = self._records.load(container_id)
            if container.status in ("dead", "removing"):
                raise WrongState(f"container {container.name} is {container.status}: it can't be updated")
            limits = updated_limits(container.settings.limits, wish.limits)
            warnings = list(check_host_limits(limits))
            restart = container.settings.restart if wish.restart is None else wish.restart
            if restart.name != "no" and container.config.spec.auto_remove:
                raise InvalidInput("Restart policy cannot be updated because AutoRemove is enabled for the container")
            if isinstance(container.state, (Running, Restarting)):
                if limits != container.settings.limits:
                    warnings += self._limit_live(container, limits)
                if restart != container.settings.restart:
                    policy = {"op": "policy", "name": restart.name, "most_retries": restart.most_retries}
                    self.tell(container, policy)
            settings = msgspec.structs.replace(container.settings, limits=limits, restart=restart)
            self._records.write_settings(container_id, settings)
        self._note(container, "update")
        return tuple(dict.fromkeys(warnings))

    def _limit_live(self, container: Container, limits: Limits) -> list[str]:
        """What has no effect here. Raises: WrongState: the kernel refuses them; then the old ones stand."""
        try:
            connection, answer = self._ask(container, {"op": "limit", "limits": msgspec.to_builtins(limits)})
        except WrongState as error:
            if "not running" in error.message:
                raise
            raise WrongState(
                f"Cannot update container {container.id}: {error.message}",
                hint="a memory limit can't be set below what is in use and can't be given back",
            ) from error
        connection.close()
        return [str(text) for text in answer.get("warnings") or ()]

    def wait(self, key: str, condition: str = "not-running", cancel: CancelToken | None = None) -> int:
        """Block until it has ended (or is `removed`, or `next-exit`); its exit code."""
        if condition not in ("not-running", "next-exit", "removed"):
            raise InvalidInput(f'invalid condition: "{condition}"', hint="not-running, next-exit or removed")
        cancel = cancel or CancelToken()
        container = self._records.get(key)
        code = container.state.exit_code if isinstance(container.state, (Created, Exited)) else None
        if condition == "next-exit" and not isinstance(container.state, Running):
            code = None
            while not cancel.wait(_POLL_S):
                state = self._records.load(container.id).state
                if isinstance(state, Running):
                    break
                if isinstance(state, Exited) and state != container.state:
                    code = state.exit_code  # it came and went between two looks
                    break
        while code is None:
            cancel.check()
            code = self._await_exit(container, 1.0)
        while condition == "removed" and container.id in self._records.ids():
            if cancel.wait(_POLL_S):
                cancel.check()
        return code

    # ── looking ────────────────────────────────────────────────────────────────────────────────

    def list(self, *, all: bool = False, size: bool = False) -> Sequence[Container]:
        """Running ones, or all; newest first."""
        found = [c for c in self._records.all() if all or isinstance(c.state, (Running, Restarting))]
        return [self._sized(container) for container in found] if size else found

    def inspect(self, key: str, *, size: bool = False) -> Container:
        """All about one."""
        container = self._records.get(key)
        lowers = overlay_lowers(self._roots, container.config.layers)
        execs = self._roots.runtime(container.id) / "execs"
        container = msgspec.structs.replace(
            container,
            layer_directories=tuple(map(str, lowers)),
            exec_ids=_names_in(execs) if isinstance(container.state, Running) else (),
        )
        return self._sized(container) if size else container

    def _sized(self, container: Container) -> Container:
        try:
            root = self.images.find(container.config.image_id).size_bytes
        except NotFound:
            root = 0  # the image was removed by force: only what it wrote itself is known
        written = tree_bytes(self._roots.container(container.id) / "upper")
        return msgspec.structs.replace(container, size_rw_bytes=written, size_root_bytes=root + written)

    def logs(self, key: str, query: LogQuery, cancel: CancelToken | None = None) -> Iterator[LogLine]:
        """Lines, oldest first; with follow until it ends or is cancelled."""
        from core.logs.reader import read_log

        container = self._readable(key)

        def is_over() -> bool:
            if self._records.is_managed(container.id):
                return False
            try:
                return not isinstance(self._records.load(container.id).state, (Running, Restarting))
            except NotFound:
                return True

        directory = self._roots.container(container.id) / "logs"
        lines = read_log(directory, query, cancel or CancelToken(), is_over)
        if not query.details:
            return lines
        from core.engine.sandboxes import log_subject
        from core.model.log_drivers import log_attributes

        attributes = log_attributes(container.config.log, log_subject(container))
        return (msgspec.structs.replace(line, attributes=attributes) for line in lines)

    def _readable(self, key: str) -> Container:
        """A container that has a log."""
        container = self._records.get(key)
        if container.config.log.driver == "none":
            raise Unsupported(
                "configured logging driver does not support reading",
                hint=f"{container.name} was made with --log-driver none; attach shows what it writes from now on",
            )
        return container

    def log_view(self, key: str) -> LogView:
        """A log for a viewer."""
        from core.logs.view import FileLogView

        return FileLogView(self._roots.container(self._readable(key).id) / "logs")

    def top(self, key: str, ps_arguments: Sequence[str] = ()) -> ProcessTable:
        """Its processes, as ps shows them from the host's side."""
        from core.engine import processes

        container = self._running(key, "show processes of")
        table = processes.table(self._roots, container, ps_arguments)
        self._note(container, "top")
        return table

    def stats(self, keys: Sequence[str] = ()) -> dict[str, StatsSample]:
        """The newest sample of each running container (of all, when none is named), by full id."""
        from core.engine import processes

        wanted = [self._records.get(key) for key in keys] if keys else self._records.all()
        found: dict[str, StatsSample] = {}
        interfaces = processes.interface_counters(wanted)
        for container in wanted:
            sample = processes.newest_sample(self._roots, container)
            if sample:
                found[container.id] = msgspec.structs.replace(sample, interfaces=interfaces.get(container.id, ()))
        return found

    def stats_history(self, key: str, since_ns: int = 0) -> Sequence[StatsSample]:
        """Kept samples, oldest first, one a second."""
        from core.engine import processes

        return processes.kept_samples(self._roots, self._records.resolve(key), since_ns)

    # ── files ──────────────────────────────────────────────────────────────────────────────────

    def changes(self, key: str) -> Sequence[Change]:
        """What differs from its image, sorted by path."""
        from core.engine import files

        with self.held(key, pause=False) as held:
            return files.changes(self._roots, held.tree)

    def stat_path(self, key: str, path: str) -> PathStat:
        """What lies at a path."""
        from core.engine import files

        with self.held(key, pause=False) as held:
            return files.stat_path(self._roots, held.tree, path)

    def copy_out(self, key: str, path: str, cancel: CancelToken | None = None) -> Iterator[bytes]:
        """A tar of a file or tree."""
        from core.engine import files

        with self.held(key, pause=False) as held:
            self._note(held.container, "archive-path")
            yield from files.copy_out(self._roots, held.tree, path, cancel or CancelToken())

    def copy_in(self, key: str, path: str, tar: Iterable[bytes], *, archive: bool = False) -> None:
        """Unpack a tar into an existing directory."""
        from core.engine import files

        with self.held(key, pause=False) as held:
            self._note(held.container, "extract-to-dir")
            files.copy_in(self._roots, held.tree, path, tar, archive=archive)

    def list_dir(self, key: str, path: str) -> Sequence[FileEntry]:
        """A directory of its root."""
        from core.engine import files

        with self.held(key, pause=False) as held:
            return files.list_dir(self._roots, held.tree, path)

    def find_files(self, key: str, path: str, text: str) -> Sequence[FileEntry]:
        """What has a text in its name, at any depth below a directory of its root."""
        from core.engine import files

        with self.held(key, pause=False) as held:
            return files.find_files(self._roots, held.tree, path, text)

    def read_file(self, key: str, path: str, offset: int = 0, length: int = 65536) -> bytes:
        """Part of a file of its root."""
        from core.engine import files

        with self.held(key, pause=False) as held:
            return files.read_file(self._roots, held.tree, path, offset, length)

    def write_file(self, key: str, path: str, data: bytes) -> None:
        """Replace the content of a file of its root."""
        from core.engine import files

        with self.held(key, pause=False) as held:
            files.write_file(self._roots, held.tree, path, data)

    def remove_path(self, key: str, path: str) -> None:
        """Delete a file or tree of its root."""
        from core.engine import files

        with self.held(key, pause=False) as held:
            files.remove_path(self._roots, held.tree, path)

    def export(self, key: str, report: Report, cancel: CancelToken) -> Iterator[bytes]:
        """Its whole root as one tar."""
        from core.engine import files

        with self.held(key, pause=False) as held:
            yield from files.export(self._roots, held.tree, report, cancel)
            self._note(held.container, "export")

    # ── for the other use cases ────────────────────────────────────────────────────────────────

    def all(self) -> Sequence[Container]:
        """Every container; takes no lock."""
        return self._records.all()

    @contextmanager
    def held(self, key: str, *, pause: bool) -> Iterator[HeldContainer]:
        """A container whose lock is held; with pause, a running one is frozen meanwhile.

        A running container's files are reached through its own mount namespace, so nothing but a
        pause needs the lock then: looking into it must not wait for somebody's long export.
        """
        container = self._records.get(key)
        running = isinstance(container.state, Running)
        if running and not pause:
            yield HeldContainer(container=container, tree=self._tree(container))
            return
        with self._records.lock(container.id, "use its files"):
            container = self._records.load(container.id)
            if pause and isinstance(container.state, Running) and not container.state.paused:
                # the connection is the promise: if we die, the monitor sees it close and thaws
                connection, _ = self._ask(container, {"op": "freeze"}, timeout_s=10.0)
                try:
                    yield HeldContainer(container=container, tree=self._tree(container))
                finally:
                    connection.close()
            else:
                yield HeldContainer(container=container, tree=self._tree(container))

    def _tree(self, container: Container) -> Tree:
        return Tree(
            what=f"container {container.name}",
            layers=container.config.layers,
            directory=self._roots.container(container.id),
            pid=container.state.pid if isinstance(container.state, Running) else None,
            mounts=container.config.mounts,
            remapped=container.config.spec.namespaces.user == REMAP,
            is_fresh=isinstance(container.state, Created),
            read_only=container.config.spec.read_only,
        )

    def _running(self, key: str, doing: str) -> Container:
        container = self._records.get(key)
        if isinstance(container.state, Restarting):
            raise WrongState(
                f"Container {container.id} is restarting, wait until the container is running",
                hint=f"or start it at once: start {container.name}",
            )
        if not isinstance(container.state, Running):
            raise WrongState(
                f"cannot {doing} container {container.name}: container {container.id} is not running",
                hint=f"start it first: start {container.name}",
            )
        return container

    def _note(self, container: Container, action: str, **more: str) -> None:
        attributes = {**container.config.labels, "image": container.config.image_name, "name": container.name, **more}
        journal.append(self._roots.journal, "container", action, container.id, attributes)


def _names_in(directory: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(os.listdir(directory)))
    except OSError:
        return ()
