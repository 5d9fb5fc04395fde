"""The engine's side: find or start the spawner, and ask it to start a container.

The spawner's interpreter is executed through a read-only clone of its mount, so that no process in
a container can ever re-open the host's interpreter for writing (CVE-2019-5736's class).
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from pathlib import Path
from typing import Any

from core.errors import EngineError, InvalidInput, SandboxFailed, TimedOut, WrongState
from core.linux.checkpoints import VARIABLE
from core.linux.mounts import MOUNT_ATTR_RDONLY, open_tree, set_attributes
from core.monitor import proto
from core.state.paths import Roots

_READY_S = 15.0
_ANSWER_S = 20.0
_QUIT_S = 2.0
_LONGEST_RUN_ROOT = 107 - len("/c/0123456789abcdef/monitor.sock")
"""unix(7): a socket's path has 107 bytes."""
_BOOTSTRAP = (
    "import sys; sys.path.append({parent!r});"
    "from core.monitor.spawner import main; main({run!r}, {data!r}, {tag!r}, {log!r}, {ready}, {sealed})"
)


PLACES = ("id", "container_dir", "runtime_dir", "cgroup")
"""The fields of a SandboxSpec that the spawner needs; the rest is the monitor's alone to read."""


def request_start(
    roots: Roots, spec: bytes, places: dict[str, str], attach: dict[str, Any] | None
) -> tuple[proto.Socket, dict[str, Any]]:
    """Start a container.

    Args: spec: a SandboxSpec as JSON. places: its PLACES. attach: an AttachWish's fields, None for none.
    Returns: the connection and the monitor's answer, "started". With attach, the connection carries
        the process's streams from then on. "running" without streams, when a monitor that was killed
        meanwhile had got so far, and another one has taken over.
    An idle spawner of another version is replaced by one of ours.
    Raises: SandboxFailed: with the stage that failed and docker's exit code in `exit_code`.
        WrongState: a spawner of another version keeps containers.
        TimedOut: no answer.
    """
    return _request_start(roots, spec, places, attach, may_replace=True)


def _request_start(
    roots: Roots, spec: bytes, places: dict[str, str], attach: dict[str, Any] | None, *, may_replace: bool
) -> tuple[proto.Socket, dict[str, Any]]:
    document = os.memfd_create("sandbox")
    try:
        os.write(document, spec)
        request: dict[str, Any] = {"op": "start", "protocol": proto.PROTOCOL, "places": places, "attach": attach}
        for attempt in (1, 2):
            connection = _connect(roots)
            connection.settimeout(_ANSWER_S)
            try:
                proto.send(connection, request, (document,))
                packet = proto.receive(connection)
            except TimeoutError:
                connection.close()
                raise TimedOut(
                    f"the monitor did not answer within {_ANSWER_S:.0f} s",
                    hint=f"look into {roots.log}, then start the container again",
                ) from None
            except OSError:
                packet = b""
            if packet:
                break
            connection.close()  # an idle spawner that ended as we connected: once more with a new one
            if attempt == 2:
                raise EngineError("the spawner ended without an answer", hint=f"look into {roots.log}")
    finally:
        os.close(document)
    connection.settimeout(None)
    answer = proto.parse(packet)
    if _is_of_another_version(answer):
        connection.close()
        if not may_replace:
            raise _other_version(roots, answer)
        _replace(roots, answer)
        return _request_start(roots, spec, places, attach, may_replace=False)
    if answer.get("event") not in ("started", "running"):
        connection.close()
        raise _refused(answer)
    return connection, answer


_REFUSALS = ("the spawner is of another version", "request not understood by this version")
"""Of a "start"; the second one is what protocol 1 said."""


def _is_of_another_version(answer: dict[str, Any]) -> bool:
    return answer.get("event") == "error" and answer.get("text") in _REFUSALS


def _replace(roots: Roots, answer: dict[str, Any]) -> None:
    """Have an idle spawner of another version end, so that the next one is ours.

    Raises: WrongState: it keeps containers.
    """
    try:
        connection = proto.connect(roots.spawner_socket)
    except OSError:
        return  # it has ended meanwhile
    connection.settimeout(_ANSWER_S)
    try:
        pid = proto.peer_pid(connection)
        proto.send(connection, {"op": "quit", "protocol": proto.PROTOCOL})
        proto.receive(connection)
        deadline = time.monotonic() + _QUIT_S
        while _spawner_pid(roots) == pid:
            if time.monotonic() > deadline:
                raise _other_version(roots, answer)
            time.sleep(0.01)
    except OSError:
        pass  # it has ended: that is what was wanted
    finally:
        connection.close()


def _spawner_pid(roots: Roots) -> int:
    """Who answers, 0 if nobody does."""
    try:
        connection = proto.connect(roots.spawner_socket)
    except OSError:
        return 0
    pid = proto.peer_pid(connection)
    connection.close()
    return pid


def _other_version(roots: Roots, answer: dict[str, Any]) -> WrongState:
    theirs = int(answer.get("protocol", 1))
    age = "an earlier" if theirs < proto.PROTOCOL else "a later"
    return WrongState(
        f"the containers that run under {roots.data} were started by {age} version of wharf"
        f" (protocol {theirs}, ours is {proto.PROTOCOL}), which can't start this one",
        hint="stop them first: wharf stop $(wharf ps -q)",
    )


def look_for_orphans(roots: Roots) -> list[str]:
    """Have the spawner put monitors where they were killed; ids of the containers that have one, or get one.

    Raises: EngineError: no spawner could be started, or it does not answer.
    """
    for _ in range(3):  # one that was just killed still takes connections, and answers none
        connection = _connect(roots)
        connection.settimeout(_ANSWER_S)
        try:
            proto.send(connection, {"op": "look", "containers_dir": str(roots.containers), "run_root": str(roots.run)})
            if packet := proto.receive(connection):
                return list(proto.parse(packet).get("ids", ()))
        except OSError:
            continue
        finally:
            connection.close()
    raise EngineError("the spawner does not answer", hint=f"look into {roots.log}")


def _refused(answer: dict[str, Any]) -> SandboxFailed:
    stage = str(answer.get("stage", "start"))
    path = answer.get("path")
    error = SandboxFailed(
        str(answer.get("text", "the container did not start")),
        stage=stage,
        errno=int(answer.get("errno") or 0),
        path=path if isinstance(path, str) else None,
        exit_code=int(answer.get("code") or 125),
    )
    return error


def _connect(roots: Roots) -> proto.Socket:
    """Connect to the spawner, started by us or by somebody who was faster."""
    if (length := len(os.fsencode(roots.run))) > _LONGEST_RUN_ROOT:
        raise InvalidInput(
            f"run root {roots.run} has {length} bytes, and sockets below it allow no more than {_LONGEST_RUN_ROOT}",
            hint="name a shorter one with --run-root, such as one under /run",
        )
    path = roots.spawner_socket
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            return proto.connect(path)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            if time.monotonic() > deadline:
                raise EngineError(
                    f"no spawner answers at {path}: {error.strerror}", hint=f"look into {roots.log}"
                ) from error
        _start_spawner(roots)


def _start_spawner(roots: Roots) -> None:
    """Start one and wait until it, or one that was faster, listens."""
    import subprocess  # 3 ms, and there nearly always is a spawner

    interpreter = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    sealed = _sealed(interpreter)
    reading, writing = os.pipe2(os.O_CLOEXEC)
    parent = str(Path(__file__).resolve().parent.parent.parent)
    code = _BOOTSTRAP.format(
        parent=parent,
        run=str(roots.run),
        data=str(roots.data),
        tag=roots.tag,
        log=str(roots.log),
        ready=writing,
        sealed=sealed,
    )
    try:
        process = subprocess.Popen(
            [interpreter, "-I", "-S", "-X", "utf8", "-c", code],
            executable=f"/proc/self/fd/{sealed}",
            pass_fds=(sealed, writing),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            # a sealed interpreter no longer lies where $ORIGIN of its RUNPATH would look
            env={"LD_LIBRARY_PATH": os.path.join(sys.base_prefix, "lib"), VARIABLE: os.environ.get(VARIABLE, "")},
            start_new_session=True,
        )
        os.close(writing)
        writing = -1
        if not _wait_readable(reading, _READY_S):
            os.killpg(process.pid, 9)
            raise TimedOut(f"the spawner was not ready within {_READY_S:.0f} s", hint=f"look into {roots.log}")
        if not os.read(reading, 1):
            raise EngineError("the spawner did not start", hint=f"look into {roots.log}")
    finally:
        for descriptor in (sealed, reading, writing):
            if descriptor >= 0:
                os.close(descriptor)
    process.wait()  # it has left a child behind, which is nobody's to wait for


def _wait_readable(descriptor: int, seconds: float) -> bool:
    import select

    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _sealed(interpreter: str) -> int:
    """A descriptor to execute the interpreter from that can't be turned into one for writing."""
    try:
        descriptor = open_tree(interpreter)
    except OSError:
        return _copied(interpreter)
    try:
        set_attributes(descriptor, MOUNT_ATTR_RDONLY)
    except OSError:
        os.close(descriptor)
        return _copied(interpreter)
    return descriptor


def _copied(interpreter: str) -> int:
    """Where a mount can't be cloned: a copy in memory, sealed against writing (5 ms)."""
    source = os.open(interpreter, os.O_RDONLY | os.O_CLOEXEC)
    try:
        copy = os.memfd_create("interpreter", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        size = os.fstat(source).st_size
        offset = 0
        while offset < size:
            offset += os.sendfile(copy, source, offset, size - offset)
    finally:
        os.close(source)
    fcntl.fcntl(
        copy,
        fcntl.F_ADD_SEALS,
        fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL,
    )
    return copy
