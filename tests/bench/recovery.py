"""kill -9 of what stands beside a container: how long until everything asked about it is right again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

from core.model.container import ContainerSpec, Exited, Running
from tests.bench.machines import Machines
from tests.bench.measures import Row, median_seconds, milliseconds, parent_of

GOAL = "<= 1000 ms"
_SETTLED_S = 0.7
"""A start of just now is another question, and so is a spawner that was killed as soon as it began."""


def measure(machines: Machines, rounds: int) -> Iterator[Row]:
    """From the signal to the state, by the engine as the console asks it; docker has nobody to take over."""
    engine, image = machines.engine.engine, machines.engine.image

    def start() -> tuple[str, int]:
        made = engine.containers.create(ContainerSpec(image=image, command=("sleep", "1000"))).id
        engine.containers.start(made)
        state = engine.containers.inspect(made).state
        assert isinstance(state, Running)
        time.sleep(_SETTLED_S)
        return made, state.pid

    def taken_over() -> float:
        made, init = start()
        monitor = parent_of(init)
        began = time.perf_counter()
        os.kill(monitor, signal.SIGKILL)
        engine.containers.pause(made)  # answered by the successor only
        took = time.perf_counter() - began
        engine.containers.remove(made, force=True)
        return took

    def with_spawner() -> float:
        made, init = start()
        monitor = parent_of(init)
        spawner = parent_of(monitor)
        began = time.perf_counter()
        os.kill(spawner, signal.SIGKILL)
        os.kill(monitor, signal.SIGKILL)
        engine.containers.pause(made)
        took = time.perf_counter() - began
        engine.containers.remove(made, force=True)
        return took

    def ended() -> float:
        made, init = start()
        began = time.perf_counter()
        os.kill(init, signal.SIGKILL)
        while not isinstance(engine.containers.inspect(made).state, Exited):
            time.sleep(0.0005)
        took = time.perf_counter() - began
        engine.containers.remove(made)
        return took

    cases: dict[str, Callable[[], float]] = {
        "kill -9 of init to its state": ended,
        "kill -9 of a monitor to its successor's answer": taken_over,
        "kill -9 of spawner and monitor to an answer": with_spawner,
    }
    for what, case in cases.items():
        yield milliseconds(what, {"wharf": median_seconds(case, rounds)}, goal=GOAL)
