"""Rows SR1 and SR3 to SR6: what a container may take, and what it may not change of that."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from core.model.container import Exited
from core.model.isolation import Namespaces
from core.model.limits import Limits
from core.model.mounts import MountSpec
from core.model.protection import read_protection
from core.model.ulimits import Ulimit
from tests.conftest import Runner, wait_until
from tests.security.test_sharing import running

USERS = pytest.mark.parametrize("user", ["", "1000:1000"], ids=["root", "plain"])
IS_V2 = not Path("/sys/fs/cgroup/memory").exists()


@USERS
def test_SR1_what_eats_twice_its_memory_is_killed_and_nobody_else(run: Runner, user: str) -> None:
    neighbour = run.background("sleep", "100")
    limits = Limits(memory_bytes=16 << 20, memory_swap_bytes=16 << 20)
    result = run("/probe", "eat", str(32 << 20), probe=True, user=user, limits=limits)
    assert result.code == 137
    ended = next(c for c in run.engine.containers.list(all=True) if c.id != neighbour)
    assert isinstance(ended.state, Exited)
    assert ended.state.oom_killed
    assert run.engine.containers.inspect(neighbour).status == "running"
    assert run.exec(neighbour, "echo", "alive").out == "alive\n"


@USERS
def test_SR3_half_a_core_is_half_a_core(run: Runner, user: str) -> None:
    burn = ("sh", "-c", "while :; do :; done")
    container = run.background(*burn, user=user, limits=Limits(nano_cpus=500_000_000))
    run.engine.containers.stats((container,))
    time.sleep(1.5)
    first = run.engine.containers.stats((container,))[container]
    time.sleep(5)
    last = run.engine.containers.stats((container,))[container]
    used, passed = last.cpu_ns - first.cpu_ns, last.at_ns - first.at_ns
    assert used <= passed * 0.5 * 1.15  # a sample's time and its counters are read a moment apart
    assert last.throttled_ns > first.throttled_ns


@USERS
def test_SR4_shared_memory_and_tmpfs_end_where_they_should(run: Runner, user: str) -> None:
    tmpfs = MountSpec(kind="tmpfs", target="/t", options=("size=2m", "mode=1777"))
    script = "for d in /dev/shm /t; do dd if=/dev/zero of=$d/f bs=64k 2>/dev/null; wc -c < $d/f; done"
    result = run.sh(script, user=user, shm_size_bytes=1 << 20, mounts=(tmpfs,))
    assert result.lines == [str(1 << 20), str(2 << 20)]


@USERS
def test_SR5_ulimits_and_the_killers_score_are_as_asked(run: Runner, user: str) -> None:
    wish = {
        "user": user,
        "oom_score_adj": 333,
        "ulimits": (Ulimit(name="nofile", soft=64, hard=128), Ulimit(name="nproc", soft=50, hard=60)),
    }
    script = "cat /proc/self/oom_score_adj; grep -E 'open files|processes' /proc/self/limits"
    words = run.sh(script, **wish).out.split()
    assert words[0] == "333"
    assert [word for word in words if word.isdigit()][1:] in (["50", "60", "64", "128"], ["64", "128", "50", "60"])
    container = run.background("sleep", "100", **wish)
    assert run.exec(container, "sh", "-c", script).out.split() == words


def test_SR5_what_this_host_can_not_give_is_a_warning_and_no_failure(run: Runner) -> None:
    ulimits = (Ulimit(name="nofile", soft=2**40, hard=2**40),)
    container = run.background("sleep", "100", ulimits=ulimits, oom_score_adj=-900)
    state = run.engine.containers.inspect(container).state
    warnings = " ".join(state.warnings)  # type: ignore[union-attr]
    assert "--ulimit nofile" in warnings
    score = run.exec(container, "cat", "/proc/1/oom_score_adj").out
    assert ("--oom-score-adj -900" in warnings) is (score != "-900\n")


@USERS
@pytest.mark.parametrize("namespaces", [Namespaces(), Namespaces(cgroup="host"), Namespaces(user="remap")], ids=str)
def test_SR6_no_group_can_be_made_or_changed_inside(run: Runner, user: str, namespaces: Namespaces) -> None:
    script = (
        "for d in $(find /sys/fs/cgroup -maxdepth 1 -type d); do mkdir $d/own 2>&1; echo $$ > $d/cgroup.procs; done"
    )
    result = run.sh(script, user=user, namespaces=namespaces)
    assert "own" in result.out
    assert all("Read-only" in line or "denied" in line for line in (*result.lines, *result.err.splitlines()))


def test_SR6_delegation_only_where_it_is_asked_for_and_safe(run: Runner) -> None:
    """On v2 a group of its own may be divided further; on v1 its files also say which devices it may use."""
    script = "mkdir /sys/fs/cgroup/own && echo made; mkdir /sys/fs/cgroup/memory/own && echo made"
    result = run.sh(script, protection=read_protection(("writable-cgroups=true",)))
    assert result.lines == (["made"] if IS_V2 else [])
    container = run.background("sleep", "100", protection=read_protection(("writable-cgroups=true",)))
    warned = "writable-cgroups" in " ".join(run.engine.containers.inspect(container).config.warnings)
    assert warned is not IS_V2


@pytest.mark.parametrize(
    "wish",
    [{}, {"init": True}, {"namespaces": Namespaces(user="remap")}, {"namespaces": Namespaces(pid="host")}],
    ids=["plain", "init", "remap", "hosts-processes"],
)
def test_SR2_SR7_a_fork_bomb_of_an_execd_process_ends_at_the_limit_and_with_its_container(
    run: Runner, wish: dict[str, object]
) -> None:
    marker = f"73{os.getpid()}"
    container = run.background("sleep", "1000", limits=Limits(pids_limit=200), **wish)
    bomb = f"trap '' TERM; while :; do setsid sleep {marker} & done"
    failed = run.exec(container, "sh", "-c", bomb)
    assert failed.code != 0
    assert "fork" in failed.err
    wait_until(lambda: len(running(marker)) > 150, "those that were forked to become what they are")
    assert len(running(marker)) <= 200
    run.engine.containers.stop(container, 1)
    assert running(marker) == []
