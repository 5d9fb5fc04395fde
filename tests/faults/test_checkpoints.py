"""kill -9 at every checkpoint of create, start, exec, end, commit, rm and prune: of monitor, init, spawner and engine.

After each: fsck finds nothing, the kernel holds nothing, the bystander has noticed nothing, no byte
and no exit code is lost, and the same operation succeeds when it is done again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.backend import AttachWish
from core.engine.engine import Engine, open_engine
from core.engine.reconcile import sweep
from core.engine.records import ContainerRecords
from core.errors import EngineError, NotFound
from core.linux.checkpoints import VARIABLE
from core.model.container import ContainerSpec, Exited, Running
from core.model.mounts import MountSpec
from core.model.progress import CancelToken, silent
from core.model.restart import RestartPolicy
from core.monitor import proto
from core.state import journal
from tests.conftest import STARTER, Runner, collect, leftover_groups, wait_until
from tests.faults.test_kills import REPOSITORY, log_text, monitor_of, roles

MONITOR = [
    *("start:locked", "start:grouped", "start:cloned", "start:executed", "start:kept", "start:written"),
    *("start:volumes", "start:layers", "start:answered", "init:begun", "spawner:handed"),
    *("exec:entered", "exec:kept", "exec:ended"),
    *("end:drained", "end:written", "end:noted", "end:removed", "end:cleared", "end:told"),
]
ENGINE = {
    "create:named": ("create", "--name", "victim", STARTER, "true"),
    "remove:marked": ("rm", "ready"),
    "remove:discarded": ("rm", "ready"),
    "commit:frozen": ("commit", "bystander", "made:1"),
    "commit:unpacked": ("commit", "bystander", "made:1"),
    "commit:named": ("commit", "bystander", "made:1"),
    "prune:removed": ("container", "prune", "-f"),
}


@pytest.fixture(scope="module")
def stored() -> Iterator[Engine]:
    """A root of its own: its spawner is started anew for each test, with that test's fault in its environment."""
    top = Path(tempfile.mkdtemp(prefix="wharf-test-", dir="/var/tmp"))
    engine = open_engine(top / "data")
    engine.images.starter(STARTER, silent, CancelToken())
    yield engine
    engine.system.reset()
    shutil.rmtree(top)


class Fault:
    """One armed checkpoint; it acts once, after fire()."""

    def __init__(self, directory: Path) -> None:
        self.token = directory / "token"

    def fire(self) -> None:
        self.token.touch()

    @property
    def has_struck(self) -> bool:
        return not self.token.exists()


@pytest.fixture
def fault(tmp_path: Path) -> Fault:
    return Fault(tmp_path)


def quit_spawner(engine: Engine) -> None:
    """Have keeper and spawner end; the next ones read the environment."""
    if not roles(engine, "spawner"):
        return
    connection = proto.connect(engine.roots.spawner_socket)
    proto.send(connection, {"op": "quit", "protocol": proto.PROTOCOL})
    proto.receive(connection)
    connection.close()
    wait_until(lambda: not roles(engine, "spawner") and not roles(engine, "keeper"), "the spawner's end")


@pytest.fixture
def bystander(stored: Engine, request: pytest.FixtureRequest, fault: Fault, monkeypatch: pytest.MonkeyPatch):
    """Runs throughout, and afterwards nothing but it may be there."""
    name = request.node.callspec.params["name"]
    action = request.node.callspec.params.get("action", "kill")
    if name not in ENGINE and name not in ("stop:asked", "stop:signalled"):
        monkeypatch.setenv(VARIABLE, f"{name}->{action}@{fault.token}")
    made = stored.containers.create(ContainerSpec(image=STARTER, command=("sleep", "1000"), name="bystander")).id
    stored.containers.start(made)
    before = stored.containers.inspect(made).state
    yield made
    after = stored.containers.inspect(made).state
    assert isinstance(before, Running)
    assert isinstance(after, Running)
    assert (after.pid, after.started_ns) == (before.pid, before.started_ns)
    assert fault.has_struck
    for container in stored.containers.list(all=True):
        if container.id != made:
            stored.containers.remove(container.id, force=True)
    sweep(stored.roots, ContainerRecords(stored.roots))
    wait_until(lambda: [g for g in leftover_groups(stored) if not g.endswith(made)] == [], "the groups to be gone")
    wait_until(lambda: os.listdir(stored.roots.run / "c") == [made[:16]], "the run root to be tidy")
    shared = stored.roots.run / "volumes"
    wait_until(lambda: not shared.exists() or os.listdir(shared) == [], "the volume in memory to be let go")
    wait_until(lambda: [f for f in stored.system.fsck() if not f.is_leftover] == [], "a clean store")
    stored.containers.remove(made, force=True)
    quit_spawner(stored)
    assert stored.system.fsck() == []


@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize("name", MONITOR)
def test_SR7_killed_in_a_containers_life(stored: Engine, bystander: str, fault: Fault, name: str, tty: bool) -> None:
    run = Runner(stored, lambda: "")
    script = "echo one; while [ ! -e /go ]; do sleep 0.01; done; echo two; exit 5"
    stored.volumes.create("memory", options={"type": "tmpfs", "device": "tmpfs", "o": "size=1m"})
    mounts = (MountSpec(kind="volume", source="memory", target="/memory"),)
    made = stored.containers.create(
        ContainerSpec(image=STARTER, command=("sh", "-c", script), tty=tty, mounts=mounts)
    ).id
    fault.fire()
    try:
        attached = stored.containers.start(made, AttachWish())
    except EngineError:
        assert fault.has_struck
        assert not isinstance(stored.containers.inspect(made).state, Running)
        attached = stored.containers.start(made, AttachWish())
    assert attached
    try:
        assert run.exec(made, "touch", "/go").code in (0, 137)  # 137: the container was over before it was
    except EngineError:
        assert name.startswith("exec:")  # asked for once more, it found that it had been done
    found = collect(attached)
    assert (found.code, found.out.split()) == (5, ["one", "two"])
    assert stored.containers.wait(made) == 5
    state = stored.containers.inspect(made).state
    assert isinstance(state, Exited)
    assert (state.exit_code, state.error) == (5, "")
    assert log_text(stored, made) == found.out
    wait_until(lambda: not ContainerRecords(stored.roots).is_managed(made), "the monitor to leave")
    wait_until(lambda: deaths(stored, made) == 1, "its death to be told")
    stored.containers.start(made)
    assert stored.containers.wait(made) == 5
    wait_until(lambda: deaths(stored, made) == 2, "its second death to be told")


def deaths(engine: Engine, container: str) -> int:
    events = [event.action for event in journal.read(engine.roots.journal) if event.actor == container]
    return events.count("die")


@pytest.mark.parametrize("name", ["stop:noted", "end:drained", "end:written", "end:noted", "end:cleared"])
def test_monitor_killed_while_it_is_stopped_by_hand(stored: Engine, bystander: str, fault: Fault, name: str) -> None:
    """Stopped stays stopped, whatever the policy and whichever monitor says so."""
    script = "trap 'echo bye; exit 4' TERM; echo ready; while :; do sleep 0.01; done"
    spec = ContainerSpec(image=STARTER, command=("sh", "-c", script), restart=RestartPolicy(name="always"))
    made = stored.containers.create(spec).id
    stored.containers.start(made)
    wait_until(lambda: log_text(stored, made) == "ready\n", "its first word")
    fault.fire()
    stored.containers.stop(made)
    wait_until(lambda: not ContainerRecords(stored.roots).is_managed(made), "the monitor to leave")
    state = stored.containers.inspect(made).state
    assert isinstance(state, Exited)
    assert (state.exit_code, log_text(stored, made)) == (4, "ready\nbye\n")
    wait_until(lambda: deaths(stored, made) == 1, "its death to be told")
    stored.containers.stop(made)


@pytest.mark.parametrize("action", ["kill"])
@pytest.mark.parametrize("name", ["stop:asked", "stop:signalled"])
def test_engine_killed_while_it_stops(stored: Engine, bystander: str, fault: Fault, name: str, action: str) -> None:
    made = stored.containers.create(ContainerSpec(image=STARTER, command=("sleep", "1000"), name="victim")).id
    stored.containers.start(made)
    fault.fire()
    words = [sys.executable, "-m", "app", "--root", str(stored.roots.data), "stop", "-t", "0", "victim"]
    environment = {**os.environ, VARIABLE: f"{name}->{action}@{fault.token}"}
    assert subprocess.run(words, cwd=REPOSITORY, env=environment, timeout=60).returncode == -9
    subprocess.run(words, cwd=REPOSITORY, check=True, capture_output=True, timeout=60)
    assert stored.containers.inspect(made).status == "exited"


@pytest.mark.parametrize("name", ["spawner:adopting"])
def test_spawner_killed_as_it_puts_up_a_successor(stored: Engine, bystander: str, fault: Fault, name: str) -> None:
    run = Runner(stored, lambda: "")
    made = run.background("sh", "-c", "while [ ! -e /go ]; do sleep 0.01; done; exit 6")
    fault.fire()
    os.kill(monitor_of(stored, made), 9)
    assert run.exec(made, "touch", "/go").code in (0, 137)
    assert stored.containers.wait(made) == 6


@pytest.mark.parametrize("name", ["again:written"])
def test_killed_between_an_end_and_the_next_start(stored: Engine, bystander: str, fault: Fault, name: str) -> None:
    fault.fire()
    spec = ContainerSpec(image=STARTER, command=("false",), restart=RestartPolicy(name="on-failure", most_retries=2))
    made = stored.containers.create(spec).id
    stored.containers.start(made)
    wait_until(lambda: stored.containers.inspect(made).status == "exited", "the last end")
    assert stored.containers.inspect(made).restart_count == 2


@pytest.mark.parametrize("action", ["kill", "ENOSPC", "EIO"])
@pytest.mark.parametrize("name", ENGINE)
def test_killed_or_refused_engine(stored: Engine, bystander: str, fault: Fault, name: str, action: str) -> None:
    stored.containers.create(ContainerSpec(image=STARTER, command=("true",), name="ready"))
    fault.fire()
    words = [sys.executable, "-m", "app", "--root", str(stored.roots.data), *ENGINE[name]]
    environment = {**os.environ, VARIABLE: f"{name}->{action}@{fault.token}"}
    struck = subprocess.run(words, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60)
    assert struck.returncode == (-9 if action == "kill" else struck.returncode)
    assert "Traceback" not in struck.stderr
    again = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    gone = "No such container" in again.stderr  # the first one had got so far
    assert again.returncode == 0 or gone, again.stderr
    assert stored.containers.inspect("bystander").status == "running"
    for reference in ("made:1",):
        try:
            stored.images.remove(reference)
        except NotFound:
            assert not name.startswith("commit")
    stored.images.prune()
