"""What watches a container survives its monitor: log drivers, health checks, an init that stays."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from core.model.health import HealthCheck
from core.model.log_drivers import json_path
from core.model.logs import LogQuery
from tests.conftest import Runner, wait_until
from tests.faults.test_kills import monitor_of
from tests.faults.test_takeover import kill_both

COUNT = "i=0; while [ ! -e /stop ]; do echo line $i; i=$((i+1)); done; echo line $i"


def said(path: str) -> list[str]:
    return [json.loads(line)["log"] for line in Path(path).read_text().splitlines()]


def count(path: str) -> int:
    return Path(path).read_bytes().count(b"\n") if os.path.exists(path) else 0


def test_json_lines_come_once_each_though_monitors_are_killed(run: Runner) -> None:
    engine = run.engine
    container = run.background("sh", "-c", COUNT, log_driver="json-file")
    path = json_path(str(engine.roots.container(container)), container)
    for kill in (None, None, kill_both):
        lines = count(path)
        wait_until(lambda lines=lines: count(path) > lines + 100, "more lines")
        victim = monitor_of(engine, container)
        if kill:
            kill(engine, container)
        else:
            os.kill(victim, signal.SIGKILL)
        wait_until(lambda: engine.containers.inspect(container).status == "running", "it to run on")
        run.exec(container, "true")  # until somebody answers again
    run.exec(container, "touch", "/stop")
    assert engine.containers.wait(container) == 0
    kept = [line.data.decode() for line in engine.containers.logs(container, LogQuery())]
    assert kept == [f"line {number}\n" for number in range(len(kept))]
    assert said(path) == kept


def test_rotated_logs_lose_nothing_though_monitors_are_killed(run: Runner) -> None:
    engine = run.engine
    options = {"max-size": "50k", "max-file": "1000"}
    container = run.background("sh", "-c", COUNT, log_options=options)
    logs = engine.roots.container(container) / "logs"
    for _ in range(3):
        segments = len(list(logs.glob("*.idx")))
        wait_until(lambda segments=segments: len(list(logs.glob("*.idx"))) > segments + 2, "more segments")
        os.kill(monitor_of(engine, container), signal.SIGKILL)
        run.exec(container, "true")
    run.exec(container, "touch", "/stop")
    assert engine.containers.wait(container) == 0
    kept = [line.data.decode() for line in engine.containers.logs(container, LogQuery())]
    assert kept == [f"line {number}\n" for number in range(len(kept))]
    assert len(list(logs.glob("*.gz"))) >= 5
    assert not list(logs.glob("*.part"))


def test_health_is_asked_on_after_a_monitor_was_killed(run: Runner) -> None:
    engine = run.engine
    check = HealthCheck(test=("CMD-SHELL", "test ! -e /ill"), interval_ns=200_000_000, retries=2)
    container = run.background("sleep", "1000", health=check)

    def health() -> str:
        return engine.containers.inspect(container).health_status

    wait_until(lambda: health() == "healthy", "health")
    os.kill(monitor_of(engine, container), signal.SIGKILL)
    assert health() == "healthy"
    run.exec(container, "touch", "/ill")
    wait_until(lambda: health() == "unhealthy", "illness")
    known = engine.containers.inspect(container).health
    assert known is not None
    assert len(known.results) == 5 or known.results[0].exit_code == 0


def test_init_goes_on_without_its_monitor(run: Runner) -> None:
    engine = run.engine
    script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    container = run.background("sh", "-c", script, init=True)
    wait_until(lambda: bool(list(engine.containers.logs(container, LogQuery()))), "the trap")
    os.kill(monitor_of(engine, container), signal.SIGKILL)
    run.exec(container, "true")
    engine.containers.stop(container)
    assert engine.containers.wait(container) == 9
