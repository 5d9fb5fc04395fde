"""`update`: other limits and another restart policy for containers that are there."""

from __future__ import annotations

import msgspec

from app.commands.definition import Command, Invocation
from app.commands.flags import flag
from app.commands.language import explain
from app.commands.limits import UPDATABLE_LIMIT_FLAGS, read_updatable
from core.backend import UpdateWish
from core.errors import EngineError, InvalidInput
from core.model.restart import parse_restart_policy

_FLAGS = (
    *UPDATABLE_LIMIT_FLAGS,
    flag("--restart string", "Restart policy to apply when a container exits", check=parse_restart_policy),
)


def _run(invocation: Invocation) -> int:
    flags, io = invocation.flags, invocation.io
    if not any(flags.given(each.name) for each in _FLAGS):
        raise InvalidInput("you must provide one or more flags when using this command")
    limits = read_updatable(flags)
    if flags.given("pids-limit") and limits.pids_limit <= 0:
        limits = msgspec.structs.replace(limits, pids_limit=-1)
    restart = parse_restart_policy(flags.text("restart")) if flags.given("restart") else None
    wish = UpdateWish(limits=limits, restart=restart)
    code = 0
    warnings: list[str] = []
    for name in invocation.arguments:
        try:
            warnings += invocation.backend.containers.update(name, wish)
        except EngineError as error:
            explain(error, io)
            code = 1
        else:
            io.line(name)
    for warning in dict.fromkeys(warnings):
        io.complain(f"WARNING: {warning}")
    return code


UPDATE = Command(
    run=_run,
    summary="Update configuration of one or more containers",
    usage=("CONTAINER [CONTAINER...]",),
    flags=_FLAGS,
    least=1,
    most=None,
    completes=("container",),
)
