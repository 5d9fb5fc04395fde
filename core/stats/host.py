"""The machine's own figures, by psutil; pressure from /proc/pressure."""

from __future__ import annotations

import os
import time
from pathlib import Path

from core.model.stats import HostSample, Pressure


def sample_host(data_root: Path) -> HostSample:
    """Read them now. `data_root` chooses whose disk is meant."""
    import psutil  # 28 ms, and only the console and `info` want it

    cpu = psutil.cpu_times()
    total_s = sum(cpu) - getattr(cpu, "guest", 0.0) - getattr(cpu, "guest_nice", 0.0)
    busy_s = total_s - cpu.idle - getattr(cpu, "iowait", 0.0)
    memory, swap, disk = psutil.virtual_memory(), psutil.swap_memory(), psutil.disk_usage(str(data_root))
    return HostSample(
        at_ns=time.time_ns(),
        cpu_count=psutil.cpu_count() or 1,
        cpu_busy_ns=int(busy_s * 1e9),
        cpu_total_ns=int(total_s * 1e9),
        memory_total_bytes=memory.total,
        memory_used_bytes=memory.total - memory.available,
        swap_total_bytes=swap.total,
        swap_used_bytes=swap.used,
        disk_total_bytes=disk.total,
        disk_used_bytes=disk.used,
        load_1m=os.getloadavg()[0],
        pressure=Pressure(cpu=_pressure("cpu"), memory=_pressure("memory"), io=_pressure("io")),
    )


def _pressure(name: str) -> float | None:
    """`some avg10=…`; a kernel booted with psi=0 has the file and refuses the read."""
    try:
        with open(f"/proc/pressure/{name}") as file:
            return float(file.readline().split()[1].removeprefix("avg10="))
    except (OSError, IndexError, ValueError):
        return None
