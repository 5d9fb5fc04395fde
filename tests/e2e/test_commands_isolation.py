"""Rows of the isolation list from the outside: the same probes on docker and podman prove the probes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.compat.targets import Cli

USERS = pytest.mark.parametrize("user", ["0", "1000:1000"], ids=["root", "plain"])
HOSTS_VALUES = ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe")


def said(cli: Cli, script: str, *options: str, user: str = "0") -> list[str]:
    """What a shell in a container says, errors too."""
    done = cli.run("--rm", "-u", user, *options, "IMAGE", "sh", "-c", f"exec 2>&1; {script}")
    return done.out.splitlines()


@USERS
def test_SN1_namespaces_of_its_own(cli: Cli, user: str):
    kinds = ("mnt", "pid", "uts", "ipc")
    lines = said(cli, f"for k in {' '.join(kinds)}; do readlink /proc/self/ns/$k; done", user=user)
    assert len(lines) == len(kinds)
    assert not set(lines) & {os.readlink(f"/proc/self/ns/{kind}") for kind in kinds}


@USERS
def test_SN2_only_its_own_processes(cli: Cli, user: str):
    lines = said(cli, f"echo $$; ls -d /proc/[0-9]* | wc -l; kill -0 {os.getpid()}", user=user)
    assert lines[0] == "1"
    assert int(lines[1]) < 6
    assert "No such process" in lines[2]


@USERS
def test_SN5_the_hosts_name_stays(cli: Cli, user: str):
    before = os.uname().nodename
    lines = said(cli, "hostname other && echo changed", user=user)
    assert "changed" not in lines
    assert os.uname().nodename == before


@USERS
def test_SN8_no_groups_of_the_operator(cli: Cli, user: str):
    assert set(said(cli, "id -G", user=user)[0].split()) <= {"0", "1000"}


def test_SN9_no_variables_of_the_operator(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    cli.env["WHARF_TEST_CANARY"] = "leaked"
    try:
        assert not any("leaked" in line for line in said(cli, "env; cat /proc/1/environ"))
    finally:
        del cli.env["WHARF_TEST_CANARY"]


def test_SC1_fourteen_capabilities(cli: Cli):
    lines = said(cli, "grep Cap /proc/self/status")
    found = {line.split(":")[0]: line.split()[1] for line in lines}
    assert found["CapBnd"] == found["CapPrm"] == found["CapEff"] == "00000000a80425fb"
    assert found["CapInh"] == found["CapAmb"] == "0" * 16


def test_SC3_none_for_a_plain_user(cli: Cli):
    lines = said(cli, "grep -E 'CapPrm|CapEff' /proc/self/status", user="1000:1000")
    assert {line.split()[1] for line in lines} == {"0" * 16}


@USERS
def test_SC4_SC5_filtered_and_free_to_gain(cli: Cli, user: str):
    lines = said(cli, "grep -E 'Seccomp:|NoNewPrivs' /proc/self/status", user=user)
    assert [line.split()[1] for line in lines] == ["0", "2"]


@USERS
def test_SC10_no_mounting(cli: Cli, user: str):
    lines = said(cli, "mkdir -p /tmp/m; mount -t tmpfs x /tmp/m; umount /proc/keys; unshare -m true", user=user)
    assert sum("permitted" in line or "denied" in line or "must be" in line for line in lines) >= 2


@USERS
def test_SF2_masked(cli: Cli, user: str):
    script = "for p in kcore keys timer_list; do [ -e /proc/$p ] && cat /proc/$p; done; ls -A /sys/firmware; true"
    assert said(cli, script, user=user) == []


@USERS
def test_SF3_read_only_settings(cli: Cli, user: str):
    before = {path: Path(path).read_bytes() for path in HOSTS_VALUES if os.path.exists(path)}
    lines = said(cli, "; ".join(f"echo '|/x' > {path} && echo written" for path in before), user=user)
    assert "written" not in lines
    assert {path: Path(path).read_bytes() for path in before} == before


@USERS
def test_SF4_SR6_groups_can_not_be_changed(cli: Cli, user: str):
    script = "cd /sys/fs/cgroup/memory 2>/dev/null || cd /sys/fs/cgroup; mkdir own && echo made; true"
    assert "made" not in said(cli, script, user=user)


def test_SF6_harmless_devices_only(cli: Cli):
    names = set(said(cli, "ls /dev"))
    known = "core console fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert names <= set(known.split())


def test_SF7_a_disk_can_not_be_opened(cli: Cli):
    lines = said(cli, "mknod /tmp/disk b 8 0; head -c1 /tmp/disk && echo read; mknod /tmp/mem c 1 1; head -c1 /tmp/mem")
    assert "read" not in lines
    assert sum("permitted" in line for line in lines) >= 2


def test_SF10_a_read_only_root_and_its_tmpfs(cli: Cli):
    lines = said(cli, "echo x > /f; echo x > /t/f && cat /t/f", "--read-only", "--tmpfs", "/t")
    assert "Read-only" in lines[0]
    assert lines[1] == "x"


def test_SF9_a_read_only_bind(cli: Cli, tmp_path: Path):
    tmp_path.chmod(0o777)
    assert "Read-only" in said(cli, "echo x > /b/f", "-v", f"{tmp_path}:/b:ro")[0]
    assert os.listdir(tmp_path) == []


@USERS
def test_SE12_no_helper_of_the_kernel_can_be_set(cli: Cli, user: str):
    places = (
        "/proc/sys/kernel/hotplug /sys/kernel/uevent_helper /sys/fs/cgroup/memory/release_agent /proc/sysrq-trigger"
    )
    lines = said(cli, f"for p in {places}; do [ -e $p ] && echo x > $p && echo written; done; true", user=user)
    assert "written" not in lines


def test_SR2_processes_are_counted(cli: Cli):
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 2 & done; wait"
    assert any("can't fork" in line or "unavailable" in line for line in said(cli, script, "--pids-limit", "8"))


def test_SR4_shared_memory_is_small(cli: Cli):
    script = "head -c 3000000 /dev/zero > /dev/shm/f; wc -c < /dev/shm/f"
    assert said(cli, script, "--shm-size", "2m")[-1] == str(2 << 20)


def test_SR7_nothing_outlives_its_container(cli: Cli):
    marker = f"31{os.getpid()}"
    cli.ok(*cli.run_words("run", "-d", "--name", "box", "IMAGE", "sh", "-c", f"(setsid sleep {marker} &); sleep 1000"))
    cli.ok("rm", "-f", "box")
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert marker.encode() not in entry.read_bytes()
        except OSError:
            continue
