"""What is known of a container beside its state: what it takes of the machine, and what it has written."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from core.backend import Backend
from core.errors import EngineError
from core.model.container import Container
from core.model.logs import LogLine, LogQuery
from core.model.stats import StatsSample

MINUTE_S = 60
_LOG_LINES = 40


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """What it took over the last minute, as means; counts and memory as of now."""

    over_s: float
    cpu_percent: float
    """Of one core."""
    throttled_percent: float
    """Of the time, held back by its CPU limit."""
    memory_bytes: int
    limit_bytes: int
    peak_bytes: int
    """The highest that was seen, as far back as anybody remembers."""
    pids: int
    oom_kills: int
    """Since it was started."""


class Signs(msgspec.Struct, frozen=True, kw_only=True):
    """None or empty where nobody has looked."""

    use: Use | None = None
    log: tuple[LogLine, ...] = ()
    """The last lines."""
    has_written: bool | None = None
    cpu_count: int = 0
    """Of the host; 0 where it is not known."""
    port_holder: str = ""
    """The container that has the port for want of which this one could not start."""


def use_of(samples: Sequence[StatsSample]) -> Use | None:
    """The use that samples (oldest first) tell of; None for fewer than two."""
    if len(samples) < 2:
        return None
    last = samples[-1]
    recent = [one for one in samples if last.at_ns - one.at_ns <= MINUTE_S * 10**9 and one.cpu_ns <= last.cpu_ns]
    first = recent[0]
    elapsed_ns = last.at_ns - first.at_ns
    if elapsed_ns <= 0:
        return None
    return Use(
        over_s=elapsed_ns / 1e9,
        cpu_percent=100 * (last.cpu_ns - first.cpu_ns) / elapsed_ns,
        throttled_percent=max(0.0, 100 * (last.throttled_ns - first.throttled_ns) / elapsed_ns),
        memory_bytes=last.memory_bytes,
        limit_bytes=last.memory_limit_bytes,
        peak_bytes=max(one.memory_bytes for one in samples),
        pids=last.pids,
        oom_kills=last.oom_kills,
    )


def gather(backend: Backend, container: Container) -> Signs:
    """Ask for all signs of a container; what can't be told (a log kept elsewhere) is left open."""
    since_ns = 0
    samples = backend.containers.stats_history(container.id, since_ns)
    log: tuple[LogLine, ...] = ()
    has_written: bool | None = None
    try:
        log = tuple(backend.containers.logs(container.id, LogQuery(tail=_LOG_LINES)))
        has_written = bool(log)
    except EngineError:
        pass
    from app.why.taken import holder_of, taken_port

    port = taken_port(container)
    return Signs(
        use=use_of(samples),
        log=log,
        has_written=has_written,
        cpu_count=backend.system.host().cpu_count,
        port_holder=holder_of(port, backend.containers.list()) if port else "",
    )
