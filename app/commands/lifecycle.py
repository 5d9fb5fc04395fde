"""What moves a container from one state to the next: stop, kill, pause, rm and their kin."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from app.commands.definition import Command, Invocation
from app.commands.flags import flag, refused
from app.commands.language import explain
from core.errors import EngineError, NotFound
from core.model.signals import parse_signal, signal_name


def each(invocation: Invocation, names: Iterable[str], action: Callable[[str], object]) -> int:
    """Do something to every named object and print the names that went well.

    Returns: 1 if any of them failed; the others are done all the same.
    """
    code = 0
    for name in names:
        try:
            action(name)
        except EngineError as error:
            explain(error, invocation.io)
            code = 1
        else:
            invocation.io.line(name)
    return code


def _timeout(invocation: Invocation) -> int | None:
    """Seconds, or None for the container's own; -1 waits for ever, as docker's does."""
    for name in ("timeout", "time"):
        if invocation.flags.given(name):
            return invocation.flags.number(name)
    return None


def _stop(invocation: Invocation) -> int:
    timeout_s, signal = _timeout(invocation), invocation.flags.text("signal")
    containers = invocation.backend.containers
    return each(invocation, invocation.arguments, lambda name: containers.stop(name, timeout_s, signal))


def _restart(invocation: Invocation) -> int:
    timeout_s, signal = _timeout(invocation), invocation.flags.text("signal")
    containers = invocation.backend.containers
    return each(invocation, invocation.arguments, lambda name: containers.restart(name, timeout_s, signal))


def _kill(invocation: Invocation) -> int:
    signal = signal_name(parse_signal(invocation.flags.text("signal")))
    containers = invocation.backend.containers
    return each(invocation, invocation.arguments, lambda name: containers.kill(name, signal))


def _pause(invocation: Invocation) -> int:
    return each(invocation, invocation.arguments, invocation.backend.containers.pause)


def _unpause(invocation: Invocation) -> int:
    return each(invocation, invocation.arguments, invocation.backend.containers.unpause)


def _remove(invocation: Invocation) -> int:
    force, volumes = invocation.flags.truth("force"), invocation.flags.truth("volumes")
    containers = invocation.backend.containers
    code = 0
    for name in invocation.arguments:
        try:
            containers.remove(name, force=force, volumes=volumes)
        except EngineError as error:
            explain(error, invocation.io)
            if not (force and isinstance(error, NotFound)):  # -f forgives what is gone already
                code = 1
        else:
            invocation.io.line(name)
    return code


def _rename(invocation: Invocation) -> int:
    old, new = invocation.arguments
    invocation.backend.containers.rename(old, new)
    return 0


def _wait(invocation: Invocation) -> int:
    code, condition = 0, invocation.flags.text("condition")
    for name in invocation.arguments:
        try:
            ended = invocation.backend.containers.wait(name, condition, invocation.io.cancel)
        except EngineError as error:
            explain(error, invocation.io)
            code = 1
        else:
            invocation.io.line(str(ended))
    return code


_SEVERAL = "CONTAINER [CONTAINER...]"
_TIMEOUT = (
    flag("-t, --timeout int", "Seconds to wait before killing the container"),
    flag("--time int", "Seconds to wait before killing the container", hidden=True),
    flag("-s, --signal string", "Signal to send to the container", check=parse_signal),
)

STOP = Command(
    run=_stop,
    summary="Stop one or more running containers",
    usage=(_SEVERAL,),
    flags=_TIMEOUT,
    least=1,
    most=None,
    completes=("running",),
)
RESTART = Command(
    run=_restart,
    summary="Restart one or more containers",
    usage=(_SEVERAL,),
    flags=_TIMEOUT,
    least=1,
    most=None,
    completes=("container",),
)
KILL = Command(
    run=_kill,
    summary="Kill one or more running containers",
    usage=(_SEVERAL,),
    flags=(flag("-s, --signal string", "Signal to send to the container", default="KILL"),),
    least=1,
    most=None,
    completes=("running",),
)
PAUSE = Command(
    run=_pause,
    summary="Pause all processes within one or more containers",
    usage=(_SEVERAL,),
    least=1,
    most=None,
    completes=("running",),
)
UNPAUSE = Command(
    run=_unpause,
    summary="Unpause all processes within one or more containers",
    usage=(_SEVERAL,),
    least=1,
    most=None,
    completes=("running",),
)
RM = Command(
    run=_remove,
    summary="Remove one or more containers",
    usage=(_SEVERAL,),
    flags=(
        flag("-f, --force", "Force the removal of a running container (uses SIGKILL)"),
        flag("-v, --volumes", "Remove anonymous volumes associated with the container"),
        refused("-l, --link", "a container keeps its links as long as it lives: remove it and make it again without"),
    ),
    least=1,
    most=None,
    completes=("container",),
)
RENAME = Command(
    run=_rename,
    summary="Rename a container",
    usage=("CONTAINER NEW_NAME",),
    least=2,
    most=2,
    completes=("container", "word"),
)
WAIT = Command(
    run=_wait,
    summary="Block until one or more containers stop, then print their exit codes",
    usage=(_SEVERAL,),
    flags=(
        flag("--condition string", 'What to wait for ("not-running", "next-exit", "removed")', default="not-running"),
    ),
    least=1,
    most=None,
    completes=("running",),
)
