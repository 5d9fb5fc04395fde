"""What doctor makes of hosts that lack something."""

from __future__ import annotations

import os
import platform
import resource
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.cgroups import driver
from core.host import cgroup_features, features, isolation_features, network_features, storage_features
from core.host.mount_table import mount_of
from core.linux import caps
from core.model.host_report import HostFeature


def _only(found: list[HostFeature], name: str) -> HostFeature:
    (feature,) = [feature for feature in found if feature.name == name]
    assert feature.standing == "ok" or (feature.consequence and feature.found), feature
    return feature


@pytest.mark.parametrize(
    ("release", "standing"), [("6.1.0-18-amd64", "ok"), ("5.10.0", "note"), ("5.4.0", "missing"), ("4.19", "missing")]
)
def test_kernels_are_judged_by_their_number(monkeypatch, release: str, standing: str):
    monkeypatch.setattr(platform, "release", lambda: release)
    assert features._kernel().standing == standing


def test_root_that_lacks_capabilities_is_told_which(monkeypatch):
    everything = sum(1 << number for number in caps.CAPABILITIES.values())
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(caps, "last_capability", lambda: max(caps.CAPABILITIES.values()))
    for lacking, standing in ((), "ok"), (("SYS_RESOURCE",), "warning"), (("SYS_ADMIN", "MKNOD"), "missing"):
        mask = everything & ~sum(1 << caps.CAPABILITIES[name] for name in lacking)
        monkeypatch.setattr(caps, "read_mask", lambda _field, mask=mask: mask)
        feature = _only(list(isolation_features._capabilities()), "capabilities")
        assert feature.standing == standing
        assert all(name in feature.found for name in lacking)


def test_a_plain_user_is_told_to_be_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    feature = isolation_features._privileges()
    assert (feature.standing, "sudo" in feature.remedy) == ("missing", True)


def _hierarchies(monkeypatch, v1: dict[str, str], v2: str | None) -> list[HostFeature]:
    monkeypatch.setattr(driver, "find_hierarchies", lambda: driver.Hierarchies(v1, v2))
    return list(cgroup_features.cgroup_features())


def test_without_control_groups_nothing_runs(monkeypatch):
    assert _only(_hierarchies(monkeypatch, {}, None), "cgroups").standing == "missing"


def test_a_v1_host_without_memory_or_devices(monkeypatch, tmp_path: Path):
    names = ("cpu", "cpuset", "pids", "blkio", "freezer")
    found = _hierarchies(monkeypatch, {name: str(tmp_path) for name in names}, None)
    assert _only(found, "cgroups").standing == "ok"
    assert "--memory" in _only(found, "memory cgroup").consequence
    assert _only(found, "devices cgroup").standing == "missing"
    assert _only(found, "swap accounting").standing == "note"


def test_a_v2_host_with_all_its_controllers(monkeypatch, tmp_path: Path):
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (tmp_path / "some.slice").mkdir()
    (tmp_path / "some.slice" / "memory.swap.max").touch()
    found = _hierarchies(monkeypatch, {}, str(tmp_path))
    assert _only(found, "controllers").found == "cpu, cpuset, io, memory, pids"
    assert _only(found, "swap accounting").standing == "ok"


@pytest.mark.parametrize(
    ("fstype", "options", "standing"),
    [
        ("ext4", "rw", "ok"),
        ("ext4", "ro", "missing"),
        ("overlay", "rw", "missing"),
        ("vfat", "rw", "missing"),
        ("tmpfs", "rw", "warning"),
        ("xfs", "rw,nodev", "warning"),
    ],
)
def test_file_systems_are_judged(fstype: str, options: str, standing: str):
    assert storage_features._file_system(Path("/x"), fstype, frozenset(options.split(","))).standing == standing


@pytest.mark.parametrize(
    ("free", "inodes", "standing"), [(10, 10**6, "ok"), (0.1, 10**6, "warning"), (10, 5, "warning")]
)
def test_room_is_bytes_and_files(monkeypatch, free: float, inodes: int, standing: str):
    state = SimpleNamespace(f_bavail=int(free * 2**20), f_frsize=1024, f_favail=inodes, f_blocks=2**30, f_files=2**20)
    monkeypatch.setattr(os, "statvfs", lambda _path: state)
    assert storage_features._room(Path("/")).standing == standing


def test_the_mount_of_a_path_is_the_last_of_the_longest(tmp_path: Path):
    table = tmp_path / "mountinfo"
    lines = (
        "1 0 8:1 / / rw,relatime - ext4 /dev/a rw",
        f"2 1 8:2 / {str(tmp_path).replace('t', chr(92) + '164', 1)} rw - xfs /dev/b rw",
        f"3 1 8:3 / {tmp_path} rw,nodev - btrfs /dev/c ro,space_cache",
        f"4 1 8:4 / {tmp_path}elsewhere rw - vfat /dev/d rw",
    )
    table.write_text("\n".join(lines) + "\n")
    (tmp_path / "in").mkdir()
    mount = mount_of(tmp_path / "in", str(table))
    assert (mount.point, mount.fstype) == (tmp_path, "btrfs")
    assert {"nodev", "ro"} <= mount.options
    assert mount_of(Path("/"), str(table)).fstype == "ext4"


def test_few_descriptors_and_a_wrong_clock_are_warnings(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (256, 256))
    assert features._files().standing == "warning"
    monkeypatch.setattr(time, "time", lambda: 86400.0)
    assert features._clock().standing == "warning"


def test_programs_that_are_missing_name_their_package(monkeypatch):
    monkeypatch.setattr(features.shutil, "which", lambda program, path: None)
    assert {feature.remedy for feature in features._programs()} == {
        *("apt-get install procps", "apt-get install busybox-static", "apt-get install iptables")
    }


@pytest.mark.parametrize(
    ("tool", "standing", "consequence"),
    [("/usr/sbin/iptables", "note", "passed on by monitors"), (None, "warning", "reach no other hosts")],
)
def test_a_kernel_without_nf_tables_is_told_with_what_that_means(monkeypatch, tool, standing, consequence):
    def refuse() -> None:
        raise OSError(95, "nftables: Operation not supported")

    monkeypatch.setattr(network_features, "_try_rules", refuse)
    monkeypatch.setattr(network_features.shutil, "which", lambda _name, path: tool)
    monkeypatch.setattr(network_features.os, "geteuid", lambda: 0)
    found = network_features._firewall()
    assert found.standing == standing
    assert consequence in found.consequence
    assert "nftables: operation not supported" in found.found
