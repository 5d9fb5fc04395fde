"""`run` and `create`: a wish becomes a container."""

from __future__ import annotations

import os

from app.commands.definition import Command, Invocation
from app.commands.detach import DEFAULT, parse_detach_keys
from app.commands.flags import flag
from app.commands.wish import CREATE_FLAGS, read_wish
from core.about import NAME, STARTER_IMAGE
from core.backend import AttachWish, CreateResult
from core.errors import EngineError, InvalidInput, NotFound, RemoteError, wrapped
from core.model.container import ContainerSpec, Running
from core.model.limits import Limits
from core.model.reference import parse_reference

_REFUSED = 125


def _create_pulled(invocation: Invocation, spec: ContainerSpec) -> CreateResult:
    """Create it, its image fetched before or in between as --pull says."""
    wish, create = invocation.flags.text("pull"), invocation.backend.containers.create
    if wish not in ("always", "missing", "never"):
        raise InvalidInput(f'invalid pull option: \'{wish}\': must be one of "always", "missing" or "never"')
    if wish == "always":
        _pull(invocation, spec.image)
    elif wish == "missing" and not _is_here(invocation, spec.image):
        _pull_missing(invocation, spec.image)
    try:
        return create(spec)
    except NotFound as error:
        is_its_own = error.key in (spec.image, parse_reference(spec.image).familiar)  # not one that it mounts
        if error.kind != "image" or not is_its_own or wish != "missing":
            raise
    _pull_missing(invocation, spec.image)
    return create(spec)


def _is_here(invocation: Invocation, image: str) -> bool:
    """Whether what --platform asks for is here; without it, the create finds out."""
    platform = invocation.flags.text("platform")
    if not platform:
        return True
    try:
        found = invocation.backend.images.inspect(image)
    except NotFound:
        return False
    return f"{found.os}/{found.architecture}".startswith("/".join(platform.split("/")[:2]))


def _pull_missing(invocation: Invocation, image: str) -> None:
    if not invocation.flags.truth("quiet"):
        invocation.io.complain(f"Unable to find image '{parse_reference(image).familiar}' locally")
    try:
        _pull(invocation, image)
    except RemoteError as error:
        error.hint = error.hint or (
            f"load one from a file (load -i), or make {STARTER_IMAGE} of this host's own tools (starter)"
        )
        raise


def _pull(invocation: Invocation, image: str) -> None:
    from app.commands.transfer import pull_for_run

    pull_for_run(invocation, image, quiet=invocation.flags.truth("quiet"))


def _create(invocation: Invocation, spec: ContainerSpec) -> CreateResult:
    cidfile = invocation.flags.text("cidfile")
    if cidfile and os.path.lexists(cidfile):
        raise InvalidInput(f"container ID file found, make sure the other container isn't running or delete {cidfile}")
    created = _create_pulled(invocation, spec)
    for warning in created.warnings:
        invocation.io.complain(f"WARNING: {warning}")
    if cidfile:
        try:
            with open(cidfile, "x", encoding="ascii") as file:
                file.write(created.id)
        except OSError as error:
            invocation.backend.containers.remove(created.id, force=True, volumes=True)
            raise wrapped(error, "write the container's ID to", cidfile) from None
    return created


def _run_create(invocation: Invocation) -> int:
    created = _create(invocation, read_wish(invocation, detach=False))
    invocation.io.line(created.id)
    return 0


def _run(invocation: Invocation) -> int:
    flags, io = invocation.flags, invocation.io
    detach = flags.truth("detach")
    if detach and flags.given("attach"):
        io.complain(f"{NAME}: conflicting options: cannot specify both --attach and --detach")
        return 1
    keys = parse_detach_keys(flags.text("detach-keys"))
    spec = read_wish(invocation, detach=detach)
    if spec.tty and spec.attach_stdin and not io.stdin_is_tty and io.terminal is None:
        io.complain(f"{NAME}: the input device is not a TTY\nleave out -t, or run it in a terminal")
        return 1
    created = _create(invocation, spec)
    containers = invocation.backend.containers
    try:
        if detach:
            containers.start(created.id)
            _tell_warnings(invocation, created, spec)
            io.line(created.id)
            return 0
        return _run_attached(invocation, created, spec, keys)
    except EngineError:
        if spec.auto_remove:  # a start that failed leaves nothing behind that was to be removed anyway
            try:
                containers.remove(created.id, force=True, volumes=True)
            except NotFound:
                pass
        raise


def _tell_warnings(invocation: Invocation, created: CreateResult, spec: ContainerSpec) -> None:
    """Say what only the start could find out: that this host can't give all that was asked for."""
    if not spec.ulimits and spec.oom_score_adj >= 0 and spec.limits == Limits():
        return
    try:
        state = invocation.backend.containers.inspect(created.id).state
    except EngineError:
        return  # it has ended already, and is being removed: what it says comes through the attachment all the same
    for warning in state.warnings if isinstance(state, Running) else ():
        if warning not in created.warnings:
            invocation.io.complain(f"WARNING: {warning}")


def _run_attached(invocation: Invocation, created: CreateResult, spec: ContainerSpec, keys: bytes) -> int:
    from app.commands.streams import Detached, join, window

    io, containers = invocation.io, invocation.backend.containers
    rows, columns = window(io) if spec.tty else (0, 0)
    wish = AttachWish(
        stdin=spec.attach_stdin and spec.open_stdin,
        stdout=spec.attach_stdout,
        stderr=spec.attach_stderr,
        rows=rows,
        columns=columns,
    )
    container = created.id
    attachment = containers.start(container, wish)
    _tell_warnings(invocation, created, spec)
    if attachment is None:
        return containers.wait(container, cancel=io.cancel)
    proxies = invocation.flags.truth("sig-proxy") and not spec.tty
    try:
        code = join(
            attachment,
            io,
            tty=spec.tty,
            stdin=wish.stdin,
            detach_keys=keys,
            on_signal=(lambda name: containers.kill(container, name)) if proxies else None,
        )
    except Detached:
        return 0
    return containers.wait(container, cancel=io.cancel) if code is None else code


CREATE = Command(
    run=_run_create,
    summary="Create a new container",
    usage=("IMAGE [COMMAND] [ARG...]",),
    flags=CREATE_FLAGS,
    least=1,
    most=None,
    interspersed=False,
    completes=("image", "word"),
    points_to_help=True,
)
RUN = Command(
    run=_run,
    summary="Create and run a new container from an image",
    usage=("IMAGE [COMMAND] [ARG...]",),
    flags=(
        *CREATE_FLAGS,
        flag("-d, --detach", "Run container in background and print container ID"),
        flag(
            "--detach-keys string",
            "Override the key sequence for detaching a container",
            default=DEFAULT,
            check=parse_detach_keys,
        ),
        flag("--sig-proxy", "Proxy received signals to the process", default="true"),
    ),
    least=1,
    most=None,
    interspersed=False,
    completes=("image", "word"),
    failure_code=_REFUSED,
    runs_program=True,
    points_to_help=True,
)
