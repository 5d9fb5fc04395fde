"""The life of one container, from its monitor's side; read it from top to bottom.

    start    lock · cgroup · pipes · clone · wait for exec · state "running"
    serve    output to the log and to people · requests · exec'd processes
    end      reap · drain · log durable · state "exited" · cgroup gone · tell everybody · remove

A monitor is a fork of the spawner with one thread. It is the only writer of state.json and of the
log while it lives, and its hold on alive.lock is how everybody knows that it does.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import signal
import time
from typing import Any, NamedTuple

from core.cgroups import driver
from core.cgroups.devices import ALL_DEVICES, device_rules
from core.linux import procfs
from core.linux.remove import remove_tree
from core.monitor import birth, outcome, plan, proto, records
from core.monitor.added import AddedProcesses, take_marks_away
from core.monitor.confinement import confine
from core.monitor.health import HealthChecks
from core.monitor.log import LogWriter
from core.monitor.loop import READ, Loop
from core.monitor.pipes import Pipes, channel_pair
from core.monitor.session import Session
from core.monitor.streams import window_of

_ALIVE_WAIT_S = 5.0


class Host(NamedTuple):
    """What the spawner found out once for all its monitors."""

    hierarchies: driver.Hierarchies
    last_capability: int
    bounding: int
    """Our own capabilities: nobody inside can have more."""
    no_file: tuple[int, int]
    """The limit containers get: the one the spawner was born with."""
    boot_id: str
    filters: Any
    """Callable: bounding mask → filter program."""


class StartFailed(Exception):
    """The container did not start; `report` is what the engine is told."""

    def __init__(self, report: dict[str, Any]) -> None:
        super().__init__(report["text"])
        self.report = report


class Monitor:
    """One start of one container."""

    def __init__(self, spec: dict[str, Any], host: Host) -> None:
        self._spec = spec
        self._host = host
        self._loop = Loop()
        self._cgroup = driver.choose(host.hierarchies, spec["cgroup"])
        self._log: LogWriter | None = None
        self._session: Session | None = None
        self._alive = -1
        self._pid = 0
        self._pidfd = -1
        self._started_ns = 0
        self._paused = False
        self._freezers = 0
        """How many askers want it frozen for a moment, as commit does."""
        self._warnings: list[str] = list(spec["warnings"])
        self._waiting: list[proto.Socket] = []
        self._listener: proto.Socket | None = None
        self._added: AddedProcesses
        self._health: HealthChecks | None = None

    def run(self, connection: proto.Socket, request: dict[str, Any]) -> None:
        """Start, serve and end; the connection is the engine's, waiting for the answer."""
        try:
            self._start(window_of(request.get("attach") or {}))
        except StartFailed as failed:
            self._undo(failed.report)
            proto.answer(connection, failed.report)
            return
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            text = f"{error.filename}: {reason}" if error.filename else reason
            report = {"event": "failed", "stage": "prepare", "errno": error.errno, "text": text, "code": 125}
            report["path"] = error.filename if isinstance(error.filename, str) else None
            self._undo(report)
            proto.answer(connection, report)
            return
        proto.answer(connection, {"event": "started", "pid": self._pid, "warnings": self._warnings})
        if wish := request.get("attach"):
            assert self._session
            self._session.attach(connection, wish)
        else:
            connection.close()
        self._loop.run()

    # ── start ──────────────────────────────────────────────────────────────────────────────────

    def _start(self, window: tuple[int, int]) -> None:
        spec = self._spec
        self._take_alive_lock()
        os.makedirs(f"{spec['runtime_dir']}/rootfs", mode=0o711, exist_ok=True)
        self._listener = proto.listen(f"{spec['runtime_dir']}/monitor.sock")
        self._cgroup.create()
        self._warnings += self._cgroup.limit(spec["limits"])
        self._cgroup.filter_devices(ALL_DEVICES if spec["privileged"] else device_rules(spec["device_accesses"]))
        self._log = LogWriter(f"{spec['container_dir']}/logs")
        self._session = Session(self._loop, self._log.write, stdin_once=spec["stdin_once"], note=self._note)
        confinement, warnings = confine(
            spec,
            filters=self._host.filters,
            no_file=self._host.no_file,
            last_capability=self._host.last_capability,
        )
        self._warnings += warnings
        controllers = plan.v1_controllers(self._host.hierarchies.v1) if self._host.hierarchies.version != "2" else ()
        steps = plan.build(spec, controllers)
        ours, theirs = channel_pair()
        pipes = None if spec["tty"] else Pipes(spec["open_stdin"], spec["user_map"])
        stdio = pipes.theirs if pipes else None
        pid, between = birth.bear(spec, steps, self._cgroup, theirs, stdio, confinement=confinement, window=window)
        if pid:
            self._know(pid)
        theirs.close()
        if pipes:
            pipes.close_theirs()
        try:
            self._await_exec(ours)
        finally:
            if between:
                os.waitpid(between, 0)
        ours.close()
        if pipes:
            self._session.use_pipes(pipes.stdin, pipes.stdout, pipes.stderr)
        self._started_ns = time.time_ns()
        self._write_running()
        records.volumes_mounted(spec)
        self._note("start")
        self._added = AddedProcesses(
            self._loop,
            spec,
            self._pidfd,
            self._cgroup,
            confinement=confinement,
            bounding_of_host=self._host.bounding,
        )
        self._begin_health_checks()
        self._loop.add(self._pidfd, READ, self._init_ended)
        self._loop.add(self._listener.fileno(), READ, self._accept)

    def _begin_health_checks(self) -> None:
        if self._spec.get("health"):
            self._health = HealthChecks(
                self._loop,
                self._spec,
                started_ns=self._started_ns,
                probe=self._added.probe,
                note=self._note,
                is_paused=lambda: self._paused or self._freezers > 0,
            )

    def _take_alive_lock(self) -> None:
        """An earlier monitor of this container may still be on its last instructions."""
        os.makedirs(self._spec["runtime_dir"], mode=0o711, exist_ok=True)
        self._alive = os.open(f"{self._spec['runtime_dir']}/alive.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + _ALIVE_WAIT_S
        while True:
            try:
                fcntl.flock(self._alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    text = "another monitor of this container is still alive"
                    raise StartFailed(outcome.failure("alive lock", text)) from None
                time.sleep(0.001)

    def _know(self, pid: int) -> None:
        self._pid = pid
        self._pidfd = os.pidfd_open(pid)

    def _await_exec(self, channel: proto.Socket) -> None:
        """Until the channel closes by exec; a failure or a terminal may come first."""
        channel.settimeout(outcome.START_TIMEOUT_S)
        while True:
            try:
                packet, descriptors = proto.receive_with_descriptors(channel)
            except TimeoutError:
                raise StartFailed(outcome.timeout()) from None
            if not packet:
                break
            message = proto.parse(packet)
            if message["event"] == "failed":
                raise StartFailed(message)
            if message["event"] == "pid":
                self._know(message["pid"])
            if descriptors and self._session:
                self._session.use_terminal(descriptors[0], stdin=self._spec["open_stdin"])

    def _write_running(self) -> None:
        fields = {
            "pid": self._pid,
            "start_ticks": procfs.read_start_ticks(self._pid) or 0,
            "boot_id": self._host.boot_id,
            "started_ns": self._started_ns,
            "paused": self._paused,
            "warnings": self._warnings,
            "cgroup": self._cgroup.path,
        }
        records.write_state(self._spec["container_dir"], "running", fields)

    def _undo(self, report: dict[str, Any]) -> None:
        """A failed start leaves the container as it was, with the reason."""
        if self._pid > 0:
            try:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            except ProcessLookupError:
                pass
            os.waitpid(self._pid, 0)
        if self._log:
            self._log.close()
        self._cgroup.remove()
        code = report.get("code", 125)
        try:
            records.write_state(self._spec["container_dir"], "created", {"error": report["text"], "exit_code": code})
        except OSError:
            pass  # a full disk: the engine is told, and the old state stands
        if self._spec["auto_remove"]:
            self._delete(self._take_away())
        self._clear_runtime()

    # ── serve ──────────────────────────────────────────────────────────────────────────────────

    def _accept(self, _events: int) -> None:
        assert self._listener
        while connection := proto.accept(self._listener):
            connection.setblocking(False)
            self._loop.add(connection.fileno(), READ, functools.partial(self._request, connection))

    def _request(self, connection: proto.Socket, _events: int) -> None:
        """The first packet of a connection decides what it is."""
        self._loop.remove(connection.fileno())
        connection.setblocking(True)
        try:
            request = proto.parse(proto.receive(connection))
            answer = self._serve(connection, request)
        except ValueError as error:
            answer = {"event": "error", "text": f"not a request: {error}", "errno": 0}
        except OSError as error:
            answer = {"event": "error", "text": (error.strerror or str(error)).lower(), "errno": error.errno}
        if answer is not None:
            proto.answer(connection, answer)
            connection.close()

    def _serve(self, connection: proto.Socket, request: dict[str, Any]) -> dict[str, Any] | None:
        """An answer to send, or None when the connection is kept."""
        assert self._session
        match request.get("op"):
            case "attach":
                proto.answer(connection, {"event": "ok"})
                self._session.attach(connection, request)
                return None
            case "wait":
                self._waiting.append(connection)
                return None
            case "signal":
                return self._signal(int(request["number"]))
            case "pause":
                return self._pause()
            case "unpause":
                return self._unpause()
            case "freeze":
                self._freeze_while(connection)
                return None
            case "rename":
                self._spec["attributes"]["name"] = str(request["name"])
                self._spec["name_link"] = str(request["name_link"])
                return {"event": "ok"}
            case "limit":
                self._warnings += self._cgroup.limit(request["limits"])
                self._write_running()
                return {"event": "ok"}
            case "exec":
                if self._paused or self._freezers:  # a process that joins a frozen group would stop us too
                    name = self._spec["attributes"]["name"]
                    text = f"container {name} is paused, unpause the container before exec"
                    return {"event": "error", "text": text, "errno": 0}
                self._added.start(connection, request)
                return None
            case other:
                return {"event": "error", "text": f"unknown request {other!r}", "errno": 0}

    def _signal(self, number: int) -> dict[str, Any]:
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            return {"event": "error", "text": "the container is not running", "errno": 3}
        self._note("kill", signal=str(number))
        if self._paused and number == signal.SIGKILL:
            self._cgroup.thaw()  # on v1 a frozen process does not even die
        return {"event": "ok"}

    def _pause(self) -> dict[str, Any]:
        if self._paused:
            return {"event": "error", "text": "already paused", "errno": 0}
        self._cgroup.freeze()
        self._set_paused(True)
        return {"event": "ok"}

    def _unpause(self) -> dict[str, Any]:
        if not self._paused:
            return {"event": "error", "text": "not paused", "errno": 0}
        self._cgroup.thaw()
        self._set_paused(False)
        return {"event": "ok"}

    def _freeze_while(self, connection: proto.Socket) -> None:
        """Frozen as long as the asker keeps the connection: its death thaws."""
        if not self._paused:
            self._cgroup.freeze()
            self._note("pause")
        self._freezers += 1
        proto.answer(connection, {"event": "ok"})

        def thaw(_events: int) -> None:
            self._loop.remove(connection.fileno())
            connection.close()
            self._freezers -= 1
            if not self._paused:
                self._cgroup.thaw()
                self._note("unpause")

        self._loop.add(connection.fileno(), READ, thaw)

    def _set_paused(self, paused: bool) -> None:
        self._paused = paused
        self._write_running()
        self._note("pause" if paused else "unpause")

    def _note(self, action: str, **more: str) -> None:
        attributes = {**self._spec["attributes"], **more}
        records.append_event(self._spec["journal_dir"], action, self._spec["id"], attributes)

    # ── end ────────────────────────────────────────────────────────────────────────────────────

    def _init_ended(self, _events: int) -> None:
        assert self._session is not None
        assert self._log is not None
        assert self._listener is not None
        self._loop.remove(self._pidfd)
        if self._health:
            self._health.end()
        code = outcome.exit_code(os.waitpid(self._pid, 0)[1])
        finished_ns = time.time_ns()
        self._session.drain()
        spec = self._spec
        self._log.close(durable=not spec["auto_remove"])
        oom_killed = self._cgroup.oom_kills() > 0
        if oom_killed:
            self._note("oom")
        self._cgroup.remove()
        fields = {"exit_code": code, "started_ns": self._started_ns, "finished_ns": finished_ns}
        if not spec["auto_remove"]:  # nobody could read it: the next step takes the container away
            try:
                records.write_state(spec["container_dir"], "exited", {**fields, "oom_killed": oom_killed})
            except OSError as error:
                self._keep_for_later(error, fields)
        duration_s = (finished_ns - self._started_ns) // 10**9
        self._note("die", exitCode=str(code), execDuration=str(duration_s))
        records.volumes_unmounted(spec)
        removed = self._take_away() if spec["auto_remove"] else []
        self._loop.remove(self._listener.fileno())
        self._listener.close()
        self._clear_runtime()
        for connection in self._waiting:
            proto.answer(connection, {"event": "exit", "code": code})
            connection.close()
        self._session.finish(code)
        self._delete(removed)
        self._leave_when_flushed()

    def _keep_for_later(self, error: OSError, fields: dict[str, Any]) -> None:
        """The disk is full: the exit code is too important to lose, so it goes to the run root."""
        with open(f"{self._spec['runtime_dir']}/exit.json", "w") as file:
            json.dump({**fields, "error": str(error)}, file)

    def _leave_when_flushed(self) -> None:
        assert self._session
        if self._session.clients:
            self._loop.after(0.02, self._leave_when_flushed)
        else:
            self._loop.stop()

    def _take_away(self) -> list[str]:
        """--rm: one rename takes the container away; what it was lies in the trash, by the names returned."""
        spec = self._spec
        trash = []
        for path in (spec["container_dir"], *spec["anonymous_volumes"]):
            name = os.urandom(8).hex()
            try:
                os.rename(path, f"{spec['trash_dir']}/{name}")
            except OSError:
                continue
            trash.append(name)
            if path == spec["container_dir"]:
                self._free_name()
                self._note("destroy")
            else:
                volume, attributes = os.path.basename(path), {"driver": "local"}
                records.append_event(spec["journal_dir"], "destroy", volume, attributes, kind="volume")
        return trash

    def _delete(self, trash: list[str]) -> None:
        """Delete what was taken away, when nobody waits for us any more."""
        if not trash:
            return
        directory = os.open(self._spec["trash_dir"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in trash:
            remove_tree(directory, name)
        os.close(directory)

    def _free_name(self) -> None:
        try:
            if os.path.basename(os.readlink(self._spec["name_link"])) == self._spec["id"]:
                os.unlink(self._spec["name_link"])
        except OSError:
            pass

    def _clear_runtime(self) -> None:
        """Nothing of a run stays in the run root; of a removed container not even its lock."""
        directory = self._spec["runtime_dir"]
        _forget(f"{directory}/monitor.sock")
        _forget(f"{directory}/rootfs")
        take_marks_away(directory)
        if self._spec["auto_remove"]:
            _forget(f"{directory}/alive.lock")
            _forget(directory)


def _forget(path: str) -> None:
    """Remove a file or an empty directory; gone, or still in use, is fine."""
    try:
        if os.path.isdir(path):
            os.rmdir(path)
        else:
            os.unlink(path)
    except OSError:
        pass
