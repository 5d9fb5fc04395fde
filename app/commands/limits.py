"""The flags that limit what a container may take of the machine, and how they become Limits."""

from __future__ import annotations

import msgspec

from app.commands.flags import Flag, Values, flag
from core.errors import InvalidInput
from core.model.devices import parse_device_bps, parse_device_iops, parse_device_weight
from core.model.limits import Limits, check_limits, parse_cpus, parse_cpuset, parse_swap


def _check_swappiness(text: str) -> None:
    if not -1 <= int(text, 0) <= 100:
        raise InvalidInput(f"invalid value: {text}. Valid memory swappiness range is 0-100")


UPDATABLE_LIMIT_FLAGS: tuple[Flag, ...] = (
    flag("--blkio-weight int", "Block IO (relative weight), between 10 and 1000, or 0 to disable"),
    flag("--cpu-period int", "Limit CPU CFS (Completely Fair Scheduler) period"),
    flag("--cpu-quota int", "Limit CPU CFS (Completely Fair Scheduler) quota"),
    flag("--cpu-rt-period int", "Limit CPU real-time period in microseconds"),
    flag("--cpu-rt-runtime int", "Limit CPU real-time runtime in microseconds"),
    flag("-c, --cpu-shares int", "CPU shares (relative weight)"),
    flag("--cpus decimal", "Number of CPUs"),
    flag("--cpuset-cpus string", "CPUs in which to allow execution (0-3, 0,1)", check=parse_cpuset),
    flag("--cpuset-mems string", "MEMs in which to allow execution (0-3, 0,1)", check=parse_cpuset),
    flag("--kernel-memory bytes", "Kernel memory limit (deprecated)", hidden=True),
    flag("-m, --memory bytes", "Memory limit"),
    flag("--memory-reservation bytes", "Memory soft limit"),
    flag(
        "--memory-swap string",
        "Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
        check=parse_swap,
    ),
    flag("--pids-limit int", "Tune container pids limit (set -1 for unlimited)"),
)
"""Those that `update` has too."""

LIMIT_FLAGS: tuple[Flag, ...] = (
    *UPDATABLE_LIMIT_FLAGS,
    flag("--blkio-weight-device list", "Block IO weight (relative device weight)", check=parse_device_weight),
    flag("--device-read-bps list", "Limit read rate (bytes per second) from a device", check=parse_device_bps),
    flag("--device-read-iops list", "Limit read rate (IO per second) from a device", check=parse_device_iops),
    flag("--device-write-bps list", "Limit write rate (bytes per second) to a device", check=parse_device_bps),
    flag("--device-write-iops list", "Limit write rate (IO per second) to a device", check=parse_device_iops),
    flag(
        "--memory-swappiness int", "Tune container memory swappiness (0 to 100)", default="-1", check=_check_swappiness
    ),
    flag("--oom-kill-disable", "Disable OOM Killer"),
)


def read_limits(flags: Values) -> Limits:
    """The limits of a command line that makes a container.

    Raises: InvalidInput: they contradict each other.
    """
    limits = msgspec.structs.replace(
        read_updatable(flags),
        memory_swappiness=flags.number("memory-swappiness"),
        oom_kill_disable=flags.truth("oom-kill-disable"),
        blkio_weight_devices=tuple(parse_device_weight(text) for text in flags.many("blkio-weight-device")),
        device_read_bps=tuple(parse_device_bps(text) for text in flags.many("device-read-bps")),
        device_write_bps=tuple(parse_device_bps(text) for text in flags.many("device-write-bps")),
        device_read_iops=tuple(parse_device_iops(text) for text in flags.many("device-read-iops")),
        device_write_iops=tuple(parse_device_iops(text) for text in flags.many("device-write-iops")),
    )
    check_limits(limits)
    return limits


def read_updatable(flags: Values) -> Limits:
    """The limits of a command line that `update` has too."""
    return Limits(
        cpu_shares=flags.number("cpu-shares"),
        nano_cpus=parse_cpus(flags.text("cpus") or "0"),
        cpuset_cpus=flags.text("cpuset-cpus"),
        memory_bytes=flags.size("memory"),
        memory_swap_bytes=parse_swap(flags.text("memory-swap") or "0"),
        pids_limit=flags.number("pids-limit"),
        cpu_period_us=flags.number("cpu-period"),
        cpu_quota_us=flags.number("cpu-quota"),
        cpu_rt_period_us=flags.number("cpu-rt-period"),
        cpu_rt_runtime_us=flags.number("cpu-rt-runtime"),
        cpuset_mems=flags.text("cpuset-mems"),
        memory_reservation_bytes=flags.size("memory-reservation"),
        kernel_memory_bytes=flags.size("kernel-memory"),
        blkio_weight=flags.number("blkio-weight"),
    )
