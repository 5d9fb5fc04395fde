"""cgroup version 2: one hierarchy for all controllers.

Source: the kernel's Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Any

from core.cgroups.driver import Counters, disk_lines, parse_table
from core.cgroups.files import read_file, remove_group, write_file
from core.linux.bpf import DeviceRule, attach_device_program, device_program

CONTROLLERS = ("cpu", "cpuset", "memory", "io", "pids")
_PERIOD_US = 100_000
_THROTTLES = {"read_bps": "rbps", "write_bps": "wbps", "read_iops": "riops", "write_iops": "wiops"}


class V2Cgroup:
    """A directory of the unified hierarchy."""

    def __init__(self, mount: str, path: str) -> None:
        self.path = path
        self._mount = mount
        self._directory = f"{mount}/{path}"
        self._entry = -1

    def create(self) -> None:
        """Make the directory, and hand the controllers down from the top to it."""
        try:
            os.mkdir(self._directory, 0o755)
        except FileNotFoundError:
            os.makedirs(self._directory, 0o755, exist_ok=True)
        except FileExistsError:
            pass
        above = self._mount
        for part in self.path.split("/"):
            self._hand_down(above)
            above = f"{above}/{part}"

    def _hand_down(self, directory: str) -> None:
        wanted = set(read_file(f"{directory}/cgroup.controllers").split()) & {name.encode() for name in CONTROLLERS}
        for name in wanted - set(read_file(f"{directory}/cgroup.subtree_control").split()):
            try:
                write_file(f"{directory}/cgroup.subtree_control", b"+" + name)
            except OSError:
                continue  # what is missing in the end is said by limit(), where it matters

    def limit(self, limits: dict[str, Any]) -> list[str]:
        """Write limits; see driver.Cgroup."""
        warnings: list[str] = []

        def put(file: str, value: int | str, option: str) -> None:
            if os.path.exists(f"{self._directory}/{file}"):
                write_file(f"{self._directory}/{file}", str(value).encode())
            else:
                warnings.append(f"{option} has no effect: this host has no cgroup file {file}")

        if shares := limits.get("cpu_shares", 0):
            put("cpu.weight", cpu_weight(shares), "--cpu-shares")
        if nano_cpus := limits.get("nano_cpus", 0):
            put("cpu.max", f"{max(1000, nano_cpus * _PERIOD_US // 10**9)} {_PERIOD_US}", "--cpus")
        period, quota = limits.get("cpu_period_us", 0), limits.get("cpu_quota_us", 0)
        if period or quota:
            put("cpu.max", f"{quota if quota > 0 else 'max'} {period or _PERIOD_US}", "--cpu-quota")
        if cpus := limits.get("cpuset_cpus", ""):
            put("cpuset.cpus", cpus, "--cpuset-cpus")
        if nodes := limits.get("cpuset_mems", ""):
            put("cpuset.mems", nodes, "--cpuset-mems")
        if memory := limits.get("memory_bytes", 0):
            put("memory.max", memory, "--memory")
            swap = limits.get("memory_swap_bytes", 0) or memory * 2
            put("memory.swap.max", "max" if swap < 0 else max(0, swap - memory), "--memory-swap")
        if pids := limits.get("pids_limit", 0):
            put("pids.max", "max" if pids < 0 else pids, "--pids-limit")
        if reserved := limits.get("memory_reservation_bytes", 0):
            put("memory.low", reserved, "--memory-reservation")
        for option, is_set in (
            ("--memory-swappiness", limits.get("memory_swappiness", -1) >= 0),
            ("--oom-kill-disable", limits.get("oom_kill_disable")),
            ("--cpu-rt-period", limits.get("cpu_rt_period_us")),
            ("--cpu-rt-runtime", limits.get("cpu_rt_runtime_us")),
        ):
            if is_set:
                warnings.append(f"{option} has no effect: cgroup version 2 has nothing like it")
        self._limit_disks(limits, put)
        return warnings

    def _limit_disks(self, limits: dict[str, Any], put: Any) -> None:
        """bfq takes Docker's weights as they are; io.weight, of another scheduler, has a wider scale."""
        has_bfq = os.path.exists(f"{self._directory}/io.bfq.weight")
        if weight := limits.get("blkio_weight", 0):
            value = weight if has_bfq else 1 + (weight - 10) * 9999 // 990
            put("io.bfq.weight" if has_bfq else "io.weight", f"default {value}", "--blkio-weight")
        for line in disk_lines(limits.get("blkio_weight_devices", [])):
            put("io.bfq.weight", line, "--blkio-weight-device")
        for name, key in _THROTTLES.items():
            for line in disk_lines(limits.get(f"device_{name}", [])):
                device, _, value = line.partition(" ")
                put("io.max", f"{device} {key}={value}", f"--device-{name.replace('_', '-')}")

    def filter_devices(self, rules: Iterable[DeviceRule]) -> None:
        """Attach the eBPF program; see driver.Cgroup."""
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            attach_device_program(descriptor, device_program(rules))
        finally:
            os.close(descriptor)

    def open_for_clone(self) -> int | None:
        """For CLONE_INTO_CGROUP."""
        return os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def prepare_entry(self) -> None:
        """Open cgroup.procs."""
        self._entry = os.open(f"{self._directory}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)

    def enter(self) -> None:
        """Move the calling process in."""
        os.write(self._entry, b"0")
        self.close_entry()

    def close_entry(self) -> None:
        """Forget what prepare_entry() opened."""
        if self._entry >= 0:
            os.close(self._entry)
            self._entry = -1

    def freeze(self) -> None:
        """Write 1 and wait until cgroup.events says frozen."""
        write_file(f"{self._directory}/cgroup.freeze", b"1")
        deadline = time.monotonic() + 5
        while parse_table(read_file(f"{self._directory}/cgroup.events")).get(b"frozen") != 1:
            if time.monotonic() > deadline:
                self.thaw()
                raise OSError(110, "processes did not freeze within 5 s", f"{self._directory}/cgroup.freeze")
            time.sleep(0.001)

    def thaw(self) -> None:
        """Write 0."""
        write_file(f"{self._directory}/cgroup.freeze", b"0")

    def processes(self) -> list[int]:
        """Host pids of all members."""
        try:
            return [int(pid) for pid in read_file(f"{self._directory}/cgroup.procs").split()]
        except OSError:
            return []

    def oom_kills(self) -> int:
        """memory.events counts them."""
        try:
            return parse_table(read_file(f"{self._directory}/memory.events")).get(b"oom_kill", 0)
        except OSError:
            return 0

    def sampler(self) -> V2Sampler:
        """Open its counters."""
        return V2Sampler(self._directory)

    def remove(self) -> None:
        """Kill what is left and remove the directory."""
        try:
            write_file(f"{self._directory}/cgroup.kill", b"1")
        except OSError:
            pass  # before Linux 5.14, or gone already: remove_group() kills one by one
        remove_group(self._directory)


def cpu_weight(shares: int) -> int:
    """CPU shares (2 to 262144, 1024 normal) as a weight (1 to 10000, 100 normal).

    In proportion, so that two containers divide a core on v2 as they do on v1; Docker's formulas
    squeeze small values together.
    """
    return max(1, min(round(shares * 100 / 1024), 10000))


class V2Sampler:
    """Kept descriptors of one group's counters."""

    _FILES = (
        "cpu.stat",
        "memory.current",
        "memory.stat",
        "memory.max",
        "memory.events",
        "pids.current",
        "io.stat",
        "cpu.pressure",
        "memory.pressure",
        "io.pressure",
    )

    def __init__(self, directory: str) -> None:
        self._descriptors: dict[str, int] = {}
        for file in self._FILES:
            try:
                self._descriptors[file] = os.open(f"{directory}/{file}", os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                if not os.path.isdir(directory):
                    self.close()
                    raise

    def _get(self, file: str) -> bytes:
        descriptor = self._descriptors.get(file)
        return b"" if descriptor is None else os.pread(descriptor, 8192, 0)

    def _pressure(self, file: str) -> float:
        """`some avg10=0.12 …`; a kernel booted with psi=0 refuses the read."""
        try:
            words = self._get(file).split()
        except OSError:
            return -1.0
        return float(words[1].removeprefix(b"avg10=")) if len(words) > 1 else -1.0

    def read(self) -> Counters:
        """Read them all."""
        cpu = parse_table(self._get("cpu.stat"))
        inactive = parse_table(self._get("memory.stat")).get(b"inactive_file", 0)
        limit = self._get("memory.max").strip()
        read_bytes = write_bytes = 0
        for word in self._get("io.stat").split():
            if word.startswith(b"rbytes="):
                read_bytes += int(word[7:])
            elif word.startswith(b"wbytes="):
                write_bytes += int(word[7:])
        return Counters(
            cpu_ns=cpu.get(b"usage_usec", 0) * 1000,
            throttled_ns=cpu.get(b"throttled_usec", 0) * 1000,
            memory_bytes=max(0, int(self._get("memory.current") or 0) - inactive),
            memory_limit_bytes=int(limit) if limit.isdigit() else 0,
            pids=int(self._get("pids.current") or 0),
            read_bytes=read_bytes,
            write_bytes=write_bytes,
            oom_kills=parse_table(self._get("memory.events")).get(b"oom_kill", 0),
            pressure=(
                self._pressure("cpu.pressure"),
                self._pressure("memory.pressure"),
                self._pressure("io.pressure"),
            ),
        )

    def close(self) -> None:
        """Let go of the descriptors."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors = {}
