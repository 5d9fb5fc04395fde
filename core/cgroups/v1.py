"""cgroup version 1: one hierarchy a controller.

Source: the kernel's Documentation/admin-guide/cgroup-v1.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable
from typing import Any

from core.cgroups.driver import Counters, disk_lines, parse_table
from core.cgroups.files import read_file, remove_group, write_file, write_lines
from core.linux.bpf import DeviceRule

CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids")
_PERIOD_US = 100_000
_THROTTLES = {
    "read_bps": "read_bps_device",
    "write_bps": "write_bps_device",
    "read_iops": "read_iops_device",
    "write_iops": "write_iops_device",
}


class V1Cgroup:
    """A group of one name in each v1 hierarchy."""

    def __init__(self, mounts: dict[str, str], path: str) -> None:
        self.path = path
        self._mounts = {name: mounts[name] for name in CONTROLLERS if name in mounts}
        self._directories = {name: f"{mount}/{path}" for name, mount in self._mounts.items()}
        self._entries: list[int] = []

    def create(self) -> None:
        """Make the directories; cpuset wants its files filled from above before anybody may join."""
        for name, directory in self._directories.items():
            try:
                os.mkdir(directory, 0o755)
            except FileNotFoundError:
                os.makedirs(directory, 0o755, exist_ok=True)
            except FileExistsError:
                pass
            if name == "cpuset":
                self._fill_cpuset(os.path.dirname(directory), self._mounts[name])
                self._fill_cpuset(directory, self._mounts[name])

    def _fill_cpuset(self, directory: str, top: str) -> None:
        for file in ("cpuset.cpus", "cpuset.mems"):
            if not read_file(f"{directory}/{file}").strip():
                if directory != top:
                    self._fill_cpuset(os.path.dirname(directory), top)
                write_file(f"{directory}/{file}", read_file(f"{os.path.dirname(directory)}/{file}").strip())

    def limit(self, limits: dict[str, Any]) -> list[str]:
        """Write limits; see driver.Cgroup."""
        warnings: list[str] = []

        def put(controller: str, file: str, value: int | str, option: str) -> None:
            directory = self._directories.get(controller)
            if directory is None or not os.path.exists(f"{directory}/{file}"):
                warnings.append(f"{option} has no effect: this host has no cgroup file {file}")
            else:
                write_file(f"{directory}/{file}", str(value).encode())

        if shares := limits.get("cpu_shares", 0):
            put("cpu", "cpu.shares", max(2, min(shares, 262144)), "--cpu-shares")
        if nano_cpus := limits.get("nano_cpus", 0):
            put("cpu", "cpu.cfs_period_us", _PERIOD_US, "--cpus")
            put("cpu", "cpu.cfs_quota_us", max(1000, nano_cpus * _PERIOD_US // 10**9), "--cpus")
        if period := limits.get("cpu_period_us", 0):
            put("cpu", "cpu.cfs_period_us", period, "--cpu-period")
        if quota := limits.get("cpu_quota_us", 0):
            put("cpu", "cpu.cfs_quota_us", quota, "--cpu-quota")
        if period := limits.get("cpu_rt_period_us", 0):
            put("cpu", "cpu.rt_period_us", period, "--cpu-rt-period")
        if runtime := limits.get("cpu_rt_runtime_us", 0):
            put("cpu", "cpu.rt_runtime_us", runtime, "--cpu-rt-runtime")
        if cpus := limits.get("cpuset_cpus", ""):
            put("cpuset", "cpuset.cpus", cpus, "--cpuset-cpus")
        if nodes := limits.get("cpuset_mems", ""):
            put("cpuset", "cpuset.mems", nodes, "--cpuset-mems")
        if memory := limits.get("memory_bytes", 0):
            swap = limits.get("memory_swap_bytes", 0) or memory * 2
            self._limit_memory(memory, swap, put)
        if pids := limits.get("pids_limit", 0):
            put("pids", "pids.max", "max" if pids < 0 else pids, "--pids-limit")
        if reserved := limits.get("memory_reservation_bytes", 0):
            put("memory", "memory.soft_limit_in_bytes", reserved, "--memory-reservation")
        if (swappiness := limits.get("memory_swappiness", -1)) >= 0:
            put("memory", "memory.swappiness", swappiness, "--memory-swappiness")
        if limits.get("oom_kill_disable"):
            put("memory", "memory.oom_control", 1, "--oom-kill-disable")
        self._limit_disks(limits, put)
        return warnings

    def _limit_disks(self, limits: dict[str, Any], put: Any) -> None:
        """Weights are the business of a scheduler: bfq where it is built, else cfq's, on old kernels."""
        weigher = "bfq." if os.path.exists(f"{self._directories.get('blkio', '')}/blkio.bfq.weight") else ""
        if weight := limits.get("blkio_weight", 0):
            put("blkio", f"blkio.{weigher}weight", weight, "--blkio-weight")
        for line in disk_lines(limits.get("blkio_weight_devices", [])):
            put("blkio", f"blkio.{weigher}weight_device", line, "--blkio-weight-device")
        for name, file in _THROTTLES.items():
            for line in disk_lines(limits.get(f"device_{name}", [])):
                put("blkio", f"blkio.throttle.{file}", line, f"--device-{name.replace('_', '-')}")

    def _limit_memory(self, memory: int, swap: int, put: Any) -> None:
        """The kernel refuses memory above memory+swap at every moment: raise the sum first, lower it last."""
        directory = self._directories.get("memory", "")
        has_swap = os.path.exists(f"{directory}/memory.memsw.limit_in_bytes")
        raising = has_swap and int(read_file(f"{directory}/memory.memsw.limit_in_bytes")) < memory
        if raising:
            put("memory", "memory.memsw.limit_in_bytes", swap, "--memory-swap")
        put("memory", "memory.limit_in_bytes", memory, "--memory")
        if not raising:
            put("memory", "memory.memsw.limit_in_bytes", swap, "--memory-swap")

    def filter_devices(self, rules: Iterable[DeviceRule]) -> None:
        """Write the list; see driver.Cgroup."""
        directory = self._directories.get("devices")
        if directory is None:
            raise OSError(2, "this host has no devices cgroup, and devices must be filtered", "/sys/fs/cgroup/devices")
        write_file(f"{directory}/devices.deny", b"a")
        for is_allowed, group in itertools.groupby(rules, lambda rule: rule.allow):
            lines = [str(rule).encode() for rule in group]
            write_lines(f"{directory}/devices.{'allow' if is_allowed else 'deny'}", lines)

    def open_for_clone(self) -> int | None:
        """v1 has no clone into a group."""
        return None

    def prepare_entry(self) -> None:
        """Open the tasks files."""
        self._entries = [os.open(f"{d}/tasks", os.O_WRONLY | os.O_CLOEXEC) for d in self._directories.values()]

    def enter(self) -> None:
        """Join by `tasks`, one thread: 70 µs, where cgroup.procs takes a lock that waits for an RCU period."""
        for descriptor in self._entries:
            os.write(descriptor, b"0")
            os.close(descriptor)
        self._entries = []

    def close_entry(self) -> None:
        """Forget what prepare_entry() opened."""
        for descriptor in self._entries:
            os.close(descriptor)
        self._entries = []

    def freeze(self) -> None:
        """Write FROZEN until the kernel says so; a fork in mid-air makes it FREEZING for a while."""
        state = f"{self._directories['freezer']}/freezer.state"
        deadline = time.monotonic() + 5
        while True:
            write_file(state, b"FROZEN")
            if read_file(state).strip() == b"FROZEN":
                return
            if time.monotonic() > deadline:
                write_file(state, b"THAWED")
                raise OSError(110, "processes did not freeze within 5 s", state)
            time.sleep(0.001)

    def thaw(self) -> None:
        """Write THAWED."""
        write_file(f"{self._directories['freezer']}/freezer.state", b"THAWED")

    def processes(self) -> list[int]:
        """Host pids of all members."""
        directory = self._directories.get("pids") or next(iter(self._directories.values()))
        try:
            return [int(pid) for pid in read_file(f"{directory}/cgroup.procs").split()]
        except OSError:
            return []

    def oom_kills(self) -> int:
        """memory.oom_control counts kills since Linux 4.13."""
        directory = self._directories.get("memory")
        if directory is None:
            return 0
        try:
            return parse_table(read_file(f"{directory}/memory.oom_control")).get(b"oom_kill", 0)
        except OSError:
            return 0

    def sampler(self) -> V1Sampler:
        """Open its counters."""
        return V1Sampler(self._directories)

    def remove(self) -> None:
        """Kill what is left and remove the directories."""
        for directory in self._directories.values():
            remove_group(directory)


class V1Sampler:
    """Kept descriptors; pread is five times faster than opening anew."""

    def __init__(self, directories: dict[str, str]) -> None:
        self._descriptors: dict[str, int] = {}
        for controller, file in (
            ("cpuacct", "cpuacct.usage"),
            ("cpu", "cpu.stat"),
            ("memory", "memory.usage_in_bytes"),
            ("memory", "memory.stat"),
            ("memory", "memory.limit_in_bytes"),
            ("memory", "memory.oom_control"),
            ("pids", "pids.current"),
            ("blkio", "blkio.throttle.io_service_bytes"),
        ):
            if controller in directories:
                try:
                    self._descriptors[file] = os.open(f"{directories[controller]}/{file}", os.O_RDONLY | os.O_CLOEXEC)
                except FileNotFoundError:
                    if not os.path.isdir(directories[controller]):
                        self.close()
                        raise

    def _get(self, file: str) -> bytes:
        descriptor = self._descriptors.get(file)
        return b"" if descriptor is None else os.pread(descriptor, 8192, 0)

    def read(self) -> Counters:
        """Read them all."""
        memory = int(self._get("memory.usage_in_bytes") or 0)
        inactive = parse_table(self._get("memory.stat")).get(b"total_inactive_file", 0)
        limit = int(self._get("memory.limit_in_bytes") or 0)
        read_bytes = write_bytes = 0
        for line in self._get("blkio.throttle.io_service_bytes").splitlines():
            words = line.split()
            if len(words) == 3 and words[1] == b"Read":
                read_bytes += int(words[2])
            elif len(words) == 3 and words[1] == b"Write":
                write_bytes += int(words[2])
        return Counters(
            cpu_ns=int(self._get("cpuacct.usage") or 0),
            throttled_ns=parse_table(self._get("cpu.stat")).get(b"throttled_time", 0),
            memory_bytes=max(0, memory - inactive),
            memory_limit_bytes=0 if limit >= 1 << 62 else limit,
            pids=int(self._get("pids.current") or 0),
            read_bytes=read_bytes,
            write_bytes=write_bytes,
            oom_kills=parse_table(self._get("memory.oom_control")).get(b"oom_kill", 0),
            pressure=(-1.0, -1.0, -1.0),
        )

    def close(self) -> None:
        """Let go of the descriptors."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors = {}
