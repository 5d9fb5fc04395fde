"""Reading /proc: tolerant parsers for what the engine needs of a process and of the mounts."""

from __future__ import annotations

import os


def read_start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (field 22 of /proc/pid/stat); None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def read_boot_id() -> str:
    """The kernel's random id of this boot."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def is_same_process(pid: int, start_ticks: int) -> bool:
    """Whether the pid still belongs to the process that was recorded (and not to a later one)."""
    return read_start_ticks(pid) == start_ticks


def read_state(pid: int) -> str:
    """One letter: R, S, D, Z, T …; empty if the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return chr(file.read().rpartition(b")")[2].split()[0][0])
    except (OSError, IndexError):
        return ""


def children(pid: int) -> list[int]:
    """Pids of a process's children (of its first thread; needs CONFIG_PROC_CHILDREN, else none)."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def mount_points(pid: int | str = "self") -> list[str]:
    """Targets of all mounts in a process's mount namespace."""
    with open(f"/proc/{pid}/mountinfo", "rb") as file:
        return [os.fsdecode(line.split()[4]) for line in file]
