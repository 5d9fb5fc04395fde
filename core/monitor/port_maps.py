"""Published ports as elements of maps in the firewall's table: one element is one port.

published4, published6        protocol · port            ▶ container's address · port
published4_at, published6_at  protocol · address · port  ▶ container's address · port

The rules that read them are made with the table (core.network.nft_rules); a monitor only adds and
removes elements, so that a start or an end is one message.
"""

from __future__ import annotations

import _socket as socket  # the library around it takes 2 ms to import, of every start
import errno
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from core.linux import conntrack
from core.linux.nftables import IPV4_ADDRESS, IPV6_ADDRESS, PORT, PROTOCOL, Kind, Nftables, Table, joined

EVERYWHERE = ("0.0.0.0", "::")
_TOGETHER = 500
_IN_THE_WAY = (errno.EEXIST, errno.EBUSY)
PROTOCOL_NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}
_PROTOCOL_NAMES = {number: name for name, number in PROTOCOL_NUMBERS.items()}


class PortMap(NamedTuple):
    """One of the maps."""

    name: str
    is_ipv6: bool
    has_host_address: bool

    @property
    def address(self) -> Kind:
        """The type of its addresses."""
        return IPV6_ADDRESS if self.is_ipv6 else IPV4_ADDRESS

    @property
    def key(self) -> tuple[Kind, ...]:
        """What is looked up."""
        return (PROTOCOL, self.address, PORT) if self.has_host_address else (PROTOCOL, PORT)

    @property
    def data(self) -> tuple[Kind, ...]:
        """What is found."""
        return (self.address, PORT)


PORT_MAPS = (
    PortMap("published4_at", is_ipv6=False, has_host_address=True),
    PortMap("published4", is_ipv6=False, has_host_address=False),
    PortMap("published6_at", is_ipv6=True, has_host_address=True),
    PortMap("published6", is_ipv6=True, has_host_address=False),
)
"""In the order they are asked: a port at one address goes before the same port everywhere."""


class Mapping(NamedTuple):
    """A host's port, and where in a container it leads; both addresses are of one family."""

    protocol: str
    host_ip: str
    """0.0.0.0 and :: are every address of a family."""
    host_port: int
    address: str
    port: int

    @property
    def map(self) -> PortMap:
        """Where it belongs."""
        has_host_address = self.host_ip not in EVERYWHERE
        wanted = (":" in self.address, has_host_address)
        return next(one for one in PORT_MAPS if (one.is_ipv6, one.has_host_address) == wanted)

    @property
    def key(self) -> bytes:
        """As registers hold it."""
        protocol, port = bytes([PROTOCOL_NUMBERS[self.protocol]]), self.host_port.to_bytes(2, "big")
        if self.host_ip in EVERYWHERE:
            return joined(protocol, port)
        return joined(protocol, _packed(self.host_ip), port)

    @property
    def data(self) -> bytes:
        """As registers hold it."""
        return joined(_packed(self.address), self.port.to_bytes(2, "big"))


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def _text(packed: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET6 if len(packed) == 16 else socket.AF_INET, packed)


def add(nftables: Nftables, table: Table, mappings: Iterable[Mapping]) -> None:
    """Let ports lead into a container; what a killed monitor left at the same place is replaced.

    Raises: OSError; ENOENT: the table does not stand.
    """
    for some in _batches(mappings):
        _add_together(nftables, table, some)


def _batches(mappings: Iterable[Mapping]) -> Iterator[tuple[Mapping, ...]]:
    """So many that a socket's buffer takes them, by what kernels allow it when nobody has set it higher."""
    left = tuple(mappings)
    for at in range(0, len(left), _TOGETHER):
        yield left[at : at + _TOGETHER]


def _add_together(nftables: Nftables, table: Table, mappings: Sequence[Mapping]) -> None:
    messages = {mapping: table.add(mapping.map.name, mapping.key, mapping.data) for mapping in mappings}
    try:
        nftables.commit([*messages.values()])
        return
    except OSError as error:
        if error.errno not in _IN_THE_WAY:
            raise
    for mapping, message in messages.items():
        try:
            nftables.commit([message])
        except OSError as error:
            if error.errno not in _IN_THE_WAY:
                raise
            nftables.commit([table.remove(mapping.map.name, mapping.key), message])


def remove(nftables: Nftables, table: Table, mappings: Iterable[Mapping]) -> None:
    """Let them lead nowhere; the ones that lead there no more are left alone. Raises: OSError."""
    for mapping in mappings:
        # each is asked for by itself: of all that there are, some are left out where others change them meanwhile
        length = mapping.map.address.length + 2
        if (nftables.element(table, mapping.map.name, mapping.key) or b"")[:length] != mapping.data[:length]:
            continue
        try:
            nftables.commit([table.remove(mapping.map.name, mapping.key)])
        except FileNotFoundError:
            pass  # gone with the table in this moment
        if mapping.protocol == "udp":
            _forget(mapping)


def _forget(mapping: Mapping) -> None:
    """Who goes on sending to a UDP port would go on being led to a container that has left it."""
    try:
        conntrack.forget(PROTOCOL_NUMBERS["udp"], mapping.address, {mapping.port})
    except OSError:
        pass  # a kernel that tells nobody of its connections: they end by themselves, half a minute after a last packet


def read(nftables: Nftables, table: Table) -> list[Mapping]:
    """All that lead anywhere just now; none where the table does not stand. Raises: OSError."""
    found = []
    for one in PORT_MAPS:
        width = one.address.length
        try:
            elements = nftables.elements(table, one.name)
        except FileNotFoundError:
            continue
        for key, data in elements.items():
            address = _text(key[4 : 4 + width]) if one.has_host_address else EVERYWHERE[one.is_ipv6]
            port = int.from_bytes(key[4 + width :][:2] if one.has_host_address else key[4:6], "big")
            protocol = _PROTOCOL_NAMES.get(key[0], str(key[0]))
            inside = int.from_bytes(data[width : width + 2], "big")
            found.append(Mapping(protocol, address, port, _text(data[:width]), inside))
    return found
