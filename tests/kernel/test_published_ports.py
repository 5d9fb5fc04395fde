"""Published ports of real containers, on this host: reserved, reached, kept, given back; and traced."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from core.engine.engine import Engine
from core.errors import EngineError, InvalidInput
from core.linux.nftables import BRIDGE, Nftables, Table
from core.model.container import ContainerSpec, Created, Running
from core.model.network import EndpointWish, NetworkSpec, PathStep, Subnet
from core.model.ports import PortWish, PublishedPort
from core.model.restart import RestartPolicy
from core.monitor.guard import GUARDED
from core.monitor.port_maps import Mapping
from core.network import firewall
from tests.conftest import STARTER, wait_until
from tests.faults.test_kills import monitor_of

SERVER = ("nc", "-ll", "-p", "80", "-e", "echo", "hello")
ECHO = "import socket; s = socket.socket(2, 2); s.bind(('', 53))\nwhile True: s.sendto(*s.recvfrom(99))"


@pytest.fixture
def ports(engine: Engine) -> Iterator[Engine]:
    """An engine that publishes nothing any more after the test."""
    yield engine
    for container in engine.containers.list(all=True):
        engine.containers.remove(container.id, force=True)
    assert mappings(engine) == []


def mappings(engine: Engine) -> list[Mapping]:
    return firewall.choose().published(engine.roots.tag)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("", 0))
        return int(taken.getsockname()[1])


def start(
    engine: Engine, *wishes: PortWish, command: tuple[str, ...] = SERVER, name: str = "web", **more: object
) -> str:
    wished = {"network": "bridge", **more}
    spec = ContainerSpec(image=STARTER, name=name, command=command, ports=wishes, **wished)  # type: ignore[arg-type]
    made = engine.containers.create(spec)
    engine.containers.start(made.id)
    return made.id


def running(engine: Engine, key: str) -> Running:
    state = engine.containers.inspect(key).state
    assert isinstance(state, Running)
    return state


def answers(host_ip: str, port: int) -> bool:
    try:
        with socket.create_connection((host_ip, port), 2) as client:
            return client.recv(10) == b"hello\n"
    except OSError:
        return False


def own_address(engine: Engine) -> str:
    """The address that other hosts know this one by; without any uplink, the one that containers do."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            any_socket.connect(("192.0.2.254", 9))
        except OSError:
            return engine.networks.inspect("bridge").subnets[0].gateway
        return str(any_socket.getsockname()[0])


def test_E1_a_published_port_answers_at_every_address(ports: Engine) -> None:
    port = free_port()
    key = start(ports, PortWish(container_port=80, host_first=port))
    assert running(ports, key).ports == (
        PublishedPort(container_port=80, host_ip="0.0.0.0", host_port=port),
        PublishedPort(container_port=80, host_ip="::", host_port=port),
    )
    for host_ip in ("127.0.0.1", "::1", own_address(ports)):
        wait_until(lambda host_ip=host_ip: answers(host_ip, port), f"an answer at {host_ip}")
    ports.containers.stop(key)
    assert not answers("127.0.0.1", port)
    assert mappings(ports) == []


def test_E1_any_free_port_is_told(ports: Engine) -> None:
    key = start(ports, PortWish(container_port=80, host_ip="127.0.0.1"), PortWish(container_port=81))
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        lowest, highest = map(int, file.read().split())
    first, second, third = running(ports, key).ports
    assert (first.host_ip, second.host_ip, third.host_ip) == ("127.0.0.1", "0.0.0.0", "::")
    assert second.host_port == third.host_port
    assert all(lowest <= one.host_port <= highest for one in (first, second, third))
    wait_until(lambda: answers("127.0.0.1", first.host_port), "an answer")
    assert not answers(own_address(ports), first.host_port)


def test_E1_udp_is_reached(ports: Engine) -> None:
    port = free_port()
    key = start(ports, PortWish(container_port=53, protocol="udp", host_first=port))
    pid = running(ports, key).pid
    server = subprocess.Popen(["nsenter", "-t", str(pid), "-n", sys.executable, "-c", ECHO])
    try:
        for host_ip in ("127.0.0.1", own_address(ports)):
            wait_until(lambda host_ip=host_ip: echoes(host_ip, port), f"an echo from {host_ip}")
    finally:
        server.kill()
        server.wait()


def echoes(host_ip: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)
        client.connect((host_ip, port))
        try:
            client.send(b"echo")
            return client.recv(10) == b"echo"
        except OSError:
            return False


@pytest.mark.parametrize("is_ours", [True, False], ids=["of another container", "of another program"])
def test_E1_a_port_in_use_is_refused_and_the_container_stays_created(ports: Engine, is_ours: bool) -> None:
    port = free_port()
    with socket.socket() as taken:
        if is_ours:
            start(ports, PortWish(container_port=80, host_first=port), name="first")
        else:
            taken.bind(("0.0.0.0", port))
            taken.listen()
        before = mappings(ports)
        with pytest.raises(EngineError) as raised:
            start(ports, PortWish(container_port=81), PortWish(container_port=80, host_first=port), name="second")
        second = ports.containers.inspect("second")
        words = "driver failed programming external connectivity on endpoint second ("
        assert words in raised.value.message
        assert raised.value.message.endswith(f"): Bind for 0.0.0.0:{port} failed: port is already allocated")
        assert isinstance(second.state, Created)
        assert mappings(ports) == before
    if is_ours:
        ports.containers.remove("first", force=True)
    ports.containers.start("second")
    assert isinstance(ports.containers.inspect("second").state, Running)


def test_E1_a_range_gives_the_first_free_one(ports: Engine) -> None:
    port = free_port()
    wish = PortWish(container_port=80, host_ip="127.0.0.1", host_first=port, host_last=port + 20)
    found = [running(ports, start(ports, wish, name=f"web{number}")).ports[0].host_port for number in range(3)]
    assert len(set(found)) == 3
    assert all(port <= one <= port + 20 for one in found)
    for one in found:
        wait_until(lambda one=one: answers("127.0.0.1", one), f"an answer at {one}")


def test_E1_a_policys_restart_keeps_address_and_ports(ports: Engine) -> None:
    key = start(ports, PortWish(container_port=80), restart=RestartPolicy(name="always"))
    before = running(ports, key)
    for _ in range(3):
        old = running(ports, key).pid
        os.kill(old, signal.SIGKILL)
        wait_until(
            lambda old=old: isinstance(state := ports.containers.inspect(key).state, Running) and state.pid != old,
            "the next run",
        )
        after = running(ports, key)
        assert after.ports == before.ports
        assert after.endpoints[0].ipv4 == before.endpoints[0].ipv4
        wait_until(lambda: answers("127.0.0.1", before.ports[0].host_port), "an answer on loopback")
        wait_until(lambda: answers(own_address(ports), before.ports[0].host_port), "an answer")


def test_E1_ports_are_the_same_under_a_killed_monitors_successor(ports: Engine) -> None:
    key = start(ports, PortWish(container_port=80), PortWish(container_port=80, host_first=free_port()))
    before = running(ports, key).ports
    killed = monitor_of(ports, key)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: is_followed(ports, key, killed), "another monitor")
    for one in before:
        wait_until(lambda one=one: answers("127.0.0.1", one.host_port), "an answer")
    assert running(ports, key).ports == before
    ports.containers.stop(key)
    assert mappings(ports) == []


def is_followed(engine: Engine, key: str, killed: int) -> bool:
    try:
        return monitor_of(engine, key) != killed
    except AssertionError:
        return False  # none yet


def steps(engine: Engine, key: str, port: int = 80) -> dict[str, PathStep]:
    return {step.name: step for step in engine.networks.trace(key, port)}


def verdicts(found: dict[str, PathStep]) -> dict[str, str]:
    return {name: step.verdict for name, step in found.items() if step.verdict != "ok"}


def test_E3_a_way_that_is_fine_is_traced_as_fine(ports: Engine) -> None:
    key = start(ports, PortWish(container_port=80))
    wait_until(lambda: answers("127.0.0.1", running(ports, key).ports[0].host_port), "an answer")
    found = steps(ports, key)
    assert verdicts(found) == {}
    assert list(found) == [
        "running",
        "address",
        "listening",
        "bridge",
        "answer",
        "published",
        "firewall",
        "outside",
    ]


def test_E3_each_trouble_on_the_way_is_named(ports: Engine) -> None:
    key = start(ports, PortWish(container_port=80))
    endpoint = running(ports, key).endpoints[0]
    wait_until(lambda: answers("127.0.0.1", running(ports, key).ports[0].host_port), "an answer")
    assert verdicts(steps(ports, key, 81)) == {"listening": "failed", "answer": "failed", "published": "failed"}
    assert "80 is listened on" in steps(ports, key, 81)["listening"].text
    assert "-p 81:81" in steps(ports, key, 81)["published"].hint

    wall, tag = firewall.choose(), ports.roots.tag
    wall.unpublish(tag, wall.published(tag))
    assert verdicts(steps(ports, key)) == {"firewall": "failed"}

    ports.containers.pause(key)
    found = steps(ports, key)
    assert found["running"].verdict == "failed"
    assert {step.verdict for step in found.values() if step.name != "running"} == {"skipped"}
    ports.containers.unpause(key)

    from core.linux import netlink

    kernel = netlink.Netlink()
    kernel.ask(netlink.delete_link(endpoint.host_interface))
    kernel.close()
    assert steps(ports, key)["bridge"].text == f"the host's end {endpoint.host_interface} of eth0 is gone"
    ports.containers.kill(key, "KILL")
    wait_until(lambda: not isinstance(ports.containers.inspect(key).state, Running), "its end")
    assert "is not running" in steps(ports, key)["running"].text


def test_E3_a_server_for_itself_alone_is_told(ports: Engine) -> None:
    key = start(ports, command=("httpd", "-f", "-p", "127.0.0.1:80"))
    wait_until(lambda: "listens on 127.0.0.1 alone" in steps(ports, key)["listening"].text, "the server")
    assert "0.0.0.0" in steps(ports, key)["listening"].hint


def test_E3_a_port_that_is_none_is_refused(ports: Engine) -> None:
    key = start(ports)
    for port, protocol in ((0, "tcp"), (65536, "tcp"), (80, "icmp")):
        with pytest.raises(InvalidInput):
            ports.networks.trace(key, port, protocol)


def test_E1_the_next_container_at_an_address_is_known_at_once(ports: Engine) -> None:
    """While another one keeps the bridge up, the host remembers link addresses."""
    made = ports.networks.create(NetworkSpec(name="both", ipv6=True, subnets=(Subnet(subnet="fd00:77::/64"),)))
    try:
        start(ports, name="other", command=("sleep", "1000"), network="both")
        found = set()
        for _ in range(3):
            key = start(ports, network="both")
            endpoint = running(ports, key).endpoints[0]
            wait_until(lambda key=key: steps(ports, key)["listening"].verdict == "ok", "the server")
            for address in (endpoint.ipv4, endpoint.ipv6):
                wait_until(lambda address=address: answers(address, 80), f"an answer from {address}")
            found.add((endpoint.mac, endpoint.ipv4, endpoint.ipv6))
            ports.containers.remove(key, force=True)
        assert len({mac for mac, _, _ in found}) == 3
        assert len({(v4, v6) for _, v4, v6 in found}) == 1
    finally:
        for container in ports.containers.list(all=True):
            ports.containers.remove(container.id, force=True)
        ports.networks.remove(made.id)


def test_E1_without_a_firewall_ports_are_passed_on_and_a_person_is_told(ports: Engine) -> None:
    bare = Engine(ports.roots, firewall="none")
    made = bare.networks.create(NetworkSpec(name="bare"))
    port = free_port()
    try:
        key = start(bare, PortWish(container_port=80, host_first=port), network="bare")
        for host_ip in ("127.0.0.1", "::1", own_address(ports)):
            wait_until(lambda host_ip=host_ip: answers(host_ip, port), f"an answer at {host_ip}")
        assert mappings(ports) == []
        assert verdicts(steps(bare, key)) == {}
        assert "passes its ports on" in steps(bare, key)["firewall"].text
    finally:
        bare.containers.remove("web", force=True)
        bare.networks.remove(made.id)


def test_SN10_who_may_not_give_itself_addresses_may_claim_none(ports: Engine) -> None:
    """A container without NET_ADMIN is held to its own; with it, it is trusted."""
    plain, trusted = start(ports, name="plain"), start(ports, name="trusted", cap_add=("NET_ADMIN",))

    def guarded() -> set[str]:
        with Nftables() as nftables:
            found = nftables.elements(Table(BRIDGE, ports.roots.tag), GUARDED)
        return {name.rstrip(b"\0").decode() for name in found}

    assert guarded() == {running(ports, plain).endpoints[0].host_interface}
    killed = monitor_of(ports, plain)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: is_followed(ports, plain, killed), "another monitor")
    assert guarded() == {running(ports, plain).endpoints[0].host_interface}
    network = ports.networks.create(NetworkSpec(name="second"))
    try:
        ports.networks.connect("second", plain, EndpointWish(network="second"))
        assert guarded() == {one.host_interface for one in running(ports, plain).endpoints}
        ports.networks.disconnect("bridge", plain)
        assert guarded() == {running(ports, plain).endpoints[0].host_interface}
        for key in (plain, trusted):
            ports.containers.remove(key, force=True)
        assert guarded() == set()
    finally:
        ports.networks.remove(network.id)


SCTP = 132
SCTP_ECHO = f"""import socket
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, {SCTP})
s.bind(('', 9)); s.listen(); print('ready', flush=True)
while True:
    c, who = s.accept(); c.send(c.recv(99) + who[0].encode()); c.close()"""


def has_sctp() -> bool:
    subprocess.run(["modprobe", "sctp"], capture_output=True)
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, SCTP).close()
    except OSError:
        return False
    return True


def test_E1_a_published_sctp_port_carries_a_conversation(ports: Engine) -> None:
    if not has_sctp():
        pytest.skip("this kernel has no SCTP; the test guest's has: python -m tests.guest")
    made = start(ports, PortWish(container_port=9, protocol="sctp", host_first=7009), command=("sleep", "1000"))
    inside = str(running(ports, made).pid)
    # the starter image has no program that speaks SCTP: one of the host's in the container's network
    server = subprocess.Popen(
        ["nsenter", "-n", "-t", inside, sys.executable, "-c", SCTP_ECHO], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, SCTP) as client:
            client.settimeout(10)
            client.connect((own_address(ports), 7009))
            client.send(b"hello from ")
            assert client.recv(99).startswith(b"hello from ")
    finally:
        server.kill()
        server.wait()
