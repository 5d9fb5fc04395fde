"""The rules on bridges that hold containers to their own addresses: see core.monitor.guard."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

from core.linux import nftables as nft
from core.linux.nftables import BRIDGE, Nftables, Table
from core.monitor.guard import GUARDED, SENDERS, SOURCES4, SOURCES6

_ARP, _IPV4, _IPV6 = b"\x08\x06", b"\x08\x00", b"\x86\xdd"
_HOP_BY_HOP, _ROUTING, _DESTINATION, _ICMP = 0, 43, 60, 58
_ROUTER_ADVERTISEMENT, _ADVERTISEMENT, _REDIRECT, _MULTICAST_REPORT = 134, 136, 137, 143
_JUDGED = "judged"
_WORDS_OF_A_NAME = nft.INTERFACE.length // 4


def skeleton(tag: str) -> Iterator[bytes]:
    """A table beside the engine's other one, of the same name."""
    table = Table(BRIDGE, tag)
    yield table.make()
    yield table.set(GUARDED, (nft.INTERFACE,), number=1)
    kinds = ((SENDERS, nft.LINK_ADDRESS), (SOURCES4, nft.IPV4_ADDRESS), (SOURCES6, nft.IPV6_ADDRESS))
    for number, (name, kind) in enumerate(kinds, 2):
        yield table.set(name, (nft.INTERFACE, kind), number=number)
    yield table.chain(_JUDGED)
    yield table.chain("prerouting", "filter", "prerouting", nft.RAW)
    yield table.rule("prerouting", nft.meta(nft.IIFNAME), nft.is_in(GUARDED), nft.jump(_JUDGED))
    for rule in _rules():
        yield table.rule(_JUDGED, *rule)


def _rules() -> Iterator[tuple[bytes, ...]]:
    accept, drop = nft.verdict(nft.ACCEPT), nft.verdict(nft.DROP)
    yield _claim(nft.LINK_HEADER, 6, 6), nft.is_not_in(SENDERS), drop
    yield _is(_ARP), _claim(nft.NETWORK_HEADER, 8, 6), nft.is_not_in(SENDERS), drop
    yield _is(_ARP), _claim(nft.NETWORK_HEADER, 14, 4), nft.is_in(SOURCES4), accept
    yield _is(_IPV4), _claim(nft.NETWORK_HEADER, 12, 4), nft.is_in(SOURCES4), accept
    # neighbour discovery's answers, also behind headers that would hide them
    target = nft.NETWORK_HEADER, 48, 16
    answer = _is(_IPV6) + _has(6, _ICMP) + _has(40, _ADVERTISEMENT)
    yield answer, _link_local(48, nft.differs), _claim(*target), nft.is_not_in(SOURCES6), drop
    yield _is(_IPV6), _has(6, _ROUTING), drop
    yield _is(_IPV6), _has(6, _DESTINATION), drop
    not_a_report = nft.payload(nft.NETWORK_HEADER, 48, 1) + nft.differs(bytes([_MULTICAST_REPORT]))
    yield _is(_IPV6), _has(6, _HOP_BY_HOP), not_a_report, drop
    yield _is(_IPV6), _has(6, _HOP_BY_HOP), nft.payload(nft.NETWORK_HEADER, 41, 1) + nft.differs(b"\0"), drop
    for routes in (_ROUTER_ADVERTISEMENT, _REDIRECT):  # the host alone says where its networks' routes lead
        yield _is(_IPV6), _has(6, _ICMP), _has(40, routes), drop
    yield _is(_IPV6), _claim(nft.NETWORK_HEADER, 8, 16), nft.is_in(SOURCES6), accept
    yield _is(_IPV6), _link_local(8, nft.equals), accept
    yield (drop,)  # and whatever else there is of frames: tagged ones, which some take for untagged


def _is(kind: bytes) -> bytes:
    return nft.payload(nft.LINK_HEADER, 12, 2) + nft.equals(kind)


def _has(offset: int, value: int) -> bytes:
    return nft.payload(nft.NETWORK_HEADER, offset, 1) + nft.equals(bytes([value]))


def _claim(base: int, offset: int, length: int) -> bytes:
    """Who it comes from, and what it says of itself."""
    return nft.meta(nft.IIFNAME) + nft.payload(base, offset, length, to=_WORDS_OF_A_NAME)


def _link_local(offset: int, compare: Callable[[bytes], bytes]) -> bytes:
    """Whether an address is one of fe80::/10."""
    loaded = nft.payload(nft.NETWORK_HEADER, offset, 2) + nft.masked(b"\xff\xc0")
    return loaded + compare(b"\xfe\x80")


def leftovers(nftables: Nftables, tag: str) -> list[bytes]:
    """Messages that remove what is said of interfaces that are no more. Raises: OSError."""
    table = Table(BRIDGE, tag)
    names = {name for _, name in socket.if_nameindex()}
    found = []
    for known in (GUARDED, SENDERS, SOURCES4, SOURCES6):
        try:
            keys = nftables.elements(table, known)
        except FileNotFoundError:
            continue
        for key in keys:
            if key[: nft.INTERFACE.length].rstrip(b"\0").decode() not in names:
                found.append(table.remove(known, key))
    return found
