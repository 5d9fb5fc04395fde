"""A container's published ports: reserved before it starts, led into it while it runs.

    bind and listen ── reserves the port; what reaches the socket is passed on by this process
    one map element ── everything else that comes for the port, without this process

The sockets are made in the host's network namespace and stay open between a policy's restarts: nobody
can take the port meanwhile. Two kinds always take the socket: loopback's connections (127.0.0.0/8, ::1), for to lead
them over a bridge the kernel would have to take loopback's addresses for real ones there (route_localnet); and
our own containers', who else could not meet themselves by the host's port.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from typing import Any

from core.linux.nftables import INET, Nftables, Table
from core.monitor import outcome, port_maps
from core.monitor.forwarding import DatagramForwarder, StreamForwarder, Target
from core.monitor.loop import Loop
from core.monitor.outcome import StartFailed
from core.monitor.port_maps import EVERYWHERE, Mapping

_IPPROTO_SCTP = 132
_LISTEN_BACKLOG = 4096
_NO_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
_PORT_RANGE = "/proc/sys/net/ipv4/ip_local_port_range"
_LAST_PORT = 65535


class Publishing:
    """The ports of one container.

    Args: network: SandboxNetwork as the sandbox's document has it. name: the container's, for people.
    """

    def __init__(self, loop: Loop, network: dict[str, Any], name: str) -> None:
        self._loop = loop
        self._network = network
        self._name = name
        self._ports: list[_Port] = []
        self._mappings: list[Mapping] = []
        self._nftables: Nftables | None = None
        self.warnings: list[str] = []

    @property
    def published(self) -> list[dict[str, Any]]:
        """PublishedPort documents, in the order they were asked for."""
        return [port.as_document() for port in sorted(self._ports, key=lambda port: port.order)]

    def open(self, before: Sequence[dict[str, Any]] = ()) -> None:
        """Reserve every port and let it lead to the container's address. To be called once.

        Args: before: `published` of a killed monitor: the same ports again, also those that were any free ones.
        Raises: StartFailed, with nothing reserved.
        """
        try:
            if self._targets():
                self._reserve(before)
            self.redirect(self._network)
        except BaseException:
            self.close()
            raise

    def redirect(self, network: dict[str, Any]) -> None:
        """Let the ports lead to where the container is now: it was started again, or changed networks.

        Raises: StartFailed.
        """
        self._network = network
        targets = self._targets()
        for port in self._ports:
            port.lead_to(self._loop, targets)
        wanted = [mapping for port in self._ports if (mapping := port.mapping(targets))]
        gone = [mapping for mapping in self._mappings if mapping not in wanted]
        new = [mapping for mapping in wanted if mapping not in self._mappings]
        if network.get("table") and (gone or new):
            table = Table(INET, network["table"])
            try:
                self._nftables = self._nftables or Nftables()
                port_maps.remove(self._nftables, table, gone)
                self._mappings += new  # if some can't be added, those before them are taken away by close()
                port_maps.add(self._nftables, table, new)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise StartFailed(self._report(f"nftables: {(error.strerror or str(error)).lower()}")) from error
                self.warnings.append(f"the firewall's table {table.name} is gone: ports are passed on by the monitor")
                wanted = []
        self._mappings = wanted

    def forget_rules(self) -> None:
        """What the firewall was told is lost: redirect() tells it anew."""
        self._mappings = []

    def close(self) -> None:
        """Give the ports back."""
        for port in self._ports:
            port.close()
        self._ports.clear()
        mappings, self._mappings = self._mappings, []
        if self._nftables:
            try:
                port_maps.remove(self._nftables, Table(INET, self._network["table"]), mappings)
            except OSError:
                pass  # whoever looks after leftovers finds them: they lead to an address that nobody has
            self._nftables.leave_open()
            self._nftables = None

    # ── reserving ──────────────────────────────────────────────────────────────────────────────

    def _targets(self) -> dict[bool, str]:
        """Addresses that ports lead to, by whether they are IPv6: of the default route's network, else of the first."""
        found: dict[bool, str] = {}
        endpoints = [
            one for one in self._network["endpoints"] if one["driver"] == "bridge" and not one.get("is_internal")
        ]
        for one in sorted(endpoints, key=lambda one: not one.get("is_default_route")):
            for family in ("ipv4", "ipv6"):
                if address := one["endpoint"].get(family):
                    found.setdefault(family == "ipv6", address)
        return found

    def _reserve(self, before: Sequence[dict[str, Any]]) -> None:
        wishes = list(enumerate(self._network.get("ports") or ()))
        for order, wish in sorted(wishes, key=lambda item: not item[1].get("host_first")):  # the choosy ones first
            known = [one for one in before if _is_of(one, wish)]
            candidates = [known[0]["host_port"]] if known else _candidates(wish)
            self._ports += self._first_free(order, wish, candidates)

    def _first_free(self, order: int, wish: dict[str, Any], candidates: Iterable[int]) -> list[_Port]:
        """The same host port in all families. Raises: StartFailed."""
        addresses = (wish["host_ip"],) if wish.get("host_ip") else EVERYWHERE
        refused: OSError | None = None
        at = ""
        for host_port in candidates:
            found: list[_Port] = []
            for address in addresses:
                try:
                    found.append(_Port(order, wish, address, host_port))
                except OSError as error:
                    if len(addresses) > 1 and error.errno in _NO_FAMILY:
                        continue  # this host has no addresses of that family
                    refused, at = error, f"{_in_url(address)}:{host_port}"
                    break
            else:
                return found
            for port in found:
                port.close()
            if refused.errno != errno.EADDRINUSE:
                break
        raise StartFailed(self._report(_refusal(at, refused)))

    def _report(self, reason: str) -> dict[str, Any]:
        endpoint: dict[str, Any] = next((one["endpoint"] for one in self._network["endpoints"]), {})
        who = f"{self._name} ({endpoint.get('endpoint_id', '')})"
        text = f"driver failed programming external connectivity on endpoint {who}: {reason}"
        return outcome.failure("publish", text)


def withdraw(network: dict[str, Any]) -> None:
    """Have nothing lead to a container any more: what its killed monitor published, and no successor took over."""
    if not network.get("table") or not network.get("ports"):
        return
    addresses = {one["endpoint"].get(family) for one in network["endpoints"] for family in ("ipv4", "ipv6")}
    table = Table(INET, network["table"])
    try:
        with Nftables() as nftables:
            left = [mapping for mapping in port_maps.read(nftables, table) if mapping.address in addresses]
            port_maps.remove(nftables, table, left)
    except OSError:
        pass  # whoever looks after leftovers finds them


class _Port:
    """One host port of one family, reserved. Raises: OSError: it can't be."""

    def __init__(self, order: int, wish: dict[str, Any], host_ip: str, host_port: int) -> None:
        self.order = order
        self.host_ip = host_ip
        self.host_port = host_port
        self.container_port = int(wish["container_port"])
        self.protocol: str = wish.get("protocol") or "tcp"
        self._socket = _bind(self.protocol, host_ip, host_port)
        self._forwarder: StreamForwarder | DatagramForwarder | None = None

    def lead_to(self, loop: Loop, targets: dict[bool, str]) -> None:
        """Pass on from now on; over the container's other family where it has none of this one."""
        if self._socket is None or not targets:
            return
        is_ipv6 = ":" in self.host_ip
        target: Target = (targets.get(is_ipv6) or targets[not is_ipv6], self.container_port)
        if self._forwarder:
            self._forwarder.target = target
        else:
            make = DatagramForwarder if self.protocol == "udp" else StreamForwarder
            self._forwarder = make(loop, self._socket, target)

    def mapping(self, targets: dict[bool, str]) -> Mapping | None:
        """What the firewall is told; loopback is not its business."""
        is_ipv6 = ":" in self.host_ip
        if is_ipv6 not in targets or ipaddress.ip_address(self.host_ip).is_loopback:
            return None
        return Mapping(self.protocol, self.host_ip, self.host_port, targets[is_ipv6], self.container_port)

    def as_document(self) -> dict[str, Any]:
        """As a PublishedPort."""
        return {
            "container_port": self.container_port,
            "protocol": self.protocol,
            "host_ip": self.host_ip,
            "host_port": self.host_port,
        }

    def close(self) -> None:
        """Give it back."""
        if self._forwarder:
            self._forwarder.close()
        elif self._socket:
            self._socket.close()


def _bind(protocol: str, host_ip: str, host_port: int) -> socket.socket | None:
    """Raises: OSError. None: this kernel knows no SCTP sockets, so nobody else can have the port."""
    family = socket.AF_INET6 if ":" in host_ip else socket.AF_INET
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    number = _IPPROTO_SCTP if protocol == "sctp" else 0
    try:
        made = socket.socket(family, kind | socket.SOCK_CLOEXEC, number)
    except OSError as error:
        if protocol == "sctp" and error.errno == errno.EPROTONOSUPPORT:
            return None
        raise
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            # else connections that have just ended would keep the port; two listeners it does not allow
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host_ip, host_port))
        if kind == socket.SOCK_STREAM:
            made.listen(_LISTEN_BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _candidates(wish: dict[str, Any]) -> Iterable[int]:
    first, last = wish.get("host_first") or 0, wish.get("host_last") or 0
    if first:
        return range(first, max(first, last) + 1)
    with open(_PORT_RANGE) as file:
        lowest, highest = map(int, file.read().split())
    return range(lowest, min(highest, _LAST_PORT) + 1)


def _is_of(published: dict[str, Any], wish: dict[str, Any]) -> bool:
    """Whether a port that was published came of a wish."""
    same = published["container_port"] == wish["container_port"]
    same = same and published.get("protocol", "tcp") == (wish.get("protocol") or "tcp")
    same = same and published["host_ip"] in ((wish["host_ip"],) if wish.get("host_ip") else EVERYWHERE)
    first = wish.get("host_first") or 0
    return same and (not first or first <= published["host_port"] <= max(first, wish.get("host_last") or 0))


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _refusal(where: str, error: OSError | None) -> str:
    if error is None or error.errno == errno.EADDRINUSE:
        return f"Bind for {where} failed: port is already allocated"
    return f"Bind for {where} failed: {(error.strerror or str(error)).lower()}"
