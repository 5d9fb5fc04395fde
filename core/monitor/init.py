"""A container's first process, from clone to exec: join the group, run the plan, become the command.

monitor                              init
  │ clone(new namespaces) ──────────▶ │ cgroup, plan (mounts … pivot)
  │──────── "network" ──────────────▶ │ only with networks: its interfaces stand
  │◀──────── terminal's master ────── │ only with a terminal
  │                                   │ seal, close, user, directory, filter, capabilities
  │◀──── {stage, errno, path} ─────── │ or exec: the channel closes by itself
"""

from __future__ import annotations

import fcntl
import json
import os
import termios
from typing import Any, NoReturn

from core.linux.checkpoints import checkpoint
from core.monitor import process, proto
from core.monitor.confinement import Confinement
from core.monitor.process import StageError
from core.monitor.steps import Place, Step
from core.monitor.streams import set_size


def run(
    spec: dict[str, Any],
    plan: tuple[Step, ...],
    place: Place,
    channel: proto.Socket,
    stdio: tuple[int, int, int] | None,
    *,
    confinement: Confinement,
    window: tuple[int, int],
) -> NoReturn:
    """Never returns, and never lets an exception out. The caller has joined the group.

    Args: place: where the plan works. window: rows and columns of the terminal, if there is one.
        stdio: descriptors for 0, 1, 2 (-1 for the container's /dev/null); None with a terminal.
    """
    report_to = channel.fileno()
    try:
        checkpoint("init:begun")
        os.setsid()
        os.umask(0)  # device nodes get the modes they are given; PivotRoot sets the container's
        pipes = stdio and tuple(_hold_open(descriptor) for descriptor in stdio)
        for step in plan:
            try:
                step.run(place)
            except OSError as error:
                text = f"{step.describe()}: {(error.strerror or str(error)).lower()}"
                raise StageError(type(step).__name__, error, text, 125) from None
        if spec.get("network"):
            _await_network(channel)
        process.seal_imports()
        if place.terminal_slave >= 0:
            proto.send(channel, {"event": "terminal"}, (place.terminal_master,))
            take_terminal(place.terminal_slave, window)
        elif pipes:
            for target, descriptor in enumerate(pipes):
                os.dup2(descriptor if descriptor >= 0 else process.open_null(), target)
        report_to = process.close_other_descriptors(report_to)
        process.execute(
            argv=spec["argv"],
            environment=spec["env"],
            cwd=spec["cwd"],
            user=spec["user"],
            confinement=confinement,
            make_cwd=True,
            init=bool(spec.get("init")),
        )
    except StageError as error:
        fail(error, report_to)
    except BaseException as error:
        # the boundary of this process: whatever else went wrong is told to the monitor
        fail(StageError("start", OSError(0, ""), f"{type(error).__name__}: {error}", 125), report_to)


def _await_network(channel: proto.Socket) -> None:
    """Nothing of the command may find its interfaces half made. Raises: StageError: the monitor was killed."""
    if not proto.receive(channel):
        raise StageError("network", OSError(0, ""), "its monitor was killed while it made its networks", 125)


def fail(error: StageError, report_to: int) -> NoReturn:
    """Tell the monitor and end."""
    try:
        os.write(report_to, json.dumps({"event": "failed", **process.report(error)}).encode())
    finally:
        os._exit(error.code)


def _hold_open(descriptor: int) -> int:
    """Re-open a pipe's writing end for both directions: it then outlives its reader without SIGPIPE.

    Never the reading end: a stdin that holds its own writer never ends.
    """
    if descriptor < 0:
        return descriptor
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    if flags & os.O_ACCMODE != os.O_WRONLY:
        return descriptor
    return os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)


def take_terminal(slave: int, window: tuple[int, int]) -> None:
    """Make a terminal the controlling one of this (new) session, and standard input and output.

    Its size is set here, before the command can ask for it.
    """
    set_size(slave, *window)
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for target in (0, 1, 2):
        os.dup2(slave, target)
