"""Health checks without a container: what answers make of a state, and what a next monitor finds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.model.health import Health
from core.monitor.health import HealthChecks
from core.monitor.loop import Loop
from core.state.documents import read_struct


class Patient:
    """A container's stand-in: answers what it is told to."""

    def __init__(self, directory: Path, started_ns: int, codes: list[int], **check: Any) -> None:
        self.loop = Loop()
        self.events: list[str] = []
        self.codes = codes
        self.asked = 0
        self.directory = directory
        spec = {
            "container_dir": str(directory),
            "env": [],
            "cwd": "/",
            "user": "",
            "health": {
                "argv": ["true"],
                "interval_ns": 1_000_000,
                "timeout_ns": 10**9,
                "timeout": "1s",
                "start_period_ns": 0,
                "start_interval_ns": 1_000_000,
                "retries": 2,
                **check,
            },
        }
        self.checks = HealthChecks(
            self.loop,
            spec,
            started_ns=started_ns,
            probe=self._probe,
            note=self.events.append,
            is_paused=lambda: False,
        )

    def _probe(
        self, _request: dict[str, Any], sink: Callable[[int, bytes], int], ended: Callable[[int], None]
    ) -> tuple[int, str]:
        self.asked += 1
        if not self.codes:
            self.loop.stop()
            return 0, "over"
        code = self.codes.pop(0)
        sink(1, b"answer %d" % self.asked)
        self.loop.after(0, lambda: ended(code))
        return 1 << 22, ""

    def read(self) -> Health:
        return read_struct(self.directory / "health.json", "container.health", Health)


def test_health_of_a_run_is_gone_on_with_by_the_next_monitor(tmp_path: Path) -> None:
    first = Patient(tmp_path, 7, [1, 1])
    first.loop.run()
    known = first.read()
    assert (known.status, known.failing_streak, first.events) == ("unhealthy", 3, ["health_status: unhealthy"])
    assert [result.exit_code for result in known.results] == [1, 1, -1]
    next_one = Patient(tmp_path, 7, [0])
    assert next_one.read() == known
    next_one.loop.run()
    assert next_one.events == ["health_status: healthy"]
    anew = Patient(tmp_path, 8, [])
    assert (anew.read().status, anew.read().results) == ("starting", ())


def test_health_document_that_is_damaged_is_written_anew(tmp_path: Path) -> None:
    for text in ("", "[]", '{"started_ns": 7}', '{"started_ns":7,"status":1,"failing_streak":"x","results":3}'):
        (tmp_path / "health.json").write_text(text)
        assert Patient(tmp_path, 7, []).read().status == "starting"


def test_health_failures_within_the_start_period_are_kept_but_not_counted(tmp_path: Path) -> None:
    patient = Patient(tmp_path, time.time_ns(), [1, 1, 0], start_period_ns=10**15)
    patient.loop.run()
    known = patient.read()
    assert patient.events == ["health_status: healthy"]
    assert [result.exit_code for result in known.results] == [1, 1, 0, -1]
    assert (known.status, known.failing_streak) == ("healthy", 1)
    assert json.loads((tmp_path / "health.json").read_text())["kind"] == "container.health"
