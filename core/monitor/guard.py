"""What a container may claim to be on its own network: the addresses it was given, and no others.

Raw sockets are a default (NET_RAW): without a guard a container could speak as its neighbour, and by ARP and
neighbour discovery have others send to it what is the neighbour's. Only containers without NET_ADMIN are guarded: with
it they may give themselves addresses, as what keeps a virtual address or runs containers of its own does.

The rules that read these sets are made with the table (core.network.guard_rules).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from typing import Any

from core.linux.caps import CAPABILITIES
from core.linux.nftables import BRIDGE, Nftables, Table, interface, joined

GUARDED, SENDERS, SOURCES4, SOURCES6 = "guarded", "senders", "sources4", "sources6"
"""Interfaces; and with an interface each: hardware addresses, addresses of both families."""
_NOBODY4, _NOBODY6 = bytes(4), bytes(16)
"""Who looks for an address has none yet."""
Element = tuple[str, bytes]


def is_wanted(spec: dict[str, Any]) -> bool:
    """Whether a container of this sandbox document is to be guarded."""
    return not int(spec["bounding"]) >> CAPABILITIES["NET_ADMIN"] & 1


def elements(endpoint: dict[str, Any]) -> Iterator[Element]:
    """Of one core.model.network.Endpoint on a bridge."""
    name = interface(endpoint["host_interface"])
    yield SENDERS, joined(name, bytes.fromhex(endpoint["mac"].replace(":", "")))
    for known, family, key, nobody in (
        (SOURCES4, socket.AF_INET, "ipv4", _NOBODY4),
        (SOURCES6, socket.AF_INET6, "ipv6", _NOBODY6),
    ):
        yield known, joined(name, nobody)
        if address := endpoint.get(key):
            yield known, joined(name, socket.inet_pton(family, address))
    yield GUARDED, name


class Guard:
    """A monitor's hand in these sets. Args: table: the firewall's, by its name; empty: there is none."""

    def __init__(self, table: str) -> None:
        self._table = Table(BRIDGE, table)
        self._nftables: Nftables | None = None
        self._elements: list[Element] = []

    def watch(self, endpoints: Sequence[dict[str, Any]]) -> None:
        """Hold the container to these endpoints (core.model.sandbox.SandboxEndpoint) from now on."""
        ours = [one["endpoint"] for one in endpoints if one["driver"] == "bridge"]
        wanted = [element for endpoint in ours for element in elements(endpoint)]
        gone = [element for element in self._elements if element not in wanted]
        new = [element for element in wanted if element not in self._elements]
        self._elements = wanted
        if not self._table.name or not (gone or new):
            return
        try:
            self._nftables = self._nftables or Nftables()
            if new:
                self._nftables.commit([self._table.add(name, key) for name, key in new])
            for name, key in gone:
                self._nftables.commit([self._table.remove(name, key)])
        except OSError:
            pass  # a kernel that can't filter bridges, or flushed rules: the next start of any makes them again

    def forget_rules(self) -> None:
        """What the firewall was told is lost: watch() tells it anew."""
        self._elements = []

    def close(self) -> None:
        """The container is gone, and its interfaces."""
        self.watch(())
        if self._nftables:
            self._nftables.leave_open()
            self._nftables = None
