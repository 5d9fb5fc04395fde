"""Kept statistics of a container: a file of fixed size that the newest samples run around in.

    stats.ring   header 64 bytes: magic 8s, record bytes u32, capacity u32, samples ever written u64
                 records: at_ns, cpu_ns, throttled_ns, memory, memory limit, pids, read, write,
                          oom kills (u64 each), PSI of cpu, memory, io (f64, -1 for none),
                          bytes received and sent, packets received and sent (u64 each)

10,000 samples of 128 bytes: close to three hours at one a second, 1.3 MB. One writer (the
spawner), any number of readers, no lock: a reader takes the count, then the records before it.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.cgroups.driver import Counters
    from core.linux.netlink import Traffic

MAGIC = b"WHRFRING"
HEADER = struct.Struct("<8sIIQ40x")
RECORD = struct.Struct("<9Q3d4Q")
CAPACITY = 10_000
_COUNT_OFFSET = 16


class RingWriter:
    """Appends samples; survives restarts of the container and of the writer."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        header = os.pread(self._descriptor, HEADER.size, 0)
        self._count = 0
        if len(header) == HEADER.size and header[:16] == HEADER.pack(MAGIC, RECORD.size, CAPACITY, 0)[:16]:
            self._count = HEADER.unpack(header)[3]
        else:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, HEADER.pack(MAGIC, RECORD.size, CAPACITY, 0), 0)

    def append(self, at_ns: int, counters: Counters, traffic: Traffic) -> None:
        """Write one sample, then the count that makes it visible."""
        *numbers, pressure = counters
        record = RECORD.pack(at_ns, *numbers, *pressure, *traffic[:4])
        os.pwrite(self._descriptor, record, HEADER.size + self._count % CAPACITY * RECORD.size)
        self._count += 1
        os.pwrite(self._descriptor, self._count.to_bytes(8, "little"), _COUNT_OFFSET)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)
