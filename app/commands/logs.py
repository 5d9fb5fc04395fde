"""`logs`: what a container has written."""

from __future__ import annotations

from app.commands.definition import Command, Invocation
from app.commands.events import read_moment
from app.commands.flags import flag
from app.commands.screen import ScreenFilter
from app.format import rfc3339_fixed
from core.errors import InvalidInput
from core.model.logs import LogQuery

_FLUSH_BYTES = 65536


def _tail(text: str) -> int | None:
    """How many lines; None is all of them, which is what docker makes of a number it can't read."""
    if text in ("all", ""):
        return None
    if not (text.isdigit() and text.isascii()):
        if text.startswith("-") and text[1:].isdigit():
            return None
        raise InvalidInput(f'invalid value for "tail": "{text}"', hint="write a number or all")
    return int(text)


def _details(attributes: dict[str, str]) -> bytes:
    """`a=1,b=2`, values and names as in an address, in order, as docker shows them."""
    from urllib.parse import quote_plus

    return ",".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in sorted(attributes.items())).encode()


def _run(invocation: Invocation) -> int:
    flags, io = invocation.flags, invocation.io
    query = LogQuery(
        tail=_tail(flags.text("tail")),
        since_ns=read_moment(invocation, "since"),
        until_ns=read_moment(invocation, "until"),
        follow=flags.truth("follow"),
        details=flags.truth("details"),
    )
    stamps = flags.truth("timestamps")
    sinks = {1: io.out, 2: io.err}
    filters = {number: ScreenFilter() for number, is_tty in ((1, io.out_is_tty), (2, io.err_is_tty)) if is_tty}
    waiting = 0
    lines = invocation.backend.containers.logs(invocation.arguments[0], query, io.cancel)
    starts_line = {1: True, 2: True}
    for line in lines:
        data = line.data
        if starts_line[line.stream]:
            if query.details:
                data = _details(line.attributes) + b" " + data
            if stamps:
                data = rfc3339_fixed(line.at_ns).encode() + b" " + data
        starts_line[line.stream] = data.endswith(b"\n")
        if line.stream in filters:
            data = filters[line.stream].clean(data)
        sinks[line.stream].write(data)
        waiting += len(data)
        if query.follow or waiting >= _FLUSH_BYTES:
            sinks[line.stream].flush()
            waiting = 0
    io.out.flush()
    io.err.flush()
    return 0


LOGS = Command(
    run=_run,
    summary="Fetch the logs of a container",
    usage=("CONTAINER",),
    flags=(
        flag("-f, --follow", "Follow log output"),
        flag(
            "--since string",
            'Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)',
        ),
        flag("-n, --tail string", "Number of lines to show from the end of the logs", default="all"),
        flag("-t, --timestamps", "Show timestamps"),
        flag(
            "--until string",
            "Show logs before a timestamp or relative, as for --since",
        ),
        flag("--details", "Show extra details provided to logs"),
    ),
    least=1,
    most=1,
    completes=("container",),
)
