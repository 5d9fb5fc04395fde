"""Rows SN1 to SN9: a container has namespaces of its own and sees nothing of the host's."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest

from tests.conftest import Runner

USERS = pytest.mark.parametrize("user", ["", "1000:1000"], ids=["root", "plain"])
KINDS = ("mnt", "pid", "net", "uts", "ipc", "cgroup")


@USERS
def test_SN1_own_namespaces_of_every_kind(run: Runner, user: str) -> None:
    result = run.sh("for k in mnt pid net uts ipc cgroup; do readlink /proc/self/ns/$k; done", user=user)
    theirs = result.lines
    ours = [os.readlink(f"/proc/self/ns/{kind}") for kind in KINDS]
    assert len(theirs) == len(KINDS)
    assert not set(theirs) & set(ours)


def test_A17_SN1_host_network_shares_only_the_network(run: Runner) -> None:
    result = run.sh("readlink /proc/self/ns/net; readlink /proc/self/ns/uts", network="host")
    assert result.lines[0] == os.readlink("/proc/self/ns/net")
    assert result.lines[1] != os.readlink("/proc/self/ns/uts")


@USERS
def test_SN2_first_process_is_1_and_host_processes_are_unseen(run: Runner, user: str) -> None:
    result = run.sh(f"echo $$; ls /proc | grep -E '^[0-9]+$' | sort -n | tail -1; kill -0 {os.getpid()}", user=user)
    assert result.lines[0] == "1"
    assert int(result.lines[1]) < 20
    assert "No such process" in result.err


def test_A17_host_sees_the_process_under_another_pid(run: Runner) -> None:
    container = run.background("sleep", "100")
    state = run.engine.containers.inspect(container).state
    assert state.pid != 1  # type: ignore[union-attr]
    with open(f"/proc/{state.pid}/cmdline", "rb") as file:  # type: ignore[union-attr]
        assert file.read() == b"sleep\x00100\x00"


@USERS
def test_SN3_host_shared_memory_is_invisible(run: Runner, user: str) -> None:
    made = subprocess.run(["ipcmk", "-M", "4096"], capture_output=True, text=True, check=True)
    segment = made.stdout.split()[-1]
    marker = f"/dev/shm/wharf-test-{os.getpid()}"
    with open(marker, "w"):
        pass
    try:
        result = run.sh("cat /proc/sysvipc/shm | wc -l; ls -A /dev/shm", user=user)
        assert result.lines == ["1"]  # the heading alone
    finally:
        subprocess.run(["ipcrm", "-m", segment], check=True)
        os.unlink(marker)


def test_SN4_abstract_sockets_of_the_host_are_out_of_reach(run: Runner) -> None:
    name = f"wharf-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen(1)
        assert run("/probe", "abstract", name, probe=True).out == "111\n"
        assert run("/probe", "abstract", name, probe=True, network="host").out == "0\n"  # the probe itself is sound


@USERS
def test_SN5_hostname_can_not_be_changed(run: Runner, user: str) -> None:
    before = os.uname().nodename
    result = run.sh("hostname other; hostname", user=user)
    assert "not permitted" in result.err.lower() or "must be root" in result.err.lower()
    assert result.lines != ["other"]
    assert os.uname().nodename == before


def test_A19_hostname_is_the_short_id(run: Runner) -> None:
    container = run.background("sleep", "100")
    assert run.exec(container, "hostname").out.strip() == container[:12]
    assert run.exec(container, "cat", "/etc/hostname").out.strip() == container[:12]


@USERS
def test_SN6_cgroup_view_begins_at_its_own_root(run: Runner, user: str) -> None:
    result = run.sh("cut -d: -f3 /proc/self/cgroup | sort -u", user=user)
    assert result.lines == ["/"]


def test_SN6_an_execd_process_sees_the_same_cgroup_root(run: Runner) -> None:
    container = run.background("sleep", "100")
    assert set(run.exec(container, "cut", "-d:", "-f3", "/proc/self/cgroup").lines) == {"/"}


@USERS
def test_SN8_no_groups_of_the_operator(run: Runner, user: str) -> None:
    result = run.sh("grep Groups: /proc/self/status; id -g", user=user)
    gid = user.partition(":")[2] or "0"
    assert result.lines[0].split()[1:] in ([], [gid], ["0"])
    assert result.lines[1] == gid


def test_SN9_no_environment_directory_session_or_terminal_of_the_host(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHARF_TEST_CANARY", "leaked")
    result = run.sh("env; pwd; cut -d' ' -f6,7 /proc/self/stat", env=("A=1",))
    names = {line.partition("=")[0] for line in result.lines if "=" in line}
    assert names <= {"A", "PATH", "HOSTNAME", "HOME", "PWD", "SHLVL", "OLDPWD", "_"}
    assert "leaked" not in result.out
    assert "/" in result.lines
    session, terminal = result.lines[-1].split()
    assert (session, terminal) == ("1", "0")
