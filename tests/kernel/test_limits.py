"""Limits on real containers, judged by the kernel's own accounting."""

from __future__ import annotations

import time

from core.model.container import Exited
from core.model.limits import Limits
from core.model.logs import LogQuery
from tests.conftest import Runner
from tests.faults.test_kills import wait_for


def test_A15_cpu_shares_divide_a_core_four_to_one(run: Runner) -> None:
    """Two burners on one core: the ratio of their CPU time, as cgroups count it, is that of their shares."""
    burn = ("sh", "-c", "while :; do :; done")
    small = run.background(*burn, limits=Limits(cpu_shares=20, cpuset_cpus="0"))
    large = run.background(*burn, limits=Limits(cpu_shares=80, cpuset_cpus="0"))
    before = run.engine.containers.stats((small, large))
    time.sleep(10)
    after = run.engine.containers.stats((small, large))
    used = {key: after[key].cpu_ns - before[key].cpu_ns for key in (small, large)}
    assert 4 * 0.85 < used[large] / used[small] < 4 * 1.15


def test_A16_a_container_over_its_memory_is_killed_and_says_so(run: Runner) -> None:
    result = run("/probe", "eat", str(64 << 20), probe=True, limits=Limits(memory_bytes=8 << 20))
    assert result.code == 137
    assert "ate all" not in result.out
    state = run.engine.containers.list(all=True)[0].state
    assert isinstance(state, Exited)
    assert (state.exit_code, state.oom_killed) == (137, True)


def test_A16_within_its_memory_it_is_not(run: Runner) -> None:
    result = run("/probe", "eat", str(2 << 20), probe=True, limits=Limits(memory_bytes=16 << 20))
    assert (result.code, result.out) == (0, "ate all\n")
    state = run.engine.containers.list(all=True)[0].state
    assert isinstance(state, Exited)
    assert not state.oom_killed


def test_SR2_fork_bomb_ends_at_the_pids_limit(run: Runner) -> None:
    bomb = "(while :; do sleep 1000 & done); while :; do sleep 1000; done"
    container = run.background("sh", "-c", bomb, limits=Limits(pids_limit=40))
    wait_for(lambda: len(run.engine.containers.top(container).rows) > 30, "the bomb to go off")
    assert len(run.engine.containers.top(container).rows) <= 40
    run.engine.containers.stop(container, 1)
    assert run.engine.containers.inspect(container).status == "exited"


def test_A10_pause_stops_a_counter_and_unpause_lets_it_go_on(run: Runner) -> None:
    container = run.background("sh", "-c", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.01; done")

    def count() -> int:
        return sum(1 for _ in run.engine.containers.logs(container, LogQuery()))

    wait_for(lambda: count() > 3, "the counter to run")
    run.engine.containers.pause(container)
    assert run.engine.containers.inspect(container).status == "paused"
    time.sleep(0.1)  # what was on its way to the log arrives
    held = count()
    time.sleep(0.3)
    assert count() == held
    run.engine.containers.unpause(container)
    wait_for(lambda: count() > held, "the counter to go on")


def test_A18_statistics_move_and_are_kept(run: Runner) -> None:
    container = run.background("sh", "-c", "while :; do :; done")
    wait_for(lambda: len(run.engine.containers.stats_history(container)) >= 2, "two samples")
    samples = run.engine.containers.stats_history(container)
    assert samples[-1].cpu_ns > samples[0].cpu_ns
    assert samples[-1].pids >= 1
    run.engine.containers.kill(container)
    kept = run.engine.containers.stats_history(container)
    assert len(kept) >= len(samples)  # history is there after the end, too


def test_SR7_kill_takes_everything(run: Runner) -> None:
    script = "trap '' TERM; for i in 1 2 3; do setsid sh -c \"trap '' TERM; sleep 1000\" & done; sleep 1000"
    container = run.background("sh", "-c", script)
    wait_for(lambda: len(run.engine.containers.top(container).rows) >= 4, "all to run")
    pids = [int(row[1]) for row in run.engine.containers.top(container).rows]
    run.engine.containers.kill(container)
    from core.linux.procfs import read_state

    assert {read_state(pid) for pid in pids} <= {"", "Z"}  # the first is reaped when its end is on disk
    wait_for(lambda: {read_state(pid) for pid in pids} == {""}, "the first to be reaped")


def test_SR5_oom_score_and_descriptor_limit_are_the_containers_own(run: Runner) -> None:
    result = run.sh("cat /proc/self/oom_score_adj; ulimit -n")
    assert result.lines[0] == "0"
    assert int(result.lines[1]) >= 1024
    container = run.background("sleep", "100")
    assert run.exec(container, "cat", "/proc/self/oom_score_adj").out == "0\n"
