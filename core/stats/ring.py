"""Samples of a container from its ring file (core.monitor.ring owns the format)."""

from __future__ import annotations

import os
from pathlib import Path

from core.cgroups.driver import Counters
from core.linux.netlink import Traffic
from core.model.stats import Pressure, StatsSample
from core.monitor.ring import CAPACITY, HEADER, MAGIC, RECORD


def read_ring(path: Path, *, since_ns: int = 0, most: int = CAPACITY) -> list[StatsSample]:
    """The newest `most` samples not older than since_ns, oldest first; none if there is no ring."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return []
    try:
        header = os.pread(descriptor, HEADER.size, 0)
        if len(header) < HEADER.size:
            return []
        magic, record_bytes, capacity, count = HEADER.unpack(header)
        if magic != MAGIC or record_bytes != RECORD.size or capacity != CAPACITY:
            return []
        # the oldest record may be overwritten while we read: leave it out
        first = max(0, count - min(most, CAPACITY - 1))
        samples: list[StatsSample] = []
        while first < count:
            slot = first % CAPACITY
            run = min(count - first, CAPACITY - slot)
            raw = os.pread(descriptor, run * RECORD.size, HEADER.size + slot * RECORD.size)
            for fields in RECORD.iter_unpack(raw[: len(raw) - len(raw) % RECORD.size]):
                if fields[0] >= since_ns:
                    samples.append(
                        to_sample(fields[0], Counters._make((*fields[1:9], fields[9:12])), Traffic(*fields[12:]))
                    )
            first += run
        return samples
    finally:
        os.close(descriptor)


def to_sample(at_ns: int, counters: Counters, traffic: Traffic) -> StatsSample:
    """Counters of a moment as the value the seam speaks of."""
    cpu, memory, io = (None if value < 0 else value for value in counters.pressure)
    return StatsSample(
        at_ns=at_ns,
        cpu_ns=counters.cpu_ns,
        throttled_ns=counters.throttled_ns,
        memory_bytes=counters.memory_bytes,
        memory_limit_bytes=counters.memory_limit_bytes,
        pids=counters.pids,
        read_bytes=counters.read_bytes,
        write_bytes=counters.write_bytes,
        oom_kills=counters.oom_kills,
        received_bytes=traffic.received_bytes,
        sent_bytes=traffic.sent_bytes,
        received_packets=traffic.received_packets,
        sent_packets=traffic.sent_packets,
        pressure=Pressure(cpu=cpu, memory=memory, io=io),
    )
