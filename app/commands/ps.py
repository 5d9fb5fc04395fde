"""`ps`: containers as rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from app.commands.definition import Command, Invocation
from app.commands.filters import check_filter, matches_name, read_filters, read_truth
from app.commands.flags import flag
from app.commands.go_values import NIL, Record, go_quote
from app.commands.preferences import preferred_format
from app.commands.table import Row, row_printer
from app.format import ago, human_duration, human_size, local_stamp
from core.backend import Backend, Containers
from core.errors import Conflict, InvalidInput, NotFound
from core.model.container import Container, Exited, Restarting, Running
from core.model.ids import short_id
from core.model.pruning import has_labels

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
    "Platform": "PLATFORM",
}
_TABLE = "ID Image Command RunningFor Status Ports Names"
_FILTERS = (
    *("ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label", "name", "network"),
    *("publish", "since", "status", "volume"),
)
_STATUSES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
_HEALTH = ("starting", "healthy", "unhealthy", "none")


def ellipsis(text: str, width: int) -> str:
    """The text, or its beginning and `…` when it is longer than `width`."""
    return text if len(text) <= width else text[: width - 1] + "…"


def status_text(container: Container, now_ns: int) -> str:
    """`Up 5 minutes (Paused)`, `Exited (0) 11 seconds ago`, …"""
    match container.state:
        case Running(started_ns=started, paused=paused):
            up = f"Up {human_duration(max(0, now_ns - started) / 1e9)}"
            if paused:
                return f"{up} (Paused)"
            health = {"none": "", "starting": " (health: starting)"}
            return up + health.get(container.health_status, f" ({container.health_status})")
        case Restarting(exit_code=code, finished_ns=finished):
            return f"Restarting ({code}) {ago(finished, now_ns)}"
        case Exited(exit_code=code, finished_ns=finished):
            return f"Exited ({code}) {ago(finished, now_ns)}"
    return {"created": "Created", "removing": "Removal In Progress"}.get(container.status, "Dead")


def command_text(argv: Sequence[str]) -> str:
    """The process as docker's lists show it: arguments with blanks in single quotes."""
    return " ".join([*argv[:1], *(f"'{word}'" if " " in word else word for word in argv[1:])])


def _id(container: Container, _now_ns: int, truncate: bool) -> str:
    return short_id(container.id) if truncate else container.id


def _image(container: Container, _now_ns: int, truncate: bool) -> str:
    name = container.config.image_name
    return (short_id(name) if truncate and name.startswith("sha256:") else name) or "<no image>"


def _command(container: Container, _now_ns: int, truncate: bool) -> str:
    text = command_text(container.config.argv)
    return go_quote(ellipsis(text, 20) if truncate else text)


def _size(container: Container, _now_ns: int, _truncate: bool) -> str:
    size = human_size(container.size_rw_bytes or 0)
    return size + (f" (virtual {human_size(container.size_root_bytes)})" if container.size_root_bytes else "")


def _mounts(container: Container, _now_ns: int, truncate: bool) -> str:
    names = [mount.name or mount.source or "tmpfs" for mount in container.config.mounts if mount.kind != "tmpfs"]
    return ",".join(ellipsis(name, 15) if truncate else name for name in names)


def _ports_column(container: Container, _now_ns: int, _truncate: bool) -> str:
    if not isinstance(container.state, Running) or not container.state.endpoints:
        return ""
    from app.commands.ports import ports_text  # most containers of a list have none

    return ports_text(container)


_FIELDS: dict[str, Callable[[Container, int, bool], object]] = {
    "ID": _id,
    "Names": lambda container, now_ns, truncate: container.name,
    "Image": _image,
    "Command": _command,
    "CreatedAt": lambda container, now_ns, truncate: local_stamp(container.config.created_ns),
    "RunningFor": lambda container, now_ns, truncate: ago(container.config.created_ns, now_ns),
    "Ports": _ports_column,
    "State": lambda container, now_ns, truncate: container.status,
    "Status": lambda container, now_ns, truncate: status_text(container, now_ns),
    "Size": _size,
    "Labels": lambda container, now_ns, truncate: ",".join(f"{k}={v}" for k, v in container.config.labels.items()),
    "Mounts": _mounts,
    "LocalVolumes": lambda container, now_ns, truncate: str(
        sum(mount.kind == "volume" for mount in container.config.mounts)
    ),
    "Networks": lambda container, now_ns, truncate: ",".join(sorted(wish.network for wish in container.networks)),
    "Platform": lambda container, now_ns, truncate: NIL,
}


def container_row(
    container: Container, now_ns: int, *, truncate: bool = True, only: Iterable[str] = tuple(_FIELDS)
) -> Row:
    """A container's fields; `only` those that will be shown, for a long list's sake."""
    row = Record({name: _FIELDS[name](container, now_ns, truncate) for name in only})
    row.hidden["Label"] = lambda name: container.config.labels.get(name, "")
    return row


def _run(invocation: Invocation) -> int:
    flags = invocation.flags
    filters = read_filters(flags.many("filter"), _FILTERS)
    wanted = _Wanted(filters, invocation.backend)
    layout = preferred_format(invocation, "psFormat")
    last = 1 if flags.truth("latest") else flags.number("last")
    size = flags.truth("size") or ".Size" in layout or "json ." in layout
    table = _TABLE + (" Size" if flags.truth("size") else "")
    quiet = "ID" if flags.truth("quiet") else ""
    show = row_printer(layout, table=table, titles=TITLES, quiet=quiet)
    only = (quiet or table).split() if layout in ("", "table") else tuple(_FIELDS)
    everything = flags.truth("all") or last > 0 or "status" in filters
    containers = invocation.backend.containers
    chosen = [
        container for container in _neighbours(containers, filters, all=everything, size=size) if wanted.fits(container)
    ]
    if last > 0:
        chosen = chosen[:last]
    now_ns = time.time_ns()
    truncate = not flags.truth("no-trunc")
    show(invocation.io, [container_row(container, now_ns, truncate=truncate, only=only) for container in chosen])
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


class _Wanted:
    """The filters of a command line, their values read once.

    Raises: InvalidInput: a value that its filter does not take.
    """

    def __init__(self, filters: dict[str, list[str]], backend: Backend) -> None:
        self._filters = filters
        _check_values("status", filters.get("status", ()), _STATUSES)
        _check_values("health", filters.get("health", ()), _HEALTH)
        self._codes = [_exit_code(text) for text in filters.get("exited", ())]
        self._exposed = _ports("expose", filters)
        self._published = _ports("publish", filters)
        self._is_task = read_truth("is-task", filters.get("is-task", ()))
        self._ancestors = _with_descendants(filters.get("ancestor", ()), backend)

    def fits(self, container: Container) -> bool:
        """Whether every filter takes it; several values of one are alternatives, save for labels."""
        return all(self._fits(container, name, values) for name, values in self._filters.items())

    def _fits(self, container: Container, name: str, values: list[str]) -> bool:
        config = container.config
        match name:
            case "id":
                return any(container.id.startswith(value) for value in values)
            case "name":
                return any(matches_name(v, container.name) or matches_name(v, f"/{container.name}") for v in values)
            case "label":
                return has_labels(config.labels, values)
            case "status":
                return container.status in values
            case "exited":
                return isinstance(container.state, Exited) and container.state.exit_code in self._codes
            case "health":
                return container.health_status in values
            case "ancestor":
                return config.image_id in self._ancestors
            case "network":
                return any(_is_on(container, value) for value in values)
            case "volume":
                places = {place for mount in config.mounts for place in (mount.name, mount.target)}
                return any(value in places for value in values)
            case "expose" | "publish":  # docker has them as alternatives
                return self._has_port(container)
            case "is-task":
                return self._is_task is False  # tasks are swarm's
            case "isolation":
                return any(value in ("", "default") for value in values)
        return True  # before and since have chosen already

    def _has_port(self, container: Container) -> bool:
        state = container.state
        ports = state.ports if isinstance(state, Running) else ()
        outside = {f"{port.host_port}/{port.protocol}" for port in ports}
        return not (self._published.isdisjoint(outside) and self._exposed.isdisjoint(container.config.exposed_ports))


def _is_on(container: Container, network: str) -> bool:
    """Whether it is on a network, named so or with an id that begins so."""
    ids = [wish.network_id for wish in container.networks]
    if isinstance(container.state, Running):
        ids += [endpoint.network_id for endpoint in container.state.endpoints]
    if any(wish.network == network for wish in container.networks):
        return True
    return bool(network) and any(one.startswith(network) for one in ids)


def _check_values(name: str, values: Sequence[str], known: Sequence[str]) -> None:
    for value in values:
        if value not in known:
            raise InvalidInput(f"invalid filter '{name}={value}'", hint=f"one of {', '.join(known)}")


def _exit_code(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidInput(f"invalid filter 'exited={text}'", hint="write an exit code, a number") from None


def _ports(name: str, filters: dict[str, list[str]]) -> frozenset[str]:
    if name not in filters:
        return frozenset()
    from app.commands.ports import parse_ports

    return frozenset().union(*(parse_ports(text, what=f"filter {name}") for text in filters[name]))


def _with_descendants(names: Sequence[str], backend: Backend) -> set[str]:
    """Ids of images and of all that were made from them."""
    if not names:
        return set()
    found: set[str] = set()
    for name in names:
        try:
            found.add(backend.images.inspect(name).id)
        except (NotFound, InvalidInput, Conflict):
            continue  # no such image: nothing was made from it
    images = backend.images.list(all=True)
    while more := {image.id for image in images if image.parent_id in found} - found:
        found |= more
    return found


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
