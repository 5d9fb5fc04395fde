"""The recent past of one container, and of the host: rates made from the kernel's counters.

Counters arrive as totals; what people look at are differences. A track keeps the points of the
last quarter of an hour, whether they came live or from the history that was there before us.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from core.model.stats import HostSample, Pressure, StatsSample, cpu_percent

KEPT_S = 900


class Point(msgspec.Struct, frozen=True):
    """What one second was like; rates a second, shares in per cent."""

    at_ns: int
    cpu: float
    """Of one core."""
    throttled: float
    memory_bytes: int
    limit_bytes: int
    pids: int
    read_rate: float
    write_rate: float
    pressure: Pressure
    oom_kills: int
    received_rate: float = 0.0
    sent_rate: float = 0.0
    """Of all its interfaces together."""


class Track:
    """One container's points, oldest first."""

    def __init__(self) -> None:
        self.points: deque[Point] = deque(maxlen=KEPT_S)
        self.total = 0
        """Points there have ever been, those forgotten included."""
        self.flows: dict[str, tuple[float, float]] = {}
        """By interface: bytes a second received and sent, of the newest point."""
        self._before: StatsSample | None = None

    @property
    def now(self) -> Point | None:
        """The newest point, if there is one."""
        return self.points[-1] if self.points else None

    def add(self, sample: StatsSample) -> None:
        """Take a newer sample; the same one again, or an older one, changes nothing."""
        before = self._before
        if before is not None and sample.at_ns <= before.at_ns:
            return
        self._before = sample
        if before is None or sample.cpu_ns < before.cpu_ns:  # first of all, or restarted
            return
        self.flows = _flows(before, sample)
        self.points.append(_point(before, sample))
        self.total += 1

    def seed(self, history: Iterable[StatsSample]) -> None:
        """Put what was recorded before we looked in front of what we saw ourselves."""
        seen = self.points[0].at_ns if self.points else (self._before.at_ns if self._before else 0)
        older = Track()
        for sample in history:
            if not seen or sample.at_ns <= seen:
                older.add(sample)
        mine, last = list(self.points), self._before
        self.points = older.points
        self.points.extend(mine)
        self.total = older.total + len(mine)
        self._before = last or older._before


def _flows(before: StatsSample, after: StatsSample) -> dict[str, tuple[float, float]]:
    """An interface that is new, or was made again, begins at its second sample."""
    elapsed_s = (after.at_ns - before.at_ns) / 1e9
    known = {interface.name: interface for interface in before.interfaces}
    flows = {}
    for interface in after.interfaces:
        old = known.get(interface.name)
        if old is not None:
            received, sent = interface.received_bytes - old.received_bytes, interface.sent_bytes - old.sent_bytes
            flows[interface.name] = (max(0.0, received / elapsed_s), max(0.0, sent / elapsed_s))
    return flows


def _point(before: StatsSample, after: StatsSample) -> Point:
    elapsed_s = (after.at_ns - before.at_ns) / 1e9
    return Point(
        at_ns=after.at_ns,
        cpu=cpu_percent(before, after),
        throttled=max(0.0, (after.throttled_ns - before.throttled_ns) / 1e7 / elapsed_s),
        memory_bytes=after.memory_bytes,
        limit_bytes=after.memory_limit_bytes,
        pids=after.pids,
        read_rate=max(0.0, (after.read_bytes - before.read_bytes) / elapsed_s),
        write_rate=max(0.0, (after.write_bytes - before.write_bytes) / elapsed_s),
        pressure=after.pressure,
        oom_kills=after.oom_kills,
        received_rate=max(0.0, (after.received_bytes - before.received_bytes) / elapsed_s),
        sent_rate=max(0.0, (after.sent_bytes - before.sent_bytes) / elapsed_s),
    )


class HostTrack:
    """The machine's CPU share (of all cores, per cent) and newest sample."""

    def __init__(self) -> None:
        self.cpu: deque[float] = deque(maxlen=KEPT_S)
        self.memory: deque[float] = deque(maxlen=KEPT_S)
        """Share of the memory in use, per cent."""
        self.now: HostSample | None = None

    def add(self, sample: HostSample) -> None:
        """Take a newer sample."""
        before, self.now = self.now, sample
        if sample.memory_total_bytes:
            self.memory.append(100 * sample.memory_used_bytes / sample.memory_total_bytes)
        if before is not None and sample.cpu_total_ns > before.cpu_total_ns:
            busy = sample.cpu_busy_ns - before.cpu_busy_ns
            self.cpu.append(max(0.0, min(100.0, 100 * busy / (sample.cpu_total_ns - before.cpu_total_ns))))
