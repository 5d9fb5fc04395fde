"""The name server at 127.0.0.11, asked over real sockets from a container's network namespace."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from core.monitor.loop import Loop
from core.monitor.names import Names
from tests.network_lab import Lab, Space

A, PTR, TXT, AAAA = 1, 12, 16, 28
UPSTREAM_PORT = 5353


class Reply(NamedTuple):
    code: int
    is_truncated: bool
    data: list[str]
    ttl: int = 0


class Place(NamedTuple):
    lab: Lab
    client: Space
    directory: Path

    def join(self, container: str, *names: str, ipv4: str = "", ipv6: str = "", network: str = "red") -> None:
        """As the engine writes an endpoint."""
        document = {
            "schema": 1,
            "kind": "network.endpoint",
            "network": network,
            "container_id": container * 64,
            "container_name": names[0],
            "ipv4": ipv4,
            "ipv6": ipv6,
            "names": names,
        }
        path = self.directory / network / "endpoints" / f"{container * 64}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".new").write_text(json.dumps(document))
        path.with_suffix(".new").rename(path)

    def leave(self, container: str, network: str = "red") -> None:
        (self.directory / network / "endpoints" / f"{container * 64}.json").unlink()

    def asks(self, name: str, kind: int = A, **options: Any) -> Reply:
        return self.client.run(ask_name, name, kind, options)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    lab = Lab()
    made = Place(lab, lab.container("client", lab.bridge("whred", 1), 2), tmp_path_factory.mktemp("networks"))
    made.join("a", "web", "a" * 12, "www", ipv4="172.30.1.2", ipv6="fd00:30:1::2")
    made.join("b", "db", "b" * 12, "www", ipv4="172.30.1.3")
    made.join("c", "hidden", ipv4="172.30.2.9", network="blue")
    made.join("d", "inner", ipv4="172.30.1.4")
    document = {
        "endpoints": [{"driver": "bridge"}],
        "resolver": {
            "networks": [str(made.directory / "red")],
            "servers": ["127.0.0.3", "127.0.0.2"],
            "links": {"store": "b" * 64},
        },
    }
    try:
        with lab.host.running(serve_upstream), lab.host.running(serve_names, document, made.client.path):
            yield made
    finally:
        lab.close()


def serve_names(ready: Callable[[], None], document: dict[str, Any], namespace: str) -> None:
    loop = Loop()
    names = Names(loop, document, port=UPSTREAM_PORT)
    descriptor = os.open(namespace, os.O_RDONLY)
    names.open(descriptor)
    ready()
    loop.run()


def serve_upstream(ready: Callable[[], None]) -> None:
    """A name server of the host's: everything has the address 203.0.113.7; "big" is for TCP alone, "no" is refused."""
    import selectors

    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.2", UPSTREAM_PORT))
    tcp = socket.create_server(("127.0.0.2", UPSTREAM_PORT))
    wait = selectors.DefaultSelector()
    for one in (udp, tcp):
        wait.register(one, selectors.EVENT_READ)
    ready()
    while True:
        for key, _ in wait.select():
            if key.fileobj is udp:
                packet, asker = udp.recvfrom(65535)
                if b"silent" not in packet:
                    udp.sendto(b"\0\0" + upstream_answer(packet)[2:], asker)  # somebody's guess
                    udp.sendto(upstream_answer(packet), asker)
            else:
                connection, _ = tcp.accept()
                packet = connection.recv(65535)[2:]
                answer = upstream_answer(packet, is_stream=True)
                connection.sendall(len(answer).to_bytes(2, "big") + answer)
                connection.close()


def upstream_answer(packet: bytes, *, is_stream: bool = False) -> bytes:
    section = packet[12 : packet.index(b"\0", 12) + 5]
    flags = 0x8185 if b"\x02no" in section else 0x8180
    if b"\x03big" in section and not is_stream:
        return packet[:2] + struct.pack(">5H", flags | 0x200, 1, 0, 0, 0) + section
    record = b"\xc0\x0c" + struct.pack(">HHIH", A, 1, 60, 4) + socket.inet_aton("203.0.113.7")
    return packet[:2] + struct.pack(">5H", flags, 1, 1, 0, 0) + section + record


def question(name: str, kind: int, *, size: int = 0) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    options = b"\0" + struct.pack(">HHIH", 41, size, 0, 0) if size else b""
    return (
        b"\x12\x34"
        + struct.pack(">5H", 0x0100, 1, 0, 0, bool(size))
        + labels
        + b"\0"
        + struct.pack(">HH", kind, 1)
        + options
    )


def ask_name(name: str, kind: int, options: dict[str, Any]) -> Reply:
    packet = question(name, kind, size=options.get("size", 0))
    return parsed(exchange(packet, tcp=options.get("tcp", False)))


def exchange(packet: bytes, *, tcp: bool = False, wait_s: float = 8.0) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as client:
        client.settimeout(wait_s)
        client.connect(("127.0.0.11", 53))
        if not tcp:
            client.send(packet)
            return client.recv(65535)
        client.sendall(len(packet).to_bytes(2, "big") + packet)
        with client.makefile("rb") as file:
            return file.read(int.from_bytes(file.read(2), "big"))


def parsed(packet: bytes) -> Reply:
    number, flags, _, count, _, _ = struct.unpack_from(">6H", packet)
    assert number == 0x1234
    assert flags & 0x8080 == 0x8080  # an answer, by who asks others as well
    position = packet.index(b"\0", 12) + 5
    found, ttl = [], 0
    for _ in range(count):
        kind, _class, ttl, length = struct.unpack_from(">HHIH", packet, position + 2)
        data = packet[position + 12 : position + 12 + length]
        position += 12 + length
        if kind == PTR:
            found.append(labels_of(data))
        else:
            found.append(socket.inet_ntop(socket.AF_INET if kind == A else socket.AF_INET6, data))
    return Reply(flags & 15, bool(flags & 0x200), sorted(found), ttl)


def labels_of(data: bytes) -> str:
    found = []
    while data[0]:
        found.append(data[1 : 1 + data[0]].decode())
        data = data[1 + data[0] :]
    return ".".join(found)


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize(
    ("name", "kind", "data"),
    [
        ("web", A, ["172.30.1.2"]),
        ("WeB", A, ["172.30.1.2"]),
        ("web", AAAA, ["fd00:30:1::2"]),
        ("db", AAAA, []),
        ("db", TXT, []),
        ("a" * 12, A, ["172.30.1.2"]),
        ("www", A, ["172.30.1.2", "172.30.1.3"]),
        ("store", A, ["172.30.1.3"]),
        ("web.red", A, ["172.30.1.2"]),
        ("2.1.30.172.in-addr.arpa", PTR, ["web.red"]),
        ("2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.3.0.0.0.0.d.f.ip6.arpa", PTR, ["web.red"]),
    ],
)
def test_E5_names_of_the_network_are_answered(place: Place, name: str, kind: int, data: list[str], tcp: bool) -> None:
    assert place.asks(name, kind, tcp=tcp) == Reply(0, False, data, 600 if data else 0)


def test_E5_names_of_other_networks_and_of_the_world_are_asked_of_the_hosts_servers(place: Place) -> None:
    for name in ("hidden", "example.com", "9.2.30.172.in-addr.arpa"):
        assert place.asks(name) == Reply(0, False, ["203.0.113.7"], 60)


def test_E5_an_answer_that_is_too_long_comes_by_tcp(place: Place) -> None:
    assert place.asks("big.example.com") == Reply(0, True, [])
    assert place.asks("big.example.com", tcp=True) == Reply(0, False, ["203.0.113.7"], 60)


def test_E5_what_no_server_answers_is_a_failure(place: Place) -> None:
    assert place.asks("silent.example.com").code == 2
    assert place.asks("no.example.com").code == 5  # what the server says, when no other one says better


def test_E5_names_follow_who_comes_and_goes(place: Place) -> None:
    for _ in range(5):
        place.join("e", "late", ipv4="172.30.1.9")
        assert place.asks("late").data == ["172.30.1.9"]
        place.join("e", "late", ipv4="172.30.1.10")
        assert place.asks("late").data == ["172.30.1.10"]
        place.leave("e")
        assert place.asks("late").data == ["203.0.113.7"]


def test_E5_many_of_one_name_are_told_as_far_as_they_fit(place: Place) -> None:
    for number in range(60):
        place.join(chr(0x100 + number), f"copy{number}", "many", ipv4=f"172.30.1.{100 + number}")
    try:
        short = place.asks("many")
        assert short.is_truncated
        assert 20 < len(short.data) < 60
        assert len(place.asks("many", size=4096).data) == 60
        assert len(place.asks("many", tcp=True).data) == 60
        turns = {tuple(place.client.run(first_address, "many")) for _ in range(4)}
        assert len(turns) == 4  # another one first each time
    finally:
        for number in range(60):
            place.leave(chr(0x100 + number))


def first_address(name: str) -> bytes:
    packet = exchange(question(name, A, size=4096))
    return packet[packet.index(b"\0", 12) + 5 :][12:16]


def test_SN10_nothing_is_asked_outside_when_all_networks_are_internal(place: Place) -> None:
    """CVE-2024-29018: what a container without a way out asks for would be a way out."""
    client = place.lab.container("quiet", place.lab.bridge("whquiet", 7), 2)
    document = {
        "endpoints": [{"driver": "bridge", "is_internal": True}],
        "resolver": {"networks": [str(place.directory / "red")], "servers": ["127.0.0.2"]},
    }
    with place.lab.host.running(serve_names, document, client.path):
        assert client.run(ask_name, "web", A, {}).data == ["172.30.1.2"]
        assert client.run(ask_name, "example.com", A, {}) == Reply(2, False, [])


HOSTILE = {
    "empty": b"",
    "short": b"\x12\x34\x01",
    "an answer": b"\x12\x34" + struct.pack(">5H", 0x8180, 1, 0, 0, 0) + b"\3web\0\0\1\0\1",
    "no question": b"\x12\x34" + struct.pack(">5H", 0x0100, 0, 0, 0, 0),
    "many questions": b"\x12\x34" + struct.pack(">5H", 0x0100, 65535, 0, 0, 0) + b"\3web\0\0\1\0\1",
    "a pointer to itself": b"\x12\x34" + struct.pack(">5H", 0x0100, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1",
    "an endless name": b"\x12\x34" + struct.pack(">5H", 0x0100, 1, 0, 0, 0) + b"\x3f" * 4000,
    "a name that breaks off": b"\x12\x34" + struct.pack(">5H", 0x0100, 1, 0, 0, 0) + b"\x20web",
    "another operation": b"\x12\x34" + struct.pack(">5H", 0x2900, 1, 0, 0, 0) + b"\3web\0\0\1\0\1",
    "large": b"\x12\x34" + struct.pack(">5H", 0x0100, 1, 0, 0, 0) + bytes(60000),
}


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("packet", HOSTILE.values(), ids=HOSTILE)
def test_E5_hostile_packets_change_nothing(place: Place, packet: bytes, tcp: bool) -> None:
    place.client.run(throw, packet, tcp)
    assert place.asks("web").data == ["172.30.1.2"]


def throw(packet: bytes, tcp: bool) -> None:
    try:
        exchange(packet, tcp=tcp, wait_s=0.05)
    except OSError:
        pass


def test_E5_who_holds_every_connection_is_hung_up_on(place: Place) -> None:
    with place.client.running(hold_connections, 300):
        assert place.asks("web").data == ["172.30.1.2"]


def hold_connections(ready: Callable[[], None], count: int) -> None:
    held = []
    for _ in range(count):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(("127.0.0.11", 53))
        held.append(one)
    ready()
    os.read(os.pipe()[0], 1)


def test_port_53_stays_free_for_a_server_of_the_containers_own(place: Place) -> None:
    def bind() -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.bind(("0.0.0.0", 53))
            return "bound"

    assert place.client.run(bind) == "bound"
