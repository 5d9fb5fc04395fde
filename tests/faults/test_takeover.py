"""A killed monitor does not kill its container: another one takes over log, people, policy and exit code."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.backend import AttachWish
from core.engine.engine import Engine
from core.linux import procfs
from core.model.container import ContainerSpec, ExecSpec, Exited, Running
from core.model.logs import LogQuery
from core.monitor.adopting import LOST_STREAMS
from tests.conftest import STARTER, Result, Runner, collect, wait_until
from tests.faults.test_kills import keeper_of, log_text, monitor_of, roles, spawner_of

COUNT = "i=0; while [ ! -e /stop ]; do echo $i; i=$((i+1)); done; echo $i; exit 7"
SLOW = "i=0; while [ ! -e /stop ]; do echo $i; i=$((i+1)); sleep 0.02; done; echo $i; exit 7"


def kill_monitor(engine: Engine, container: str) -> None:
    os.kill(monitor_of(engine, container), signal.SIGKILL)


def kill_both(engine: Engine, container: str) -> None:
    monitor, spawner = monitor_of(engine, container), spawner_of(engine)
    os.kill(spawner, signal.SIGKILL)
    os.kill(monitor, signal.SIGKILL)


def kill_spawner_then_monitor(engine: Engine, container: str) -> None:
    """The monitor is killed when it has left everything with the next spawner."""
    spawner = spawner_of(engine)
    os.kill(spawner, signal.SIGKILL)
    wait_until(lambda: roles(engine, "spawner") not in ([], [spawner]), "the next spawner")
    time.sleep(0.7)
    kill_monitor(engine, container)


def kill_keeper_then_monitor(engine: Engine, container: str) -> None:
    os.kill(keeper_of(engine), signal.SIGKILL)
    kill_monitor(engine, container)


def kill_all(engine: Engine, container: str) -> None:
    """Everything that stands beside the container."""
    victims = keeper_of(engine), spawner_of(engine), monitor_of(engine, container)
    for pid in victims:
        os.kill(pid, signal.SIGKILL)


KILLS = [kill_monitor, kill_both, kill_spawner_then_monitor, kill_keeper_then_monitor]
Kill = Callable[[Engine, str], None]


@pytest.fixture(autouse=True)
def fresh_helpers(engine: Engine) -> None:
    """A keeper that an earlier test killed is started with the next spawner."""
    if roles(engine, "spawner") and not roles(engine, "keeper"):
        os.kill(spawner_of(engine), signal.SIGKILL)
        wait_until(lambda: not roles(engine, "spawner"), "the spawner's end")


def numbers_are_whole(text: str) -> bool:
    numbers = text.split()
    return numbers == [str(number) for number in range(len(numbers))]


def touch_stop(run: Runner, container: str) -> None:
    assert run.exec(container, "touch", "/stop").code in (0, 137)  # 137: the container was over before it was


@pytest.mark.parametrize("kill", KILLS)
def test_container_runs_on_and_log_and_code_are_whole(run: Runner, kill: Kill) -> None:
    container = run.background("sh", "-c", COUNT)
    before = run.engine.containers.inspect(container).state
    assert isinstance(before, Running)
    kill(run.engine, container)
    wait_until(lambda: run.engine.containers.inspect(container).status == "running", "a successor")
    after = run.engine.containers.inspect(container).state
    assert isinstance(after, Running)
    assert (after.pid, after.started_ns, after.warnings) == (before.pid, before.started_ns, before.warnings)
    touch_stop(run, container)
    assert run.engine.containers.wait(container) == 7
    found = run.engine.containers.inspect(container).state
    assert isinstance(found, Exited)
    assert (found.exit_code, found.error) == (7, "")
    assert numbers_are_whole(log_text(run.engine, container))


@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize("kill", KILLS)
def test_attached_people_notice_nothing(run: Runner, kill: Kill, tty: bool) -> None:
    made = run.engine.containers.create(
        ContainerSpec(image=STARTER, command=("sh", "-c", SLOW), tty=tty, open_stdin=True, attach_stdin=True)
    )
    attached = run.engine.containers.start(made.id, AttachWish(stdin=True))
    found: list[Result] = []
    reader = threading.Thread(target=lambda: found.append(collect(attached)))
    reader.start()
    wait_until(lambda: len(log_text(run.engine, made.id).split()) > 5, "some output")
    kill(run.engine, made.id)
    count = len(log_text(run.engine, made.id).split())
    wait_until(lambda: len(log_text(run.engine, made.id).split()) > count + 5, "more output")
    touch_stop(run, made.id)
    reader.join(30)
    assert found
    assert found[0].code == 7
    assert numbers_are_whole(found[0].out)
    assert found[0].out == log_text(run.engine, made.id)


def test_many_kills_in_a_flood_lose_and_double_no_byte(run: Runner) -> None:
    made = run.engine.containers.create(ContainerSpec(image=STARTER, command=("sh", "-c", COUNT)))
    attached = run.engine.containers.start(made.id, AttachWish())
    found: list[Result] = []
    reader = threading.Thread(target=lambda: found.append(collect(attached)))
    reader.start()
    for round_ in range(4):
        time.sleep(0.05 + round_ * 0.013)
        victim = monitor_of(run.engine, made.id)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda victim=victim: _other_monitor(run.engine, made.id, victim), "a successor")
    touch_stop(run, made.id)
    reader.join(60)
    assert found
    assert found[0].code == 7
    assert numbers_are_whole(log_text(run.engine, made.id))
    assert found[0].out == log_text(run.engine, made.id)


def _other_monitor(engine: Engine, container: str, victim: int) -> bool:
    try:
        return monitor_of(engine, container) != victim
    except AssertionError:
        return False


@pytest.mark.parametrize("tty", [False, True])
def test_streams_of_both_kinds_stay_apart_and_input_goes_on(run: Runner, tty: bool) -> None:
    made = run.engine.containers.create(
        ContainerSpec(image=STARTER, command=("cat",), tty=tty, open_stdin=True, attach_stdin=True)
    )
    attached = run.engine.containers.start(made.id, AttachWish(stdin=True))
    assert attached
    attached.write(b"before\n")
    wait_until(lambda: "before" in log_text(run.engine, made.id), "the echo")
    kill_monitor(run.engine, made.id)
    wait_until(lambda: run.engine.containers.inspect(made.id).status == "running", "a successor")
    attached.write(b"after\n")
    attached.close_stdin()
    found = collect(attached)
    assert found.code == 0
    words = ["before", "before", "after", "after"] if tty else ["before", "after"]
    assert found.out.split() == words


@pytest.mark.parametrize("kill", KILLS)
def test_execd_processes_keep_running_and_their_code_is_told(run: Runner, kill: Kill) -> None:
    container = run.background("sleep", "1000")
    script = "echo one; while [ ! -e /go ]; do sleep 0.02; done; echo two; exit 9"
    attached = run.engine.containers.exec(container, ExecSpec(argv=("sh", "-c", script)), AttachWish())
    assert attached
    assert attached.read() == (1, b"one\n")
    kill(run.engine, container)
    wait_until(lambda: run.engine.containers.inspect(container).status == "running", "a successor")
    assert run.exec(container, "touch", "/go").code == 0
    assert collect(attached)[:2] == (9, "two\n")
    run.engine.containers.kill(container)


@pytest.mark.parametrize("kill", KILLS)
def test_stop_pause_wait_and_following_logs_go_on(run: Runner, kill: Kill) -> None:
    script = "trap 'echo bye; exit 4' TERM; echo ready; while :; do sleep 0.02; done"
    container = run.background("sh", "-c", script)
    lines: list[bytes] = []
    codes: list[int] = []
    logs = run.engine.containers.logs(container, LogQuery(follow=True))
    people = [
        threading.Thread(target=lambda: lines.extend(line.data for line in logs)),
        threading.Thread(target=lambda: codes.append(run.engine.containers.wait(container))),
    ]
    for person in people:
        person.start()
    wait_until(lambda: lines == [b"ready\n"], "the first line")
    kill(run.engine, container)
    run.engine.containers.pause(container)
    assert run.engine.containers.inspect(container).status == "paused"
    kill_monitor(run.engine, container)
    wait_until(lambda: run.engine.containers.inspect(container).status == "paused", "a successor")
    run.engine.containers.unpause(container)
    run.engine.containers.stop(container)
    for person in people:
        person.join(20)
    assert (lines, codes) == ([b"ready\n", b"bye\n"], [4])


def test_killed_together_with_all_that_stands_beside_it(run: Runner) -> None:
    """Keeper, spawner and monitor: pipes are opened once more; of the code the kernel may still know."""
    container = run.background("sh", "-c", COUNT)
    kill_all(run.engine, container)
    assert run.engine.containers.inspect(container).status == "running"
    touch_stop(run, container)
    code = run.engine.containers.wait(container)
    found = run.engine.containers.inspect(container).state
    assert isinstance(found, Exited)
    assert (code, found.error) in [
        (7, ""),
        (255, "its monitor was killed, and its exit code could not be learnt any more"),
    ]
    assert numbers_are_whole(log_text(run.engine, container))


def test_terminal_killed_together_with_all_that_stands_beside_it(run: Runner) -> None:
    """Nobody has its master any more: what it writes from then on is lost, it is said so, and all else goes on."""
    container = run.background("sh", "-c", SLOW, tty=True)
    wait_until(lambda: len(log_text(run.engine, container).split()) > 5, "some output")
    kill_all(run.engine, container)

    def is_said() -> bool:
        state = run.engine.containers.inspect(container).state
        return isinstance(state, Running) and LOST_STREAMS in state.warnings

    wait_until(is_said, "the loss to be said")
    touch_stop(run, container)
    code = run.engine.containers.wait(container)
    found = run.engine.containers.inspect(container).state
    assert isinstance(found, Exited)
    assert (code, found.error) in [
        (7, ""),
        (255, "its monitor was killed, and its exit code could not be learnt any more"),
    ]
    assert numbers_are_whole(log_text(run.engine, container))


def test_a_process_that_ends_while_its_monitor_is_dead_is_not_missed(run: Runner) -> None:
    container = run.background("sh", "-c", "echo last; exec sleep 1000")
    state = run.engine.containers.inspect(container).state
    assert isinstance(state, Running)
    wait_until(lambda: log_text(run.engine, container) == "last\n", "its word")
    monitor = monitor_of(run.engine, container)
    os.kill(monitor, signal.SIGSTOP)
    os.kill(state.pid, signal.SIGTERM)  # PID 1 ignores it: still there
    os.kill(state.pid, signal.SIGKILL)
    os.kill(monitor, signal.SIGKILL)
    assert run.engine.containers.wait(container) == 137
    wait_until(lambda: [e.action for e in _events(run.engine, container)].count("die") == 1, "its death to be told")


def _events(engine: Engine, container: str) -> list[Any]:
    from core.state import journal

    return [event for event in journal.read(engine.roots.journal) if event.actor == container]


def test_rm_flag_is_kept_by_the_successor(run: Runner) -> None:
    container = run.background("sh", "-c", SLOW, auto_remove=True)
    kill_monitor(run.engine, container)
    touch_stop(run, container)
    wait_until(lambda: container not in {c.id for c in run.engine.containers.list(all=True)}, "its removal")
    wait_until(lambda: os.listdir(run.engine.roots.trash) == [], "the trash to be empty")


def test_attached_people_of_a_container_that_goes_away_get_its_last_words(run: Runner) -> None:
    """Its monitor is killed with the last output unread, and with the container the log goes too."""
    script = "while [ ! -e /dev/shm/go ]; do sleep 0.01; done; echo last; exit 6"
    made = run.engine.containers.create(ContainerSpec(image=STARTER, command=("sh", "-c", script), auto_remove=True))
    attached = run.engine.containers.start(made.id, AttachWish())
    state = run.engine.containers.inspect(made.id).state
    assert isinstance(state, Running)
    monitor = monitor_of(run.engine, made.id)
    os.kill(monitor, signal.SIGSTOP)
    Path(f"/proc/{state.pid}/root/dev/shm/go").touch()
    wait_until(lambda: procfs.read_state(state.pid) == "Z", "its end")
    os.kill(monitor, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{state.pid}"), "the spawner to reap it")
    time.sleep(0.3)  # time enough for a successor that would not wait
    assert collect(attached)[:2] == (6, "last\n")
    wait_until(lambda: run.engine.containers.list(all=True) == [], "its removal")
