"""Every limit, as the container's own control group has it: on version 1 and on version 2."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.errors import NotFound
from core.model.limits import DeviceRate, Limits
from tests.conftest import Runner

IS_V2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()


def group_file(run: Runner, container: str, controller: str, v1: str, v2: str) -> str | None:
    """The content of a limit's file; None where this kernel has no such file."""
    state = run.engine.containers.inspect(container).state
    base = Path("/sys/fs/cgroup") / ("" if IS_V2 else controller) / state.cgroup  # type: ignore[union-attr]
    path = base / (v2 if IS_V2 else v1)
    return path.read_text().strip() if path.exists() else None


def warnings_of(run: Runner, container: str) -> str:
    return " ".join(run.engine.containers.inspect(container).state.warnings)  # type: ignore[union-attr]


LIMITS = (
    (Limits(cpu_shares=512), "cpu", "cpu.shares", "cpu.weight", "512", "50", "--cpu-shares"),
    (Limits(cpu_quota_us=20000, cpu_period_us=40000), "cpu", "cpu.cfs_quota_us", "cpu.max", "20000", "20000 40000", ""),
    (Limits(cpu_period_us=40000), "cpu", "cpu.cfs_period_us", "cpu.max", "40000", "max 40000", "--cpu-period"),
    (Limits(cpuset_cpus="0"), "cpuset", "cpuset.cpus", "cpuset.cpus", "0", "0", "--cpuset-cpus"),
    (Limits(cpuset_mems="0"), "cpuset", "cpuset.mems", "cpuset.mems", "0", "0", "--cpuset-mems"),
    (Limits(memory_bytes=32 << 20), "memory", "memory.limit_in_bytes", "memory.max", str(32 << 20), str(32 << 20), ""),
    (
        Limits(memory_reservation_bytes=16 << 20),
        *("memory", "memory.soft_limit_in_bytes", "memory.low", str(16 << 20), str(16 << 20), "--memory-reservation"),
    ),
    (Limits(memory_swappiness=7), "memory", "memory.swappiness", "", "7", "", "--memory-swappiness"),
    (Limits(pids_limit=99), "pids", "pids.max", "pids.max", "99", "99", "--pids-limit"),
)


@pytest.mark.parametrize("row", LIMITS, ids=lambda row: row[2])
def test_A15_a_limit_is_in_its_file_or_a_warning_says_why_not(
    run: Runner, row: tuple[Limits, str, str, str, str, str, str]
) -> None:
    limits, controller, v1, v2, on_v1, on_v2, option = row
    container = run.background("sleep", "100", limits=limits)
    found = group_file(run, container, controller, v1, v2) if (v2 or not IS_V2) else None
    if found is None:
        assert f"{option} has no effect" in warnings_of(run, container)
    else:
        assert found == (on_v2 if IS_V2 else on_v1)


def test_A15_a_disk_weight_goes_to_the_scheduler_that_this_kernel_has(run: Runner) -> None:
    container = run.background("sleep", "100", limits=Limits(blkio_weight=505))
    files = {
        "blkio.bfq.weight" if not IS_V2 else "io.bfq.weight": "default 505" if IS_V2 else "505",
        "blkio.weight" if not IS_V2 else "io.weight": "default 5000" if IS_V2 else "505",
    }
    found = {name: group_file(run, container, "blkio", name, name) for name in files}
    present = [name for name, text in found.items() if text is not None]
    if present:
        assert found[present[0]] == files[present[0]]
    else:
        assert "--blkio-weight has no effect" in warnings_of(run, container)


def test_A15_the_killer_can_be_turned_off_on_version_1(run: Runner) -> None:
    container = run.background("sleep", "100", limits=Limits(memory_bytes=32 << 20, oom_kill_disable=True))
    if IS_V2:
        assert "--oom-kill-disable has no effect" in warnings_of(run, container)
    else:
        text = group_file(run, container, "memory", "memory.oom_control", "")
        assert text is not None
        assert "oom_kill_disable 1" in text


def _disk() -> str:
    """A whole disk of this host."""
    for name in sorted(os.listdir("/sys/block")):
        if name.startswith(("vd", "sd", "nvme", "xvd")) and os.path.exists(f"/dev/{name}"):
            return f"/dev/{name}"
    pytest.skip("this host has no disk whose speed could be limited")


def test_A15_a_disk_s_rates_are_in_its_file(run: Runner) -> None:
    disk = _disk()
    number = os.stat(disk).st_rdev
    name = f"{os.major(number)}:{os.minor(number)}"
    rate = (DeviceRate(path=disk, value=1 << 20),)
    count = (DeviceRate(path=disk, value=100),)
    limits = Limits(device_read_bps=rate, device_write_bps=rate, device_read_iops=count, device_write_iops=count)
    container = run.background("sleep", "100", limits=limits)
    if IS_V2:
        assert group_file(run, container, "", "", "io.max") == f"{name} rbps=1048576 wbps=1048576 riops=100 wiops=100"
        return
    for kind, value in (("read_bps", 1 << 20), ("write_bps", 1 << 20), ("read_iops", 100), ("write_iops", 100)):
        assert group_file(run, container, "blkio", f"blkio.throttle.{kind}_device", "") == f"{name} {value}"


def test_A15_a_disk_that_is_not_there_is_named_before_anything_is_made(run: Runner) -> None:
    limits = Limits(device_read_bps=(DeviceRate(path="/dev/nosuchdisk", value=1),))
    with pytest.raises(NotFound, match="/dev/nosuchdisk"):
        run("true", limits=limits)
    assert run.engine.containers.list(all=True) == []
