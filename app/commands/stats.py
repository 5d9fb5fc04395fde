"""`stats` and `top`: what containers take just now, and their processes."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from app.commands.definition import Command, Invocation
from app.commands.flags import flag
from app.commands.preferences import preferred_format
from app.commands.table import Row, columns_of, row_printer
from app.format import binary_size, human_size
from core.backend import Containers
from core.errors import Cancelled
from core.model.container import Container, Running
from core.model.ids import short_id
from core.model.stats import StatsSample, cpu_percent

TITLES = {
    "Container": "CONTAINER",
    "ID": "CONTAINER ID",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
}
_TABLE = "ID Name CPUPerc MemUsage MemPerc NetIO BlockIO PIDs"
_SECOND_NS = 1_000_000_000
_FIRST_SAMPLES_S = 3.0
"""How long to wait for the second sample of a container that has just begun."""


class _Pair(msgspec.Struct):
    """The two newest samples of one container."""

    before: StatsSample | None = None
    after: StatsSample | None = None

    def take(self, sample: StatsSample) -> None:
        if self.after is None or sample.at_ns > self.after.at_ns:
            self.before, self.after = self.after, sample


def stats_row(container: Container, pair: _Pair, host_memory_bytes: int, asked_as: str, *, truncate: bool) -> Row:
    """A container's fields; zeros while there is no sample."""
    after = pair.after
    percent = cpu_percent(pair.before, after) if pair.before and after else 0.0
    used = after.memory_bytes if after else 0
    limit = 0
    if after:
        limit = min(after.memory_limit_bytes or host_memory_bytes, host_memory_bytes)
    return {
        "Container": asked_as or (short_id(container.id) if truncate else container.id),
        "ID": short_id(container.id) if truncate else container.id,
        "Name": container.name,
        "CPUPerc": f"{percent:.2f}%",
        "MemUsage": f"{binary_size(used)} / {binary_size(limit)}",
        "MemPerc": f"{used / limit * 100 if limit else 0:.2f}%",
        "NetIO": f"{human_size(after.received_bytes if after else 0)} / {human_size(after.sent_bytes if after else 0)}",
        "BlockIO": f"{human_size(after.read_bytes if after else 0)} / {human_size(after.write_bytes if after else 0)}",
        "PIDs": str(after.pids if after else 0),
    }


def _stats(invocation: Invocation) -> int:
    flags, io = invocation.flags, invocation.io
    layout = preferred_format(invocation, "statsFormat")
    show = row_printer(layout, table=_TABLE, titles=TITLES)
    containers = invocation.backend.containers
    names = invocation.arguments
    truncate = not flags.truth("no-trunc")
    host_memory = invocation.backend.system.host().memory_total_bytes
    pairs: dict[str, _Pair] = {}
    streams = not flags.truth("no-stream")

    def rows() -> list[Row]:
        chosen = _chosen(containers, names, all=flags.truth("all"))
        return [
            stats_row(container, pairs.get(container.id, _Pair()), host_memory, asked, truncate=truncate)
            for container, asked in chosen
        ]

    chosen = _chosen(containers, names, all=flags.truth("all"))
    _wait_for_pairs(invocation, [container for container, _ in chosen], pairs)
    if not streams:
        show(io, rows())
        return 0
    is_table = not layout or layout.startswith("table")
    while True:
        if is_table and io.out_is_tty:
            io.out.write(b"\x1b[H\x1b[J")  # home, and clear what was below
        show(io, rows())
        if io.cancel.wait(1.0):
            return 0
        for key, sample in containers.stats(names).items():
            pairs.setdefault(key, _Pair()).take(sample)


def _chosen(containers: Containers, names: Sequence[str], *, all: bool) -> list[tuple[Container, str]]:
    if names:
        return [(containers.inspect(name), name) for name in names]
    return [(container, "") for container in containers.list(all=all)]


def _wait_for_pairs(invocation: Invocation, chosen: Sequence[Container], pairs: dict[str, _Pair]) -> None:
    """Two samples of everything that runs: kept ones at once, else the next ones."""
    containers = invocation.backend.containers
    running = [container.id for container in chosen if isinstance(container.state, Running)]
    deadline = time.monotonic() + _FIRST_SAMPLES_S
    while True:
        for key in running:
            pair = pairs.setdefault(key, _Pair())
            since_ns = time.time_ns() - 10 * _SECOND_NS
            for sample in containers.stats_history(key, since_ns):
                pair.take(sample)
        if all(pairs[key].before for key in running) or time.monotonic() > deadline:
            return
        if invocation.io.cancel.wait(0.2):
            raise Cancelled("cancelled")


def _top(invocation: Invocation) -> int:
    name, *ps_arguments = invocation.arguments
    table = invocation.backend.containers.top(name, ps_arguments)
    invocation.io.text(columns_of([table.titles, *table.rows], least=20))
    return 0


STATS = Command(
    run=_stats,
    summary="Display a live stream of container(s) resource usage statistics",
    usage=("[CONTAINER...]",),
    flags=(
        flag("-a, --all", "Show all containers (default shows just running)"),
        flag("--format string", "'table', 'table TEMPLATE', 'json' or a Go template"),
        flag("--no-stream", "Disable streaming stats and only pull the first result"),
        flag("--no-trunc", "Do not truncate output"),
    ),
    most=None,
    completes=("container",),
)
TOP = Command(
    run=_top,
    summary="Display the running processes of a container",
    usage=("CONTAINER [ps OPTIONS]",),
    least=1,
    most=None,
    interspersed=False,
    completes=("running", "word"),
)
