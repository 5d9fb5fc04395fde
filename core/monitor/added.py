"""Processes that were added to a container by exec: started, served and reaped by its monitor."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from core.cgroups.driver import Cgroup
from core.monitor import exec, outcome, proto, records
from core.monitor.confinement import Confinement
from core.monitor.loop import READ, Loop
from core.monitor.pipes import Pipes, channel_pair
from core.monitor.session import Session


class AddedProcesses:
    """All of one container.

    Args: target: a pidfd of its first process. bounding_of_host: the capabilities of `exec --privileged`.
    """

    def __init__(
        self,
        loop: Loop,
        spec: dict[str, Any],
        target: int,
        cgroup: Cgroup,
        *,
        confinement: Confinement,
        bounding_of_host: int,
    ) -> None:
        self._loop = loop
        self._spec = spec
        self._target = target
        self._cgroup = cgroup
        self._confinement = confinement
        self._bounding_of_host = bounding_of_host

    def start(self, connection: proto.Socket, request: dict[str, Any]) -> None:
        """Start one; its streams go to the connection, and in the end its exit code."""
        attributes = {**self._spec["attributes"], "execID": str(request.get("id", ""))}

        def note(action: str, **_more: str) -> None:
            if action == "detach":
                self._note("exec_detach", attributes)

        session = Session(self._loop, None, stdin_once=True, note=note)
        pid, failure = self._enter(request, session)
        if not pid:
            proto.answer(connection, failure)
            connection.close()
            return
        self._note(f"exec_start: {_words(request)}", attributes)
        proto.answer(connection, {"event": "started", "pid": pid})
        if request.get("detach"):
            connection.close()
        else:
            session.attach(connection, request)
        self._await(pid, session, attributes, None)

    def probe(
        self, request: dict[str, Any], sink: Callable[[int, bytes], int], ended: Callable[[int], None]
    ) -> tuple[int, str]:
        """Start one whose output goes to a sink and whose exit code to a callback.

        Returns: its pid, or 0 and why it did not start.
        """
        attributes = {**self._spec["attributes"], "execID": str(request["id"])}
        self._note(f"exec_create: {_words(request)}", attributes)
        session = Session(self._loop, sink, stdin_once=True)
        pid, failure = self._enter(request, session)
        if not pid:
            return 0, str(failure["text"])
        self._note(f"exec_start: {_words(request)}", attributes)
        self._await(pid, session, attributes, ended)
        return pid, ""

    def _enter(self, request: dict[str, Any], session: Session) -> tuple[int, dict[str, Any]]:
        """Let the process come to be and give its streams to a session; 0 and why when it does not."""
        confinement = self._confinement
        if request.get("privileged"):
            confinement = confinement.with_everything(self._bounding_of_host)
        ours, theirs = channel_pair()
        pipes = None if request.get("tty") else Pipes(bool(request.get("stdin")), self._spec["user_map"])
        between = exec.spawn(
            request,
            self._target,
            self._cgroup,
            theirs,
            pipes.theirs if pipes else None,
            confinement=confinement,
            remapped=bool(self._spec["user_map"]),
        )
        theirs.close()
        if pipes:
            pipes.close_theirs()
        pid, failure = self._await_entry(ours, session, bool(request.get("stdin")))
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

    def _await(
        self, pid: int, session: Session, attributes: dict[str, str], ended: Callable[[int], None] | None
    ) -> None:
        pidfd = os.pidfd_open(pid)
        mark = f"{self._spec['runtime_dir']}/{MARKS}/{attributes['execID']}"
        _put_mark(mark)

        def end(_events: int) -> None:
            self._loop.remove(pidfd)
            os.close(pidfd)
            _take_mark(mark)
            code = outcome.exit_code(os.waitpid(pid, 0)[1])
            session.drain()
            session.finish(code)
            self._note("exec_die", {**attributes, "exitCode": str(code)})
            if ended:
                ended(code)

        self._loop.add(pidfd, READ, end)

    def _await_entry(self, channel: proto.Socket, session: Session, stdin: bool) -> tuple[int, dict[str, Any] | None]:
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

    def _note(self, action: str, attributes: dict[str, str]) -> None:
        records.append_event(self._spec["journal_dir"], action, self._spec["id"], attributes)


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
