"""Restart policies, as the monitor applies them."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from app.commands.ps import status_text
from core.engine.engine import Engine
from core.errors import WrongState
from core.model.container import Container, ContainerSpec, Exited, Restarting, Running
from core.model.events import Event
from core.model.restart import RestartPolicy, parse_restart_policy
from core.monitor.restarting import Restarts
from core.state import journal
from tests.conftest import STARTER, Runner, wait_until
from tests.faults.test_kills import log_text, monitor_of


def policy(text: str) -> dict[str, Any]:
    return {"restart": parse_restart_policy(text)}


def look(engine: Engine, container: str) -> Container:
    return engine.containers.inspect(container)


def await_status(engine: Engine, container: str, status: str) -> None:
    wait_until(lambda: look(engine, container).status == status, f"the container to be {status}")


def long_backoff(run: Runner) -> str:
    """A container that fails at once, in a wait of several seconds for its next start."""
    container = run.background("false", **policy("always"))
    wait_until(lambda: look(run.engine, container).restart_count >= 6, "the sixth restart")
    await_status(run.engine, container, "restarting")
    return container


def test_A12_on_failure_counts_and_gives_up(run: Runner) -> None:
    container = run.background("sh", "-c", "echo run; exit 3", **policy("on-failure:2"))
    await_status(run.engine, container, "exited")
    found = look(run.engine, container).state
    assert isinstance(found, Exited)
    assert (found.exit_code, found.restart_count) == (3, 2)
    assert log_text(run.engine, container) == "run\n" * 3

    def lives() -> list[Event]:
        told = journal.read(run.engine.roots.journal)
        return [event for event in told if event.actor == container and event.action in ("start", "die")]

    wait_until(lambda: len(lives()) == 6, "the last end to be told")
    events = lives()
    assert [e.action for e in events] == ["start", "die"] * 3
    died, started = ([e.at_ns for e in events if e.action == action] for action in ("die", "start"))
    waits = [later - earlier for earlier, later in zip(died, started[1:], strict=False)]
    assert waits[0] >= 10**8
    assert waits[1] >= 2 * 10**8


def test_A12_on_failure_leaves_success_alone(run: Runner) -> None:
    container = run.background("true", **policy("on-failure"))
    await_status(run.engine, container, "exited")
    assert look(run.engine, container).restart_count == 0


def test_A12_always_is_up_again_after_its_process_was_killed(run: Runner) -> None:
    container = run.background("sleep", "1000", **policy("always"))
    first = look(run.engine, container).state
    assert isinstance(first, Running)
    os.kill(first.pid, signal.SIGKILL)
    wait_until(lambda: look(run.engine, container).restart_count == 1, "the restart")
    await_status(run.engine, container, "running")
    second = look(run.engine, container).state
    assert isinstance(second, Running)
    assert second.pid != first.pid
    assert run.exec(container, "echo", "alive").out == "alive\n"


@pytest.mark.parametrize("name", ["always", "unless-stopped", "on-failure"])
def test_A12_stop_and_kill_are_the_last_word(run: Runner, name: str) -> None:
    for verb in (lambda c: run.engine.containers.stop(c, 1), run.engine.containers.kill):
        container = run.background("sleep", "1000", **policy(name))
        verb(container)
        found = look(run.engine, container).state
        assert isinstance(found, Exited)
        assert (found.exit_code, found.stopped_by_hand) == (137, True)


def test_A12_stop_during_the_wait_ends_it(run: Runner) -> None:
    container = long_backoff(run)
    shown = status_text(look(run.engine, container), 2**62)
    assert shown.startswith("Restarting (1) ")
    assert container in {found.id for found in run.engine.containers.list()}
    with pytest.raises(WrongState, match="is restarting, wait until the container is running"):
        run.exec(container, "true")
    run.engine.containers.stop(container)
    found = look(run.engine, container).state
    assert isinstance(found, Exited)
    assert (found.exit_code, found.stopped_by_hand) == (1, True)
    assert found.restart_count >= 6


def test_A12_removal_during_the_wait_needs_force(run: Runner) -> None:
    container = long_backoff(run)
    with pytest.raises(WrongState, match="container is restarting"):
        run.engine.containers.remove(container)
    run.engine.containers.remove(container, force=True)
    assert container not in {found.id for found in run.engine.containers.list(all=True)}


def test_A12_a_person_need_not_wait(run: Runner) -> None:
    container = long_backoff(run)
    count = look(run.engine, container).restart_count
    run.engine.containers.start(container)
    wait_until(lambda: look(run.engine, container).restart_count > count, "the next end", seconds=3)


def test_A12_a_start_by_hand_counts_from_zero(run: Runner) -> None:
    container = run.background("false", **policy("on-failure:1"))
    await_status(run.engine, container, "exited")
    assert look(run.engine, container).restart_count == 1
    run.engine.containers.start(container)
    assert look(run.engine, container).restart_count <= 1
    await_status(run.engine, container, "exited")
    assert look(run.engine, container).restart_count == 1


def test_a_monitor_killed_during_the_wait_is_followed_by_one_that_starts_it(run: Runner) -> None:
    container = long_backoff(run)
    state = look(run.engine, container).state
    assert isinstance(state, Restarting)
    os.kill(monitor_of(run.engine, container), signal.SIGKILL)
    wait_until(lambda: look(run.engine, container).restart_count > state.restart_count, "the next run", seconds=30)


def test_a_monitor_killed_while_it_runs_leaves_its_policy_to_the_next(run: Runner) -> None:
    container = run.background("sleep", "1000", **policy("always"))
    os.kill(monitor_of(run.engine, container), signal.SIGKILL)
    state = look(run.engine, container).state
    assert isinstance(state, Running)
    os.kill(state.pid, signal.SIGKILL)
    wait_until(lambda: look(run.engine, container).restart_count == 1, "the restart")
    await_status(run.engine, container, "running")


def test_shutdown_stops_everything_and_its_policy_still_counts(run: Runner) -> None:
    """By hand it would stay ended: `unless-stopped` after a boot, `always` as long as the machine runs."""
    engine, trap = run.engine, "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done"
    made = {name: run.background("sh", "-c", trap, **policy(name)) for name in ("unless-stopped", "always", "no")}
    for container in made.values():
        wait_until(lambda key=container: "ready" in log_text(engine, key), "its trap to be set")
    assert {stopped.error for stopped in engine.system.stop_all()} == {""}
    for container in made.values():
        state = engine.containers.inspect(container).state
        assert isinstance(state, Exited)
        assert (state.exit_code, state.stopped_by_hand, state.restart_count) == (7, False, 0)
    assert engine.system.stop_all() == []
    started = {restored.id for restored in engine.system.restore()}
    assert started == {made["unless-stopped"], made["always"]}


def test_restore_starts_what_its_policy_says(run: Runner) -> None:
    made = {}
    for name, text in (("a", "always"), ("u", "unless-stopped"), ("n", "no"), ("f", "on-failure")):
        made[name] = run.background("sleep", "1000", name=f"restore-{name}", **policy(text))
        run.engine.containers.kill(made[name])
    never = run.engine.containers.create(ContainerSpec(image=STARTER, command=("sleep", "1"), **policy("always"))).id
    assert [restored.name for restored in run.engine.system.restore()] == ["restore-a"]
    assert look(run.engine, made["a"]).status == "running"
    assert look(run.engine, never).status == "created"
    assert run.engine.system.restore() == []


@pytest.mark.parametrize(
    ("text", "ends", "waits"),
    [
        ("no", [(1, 0)], [None]),
        ("always", [(0, 0), (0, 0), (0, 0), (0, 11), (0, 0)], [0.1, 0.2, 0.4, 0.1, 0.2]),
        ("on-failure:2", [(1, 0), (1, 0), (1, 0)], [0.1, 0.2, None]),
        ("on-failure", [(1, 0), (0, 0)], [0.1, None]),
        ("unless-stopped", [(0, 0)] * 12, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60, 60]),
    ],
)
def test_waits_are_dockers(text: str, ends: list[tuple[int, float]], waits: list[float | None]) -> None:
    wish: RestartPolicy = parse_restart_policy(text)
    restarts = Restarts({"name": wish.name, "most_retries": wish.most_retries})
    found = [restarts.after(code, ran_s) for code, ran_s in ends]
    assert [wait and round(wait, 3) for wait in found] == waits
