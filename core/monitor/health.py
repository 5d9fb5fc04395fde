"""Asking a container whether it is well: one probe after another, and what follows from the answers.

    starting ──── a probe that ends with 0 ────▶ healthy ◀──┐
        └── as many failures in a row as `retries` ──▶ unhealthy ── a probe that ends with 0 ──┘

Failures within the start period don't count before the first success. The next probe begins an
interval after the last one has ended, by a clock that stands still while the host sleeps; none
begins while the container is paused. What is known is kept in the container's health.json, so that
whoever goes on with a container's life goes on with its health.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from core.linux.files import write_atomic
from core.monitor.loop import Loop

_RESULTS_KEPT = 5
_OUTPUT_BYTES = 4096

Ended = Callable[[int], None]
Sink = Callable[[int, bytes], int]


class HealthChecks:
    """Of one run of a container.

    Args: spec: the sandbox, its "health" set. probe: starts a process inside: request, sink, ended →
        its pid, or 0 and why it did not start. note: told of events. is_paused: whether to wait.
    """

    def __init__(
        self,
        loop: Loop,
        spec: dict[str, Any],
        *,
        started_ns: int,
        probe: Callable[[dict[str, Any], Sink, Ended], tuple[int, str]],
        note: Callable[[str], None],
        is_paused: Callable[[], bool],
    ) -> None:
        self._loop = loop
        self._spec = spec
        self._check: dict[str, Any] = spec["health"]
        self._path = f"{spec['container_dir']}/health.json"
        self._probe = probe
        self._note = note
        self._is_paused = is_paused
        self._started_ns = started_ns
        self._status = "starting"
        self._streak = 0
        self._results: list[dict[str, Any]] = []
        self._running = 0
        """The pid of the probe that runs, 0 for none."""
        self._turn = 0
        self._is_over = False
        self._begin()

    def _begin(self) -> None:
        """Go on with what an earlier monitor of the same run knew, or start anew."""
        try:
            with open(self._path, "rb") as file:
                before = json.load(file)
            if before["started_ns"] == self._started_ns:
                self._status, self._streak = str(before["status"]), int(before["failing_streak"])
                self._results = list(before["results"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # the first run, or a damaged file: it is written anew
        self._save()
        self._loop.after(self._interval_s(), self._due)

    def end(self) -> None:
        """The container has ended: nothing is asked any more."""
        self._is_over = True

    def _interval_s(self) -> float:
        period_ns = int(self._check["start_period_ns"])
        if self._status == "starting" and time.time_ns() - self._started_ns < period_ns:
            return int(self._check["start_interval_ns"]) / 1e9
        return int(self._check["interval_ns"]) / 1e9

    def _due(self) -> None:
        if self._is_over:
            return
        if self._is_paused():
            self._loop.after(self._interval_s(), self._due)
            return
        self._turn += 1
        timeout_s = int(self._check["timeout_ns"]) / 1e9
        turn, began_ns, heard = self._turn, time.time_ns(), _Heard()
        request = {
            "argv": self._check["argv"],
            "env": self._spec["env"],
            "cwd": self._spec["cwd"],
            "user": self._spec["user"],
            "id": os.urandom(32).hex(),
        }

        def ended(code: int) -> None:
            if turn == self._turn:
                self._running = 0
                self._answered(began_ns, code, heard.text())

        def too_late() -> None:
            if turn != self._turn or not self._running:
                return
            if self._is_paused():  # it could not have ended: it is given the time anew
                self._loop.after(timeout_s, too_late)
            else:
                _kill_group(self._running)
                self._running = 0
                self._turn += 1  # its end says nothing any more
                self._answered(began_ns, -1, self._too_long(heard.text()))

        pid, failure = self._probe(request, heard.take, ended)
        if pid:
            self._running = pid
            self._loop.after(timeout_s, too_late)
        else:
            self._answered(began_ns, -1, failure)

    def _too_long(self, output: str) -> str:
        text = f"Health check exceeded timeout ({self._check['timeout']})"
        return f"{text}: {output}" if output else text

    def _answered(self, began_ns: int, code: int, output: str) -> None:
        if self._is_over:
            return
        result = {"start_ns": began_ns, "end_ns": time.time_ns(), "exit_code": code, "output": output}
        self._results = [*self._results, result][-_RESULTS_KEPT:]
        before = self._status
        if code == 0:
            self._streak, self._status = 0, "healthy"
        elif not self._is_forgiven(began_ns):
            self._streak += 1
            if self._streak >= int(self._check["retries"]):
                self._status = "unhealthy"
        self._save()
        if self._status != before:
            self._note(f"health_status: {self._status}")
        self._loop.after(self._interval_s(), self._due)

    def _is_forgiven(self, began_ns: int) -> bool:
        period_ns = int(self._check["start_period_ns"])
        return self._status == "starting" and began_ns - self._started_ns < period_ns

    def _save(self) -> None:
        document = {
            "schema": 1,
            "kind": "container.health",
            "status": self._status,
            "failing_streak": self._streak,
            "started_ns": self._started_ns,
            "results": self._results,
        }
        try:
            write_atomic(self._path, json.dumps(document).encode(), durable=False)
        except OSError:
            pass  # a full disk: the next answer is written again


class _Heard:
    """What a probe says, as much of it as is kept."""

    def __init__(self) -> None:
        self._data = b""
        self._is_cut = False

    def take(self, _stream: int, data: bytes) -> int:
        room = _OUTPUT_BYTES - len(self._data)
        self._data += data[:room]
        self._is_cut = self._is_cut or len(data) > room
        return len(data)

    def text(self) -> str:
        return self._data.decode("utf-8", "replace") + ("..." if self._is_cut else "")


def _kill_group(pid: int) -> None:
    """End a probe and what it has started; it is the first of a session of its own, and ours to reap."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
