"""Engines and spawners of different versions meet: the protocol's number is faked, the socket is real."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.engine import launch
from core.engine.engine import Engine, open_engine
from core.errors import WrongState
from core.model import sandbox
from core.model.container import ContainerSpec, Running
from core.model.progress import CancelToken, silent
from core.monitor import proto
from tests.conftest import STARTER, Runner, wait_until
from tests.faults.test_kills import monitor_of, roles, spawner_of


@pytest.fixture
def stored() -> Iterator[Engine]:
    top = Path(tempfile.mkdtemp(prefix="wharf-test-", dir="/var/tmp"))
    engine = open_engine(top / "data")
    engine.images.starter(STARTER, silent, CancelToken())
    yield engine
    engine.system.reset()
    shutil.rmtree(top)


@pytest.fixture(params=[1, 99], ids=["earlier", "later"])
def other(request: pytest.FixtureRequest, stored: Engine, monkeypatch: pytest.MonkeyPatch) -> int:
    """The next spawner is of that version; ours stays ours."""
    with monkeypatch.context() as patch:
        patch.setattr(
            launch,
            "_BOOTSTRAP",
            f"import sys; sys.path.append({{parent!r}}); import core.monitor.proto as p;"
            f"p.PROTOCOL = {request.param};" + launch._BOOTSTRAP,
        )
        launch._connect(stored.roots).close()
    return int(request.param)


def test_both_sides_know_one_number() -> None:
    assert sandbox.PROTOCOL == proto.PROTOCOL


def test_idle_spawner_of_another_version_is_replaced(stored: Engine, other: int) -> None:
    before = spawner_of(stored)
    made = stored.containers.create(ContainerSpec(image=STARTER, command=("sh", "-c", "exit 3"))).id
    stored.containers.start(made)
    assert stored.containers.wait(made) == 3
    wait_until(lambda: before not in roles(stored, "spawner"), "its end")


def test_spawner_of_another_version_that_keeps_containers_is_named(
    stored: Engine, other: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Runner(stored, lambda: "")
    with monkeypatch.context() as patch:
        patch.setattr(proto, "PROTOCOL", other)
        container = run.background("sleep", "1000")
    before, monitor = spawner_of(stored), monitor_of(stored, container)
    made = stored.containers.create(ContainerSpec(image=STARTER, command=("sh", "-c", "exit 3"))).id
    age = "an earlier" if other < proto.PROTOCOL else "a later"
    said = rf"{age} version of wharf \(protocol {other}, ours is {proto.PROTOCOL}\)"
    with pytest.raises(WrongState, match=said) as refusal:
        stored.containers.start(made)
    assert refusal.value.hint == "stop them first: wharf stop $(wharf ps -q)"
    assert isinstance(stored.containers.inspect(container).state, Running)
    assert (spawner_of(stored), monitor_of(stored, container)) == (before, monitor)
    assert run.exec(container, "echo", "well").out == "well\n"
    stored.containers.stop(container, 0)
    stored.containers.start(made)
    assert stored.containers.wait(made) == 3


def test_protocol_1_refused_in_words_that_are_understood(stored: Engine) -> None:
    """What a spawner of protocol 1 answers to ours, and ours to an engine of protocol 1."""
    assert launch._is_of_another_version({"event": "error", "text": "request not understood by this version"})
    connection = launch._connect(stored.roots)
    document = os.memfd_create("sandbox")
    proto.send(connection, {"op": "start", "protocol": 1, "attach": None}, (document,))
    answer = proto.parse(proto.receive(connection))
    connection.close()
    os.close(document)
    assert answer == {
        "event": "error",
        "text": "the spawner is of another version",
        "errno": 0,
        "protocol": proto.PROTOCOL,
    }


def test_starting_helpers_leaves_this_process_without_children(stored: Engine) -> None:
    """The keeper is nobody's child: an engine that lives long collects no defunct ones."""
    run = Runner(stored, lambda: "")
    ours = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    before = set(ours.read_text().split())
    for _ in range(3):
        assert run.sh("exit 4").code == 4
        connection = proto.connect(stored.roots.spawner_socket)
        proto.send(connection, {"op": "quit"})
        proto.receive(connection)
        connection.close()
        wait_until(lambda: not roles(stored, "keeper"), "the keeper's end")
    assert set(ours.read_text().split()) == before
