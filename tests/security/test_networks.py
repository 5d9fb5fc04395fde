"""Who reaches whom: real packets between network namespaces, through the engine's own firewall."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from core.model.network import Network
from core.monitor.guard import Guard
from core.monitor.loop import READ, Loop
from core.monitor.publishing import Publishing
from core.network.firewall import Firewall
from core.network.iptables import IptablesFirewall
from core.network.nft_rules import NftablesFirewall
from tests.conftest import wait_until
from tests.network_lab import HOST4, HOST6, LAN4, LAN6, Lab, ask, serve

TAG = "wharf-lab"
SILENT_S = 0.4
"""How long a packet that is dropped is waited for."""


class Place:
    """A lab with two networks, one of them with two containers, and a third one without a way out."""

    def __init__(self, kind: str) -> None:
        self.lab = Lab()
        self.wall: Firewall = IptablesFirewall("legacy") if kind == "iptables" else NftablesFirewall()
        self.table = self.wall.table(TAG)
        if kind == "nftables beside a FORWARD that drops":
            for tool in ("iptables", "ip6tables"):
                self.lab.host.shell(f"{tool}-nft -P FORWARD DROP; {tool}-legacy -P FORWARD DROP")
        self.red = self.lab.bridge("whred", 1)
        self.blue = self.lab.bridge("whblue", 2)
        self.shut = self.lab.bridge("whshut", 3, internal=True)
        for network in (self.red, self.blue, self.shut):
            assert self.lab.host.run(self.wall.add_network, TAG, network) == []
            assert self.lab.host.run(self.wall.has_network, TAG, network)
        self.web = self.lab.container("web", self.red, 2)
        self.near = self.lab.container("near", self.red, 3)
        self.far = self.lab.container("far", self.blue, 2)
        self.inner = self.lab.container("inner", self.shut, 2)
        self.lab.host.run(guard, self.table, list(self.lab.endpoints.values()))


def guard(table: str, endpoints: list[dict[str, Any]]) -> None:
    """As their monitors would."""
    Guard(table).watch([{"driver": "bridge", "endpoint": one} for one in endpoints])


@pytest.fixture(scope="module", params=["nftables", "nftables beside a FORWARD that drops", "iptables"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    made = Place(request.param)
    try:
        with made.web.running(serve, 80), made.far.running(serve, 80), made.lab.lan.running(serve, 80):
            yield made
    finally:
        made.lab.close()


def endpoint(number: int, last: int, *, ipv6: bool = True, **fields: Any) -> dict[str, Any]:
    addresses = {"ipv4": f"172.30.{number}.{last}", "ipv6": f"fd00:30:{number}::{last}" if ipv6 else ""}
    return {"endpoint": {"endpoint_id": "e" * 64, **addresses}, "driver": "bridge", "is_default_route": True, **fields}


def wish(container_port: int, host_first: int = 0, **fields: Any) -> dict[str, Any]:
    return {"container_port": container_port, "host_first": host_first, **fields}


def publish(ready: Callable[[], None], document: dict[str, Any]) -> None:
    """What a monitor does for its container."""
    loop = Loop()
    publishing = Publishing(loop, document, "web")
    publishing.open()
    ready()
    loop.run()


def network(*wishes: dict[str, Any], table: str, ipv6: bool = True) -> dict[str, Any]:
    return {"endpoints": [endpoint(1, 2, ipv6=ipv6)], "ports": list(wishes), "table": table}


@pytest.mark.parametrize("is_userland", [False, True], ids=["", "userland"])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_E1_a_published_port_is_reached_from_everywhere(place: Place, protocol: str, is_userland: bool) -> None:
    lab, table = place.lab, "" if is_userland else place.table
    document = network(wish(80, 8080, protocol=protocol), table=table)
    with lab.host.running(publish, document):
        for address in ("127.0.0.1", "127.0.0.9", HOST4, "172.30.1.1", "::1", HOST6, "fd00:30:1::1"):
            assert lab.host.run(ask, address, 8080, protocol) not in ("silent", "refused", "unreachable", "reset")
        for space in (lab.lan, place.near, place.far, place.web):  # the last one is the server itself
            for address in (HOST4, HOST6):
                answer = space.run(ask, address, 8080, protocol)
                assert answer not in ("silent", "refused", "unreachable", "reset"), (space, address)
        if table:  # the server sees who it is
            assert lab.lan.run(ask, HOST4, 8080, protocol) == LAN4
            assert lab.lan.run(ask, HOST6, 8080, protocol) == LAN6


def test_SN11_a_port_is_published_only_where_asked(place: Place) -> None:
    lab = place.lab
    with lab.host.running(
        publish, network(wish(80, 8081, host_ip="127.0.0.1"), wish(80, 8082, host_ip=HOST4), table=place.table)
    ):
        assert lab.host.run(ask, "127.0.0.1", 8081) == "172.30.1.1"
        for space in (lab.host, lab.lan, place.near, place.far):
            assert space.run(ask, HOST4, 8081) == "refused"
            assert space.run(ask, HOST6, 8081) == "refused"
        assert lab.lan.run(ask, HOST4, 8082) == (LAN4 if place.table else "172.30.1.1")
        assert lab.host.run(ask, "127.0.0.1", 8082) == "refused"
        assert lab.lan.run(ask, HOST6, 8082) == "refused"
    assert lab.host.run(ask, "127.0.0.1", 8081) == "refused"


def test_SN11_loopback_ports_are_not_reached_by_frames_for_127_0_0_1(place: Place) -> None:
    """A neighbour who sends frames with loopback's address, to the host's hardware address."""
    lab = place.lab
    lab.lan.ip(f"route add 127.0.0.99/32 via {HOST4} dev eth0 table 100", "rule add to 127.0.0.99 table 100 pref 1")
    lab.lan.shell(
        "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet; ip rule del pref 0; ip rule add pref 5 table local"
    )
    try:
        with lab.host.running(
            publish, network(wish(80, 8081, host_ip="127.0.0.99"), wish(80, 8082), table=place.table)
        ):
            assert lab.host.run(ask, "127.0.0.99", 8081) == "172.30.1.1"
            for port in (8081, 8082):
                assert lab.lan.run(ask, "127.0.0.99", port, "tcp", SILENT_S) == "silent"
    finally:
        lab.lan.shell("ip rule del pref 1; echo 0 > /proc/sys/net/ipv4/conf/all/route_localnet")


def test_SN11_nothing_is_reached_that_is_not_published(place: Place) -> None:
    lab = place.lab
    lab.lan.ip(f"route add 172.30.1.0/24 via {HOST4}", f"route add fd00:30:1::/64 via {HOST6}")
    try:
        with lab.host.running(publish, network(wish(80, 8080), wish(80, 8081, host_ip="127.0.0.1"), table=place.table)):
            for address in ("172.30.1.2", "fd00:30:1::2"):  # by a route of its own, past the host's ports
                assert lab.lan.run(ask, address, 80, "tcp", SILENT_S) == "silent"
                assert place.far.run(ask, address, 80, "tcp", SILENT_S) == "silent"
            assert lab.lan.run(ask, HOST4, 80) == "refused"
    finally:
        lab.lan.ip("route del 172.30.1.0/24", "route del fd00:30:1::/64")


def test_SN11_no_element_is_left_after_a_stop(place: Place) -> None:
    def open_and_close() -> list[int]:
        firewall = NftablesFirewall()
        firewall.unpublish(TAG, firewall.published(TAG))  # what killed ones have left
        publishing = Publishing(
            Loop(), network(wish(80, 8080), wish(53, 5353, protocol="udp"), table=place.table), "web"
        )
        found = [len(firewall.published(TAG))]
        publishing.open()
        found.append(len(firewall.published(TAG)))
        publishing.close()
        return [*found, len(firewall.published(TAG))]

    assert place.lab.host.run(open_and_close) == ([0, 4, 0] if place.table else [0, 0, 0])


@pytest.mark.parametrize("host_ip", [HOST4, HOST6])
def test_E1_a_udp_client_that_goes_on_sending_reaches_the_next_container(place: Place, host_ip: str) -> None:
    """The kernel leads a flow where its first packet went, as long as any follow."""
    with place.near.running(serve, 80, b"near"), ExitStack() as stack:
        for turn, (last, is_near) in enumerate(((2, False), (3, True), (2, False))):
            document = {**network(wish(80, 8099, protocol="udp"), table=place.table), "endpoints": [endpoint(1, last)]}
            with place.lab.host.running(publish_until_told, document):
                if turn == 0:
                    stack.enter_context(place.lab.lan.running(send_on_and_on, host_ip))
                wait_until(lambda is_near=is_near: hears(place) and (hears(place) == "near") is is_near, f"{last}")
                assert place.lab.host.run(ask, "127.0.0.1", 9003, "udp") == "closed"


def hears(place: Place) -> str:
    """What the client was told last."""
    return str(place.lab.lan.run(ask, "127.0.0.1", 9002, "udp"))


def publish_until_told(ready: Callable[[], None], document: dict[str, Any]) -> None:
    """Until somebody sends a datagram, who is then told that all is given back."""
    told = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    told.bind(("127.0.0.1", 9003))
    loop = Loop()
    publishing = Publishing(loop, document, "web")
    publishing.open()
    loop.add(told.fileno(), READ, lambda _events: loop.stop())
    ready()
    loop.run()
    publishing.close()
    told.sendto(b"closed", told.recvfrom(10)[1])


def send_on_and_on(ready: Callable[[], None], host_ip: str) -> None:
    """Tells whoever asks what it was told last."""
    client = socket.socket(socket.AF_INET6 if ":" in host_ip else socket.AF_INET, socket.SOCK_DGRAM)
    client.connect((host_ip, 8099))
    client.settimeout(0.02)
    asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asked.bind(("127.0.0.1", 9002))
    asked.setblocking(False)
    ready()
    last = ""
    while True:
        try:
            client.send(b"who")
            last = client.recv(100).decode()
        except OSError:
            pass
        try:
            _, asker = asked.recvfrom(10)
            asked.sendto(last.encode(), asker)
        except BlockingIOError:
            pass


@pytest.mark.parametrize("address", ["172.30.2.2", "fd00:30:2::2"])
def test_SN10_SN13_containers_of_different_networks_cannot_talk(place: Place, address: str) -> None:
    assert place.near.run(ask, address, 80, "tcp", SILENT_S) == "silent"
    assert place.near.run(ask, address, 80, "udp", SILENT_S) == "silent"
    assert place.near.run(ask, address.replace("2::2", "1::2").replace("2.2", "1.2"), 80) != "silent"


@pytest.mark.parametrize("address", [LAN4, LAN6])
def test_SN10_SN13_without_a_way_out_there_is_none(place: Place, address: str) -> None:
    assert place.near.run(ask, address, 80) in (HOST4, HOST6)  # masqueraded
    for target in (address, "172.30.1.2", "fd00:30:1::2"):
        assert place.inner.run(ask, target, 80, "tcp", SILENT_S) == "silent"
    assert place.inner.run(ask, "172.30.3.1", 81) == "refused"  # its gateway is there
    for own in (HOST4, HOST6, "172.30.1.1", "fd00:30:1::1"):
        assert place.inner.run(ask, own, 81, "tcp", SILENT_S) == "silent"


def test_SN12_services_of_the_hosts_loopback_are_not_reached(place: Place) -> None:
    lab = place.lab
    with lab.host.running(_serve_loopback, 7000), lab.host.running(publish, network(wish(80, 8080), table=place.table)):
        assert lab.host.run(ask, "127.0.0.1", 7000) == "secret"
        place.near.shell(
            "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet; ip rule add pref 5 table local; ip rule del pref 0"
        )
        place.near.ip("route add 127.0.0.1/32 via 172.30.1.1 table 100", "rule add to 127.0.0.1 table 100 pref 1")
        assert place.near.run(ask, "127.0.0.1", 7000, "tcp", SILENT_S) == "silent"
        for gateway in ("172.30.1.1", HOST4):
            assert place.near.run(ask, gateway, 7000) == "refused"
        place.near.ip("rule del pref 1")
        assert lab.host.shell("cat /proc/sys/net/ipv4/conf/*/route_localnet").split().count("1") == 0


def _serve_loopback(ready: Callable[[], None], port: int) -> None:
    listener = socket.create_server(("127.0.0.1", port))
    ready()
    while True:
        connection, _ = listener.accept()
        connection.sendall(b"secret")
        connection.close()


def test_SN10_packets_with_somebody_elses_address_are_dropped(place: Place) -> None:
    """Raw sockets are Docker's default: what a container claims to be must lie on its own network."""
    near = place.near
    with place.lab.lan.running(_count_datagrams, 9000) as _:
        near.run(_send_raw, "172.30.1.3", LAN4, 9000)
        near.run(_send_raw, "172.30.2.2", LAN4, 9000)
        near.run(_send_raw, "8.8.8.8", LAN4, 9000)
        near.run(_send_raw, HOST4, LAN4, 9000)
        near.run(_send_raw, "172.30.1.3", LAN4, 9000)
        assert place.lab.lan.run(ask, "127.0.0.1", 9000, "udp") == "2"


def _send_raw(source: str, target: str, port: int) -> None:
    datagram = struct.pack(">HHHH", 1000, port, 9, 0) + b"!"
    header = struct.pack(
        ">BBHHHBBH4s4s",
        0x45,
        0,
        20 + len(datagram),
        0,
        0,
        64,
        17,
        0,
        socket.inet_aton(source),
        socket.inet_aton(target),
    )
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(header + datagram, (target, 0))


def _count_datagrams(ready: Callable[[], None], port: int) -> None:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("0.0.0.0", port))
    ready()
    count = 0
    while True:
        data, peer = bound.recvfrom(100)
        if data == b"?":
            bound.sendto(str(count).encode(), peer)
        else:
            count += 1


MARK = b"marked by the test"


def frame(source_mac: str, kind: int, body: bytes) -> bytes:
    """To everybody."""
    return b"\xff" * 6 + bytes.fromhex(source_mac.replace(":", "")) + struct.pack(">H", kind) + body


def arp(mac: str, address: str) -> bytes:
    """ "I am this address", as an answer that nobody asked for."""
    own = bytes.fromhex(mac.replace(":", "")) + socket.inet_aton(address)
    return struct.pack(">HHBBH", 1, 0x0800, 6, 4, 2) + own + own + MARK


def ipv4(source: str) -> bytes:
    datagram = struct.pack(">HHHH", 1000, 9, 8 + len(MARK), 0) + MARK
    addresses = socket.inet_aton(source) + socket.inet_aton("255.255.255.255")
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0) + addresses
    total = sum(struct.unpack(">10H", head))
    check = ~(total + (total >> 16)) & 0xFFFF  # bridges that are filtered take no header with a wrong one
    return head[:10] + struct.pack(">H", check) + head[12:] + datagram


def ipv6(source: str, following: int, body: bytes) -> bytes:
    addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, "ff02::1")
    return struct.pack(">IHBB", 0x60000000, len(body), following, 255) + addresses + body


def advertisement(target: str) -> bytes:
    return struct.pack(">BBHI", 136, 0, 0, 0x60000000) + socket.inet_pton(socket.AF_INET6, target) + MARK


def router_advertisement() -> bytes:
    return struct.pack(">BBHBBHII", 134, 0, 0, 64, 0x08, 1800, 0, 0) + MARK


@pytest.mark.parametrize("place", ["nftables"], indirect=True)
def test_SN10_SN13_nobody_is_taken_for_a_neighbour(place: Place) -> None:
    """Frames as they go out of a raw socket: of addresses that are the container's own, and of its neighbour's."""
    mac, other = place.lab.endpoints["near"]["mac"], place.lab.endpoints["web"]["mac"]
    own4, other4, own6, other6 = "172.30.1.3", "172.30.1.2", "fd00:30:1::3", "fd00:30:1::2"
    hidden = bytes([58, 0]) + bytes(6)  # a header without a purpose, before the one that counts
    disguised = bytes([58, 1, 1, 12]) + bytes(4) + bytes([143]) + bytes(7)  # with what looks like a harmless one in it
    honest = [
        frame(mac, 0x0806, arp(mac, own4)),
        frame(mac, 0x0800, ipv4(own4)),
        frame(mac, 0x0800, ipv4("0.0.0.0")),
        frame(mac, 0x86DD, ipv6(own6, 58, advertisement(own6))),
        frame(mac, 0x86DD, ipv6("fe80::1", 58, advertisement("fe80::1"))),
    ]
    forged = [
        frame(other, 0x0800, ipv4(own4)),
        frame(mac, 0x0800, ipv4(other4)),
        frame(mac, 0x0800, ipv4("172.30.1.1")),
        frame(mac, 0x0806, arp(mac, other4)),
        frame(mac, 0x0806, arp(mac, "172.30.1.1")),
        frame(mac, 0x0806, arp(other, own4)),
        frame(mac, 0x8100, b"\0\0\x08\x06" + arp(mac, other4)),
        frame(mac, 0x88A8, b"\0\0\x08\x00" + ipv4(other4)),
        frame(mac, 0x86DD, ipv6(other6, 58, advertisement(own6))),
        frame(mac, 0x86DD, ipv6(own6, 58, advertisement(other6))),
        frame(mac, 0x86DD, ipv6(own6, 0, hidden + advertisement(other6))),
        frame(mac, 0x86DD, ipv6(own6, 60, hidden + advertisement(other6))),
        frame(mac, 0x86DD, ipv6(own6, 0, disguised + advertisement(other6))),
        frame(mac, 0x86DD, ipv6("fe80::1", 58, router_advertisement())),
        frame(mac, 0x86DD, ipv6("fe80::1", 58, bytes([137]) + bytes(39) + MARK)),
    ]
    for frames, arrived in ((honest, len(honest)), (forged, 0), (honest, len(honest))):
        with place.web.running(count_frames):
            place.near.run(send_frames, frames)
            assert place.web.run(ask, "127.0.0.1", 9001, "udp") == str(arrived)


def send_frames(frames: list[bytes]) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("eth0", 0))
        for one in frames:
            raw.send(one)


def count_frames(ready: Callable[[], None]) -> None:
    """Marked frames that come, told by UDP."""
    everything = 0x0003
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(everything))
    raw.bind(("eth0", everything))
    raw.setblocking(False)
    asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asked.bind(("127.0.0.1", 9001))
    ready()
    _, asker = asked.recvfrom(10)
    count = 0
    while True:
        try:
            count += MARK in raw.recv(2000)
        except BlockingIOError:
            break
    asked.sendto(str(count).encode(), asker)
    asked.recv(1)


def test_SN11_the_rules_go_with_their_network_and_the_rest_with_the_last(place: Place) -> None:
    def come_and_go() -> list[bool]:
        found = []
        for name in ("one", "two"):
            place.wall.add_network("wharf-other", _network(name))
        found.append(place.wall.has_network("wharf-other", _network("one")))
        for name in ("one", "two"):
            place.wall.remove_network("wharf-other", _network(name))
            found.append(place.wall.has_network("wharf-other", _network("two")))
        place.wall.remove_network("wharf-other", _network("two"))
        return found

    rules = "nft list ruleset; iptables-legacy-save; ip6tables-legacy-save"
    assert place.lab.host.run(come_and_go) == [True, True, False]
    assert "wharf-other" not in place.lab.host.shell(rules)
    assert TAG in place.lab.host.shell(rules)


def _network(name: str) -> Network:
    return Network(name=name, id="0" * 64, created_ns=1, driver="bridge", interface=name)
