"""A monitor that stands still, and what a thousand lives leave behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from core.engine.engine import Engine
from core.errors import TimedOut
from core.model.container import ContainerSpec
from tests.conftest import STARTER, Runner, wait_until
from tests.faults.test_kills import keeper_of, log_text, monitor_of, roles, spawner_of
from tests.faults.test_takeover import SLOW, numbers_are_whole, touch_stop


def test_a_stopped_monitor_is_named_and_loses_nothing(run: Runner) -> None:
    container = run.background("sh", "-c", SLOW, name="silent")
    monitor = monitor_of(run.engine, container)
    os.kill(monitor, signal.SIGSTOP)
    try:
        with pytest.raises(TimedOut, match=rf"the monitor of container silent \(process {monitor}\) has not answered"):
            run.engine.containers.pause(container)
    finally:
        os.kill(monitor, signal.SIGCONT)
    wait_until(lambda: run.engine.containers.inspect(container).status == "paused", "the late answer")
    run.engine.containers.unpause(container)
    touch_stop(run, container)
    assert run.engine.containers.wait(container) == 7
    assert numbers_are_whole(log_text(run.engine, container))


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.timeout(600)
def test_a_thousand_lives_leave_nothing(engine: Engine) -> None:
    """Descriptors of keeper and spawner, processes, run root and data root: as after the first one."""

    def live(count: int) -> None:
        for _ in range(count):
            made = engine.containers.create(ContainerSpec(image=STARTER, command=("true",))).id
            engine.containers.start(made)
            assert engine.containers.wait(made) == 0
            engine.containers.remove(made)

    live(3)
    wait_until(lambda: len(roles(engine, "monitor")) <= 1, "only the spare monitor to be left")
    keeper, spawner = keeper_of(engine), spawner_of(engine)
    before = descriptors(keeper), descriptors(spawner), len(os.listdir("/proc/self/fd"))
    live(1000)
    wait_until(lambda: len(roles(engine, "monitor")) <= 1, "only the spare monitor to be left")
    assert (keeper_of(engine), spawner_of(engine)) == (keeper, spawner)
    after = descriptors(keeper), descriptors(spawner), len(os.listdir("/proc/self/fd"))
    assert after == before
    assert [child for child in _children(spawner) if child not in roles(engine, "monitor")] == []
    assert engine.system.fsck() == []


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
