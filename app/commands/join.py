"""`start`, `attach` and `exec`: what joins a person to processes of a container."""

from __future__ import annotations

from app.commands.definition import Command, Invocation
from app.commands.detach import DEFAULT, parse_detach_keys
from app.commands.flags import flag, refused
from app.commands.lifecycle import each
from app.commands.wish import read_env
from core.backend import Attachment, AttachWish
from core.errors import InvalidInput, WrongState
from core.model.container import ExecSpec, Running

_DETACH_KEYS = flag(
    "--detach-keys string",
    "Override the key sequence for detaching a container",
    default=DEFAULT,
    check=parse_detach_keys,
)


def _start(invocation: Invocation) -> int:
    containers = invocation.backend.containers
    attach = invocation.flags.truth("attach") or invocation.flags.truth("interactive")
    if not attach:
        return each(invocation, invocation.arguments, lambda name: containers.start(name))
    if len(invocation.arguments) > 1:
        raise InvalidInput("you cannot start and attach multiple containers at once")
    name = invocation.arguments[0]
    spec = containers.inspect(name).config.spec
    stdin = invocation.flags.truth("interactive") and spec.open_stdin
    wish = _wish(invocation, tty=spec.tty, stdin=stdin)
    attachment = containers.start(name, wish)
    return _joined(invocation, name, attachment, tty=spec.tty, stdin=stdin)


def _attach(invocation: Invocation) -> int:
    containers = invocation.backend.containers
    name = invocation.arguments[0]
    container = containers.inspect(name)
    if not isinstance(container.state, Running):
        raise WrongState(f"cannot attach to {name}: it is not running", hint=f"start it first: start {name}")
    if container.state.paused:
        raise WrongState(f"cannot attach to {name}: it is paused", hint=f"unpause it first: unpause {name}")
    spec = container.config.spec
    stdin = spec.open_stdin and not invocation.flags.truth("no-stdin")
    wish = _wish(invocation, tty=spec.tty, stdin=stdin)
    return _joined(invocation, name, containers.attach(name, wish), tty=spec.tty, stdin=stdin)


def _wish(invocation: Invocation, *, tty: bool, stdin: bool) -> AttachWish:
    from app.commands.streams import check_terminal, window

    check_terminal(invocation.io, tty=tty, stdin=stdin)
    rows, columns = window(invocation.io) if tty else (0, 0)
    return AttachWish(stdin=stdin, rows=rows, columns=columns)


def _joined(invocation: Invocation, name: str, attachment: Attachment | None, *, tty: bool, stdin: bool) -> int:
    from app.commands.streams import Detached, join

    containers, io = invocation.backend.containers, invocation.io
    if attachment is None:
        return containers.wait(name, cancel=io.cancel)
    proxies = invocation.flags.truth("sig-proxy") and not tty
    try:
        code = join(
            attachment,
            io,
            tty=tty,
            stdin=stdin,
            detach_keys=parse_detach_keys(invocation.flags.text("detach-keys")),
            on_signal=(lambda signal: containers.kill(name, signal)) if proxies else None,
        )
    except Detached:
        return 0
    return containers.wait(name, cancel=io.cancel) if code is None else code


def _exec(invocation: Invocation) -> int:
    from app.commands.streams import Detached, join

    flags, io = invocation.flags, invocation.io
    name, *argv = invocation.arguments
    tty, detach = flags.truth("tty"), flags.truth("detach")
    stdin = flags.truth("interactive") and not detach
    working_dir = flags.text("workdir")
    if working_dir and not working_dir.startswith("/"):
        raise InvalidInput(f"the working directory '{working_dir}' is invalid, it needs to be an absolute path")
    wish = None if detach else _wish(invocation, tty=tty, stdin=stdin)
    spec = ExecSpec(
        argv=tuple(argv),
        tty=tty,
        attach_stdin=stdin,
        detach=detach,
        env=read_env(flags.many("env"), flags.many("env-file")),
        working_dir=working_dir,
        user=flags.text("user"),
        privileged=flags.truth("privileged"),
    )
    attachment = invocation.backend.containers.exec(name, spec, wish)
    if attachment is None:
        return 0
    try:
        code = join(
            attachment,
            io,
            tty=tty,
            stdin=stdin,
            detach_keys=parse_detach_keys(flags.text("detach-keys")),
        )
    except Detached:
        return 0
    return code or 0


START = Command(
    run=_start,
    summary="Start one or more stopped containers",
    usage=("CONTAINER [CONTAINER...]",),
    flags=(
        flag("-a, --attach", "Attach STDOUT/STDERR and forward signals"),
        _DETACH_KEYS,
        flag("-i, --interactive", "Attach container's STDIN"),
        flag("--sig-proxy", "Proxy all received signals to the process", default="true", hidden=True),
        refused("--checkpoint string", "checkpoints come in a later version"),
        refused("--checkpoint-dir string", "checkpoints come in a later version"),
    ),
    least=1,
    most=None,
    completes=("stopped",),
    runs_program=True,
)
ATTACH = Command(
    run=_attach,
    summary="Attach local standard input, output, and error streams to a running container",
    usage=("CONTAINER",),
    flags=(
        _DETACH_KEYS,
        flag("--no-stdin", "Do not attach STDIN"),
        flag("--sig-proxy", "Proxy all received signals to the process", default="true"),
    ),
    least=1,
    most=1,
    completes=("running",),
)
EXEC = Command(
    run=_exec,
    summary="Execute a command in a running container",
    usage=("CONTAINER COMMAND [ARG...]",),
    flags=(
        flag("-d, --detach", "Detached mode: run command in the background"),
        _DETACH_KEYS,
        flag("-e, --env list", "Set environment variables"),
        flag("--env-file list", "Read in a file of environment variables"),
        flag("-i, --interactive", "Keep STDIN open even if not attached"),
        flag("--privileged", "Give extended privileges to the command"),
        flag("-t, --tty", "Allocate a pseudo-TTY"),
        flag("-u, --user string", 'Username or UID (format: "<name|uid>[:<group|gid>]")'),
        flag("-w, --workdir string", "Working directory inside the container"),
    ),
    least=2,
    most=None,
    interspersed=False,
    completes=("running", "word"),
    runs_program=True,
)
