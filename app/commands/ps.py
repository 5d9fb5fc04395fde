"""`ps`: containers as rows."""

from __future__ import annotations

import time
from collections.abc import Sequence

from app.commands.definition import Command, Invocation
from app.commands.filters import check_filter, matches_labels, read_filters
from app.commands.flags import flag
from app.commands.table import Row, row_printer
from app.format import ago, human_duration, human_size, local_stamp
from core.backend import Containers
from core.errors import InvalidInput, NotFound
from core.model.container import Container, Exited, Restarting, Running
from core.model.ids import short_id

TITLES = {
    "ID": "CONTAINER ID",
    "Names": "NAMES",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "Ports": "PORTS",
    "State": "STATE",
    "Status": "STATUS",
    "Size": "SIZE",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Networks": "NETWORKS",
}
_TABLE = "ID Image Command RunningFor Status Ports Names"
_FILTERS = ("ancestor", "before", "exited", "id", "label", "name", "network", "since", "status", "volume")
_STATUSES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")


def ellipsis(text: str, width: int) -> str:
    """The text, or its beginning and `…` when it is longer than `width`."""
    return text if len(text) <= width else text[: width - 1] + "…"


def status_text(container: Container, now_ns: int) -> str:
    """`Up 5 minutes (Paused)`, `Exited (0) 11 seconds ago`, …"""
    match container.state:
        case Running(started_ns=started, paused=paused):
            up = f"Up {human_duration(max(0, now_ns - started) / 1e9)}"
            return f"{up} (Paused)" if paused else up
        case Restarting(exit_code=code, finished_ns=finished):
            return f"Restarting ({code}) {ago(finished, now_ns)}"
        case Exited(exit_code=code, finished_ns=finished):
            return f"Exited ({code}) {ago(finished, now_ns)}"
    return {"created": "Created", "removing": "Removal In Progress"}.get(container.status, "Dead")


def command_text(argv: Sequence[str]) -> str:
    """The process as docker's lists show it: arguments with blanks in single quotes."""
    return " ".join([*argv[:1], *(f"'{word}'" if " " in word else word for word in argv[1:])])


def container_row(container: Container, now_ns: int, *, truncate: bool = True) -> Row:
    """A container's fields."""
    from app.commands.template_functions import Record, go_quote

    config = container.config
    labels = config.labels
    command = command_text(config.argv)
    mounts = [mount.name or mount.source or "tmpfs" for mount in config.mounts if mount.kind != "tmpfs"]
    size = human_size(container.size_rw_bytes or 0)
    if container.size_root_bytes:
        size += f" (virtual {human_size(container.size_root_bytes)})"
    image = config.image_name
    if truncate and image.startswith("sha256:"):
        image = short_id(image)
    row = Record(
        {
            "ID": short_id(container.id) if truncate else container.id,
            "Names": container.name,
            "Image": image or "<no image>",
            "Command": go_quote(ellipsis(command, 20) if truncate else command),
            "CreatedAt": local_stamp(config.created_ns),
            "RunningFor": ago(config.created_ns, now_ns),
            "Ports": "",
            "State": container.status,
            "Status": status_text(container, now_ns),
            "Size": size,
            "Labels": ",".join(f"{key}={value}" for key, value in labels.items()),
            "Mounts": ",".join(ellipsis(mount, 15) if truncate else mount for mount in mounts),
            "LocalVolumes": str(sum(mount.kind == "volume" for mount in config.mounts)),
            "Networks": config.spec.network,
        }
    )
    row.hidden["Label"] = lambda name: labels.get(name, "")
    return row


def _run(invocation: Invocation) -> int:
    flags = invocation.flags
    filters = read_filters(flags.many("filter"), _FILTERS)
    for status in filters.get("status", ()):
        if status not in _STATUSES:
            raise InvalidInput(f"invalid filter 'status={status}'", hint=f"one of {', '.join(_STATUSES)}")
    layout = flags.text("format")
    last = 1 if flags.truth("latest") else flags.number("last")
    size = flags.truth("size") or ".Size" in layout
    show = row_printer(
        layout,
        table=_TABLE + (" Size" if flags.truth("size") else ""),
        titles=TITLES,
        quiet="ID" if flags.truth("quiet") else "",
    )
    everything = flags.truth("all") or last > 0 or bool({"status", "exited"} & filters.keys())
    containers = invocation.backend.containers
    chosen = [
        container
        for container in _neighbours(containers, filters, all=everything, size=size)
        if _matches(container, filters)
    ]
    if last > 0:
        chosen = chosen[:last]
    now_ns = time.time_ns()
    truncate = not flags.truth("no-trunc")
    show(invocation.io, [container_row(container, now_ns, truncate=truncate) for container in chosen])
    return 0


def _neighbours(containers: Containers, filters: dict[str, list[str]], *, all: bool, size: bool) -> list[Container]:
    """Containers, newest first, cut by `before` and `since`."""
    found = list(containers.list(all=all, size=size))
    for key in filters.get("before", ()):
        limit = containers.inspect(key)
        found = [one for one in found if one.config.created_ns < limit.config.created_ns]
    for key in filters.get("since", ()):
        limit = containers.inspect(key)
        found = [one for one in found if one.config.created_ns > limit.config.created_ns]
    return found


def _matches(container: Container, filters: dict[str, list[str]]) -> bool:
    config = container.config
    for name, values in filters.items():
        match name:
            case "id":
                fits = any(container.id.startswith(value) for value in values)
            case "name":
                fits = any(_found(value, container.name) for value in values)
            case "label":
                fits = matches_labels(config.labels, values)
            case "status":
                fits = container.status in values
            case "exited":
                fits = isinstance(container.state, Exited) and str(container.state.exit_code) in values
            case "ancestor":
                fits = any(_is_ancestor(value, container) for value in values)
            case "network":
                fits = config.spec.network in values
            case "volume":
                places = {place for mount in config.mounts for place in (mount.name, mount.target)}
                fits = any(value in places for value in values)
            case _:
                fits = True
        if not fits:
            return False
    return True


def _found(pattern: str, name: str) -> bool:
    import re

    try:
        return re.search(pattern, name) is not None or re.search(pattern, "/" + name) is not None
    except re.error as error:
        raise InvalidInput(f"invalid filter 'name={pattern}': {error}") from None


def _is_ancestor(value: str, container: Container) -> bool:
    image_id = container.config.image_id
    if len(value) >= 4 and image_id.removeprefix("sha256:").startswith(value.removeprefix("sha256:")):
        return True
    from core.model.reference import parse_reference

    try:
        return parse_reference(value) == parse_reference(container.config.image_name)
    except InvalidInput:
        return False


def known_names(containers: Containers, *, running: bool | None = None) -> list[str]:
    """Names for completion: all, only running ones, or only stopped ones."""
    try:
        return [
            container.name
            for container in containers.list(all=running is not True)
            if running is None or (container.status in ("running", "paused")) == running
        ]
    except NotFound:
        return []


PS = Command(
    run=_run,
    summary="List containers",
    flags=(
        flag("-a, --all", "Show all containers (default shows just running)"),
        flag("-f, --filter filter", "Filter output based on conditions provided", check=check_filter),
        flag("--format string", "'table', 'table TEMPLATE', 'json' or a Go template"),
        flag("-n, --last int", "Show n last created containers (includes all states)", default="-1"),
        flag("-l, --latest", "Show the latest created container (includes all states)"),
        flag("--no-trunc", "Don't truncate output"),
        flag("-q, --quiet", "Only display container IDs"),
        flag("-s, --size", "Display total file sizes"),
    ),
)
