"""Processes that were added to a container by exec: started, served and ended by its monitor."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from core.linux import pidfd, procfs
from core.linux.checkpoints import checkpoint
from core.monitor import exec, outcome, proto, status
from core.monitor.loop import READ
from core.monitor.pipes import Pipes, channel_pair
from core.monitor.session import Session
from core.monitor.streams import Tap

if TYPE_CHECKING:
    from core.monitor.life import Life


_RETURN_S = 5.0


class _Added:
    """One of them."""

    def __init__(self, key: str, pid: int, pidfd: int, session: Session, *, is_child: bool, stdin: bool) -> None:
        self.key = key
        self.pid = pid
        self.pidfd = pidfd
        self.start_ticks = procfs.read_start_ticks(pid) or 0
        self.session = session
        self.is_child = is_child
        self.stdin = stdin
        self.is_attended = False
        """Somebody was attached from the start, and is expected back after a takeover."""
        self.hangs_up = False
        """It does not outlive those attached to it."""
        self.code: int | None = None
        self.on_end: Callable[[int], None] | None = None

    def facts(self) -> dict[str, Any]:
        """What a successor must know of it."""
        return {
            "pid": self.pid,
            "start_ticks": self.start_ticks,
            "stdin": self.stdin,
            "attended": self.is_attended,
            "hangs_up": self.hangs_up,
        }


class AddedProcesses:
    """All of one run of a container."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._running: dict[str, _Added] = {}
        self._awaited: dict[str, _Added] = {}
        """Those whose person, parted by a takeover, has not come back yet; their output waits, and so do we."""

    def start(self, connection: proto.Socket, request: dict[str, Any]) -> None:
        """Start one; its streams go to the connection, and in the end its exit code.

        Asked again for one that runs (its monitor was killed before it could answer), join that.
        """
        key = str(request["id"])
        if again := self._awaited.get(key) or self._running.get(key):
            proto.answer(connection, {"event": "started", "pid": again.pid, "key": key})
            if request.get("detach"):
                connection.close()
            else:
                self._join(again, connection, request)
            return
        session = self._session(key)
        pid, failure = self._enter(request, session)
        checkpoint("exec:entered")
        if not pid:
            proto.answer(connection, failure)
            connection.close()
            return
        added = _Added(key, pid, os.pidfd_open(pid), session, is_child=True, stdin=bool(request.get("stdin")))
        added.is_attended = not request.get("detach")
        self._hang_up_when_left(added, bool(request.get("hangs_up")))
        self._running[key] = added
        _put_mark(self._mark(key))
        self._keep(key)
        checkpoint("exec:kept")
        self._life.note(f"exec_start: {_words(request)}", execID=key)
        proto.answer(connection, {"event": "started", "pid": pid, "key": key})
        if request.get("detach"):
            connection.close()
        else:
            session.attach(connection, request)
        self._life.loop.add(added.pidfd, READ, lambda _events: self._over(added))

    def probe(
        self, request: dict[str, Any], sink: Callable[[int, bytes], int], ended: Callable[[int], None]
    ) -> tuple[int, str]:
        """Start one whose output goes to a sink and whose exit code to a callback; it is not kept for a successor.

        Returns: its pid, or 0 and why it did not start.
        """
        key = str(request["id"])
        self._life.note(f"exec_create: {_words(request)}", execID=key)
        session = Session(self._life.loop, Tap(sink), stdin_once=True)
        pid, failure = self._enter(request, session)
        if not pid:
            return 0, str(failure["text"])
        self._life.note(f"exec_start: {_words(request)}", execID=key)
        added = _Added(key, pid, os.pidfd_open(pid), session, is_child=True, stdin=False)
        added.on_end = ended
        self._running[key] = added
        _put_mark(self._mark(key))
        self._life.loop.add(added.pidfd, READ, lambda _events: self._over(added))
        return pid, ""

    def _mark(self, key: str) -> str:
        return f"{self._life.spec['runtime_dir']}/{MARKS}/{key}"

    def _session(self, key: str) -> Session:
        def note(action: str, **_more: str) -> None:
            if action == "detach":
                self._life.note("exec_detach", execID=key)

        on_change = functools.partial(self._keep, key)
        return Session(self._life.loop, None, stdin_once=True, note=note, on_change=on_change)

    def _enter(self, request: dict[str, Any], session: Session) -> tuple[int, dict[str, Any]]:
        """Let the process come to be and give its streams to a session; 0 and why when it does not."""
        life = self._life
        assert life.process
        assert life.confinement
        confinement = life.confinement
        if request.get("privileged"):
            confinement = confinement.with_everything(life.host.bounding)
        ours, theirs = channel_pair()
        pipes = None if request.get("tty") else Pipes(bool(request.get("stdin")), life.spec["user_map"])
        between = exec.spawn(
            request,
            life.process.pidfd,
            life.cgroup,
            theirs,
            pipes.theirs if pipes else None,
            confinement=confinement,
            remapped=bool(life.spec["user_map"]),
        )
        theirs.close()
        if pipes:
            pipes.close_theirs()
        pid, failure = _await_entry(ours, session, bool(request.get("stdin")))
        ours.close()
        os.waitpid(between, 0)
        if failure or not pid:
            if pipes:
                pipes.close_ours()
            if pid:
                os.waitpid(pid, 0)
            return 0, failure or outcome.failure("enter", "the process did not start")
        if pipes:
            session.use_pipes(pipes.stdin, pipes.stdout, pipes.stderr)
        return pid, {}

    def adopt(self, key: str, facts: dict[str, Any], descriptors: dict[str, int]) -> None:
        """Go on with one that a killed monitor started."""
        descriptor = descriptors.pop("pidfd", None)
        if descriptor is None:
            descriptor = pidfd.open_verified(facts["pid"], facts["start_ticks"])
        session = self._session(key)
        session.adopt(descriptors, stdin=bool(facts["stdin"]))
        added = _Added(
            key, facts["pid"], -1 if descriptor is None else descriptor, session, is_child=False, stdin=facts["stdin"]
        )
        added.start_ticks = facts["start_ticks"]
        added.is_attended = bool(facts["attended"])
        self._hang_up_when_left(added, bool(facts.get("hangs_up")))
        self._running[key] = added
        _put_mark(self._mark(key))
        if added.is_attended:
            self._awaited[key] = added
            session.hold(True)
            self._life.loop.after(_RETURN_S, functools.partial(self._nobody_came, key))
        self._keep(key)
        if added.pidfd >= 0:
            self._life.loop.add(added.pidfd, READ, lambda _events: self._over(added))
        else:
            self._over(added)

    @property
    def are_running(self) -> bool:
        """Whether somebody may still have to be told a code."""
        return bool(self._running or self._awaited)

    def is_known(self, key: str) -> bool:
        """Whether it was started by us or a killed monitor, and somebody may still join it."""
        return key in self._running or key in self._awaited

    @property
    def are_awaited(self) -> bool:
        """Whether somebody is expected back."""
        return bool(self._awaited)

    def attach(self, connection: proto.Socket, request: dict[str, Any]) -> dict[str, Any] | None:
        """Let somebody in again whose monitor was killed."""
        key = str(request["key"])
        added = self._awaited.get(key) or self._running.get(key)
        if added is None:
            return {"event": "error", "text": "no such process", "errno": 0}
        proto.answer(connection, {"event": "ok"})
        self._join(added, connection, request)
        return None

    def _join(self, added: _Added, connection: proto.Socket, request: dict[str, Any]) -> None:
        """Let somebody in who is expected, or at least welcome."""
        self._awaited.pop(added.key, None)
        added.session.attach(connection, request)
        added.session.hold(False)
        if added.code is not None:
            self._part(added, added.code)

    def _nobody_came(self, key: str) -> None:
        added = self._awaited.pop(key, None)
        if added:
            added.session.hold(False)
            if added.code is not None:
                self._part(added, added.code)
            elif added.session.on_left:
                added.session.on_left()

    def _hang_up_when_left(self, added: _Added, wanted: bool) -> None:
        added.hangs_up = wanted
        if wanted:
            added.session.on_left = functools.partial(self._hang_up, added)

    def _hang_up(self, added: _Added) -> None:
        if added.code is None and added.pidfd >= 0:
            try:
                signal.pidfd_send_signal(added.pidfd, signal.SIGHUP)
            except ProcessLookupError:
                pass  # it has ended, and its end is about to be noticed

    def _part(self, added: _Added, code: int) -> None:
        added.session.drain()
        added.session.finish(code)

    def _keep(self, key: str) -> None:
        added = self._running.get(key)
        if added:
            descriptors = added.session.descriptors()
            if added.pidfd >= 0:
                descriptors["pidfd"] = added.pidfd
            self._life.deposit.keep(key, added.facts(), descriptors)

    def _over(self, added: _Added) -> None:
        if added.pidfd >= 0:
            self._life.loop.remove(added.pidfd)
        if added.is_child:
            self._finish(added, status.peek_child(added.pid))
        else:
            runtime_dir = self._life.spec["runtime_dir"]
            tell = functools.partial(self._finish, added)
            status.await_status(self._life.loop, added.pid, added.pidfd, runtime_dir, tell)

    def _finish(self, added: _Added, code: int | None) -> None:
        checkpoint("exec:ended")
        code = outcome.UNKNOWN if code is None else code
        added.code = code
        _take_mark(self._mark(added.key))
        if added.key not in self._awaited:
            self._part(added, code)
        self._life.note("exec_die", execID=added.key, exitCode=str(code))
        if added.on_end:
            added.on_end(code)
        del self._running[added.key]
        _take_mark(self._mark(added.key))
        self._life.deposit.release(added.key)
        if added.pidfd >= 0:
            os.close(added.pidfd)
        if added.is_child:
            status.reap(added.pid)


def _await_entry(channel: proto.Socket, session: Session, stdin: bool) -> tuple[int, dict[str, Any] | None]:
    pid, failure = 0, None
    channel.settimeout(outcome.START_TIMEOUT_S)
    while True:
        try:
            packet, descriptors = proto.receive_with_descriptors(channel)
        except TimeoutError:
            if pid:
                os.kill(pid, signal.SIGKILL)
            return pid, outcome.timeout()
        if not packet:
            return pid, failure
        message = proto.parse(packet)
        if message["event"] == "pid":
            pid = message["pid"]
        elif message["event"] == "terminal" and descriptors:
            session.use_terminal(descriptors[0], stdin=stdin)
        elif message["event"] == "failed":
            failure = message


MARKS = "execs"
"""A directory of the run root with an empty file for each added process, named by its exec id: what inspect lists."""


def _put_mark(path: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _take_mark(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # the container's end took them all


def take_marks_away(runtime_dir: str) -> None:
    """No added process is left: the container has ended."""
    try:
        for name in os.listdir(f"{runtime_dir}/{MARKS}"):
            os.unlink(f"{runtime_dir}/{MARKS}/{name}")
        os.rmdir(f"{runtime_dir}/{MARKS}")
    except FileNotFoundError:
        pass


def _words(request: dict[str, Any]) -> str:
    """A command as events name it: docker puts a blank behind the first word whatever follows."""
    return f"{request['argv'][0]} {' '.join(request['argv'][1:])}"
