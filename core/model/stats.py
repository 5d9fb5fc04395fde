"""One sample of what a container takes, as the kernel counts it. Rates are differences of two."""

from __future__ import annotations

import msgspec


class Pressure(msgspec.Struct, frozen=True):
    """PSI `some` averages over 10 s, per cent; None where the kernel offers none."""

    cpu: float | None = None
    memory: float | None = None
    io: float | None = None


class InterfaceCounters(msgspec.Struct, frozen=True, kw_only=True):
    """What went through one of a container's interfaces since it was made, from the container's side."""

    name: str
    """eth0 …"""
    received_bytes: int = 0
    sent_bytes: int = 0
    received_packets: int = 0
    sent_packets: int = 0
    dropped: int = 0


class StatsSample(msgspec.Struct, frozen=True, kw_only=True):
    """Counters of one container at one moment; totals since its start unless said otherwise."""

    at_ns: int
    """Wall clock."""
    cpu_ns: int
    throttled_ns: int = 0
    memory_bytes: int
    """Usage less the inactive file cache, as docker shows it."""
    memory_limit_bytes: int
    """0: none."""
    pids: int
    read_bytes: int = 0
    write_bytes: int = 0
    pressure: Pressure = Pressure()
    oom_kills: int = 0
    received_bytes: int = 0
    """By its interfaces on bridges, as are the three below."""
    sent_bytes: int = 0
    received_packets: int = 0
    sent_packets: int = 0
    interfaces: tuple[InterfaceCounters, ...] = ()
    """Of its interfaces on bridges, one by one; known of the newest sample alone."""


class HostSample(msgspec.Struct, frozen=True, kw_only=True):
    """The machine at one moment."""

    at_ns: int
    cpu_count: int
    cpu_busy_ns: int
    cpu_total_ns: int
    """Of all cores together."""
    memory_total_bytes: int
    memory_used_bytes: int
    swap_total_bytes: int = 0
    swap_used_bytes: int = 0
    disk_total_bytes: int = 0
    disk_used_bytes: int = 0
    load_1m: float = 0.0
    pressure: Pressure = Pressure()


def cpu_percent(before: StatsSample, after: StatsSample) -> float:
    """Share of one core between two samples, in per cent (200 is two cores)."""
    elapsed_ns = after.at_ns - before.at_ns
    if elapsed_ns <= 0:
        return 0.0
    return max(0.0, (after.cpu_ns - before.cpu_ns) / elapsed_ns * 100)
