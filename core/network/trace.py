"""Why can't I reach it: the way to a container's port, each step looked at or tried, in order.

    running ▶ address ▶ listening ▶ bridge ▶ answer ▶ published ▶ firewall ▶ from outside

The steps go from the server outwards, so that the first that fails is the one to mend.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

from core import about
from core.linux.netlink import Link, Netlink
from core.linux.procfs import is_same_process
from core.model.container import Container, Running
from core.model.network import HOST, Endpoint, Network, PathStep
from core.model.ports import PublishedPort
from core.monitor.port_maps import PROTOCOL_NUMBERS
from core.network.firewall import Firewall

OK, FAILED, UNKNOWN, SKIPPED = "ok", "failed", "unknown", "skipped"
_ANSWER_WAIT_S = 1.0
_LISTENING = {"tcp": "0A", "udp": "07"}
_FORWARDS = "/proc/sys/net/ipv4/ip_forward"
STEPS = ("running", "address", "listening", "bridge", "answer", "published", "firewall", "outside")


class Place(NamedTuple):
    """Where something listens, as /proc tells."""

    address: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether nobody from outside gets there."""
        return self.address.startswith("127.") or self.address == "::1"


def trace(
    container: Container, port: int, protocol: str, networks: Sequence[Network], wall: Firewall, tag: str
) -> list[PathStep]:
    """All steps; those behind one that makes them senseless are skipped.

    Args: port: the container's. networks: all there are. tag: the engine's, as the firewall knows it.
    """
    steps: list[PathStep] = []
    way = _Way(container, port, protocol, networks, wall, tag)
    for name in STEPS:
        if steps and steps[-1].name == "running" and steps[-1].verdict == FAILED:
            break
        if step := getattr(way, name)():
            steps.append(step)
    known = {step.name for step in steps}
    if FAILED in {step.verdict for step in steps if step.name == "running"}:
        steps += [PathStep(name=name, verdict=SKIPPED, text="not looked at") for name in STEPS if name not in known]
    return steps


class _Way:
    """The steps, each a method of its name; one that does not apply gives None."""

    def __init__(
        self, container: Container, port: int, protocol: str, networks: Sequence[Network], wall: Firewall, tag: str
    ) -> None:
        self._container = container
        self._name = container.name
        self._port = port
        self._protocol = protocol
        self._what = f"{port}/{protocol}"
        self._wall = wall
        self._tag = tag
        state = container.state
        self._running = state if isinstance(state, Running) else None
        self._endpoints = state.endpoints if isinstance(state, Running) else ()
        self._networks = {network.id: network for network in networks}
        self._is_of_the_host = container.config.spec.network == HOST

    def running(self) -> PathStep:
        """Is there anybody at all."""
        state = self._running
        if state is None or not is_same_process(state.pid, state.start_ticks):
            status = self._container.status
            hint = f"{about.NAME} start {self._name}" if state is None else f"{about.NAME} logs {self._name}"
            return _step("running", FAILED, f"{self._name} is not running: it is {status}", hint)
        if state.paused:
            hint = f"{about.NAME} unpause {self._name}"
            return _step("running", FAILED, f"{self._name} is paused: nothing in it answers", hint)
        return _step("running", OK, f"{self._name} runs with pid {state.pid}")

    def address(self) -> PathStep:
        """Is it on a network."""
        if self._is_of_the_host:
            return _step("address", OK, "it shares the host's network: its ports are the host's own")
        addresses = [f"{one.ipv4 or one.ipv6} on {one.network}" for one in self._endpoints]
        if addresses:
            return _step("address", OK, f"it has {', '.join(addresses)}")
        spec = self._container.config.spec
        if spec.network.startswith("container:"):
            return _step(
                "address", UNKNOWN, f"it shares the network of {spec.network.partition(':')[2]}: trace that one"
            )
        hint = f"{about.NAME} network connect bridge {self._name}"
        return _step("address", FAILED, "it is on no network", hint)

    def listening(self) -> PathStep:
        """Does a server wait, and for whom."""
        assert self._running
        if self._protocol not in _LISTENING:
            return _step("listening", UNKNOWN, f"whether anything listens on {self._what} can't be seen from here")
        places = listening_places(self._running.pid, self._protocol)
        ours = [place for place in places if place.port == self._port]
        if not ours:
            others = ", ".join(f"{number}" for number in sorted({place.port for place in places})[:8])
            found = f"; {others} {'are' if ',' in others else 'is'} listened on" if others else ""
            text = f"nothing listens on {self._what} in {self._name}{found}"
            return _step("listening", FAILED, text, f"see what the server says: {about.NAME} logs {self._name}")
        if all(place.is_loopback for place in ours) and not self._is_of_the_host:
            text = f"the server listens on {ours[0].address} alone, which only {self._name} itself can reach"
            return _step("listening", FAILED, text, "have it listen on 0.0.0.0 (often an option named bind or host)")
        where = ", ".join(dict.fromkeys(place.address for place in ours))
        return _step("listening", OK, f"something listens on {self._what} at {where}")

    def bridge(self) -> PathStep | None:
        """Does the cable lead to the host."""
        if not self._endpoints:
            return None
        with_bridge = [one for one in self._endpoints if one.host_interface]
        if not with_bridge:
            text = "its interface lies directly on the host's link (macvlan): the host itself does not reach it"
            return _step("bridge", UNKNOWN, text, "try from another machine")
        netlink = Netlink()
        try:
            links = {link.name: link for link in netlink.links()}
        finally:
            netlink.close()
        for one in with_bridge:
            if trouble := self._trouble_of(one, links):
                return _step("bridge", FAILED, trouble, f"{about.NAME} restart {self._name}")
        names = ", ".join(f"{one.host_interface} on {self._bridge_of(one)}" for one in with_bridge)
        return _step("bridge", OK, f"the host's end is up: {names}")

    def _bridge_of(self, endpoint: Endpoint) -> str:
        network = self._networks.get(endpoint.network_id)
        return network.interface if network else ""

    def _trouble_of(self, endpoint: Endpoint, links: dict[str, Link]) -> str:
        bridge, end = self._bridge_of(endpoint), endpoint.host_interface
        if not bridge:
            return f"network {endpoint.network} is gone"
        if bridge not in links:
            return f"the bridge {bridge} of network {endpoint.network} is gone"
        if end not in links:
            return f"the host's end {end} of {endpoint.interface} is gone"
        if links[end].master != links[bridge].number:
            return f"{end} is not on the bridge {bridge}"
        down = next((name for name in (bridge, end) if not links[name].is_up), "")
        return f"{down} is down" if down else ""

    def answer(self) -> PathStep:
        """From the host straight to the container."""
        targets = ["127.0.0.1"] if self._is_of_the_host else [one.ipv4 or one.ipv6 for one in self._endpoints]
        if not targets:
            return _step("answer", SKIPPED, "there is no address to try")
        return _tried("answer", targets[0], self._port, self._protocol)

    def _ports(self) -> list[PublishedPort]:
        assert self._running
        found = self._running.ports
        return [one for one in found if one.container_port == self._port and one.protocol == self._protocol]

    def published(self) -> PathStep | None:
        """May other hosts come."""
        if self._is_of_the_host:
            return None
        ports = self._ports()
        if not ports:
            text = f"{self._what} is not published: only this host and containers of the same network reach it"
            return _step("published", FAILED, text, f"make the container again with -p {self._port}:{self._port}")
        where = ", ".join(_in_url(one.host_ip, one.host_port) for one in ports)
        if all(Place(one.host_ip, 0).is_loopback for one in ports):
            text = f"it is published at {where}: other hosts do not reach it"
            return _step("published", OK, text, "publish it without an address if they should")
        return _step("published", OK, f"it is published at {where}")

    def firewall(self) -> PathStep | None:
        """Do the rules lead there."""
        bridged = [one for one in self._endpoints if one.host_interface]
        if not bridged:
            return None
        hint = f"{about.NAME} restart {self._name}"
        try:
            with open(_FORWARDS) as file:
                if file.read().strip() != "1":
                    text = "the host forwards no packets (net.ipv4.ip_forward is 0)"
                    return _step("firewall", FAILED, text, "sysctl -w net.ipv4.ip_forward=1")
            for one in bridged:
                network = self._networks.get(one.network_id)
                if network and not self._wall.has_network(self._tag, network):
                    text = (
                        f"rules for network {network.name} are missing: somebody has flushed them, or drops before us"
                    )
                    return _step("firewall", FAILED, text, hint)
            if trouble := self._unmapped():
                return _step("firewall", FAILED, trouble, hint)
        except OSError as error:
            return _step("firewall", UNKNOWN, f"the rules can't be read: {(error.strerror or str(error)).lower()}")
        if self._wall.name == "none":
            return _step("firewall", OK, "there is no firewall: the container's monitor passes its ports on")
        return _step("firewall", OK, f"the rules of {self._wall.name} are in place")

    def _unmapped(self) -> str:
        """A published port that the firewall should lead to the container, and does not."""
        if not self._wall.table(self._tag) or self._protocol not in PROTOCOL_NUMBERS:
            return ""
        known = {(one.protocol, one.host_ip, one.host_port) for one in self._wall.published(self._tag)}
        families = {":" in address for one in self._endpoints for address in (one.ipv4, one.ipv6) if address}
        for one in self._ports():
            if (":" in one.host_ip) not in families or Place(one.host_ip, 0).is_loopback:
                continue  # passed on by the monitor
            if (one.protocol, one.host_ip, one.host_port) not in known:
                return f"no rule leads {_in_url(one.host_ip, one.host_port)} to the container"
        return ""

    def outside(self) -> PathStep | None:
        """By the host's port, as others come."""
        ports = self._ports() if not self._is_of_the_host else []
        if not ports:
            return None
        one = ports[0]
        host_ip = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(one.host_ip, one.host_ip)
        return _tried("outside", host_ip, one.host_port, self._protocol)


def _step(name: str, verdict: str, text: str, hint: str = "") -> PathStep:
    return PathStep(name=name, verdict=verdict, text=text, hint=hint)


def _in_url(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _tried(name: str, address: str, port: int, protocol: str) -> PathStep:
    """A real connection, or for UDP a datagram without content."""
    where = f"{_in_url(address, port)}/{protocol}"
    if protocol not in _LISTENING:
        return _step(name, UNKNOWN, f"{where} is not tried: this host's sockets know no {protocol}")
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind) as client:
            client.settimeout(_ANSWER_WAIT_S)
            client.connect((address, port))
            if protocol == "udp":
                client.send(b"")
                client.recv(1)
            elif _is_turned_away(client):
                return _step(name, FAILED, f"{where} takes connections and drops them at once")
    except TimeoutError:
        if protocol == "udp":
            return _step(name, UNKNOWN, f"{where} does not refuse, and does not answer an empty datagram")
        return _step(
            name, FAILED, f"{where} does not answer within {_ANSWER_WAIT_S:.0f} s", "something drops the packets"
        )
    except ConnectionRefusedError:
        return _step(name, FAILED, f"{where} refuses: nothing listens there")
    except OSError as error:
        return _step(name, FAILED, f"{where}: {(error.strerror or str(error)).lower()}")
    return _step(name, OK, f"{where} answers")


def _is_turned_away(client: socket.socket) -> bool:
    """Whether a connection just made has been reset: by who passes on what nobody takes."""
    client.settimeout(0.05)
    try:
        client.recv(1, socket.MSG_PEEK)
    except ConnectionResetError:
        return True
    except OSError:
        pass  # it waits for us to speak
    return False


def listening_places(pid: int, protocol: str) -> list[Place]:
    """What the sockets of a process's network namespace listen on. A process that is gone listens on nothing."""
    found = []
    for family in ("", "6"):
        try:
            with open(f"/proc/{pid}/net/{protocol}{family}") as file:
                lines = file.read().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) > 3 and fields[3] == _LISTENING[protocol]:
                address, _, port = fields[1].partition(":")
                found.append(Place(_text(address), int(port, 16)))
    return found


def _text(address: str) -> str:
    """Words of the machine's byte order, in hexadecimal."""
    words = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET6 if len(packed) == 16 else socket.AF_INET, packed)
