"""kill -9 between every two steps of joining, connecting, disconnecting, and of making and removing networks.

After each: the container ends or runs as ever, nobody holds an address who does not run, no interface
and no bridge is too many, fsck finds leftovers at most, and the same operation succeeds once more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from core.engine.engine import Engine, open_engine
from core.engine.reconcile import sweep
from core.engine.records import ContainerRecords
from core.errors import AlreadyExists, EngineError, InUse, NotFound
from core.linux.checkpoints import VARIABLE
from core.model.container import ContainerSpec, Running
from core.model.network import EndpointWish, NetworkSpec
from core.network import bridge, firewall
from tests.conftest import STARTER, wait_until
from tests.faults.test_checkpoints import Fault, fault, quit_spawner, stored
from tests.faults.test_kills import REPOSITORY, monitor_of

__all__ = ["fault", "stored"]

STARTS = ("start:born", "network:made", "network:joined", "start:executed", "end:released")
LIVE = ("connect:made", "connect:joined", "disconnect:removed")
ENGINE = {
    "join:claimed": ("start", "ready"),
    "join:written": ("start", "ready"),
    "connect:claimed": ("network", "connect", "other", "running"),
    "connect:told": ("network", "connect", "other", "running"),
    "disconnect:told": ("network", "disconnect", "net", "running"),
    "network-create:written": ("network", "create", "made"),
    "network-create:published": ("network", "create", "made"),
    "bridge:made": ("network", "create", "made"),
    "bridge:up": ("network", "create", "made"),
    "network-remove:bridge": ("network", "rm", "other"),
    "network-remove:discarded": ("network", "rm", "other"),
}


@pytest.fixture
def joined(
    stored: Engine, request: pytest.FixtureRequest, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """A root with two networks; afterwards nothing of the test may be on them."""
    name = request.node.callspec.params["name"]
    if name not in ENGINE:
        monkeypatch.setenv(VARIABLE, f"{name}->kill@{fault.token}")
    for network in ("net", "other"):
        stored.networks.create(NetworkSpec(name=network))
    yield stored
    assert fault.has_struck
    for container in stored.containers.list(all=True):
        stored.containers.remove(container.id, force=True)
    sweep(stored.roots, ContainerRecords(stored.roots))
    nothing_is_held(stored)
    wait_until(lambda: [f for f in stored.system.fsck() if not f.is_leftover] == [], "a clean store")
    for network in stored.networks.list():
        if network.name not in ("bridge", "host", "none"):
            stored.networks.remove(network.id)
    interfaces = {network.interface for network in stored.networks.list()}
    assert {link.name for link in bridge.bridges_of(stored.roots.tag)} <= interfaces
    quit_spawner(stored)
    wait_until(lambda: stored.system.fsck() == [], "no leftovers either")


def nothing_is_held(engine: Engine) -> None:
    for network in engine.networks.list():
        assert network.members == ()
        assert os.listdir(engine.roots.network(network.id) / "addresses") == []
        assert os.listdir(engine.roots.network(network.id) / "endpoints") == []


def container(engine: Engine, name: str, *, starts: bool = True) -> str:
    made = engine.containers.create(
        ContainerSpec(image=STARTER, name=name, command=("sleep", "1000"), network="net")
    ).id
    if starts:
        engine.containers.start(made)
    return made


def networks_of(engine: Engine, key: str) -> set[str]:
    state = engine.containers.inspect(key).state
    assert isinstance(state, Running)
    return {each.network for each in state.endpoints}


def claims(engine: Engine, network: str) -> int:
    found = engine.networks.inspect(network)
    assert len(os.listdir(engine.roots.network(found.id) / "addresses")) == len(found.members)
    return len(found.members)


@pytest.mark.parametrize("name", STARTS)
def test_SR7_monitor_killed_while_it_joins_or_leaves(joined: Engine, fault: Fault, name: str) -> None:
    made = container(joined, "victim", starts=False)
    fault.fire()
    try:
        joined.containers.start(made)
    except EngineError:
        assert not isinstance(joined.containers.inspect(made).state, Running)
        assert claims(joined, "net") == 0
        joined.containers.start(made)
    assert networks_of(joined, made) == {"net"}
    assert claims(joined, "net") == 1
    joined.containers.stop(made, timeout_s=0)
    wait_until(lambda: claims(joined, "net") == 0, "its address to be free")
    joined.containers.start(made)
    assert claims(joined, "net") == 1


@pytest.mark.parametrize("name", LIVE)
def test_SR7_monitor_killed_while_it_connects(joined: Engine, fault: Fault, name: str) -> None:
    made = container(joined, "victim")
    if name.startswith("disconnect"):
        joined.networks.connect("other", made, EndpointWish(network="other"))
    fault.fire()
    doing = joined.networks.disconnect if name.startswith("disconnect") else None
    try:
        if doing:
            doing("other", made)
        else:
            joined.networks.connect("other", made, EndpointWish(network="other"))
    except EngineError:
        pass
    wait_until(lambda: isinstance(joined.containers.inspect(made).state, Running), "its next monitor")
    is_on = "other" in networks_of(joined, made)
    assert claims(joined, "other") == (1 if is_on else 0)
    if doing and is_on:
        doing("other", made)
    elif not doing and not is_on:
        joined.networks.connect("other", made, EndpointWish(network="other"))
    assert networks_of(joined, made) == ({"net"} if doing else {"net", "other"})
    assert claims(joined, "other") == (0 if doing else 1)


@pytest.mark.parametrize("name", ENGINE)
def test_SR7_killed_engine(joined: Engine, fault: Fault, name: str) -> None:
    container(joined, "ready", starts=False)
    container(joined, "running")
    fault.fire()
    words = [sys.executable, "-m", "app", "--root", str(joined.roots.data), *ENGINE[name]]
    environment = {**os.environ, VARIABLE: f"{name}->kill@{fault.token}"}
    assert subprocess.run(words, cwd=REPOSITORY, env=environment, timeout=60).returncode == -9
    again = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    is_done = any(text in again.stderr for text in ("already exists", "not found", "is not connected"))
    assert again.returncode == 0 or is_done, again.stderr
    assert claims(joined, "net") == {"start": 2, "network": 1}[ENGINE[name][0]] - (name == "disconnect:told")
    open_engine(joined.roots.data)
    assert joined.containers.inspect("running").status == "running"


@pytest.mark.parametrize("name", ["start:born"])
def test_SR7_a_killed_monitor_is_followed_by_one_that_knows_the_networks(
    joined: Engine, fault: Fault, name: str
) -> None:
    made = container(joined, "victim")
    joined.networks.connect("other", made, EndpointWish(network="other"))
    os.kill(monitor_of(joined, made), 9)
    wait_until(lambda: networks_of(joined, made) == {"net", "other"}, "its next monitor")
    joined.networks.disconnect("net", made)
    assert networks_of(joined, made) == {"other"}
    joined.containers.stop(made, timeout_s=0)
    wait_until(lambda: claims(joined, "other") == 0, "its address to be free")
    fault.fire()
    joined.containers.start(made)  # asked for once more by the engine, since nobody answered
    assert claims(joined, "other") == 1


@pytest.mark.parametrize("name", ["join:claimed"])
def test_SR7_what_a_dead_start_claimed_is_taken_when_nothing_else_is_left(
    joined: Engine, fault: Fault, name: str
) -> None:
    from core.model.network import Subnet

    joined.networks.create(NetworkSpec(name="tiny", subnets=(Subnet(subnet="10.81.0.0/30"),)))
    for each in ("first", "second"):
        joined.containers.create(ContainerSpec(image=STARTER, name=each, command=("sleep", "1000"), network="tiny"))
    fault.fire()
    words = [sys.executable, "-m", "app", "--root", str(joined.roots.data), "start", "first"]
    environment = {**os.environ, VARIABLE: f"{name}->kill@{fault.token}"}
    assert subprocess.run(words, cwd=REPOSITORY, env=environment, timeout=60).returncode == -9
    tiny = Path(joined.roots.network(joined.networks.find("tiny").id))
    assert os.listdir(tiny / "addresses") == ["10.81.0.2"]
    joined.containers.start("second")
    with pytest.raises(NotFound):
        joined.networks.disconnect("tiny", "nobody")


def test_fsck_finds_what_belongs_to_no_network_and_mends_it(stored: Engine) -> None:
    tag = stored.roots.tag
    wall = firewall.choose()
    network = stored.networks.create(NetworkSpec(name="net"))
    stray = msgspec.structs.replace(network, id="f" * 64, name="stray", interface="whffffffffffff", subnets=())
    bridge.raise_bridge(tag, stray)
    wall.add_network(tag, stray)
    (stored.roots.network(network.id) / "addresses" / "172.31.255.9").symlink_to("e" * 64)
    (stored.roots.networks / "names" / "ghost").symlink_to("../" + "d" * 64)
    (stored.roots.networks / f".new-{'c' * 64}").mkdir()
    found = stored.system.fsck()
    kinds = sorted((finding.kind, finding.is_leftover) for finding in found)
    assert kinds == [(kind, True) for kind in ("address", "bridge", "firewall", "name", "network")]
    assert all(finding.repaired for finding in stored.system.fsck(repair=True))
    assert stored.system.fsck() == []
    assert "whffffffffffff" not in wall.bridges(tag)
    (stored.roots.network(network.id) / "network.json").write_text("{")
    (finding,) = [finding for finding in stored.system.fsck(repair=True) if finding.kind == "network"]
    assert finding.repaired
    assert "net" not in [each.name for each in stored.networks.list()]
    stored.system.fsck(repair=True)
    assert stored.system.fsck() == []


def test_a_reset_leaves_no_bridge_and_no_rule(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "data")
    tag = engine.roots.tag
    network = engine.networks.create(NetworkSpec(name="net", ipv6=True))
    assert [link.name for link in bridge.bridges_of(tag)] == [network.interface]
    assert firewall.choose().bridges(tag) == {network.interface}
    engine.system.reset()
    assert bridge.bridges_of(tag) == []
    assert firewall.choose().bridges(tag) == set()
    assert not (tmp_path / "data").exists()


def test_many_start_at_once_on_a_network_that_has_no_bridge_yet(stored: Engine) -> None:
    network = stored.networks.create(NetworkSpec(name="net"))
    bridge.remove_bridge(network.interface)
    ids = [container(stored, f"many{number}", starts=False) for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(stored.containers.start, ids))
    addresses = [each.ipv4 for each in stored.networks.inspect("net").members]
    assert len(set(addresses)) == len(ids)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda each: stored.containers.remove(each, force=True), ids))
    nothing_is_held(stored)
    stored.networks.remove("net")


def test_networks_made_at_once_get_subnets_of_their_own_and_one_name_has_one_winner(stored: Engine) -> None:
    def make(name: str) -> str:
        try:
            return stored.networks.create(NetworkSpec(name=name)).subnets[0].subnet
        except AlreadyExists:
            return ""

    with ThreadPoolExecutor(6) as pool:
        subnets = list(pool.map(make, ["one", "two", "three", "one", "one"]))
    made = [subnet for subnet in subnets if subnet]
    assert len(made) == len(set(made)) == 3
    for name in ("one", "two", "three"):
        stored.networks.remove(name)


def test_a_network_is_removed_or_joined_never_both(stored: Engine) -> None:
    for attempt in range(8):
        stored.networks.create(NetworkSpec(name="net"))
        made = container(stored, f"racer{attempt}", starts=False)
        with ThreadPoolExecutor(2) as pool:
            starting = pool.submit(outcome, stored.containers.start, made)
            removing = pool.submit(outcome, stored.networks.remove, "net")
        assert starting.result() != removing.result()
        stored.containers.remove(made, force=True)
        if removing.result() != "done":
            stored.networks.remove("net")


def outcome(do: Callable[[str], object], key: str) -> str:
    try:
        do(key)
    except (InUse, NotFound) as error:
        return type(error).__name__
    return "done"


def test_fsck_tells_flushed_rules_of_a_network_that_is_in_use(stored: Engine) -> None:
    stored.networks.create(NetworkSpec(name="net"))
    firewall.choose().remove_all(stored.roots.tag)
    assert stored.system.fsck() == []  # nobody is on it: the next start makes them
    container(stored, "victim", starts=False)
    stored.containers.start("victim")
    firewall.choose().remove_all(stored.roots.tag)
    found = stored.system.fsck(repair=True)
    assert [(finding.kind, finding.key, finding.repaired) for finding in found] == [("network", "net", True)]
    assert stored.system.fsck() == []
    stored.containers.remove("victim", force=True)
    stored.networks.remove("net")
