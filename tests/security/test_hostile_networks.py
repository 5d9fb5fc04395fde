"""Networks under containers, names and neighbours that mean harm, and under bad luck."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator

import pytest

from core.engine.engine import Engine
from core.errors import Conflict, EngineError, InvalidInput
from core.model.container import Running
from core.model.network import PREDEFINED, EndpointWish, NetworkSpec, Subnet
from core.model.ports import PortWish, parse_publish
from tests.conftest import wait_until
from tests.faults.test_kills import keeper_of, monitor_of, spawner_of
from tests.kernel.test_networks import endpoints, inside, reaches, start, veths_on
from tests.kernel.test_published_ports import free_port


@pytest.fixture(autouse=True)
def clean(engine: Engine) -> Iterator[None]:
    """No container and no network of the test stays, nor an address that nobody has."""
    yield
    for container in engine.containers.list(all=True):
        engine.containers.remove(container.id, force=True)
    for network in engine.networks.list():
        assert network.members == ()
        if network.name not in PREDEFINED:
            engine.networks.remove(network.id)


def test_SN10_a_container_that_spoils_its_interfaces_does_not_hurt_its_monitor(engine: Engine) -> None:
    """With NET_ADMIN it takes away the address that the default route is to move to."""
    for name in ("one", "two"):
        engine.networks.create(NetworkSpec(name=name))
    wishes = (EndpointWish(network="one"), EndpointWish(network="two"))
    container = start(engine, "aa", "one", wishes=wishes, cap_add=("NET_ADMIN",))
    monitor = monitor_of(engine, container)
    assert inside(engine, "aa", "ip", "addr", "flush", "dev", "eth1").code == 0
    engine.networks.disconnect("one", "aa")
    assert monitor_of(engine, container) == monitor
    assert set(endpoints(engine, "aa")) == {"two"}
    assert engine.networks.inspect("one").members == ()
    assert veths_on(engine.networks.inspect("one")) == []


@pytest.mark.parametrize(
    "name", ["eth+", "+", "-j", 'a"b', "a\\b", "a,b", "a;b", "!a", "bü", "a\nb", "..", "all", "default"]
)
def test_ST12_a_bridge_is_not_called_what_other_tools_take_for_more(engine: Engine, name: str) -> None:
    """To iptables eth+ is every interface that begins so; below /proc/sys, all is every one there is."""
    spec = NetworkSpec(name="odd", options={"com.docker.network.bridge.name": name})
    with pytest.raises(EngineError):
        engine.networks.create(spec)
    assert [network.name for network in engine.networks.list()] == sorted(PREDEFINED)


def rules(engine: Engine) -> list[str]:
    """Words of both tables in an order that does not depend on who came first."""
    tag = engine.roots.tag
    command = f"nft list table inet {tag} && nft list table bridge {tag}"
    told = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    return sorted(re.findall(r"[^\s,{}]+(?: \. [^\s,{}]+)*(?: : [^\s,{}]+ \. [^\s,{}]+)?", told.stdout))


def flush(engine: Engine) -> None:
    """As `nft flush ruleset` does, for this engine's tables alone."""
    for family in ("inet", "bridge"):
        subprocess.run(["nft", "delete", "table", family, engine.roots.tag], check=True)


def test_SN10_SN11_one_start_or_fsck_brings_back_what_a_flush_took_from_all(engine: Engine) -> None:
    """Else networks would be kept apart by nothing, and ports lead nowhere, until somebody starts on each again."""
    for name in ("one", "two"):
        engine.networks.create(NetworkSpec(name=name))
    port = free_port()
    start(engine, "aa", "one", ports=parse_publish(f"{port}:80"))
    start(engine, "bb", "two")
    start(engine, "cc", "two", wishes=(EndpointWish(network="two", mac="02:42:00:00:00:09"),))
    before = rules(engine)
    assert any(str(port) in line for line in before)
    flush(engine)
    engine.containers.restart("cc", timeout_s=0)
    assert rules(engine) == before
    flush(engine)
    found = engine.system.fsck(repair=True)
    assert {(each.kind, each.key, each.repaired) for each in found} >= {("network", "one", True)}
    assert rules(engine) == before
    assert engine.system.fsck() == []
    engine.containers.remove("aa", force=True)
    assert not any(str(port) in line for line in rules(engine))


def test_ST13_a_link_writes_one_row_of_hosts(engine: Engine) -> None:
    engine.networks.create(NetworkSpec(name="one"))
    start(engine, "aa", "one")
    for network, name in (("bridge", "bb"), ("one", "cc")):
        wish = EndpointWish(network=network, links=("aa:x\n6.6.6.6 example.org",))
        with pytest.raises(EngineError, match="bad format for links"):
            start(engine, name, network, wishes=(wish,))


def test_SN11_what_dead_monitors_published_is_not_taken_from_the_ports_next_owner(engine: Engine) -> None:
    """All are killed at once, another program has the port by then, and the container is started again."""
    container = start(engine, "aa", "bridge", ports=(PortWish(container_port=80),))
    state = engine.containers.inspect("aa").state
    assert isinstance(state, Running)
    port = state.ports[0].host_port
    assert any(f" {port} " in line for line in rules(engine))
    for pid in (keeper_of(engine), spawner_of(engine), monitor_of(engine, container), state.pid):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: engine.containers.inspect("aa").status == "exited", "its end to be known", seconds=30)
    with socket.create_server(("0.0.0.0", port)), socket.create_server(("::", port), family=socket.AF_INET6):
        engine.containers.start("aa")
        again = engine.containers.inspect("aa").state
        assert isinstance(again, Running)
        assert again.ports[0].host_port != port
        assert not any(f" {port} " in line for line in rules(engine))


@pytest.mark.parametrize(
    "subnet", ["127.5.0.0/16", "224.5.0.0/16", "0.0.0.0/8", "0.0.0.0/1", "::1/128", "::ffff:10.0.0.0/104", "ff05::/64"]
)
def test_SN12_addresses_that_mean_the_host_itself_or_nobody_are_no_subnet(engine: Engine, subnet: str) -> None:
    with pytest.raises(InvalidInput, match="whose addresses no container can have"):
        engine.networks.create(NetworkSpec(name="odd", subnets=(Subnet(subnet=subnet),), ipv6=":" in subnet))


def test_E5_the_smallest_subnets_hold_what_they_can(engine: Engine) -> None:
    """A line between two has no broadcast and no address of its own; one address is the host's."""
    for subnet, address in (("10.90.0.0/31", "10.90.0.0"), ("10.90.0.4/32", ""), ("10.90.0.8/30", "10.90.0.10")):
        engine.networks.create(NetworkSpec(name="small", subnets=(Subnet(subnet=subnet),)))
        if address:
            start(engine, "fits", "small")
            assert endpoints(engine, "fits")["small"].ipv4 == address
            assert reaches(engine, "fits", endpoints(engine, "fits")["small"].ipv4_gateway)
        with pytest.raises(Conflict, match="no available IPv4 addresses"):
            start(engine, "late", "small")
        for container in engine.containers.list(all=True):
            engine.containers.remove(container.id, force=True)
        engine.networks.remove("small")


def test_SN10_an_interface_of_the_containers_own_is_in_nobodys_way_but_its_own(engine: Engine) -> None:
    """The next one's name is taken inside: said at once, nothing is left, and its monitor goes on."""
    network = engine.networks.create(NetworkSpec(name="one"))
    container = start(engine, "aa", cap_add=("NET_ADMIN",))
    monitor = monitor_of(engine, container)
    assert inside(engine, "aa", "ip", "link", "add", "eth1", "type", "bridge").code == 0
    with pytest.raises(EngineError, match="it has an eth1 already"):
        engine.networks.connect("one", "aa", EndpointWish(network="one"))
    assert veths_on(network) == []
    assert os.listdir(engine.roots.network(network.id) / "addresses") == []
    assert monitor_of(engine, container) == monitor
    assert inside(engine, "aa", "ip", "link", "del", "eth1").code == 0
    engine.networks.connect("one", "aa", EndpointWish(network="one"))
    assert set(endpoints(engine, "aa")) == {"bridge", "one"}


def test_SR7_a_bridge_that_somebody_else_has_made_meanwhile_is_left_alone(
    engine: Engine, request: pytest.FixtureRequest
) -> None:
    name = "whr4taken"
    engine.networks.create(NetworkSpec(name="one", options={"com.docker.network.bridge.name": name}))
    subprocess.run(["ip", "link", "del", name], check=True)
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
    subprocess.run(["ip", "link", "set", name, "alias", "somebody's"], check=True)
    request.addfinalizer(lambda: subprocess.run(["ip", "link", "del", name], check=True))
    with pytest.raises(EngineError, match="somebody's"):
        start(engine, "aa", "one")
    engine.networks.remove("one")
    told = subprocess.run(["ip", "-o", "link", "show", name], capture_output=True, text=True, check=True)
    assert "somebody's" in told.stdout
