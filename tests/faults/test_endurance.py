"""A monitor that stands still, and what a thousand lives leave behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from core.backend import AttachWish
from core.cgroups import driver
from core.engine.engine import Engine
from core.errors import EngineError, TimedOut
from core.model.container import ContainerSpec
from core.model.logs import LogQuery
from tests.conftest import STARTER, Runner, collect, wait_until
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

    def after() -> tuple[int, int, int]:
        return descriptors(keeper), descriptors(spawner), len(os.listdir("/proc/self/fd"))

    wait_until(lambda: after() == before, f"descriptors {after()} to be {before} again")  # the last life is let go late
    assert [child for child in _children(spawner) if child not in roles(engine, "monitor")] == []
    assert engine.system.fsck() == []


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def own_memory_group(name: str) -> Path:
    """A tiny memory group beside all others, on whichever version this host has."""
    hierarchies = driver.find_hierarchies()
    top = Path(hierarchies.v2 or "/") if hierarchies.version == "2" else Path(hierarchies.v1["memory"])
    group = top / name
    group.mkdir()
    return group


def test_a_monitor_that_the_kernel_kills_for_memory_is_followed_by_another(run: Runner) -> None:
    container = run.background("sh", "-c", SLOW)
    monitor = monitor_of(run.engine, container)
    group = own_memory_group(f"wharf-test-{os.getpid()}")
    limit = group / ("memory.max" if (group / "memory.max").exists() else "memory.limit_in_bytes")
    try:
        limit.write_text(str(64 * 1024))
        score = Path(f"/proc/{monitor}/oom_score_adj")
        assert int(score.read_text()) <= 0
        (group / "cgroup.procs").write_text(str(monitor))
        wait_until(lambda: not _is_there(group, monitor, run.engine, container), "the kernel to kill it", 30)
        wait_until(lambda: run.engine.containers.inspect(container).status == "running", "a successor")
        assert monitor_of(run.engine, container) != monitor
        touch_stop(run, container)
        assert run.engine.containers.wait(container) == 7
        assert numbers_are_whole(log_text(run.engine, container))
    finally:
        wait_until(lambda: _is_removed(group), "the group to be empty")


def _is_there(group: Path, monitor: int, engine: Engine, container: str) -> bool:
    """Every look makes it work, and so take memory: an attachment more."""
    try:
        engine.containers.attach(container, AttachWish()).close()
    except EngineError:
        pass  # it was killed while it answered
    return str(monitor) in (group / "cgroup.procs").read_text().split()


def _is_removed(group: Path) -> bool:
    try:
        group.rmdir()
    except OSError:
        return False
    return True


def resident_bytes(pid: int) -> int:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def test_a_flood_of_output_takes_no_memory_of_its_monitor(run: Runner) -> None:
    """100 MB in one line, and a reader that does not read: below 30 MB, as for a silent container."""
    script = "while [ ! -e /go ]; do sleep 0.01; done; head -c 100000000 /dev/zero; touch /done; sleep 1000"
    made = run.engine.containers.create(ContainerSpec(image=STARTER, command=("sh", "-c", script)))
    attached = run.engine.containers.start(made.id, AttachWish())
    assert attached
    monitor = monitor_of(run.engine, made.id)
    before = resident_bytes(monitor)
    most = before
    assert run.exec(made.id, "touch", "/go").code == 0
    log = run.engine.roots.container(made.id) / "logs" / "000001.log"
    wait_until(lambda: log.stat().st_size > 0, "the flood")
    for _ in range(50):
        most = max(most, resident_bytes(monitor))
        time.sleep(0.005)
    reader = threading.Thread(target=lambda: collect(attached))
    reader.start()
    while run.exec(made.id, "test", "-e", "/done").code != 0:
        most = max(most, resident_bytes(monitor))
    assert most < 30 * 1024**2
    assert most - before < 8 * 1024**2
    run.engine.containers.kill(made.id)
    reader.join(60)
    assert sum(len(line.data) for line in run.engine.containers.logs(made.id, LogQuery())) == 100_000_000
