"""rtnetlink: links, addresses and routes of one network namespace, by messages of our own making.

A message is `nlmsghdr`, a fixed header of its family, then attributes (rtnetlink(7)). Functions here give
messages as bytes; a socket sends any number of them at once and waits for their acknowledgements.
A socket stays in the network namespace it was made in, wherever its process goes.
"""

from __future__ import annotations

import _socket
import errno
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

AF_INET, AF_INET6 = 2, 10
_NETLINK_ROUTE = 0
_REQUEST, _ACK, _EXCL, _CREATE, _DUMP = 0x1, 0x4, 0x200, 0x400, 0x300
_ERROR, _DONE = 2, 3
_NEWLINK, _DELLINK, _GETLINK, _SETLINK = 16, 17, 18, 19
_NEWADDR, _DELADDR, _NEWROUTE = 20, 21, 24
_GETSTATS, _STATS_LINK_64 = 94, 1
_RECEIVE_BYTES = 1 << 17
_IFF_UP = 1
LONGEST_NAME = 15
"""IFNAMSIZ without its end."""

# attributes of links (linux/if_link.h)
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_MASTER, _IFLA_LINKINFO = 1, 3, 4, 5, 10, 18
_IFLA_IFALIAS, _IFLA_NET_NS_FD = 20, 28
_INFO_KIND, _INFO_DATA = 1, 2
_VETH_INFO_PEER = 1
_MACVLAN_MODE = 1
_IFLA_PROTINFO, _IFLA_BRPORT_ISOLATED, _AF_BRIDGE = 12, 33, 7
_NESTED, _KIND = 0x8000, 0x3FFF

# of addresses and routes
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_IFA_F_NODAD = 0x02
_RTA_OIF, _RTA_GATEWAY = 4, 5
_RT_TABLE_MAIN, _RTPROT_BOOT, _RT_SCOPE_UNIVERSE, _RTN_UNICAST = 254, 3, 0, 1

MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}

_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=8BI")


class Link(NamedTuple):
    """An interface as the kernel tells it."""

    number: int
    name: str
    alias: str
    master: int
    mtu: int
    is_up: bool
    kind: str
    """veth, bridge, macvlan …; empty for hardware."""
    mac: str


class Traffic(NamedTuple):
    """What went through an interface since it was made."""

    received_bytes: int = 0
    sent_bytes: int = 0
    received_packets: int = 0
    sent_packets: int = 0
    dropped: int = 0
    """Of either direction."""


def attribute(kind: int, data: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return struct.pack("=HH", len(data) + 4, kind) + data + b"\0" * (-len(data) % 4)


def _text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def _mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def message(kind: int, flags: int, body: bytes) -> bytes:
    """A whole message; its number is filled in when it is sent."""
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 0, 0) + body


def _link_message(kind: int, flags: int, body: bytes, *, index: int = 0, up: bool | None = None) -> bytes:
    wanted = 0 if up is None else _IFF_UP
    head = _LINK.pack(0, 0, index, _IFF_UP if up else 0, wanted)
    return message(kind, _REQUEST | _ACK | flags, head + body)


def new_veth(name: str, peer: str, *, namespace: int, master: int, mtu: int, mac: str) -> bytes:
    """A pair: `name` here, up and on a bridge, `peer` in the namespace that a descriptor names."""
    inner = _LINK.pack(0, 0, 0, 0, 0) + _text(_IFLA_IFNAME, peer) + _number(_IFLA_MTU, mtu)
    inner += attribute(_IFLA_ADDRESS, _mac_bytes(mac)) + _number(_IFLA_NET_NS_FD, namespace)
    info = _text(_INFO_KIND, "veth") + attribute(_INFO_DATA, attribute(_VETH_INFO_PEER, inner))
    body = _text(_IFLA_IFNAME, name) + _number(_IFLA_MTU, mtu) + _number(_IFLA_MASTER, master)
    body += attribute(_IFLA_LINKINFO, info)
    return _link_message(_NEWLINK, _CREATE | _EXCL, body, up=True)


def new_macvlan(name: str, *, parent: int, namespace: int, mode: str, mtu: int, mac: str) -> bytes:
    """An interface in the namespace that a descriptor names, on a parent of this one."""
    info = _text(_INFO_KIND, "macvlan") + attribute(_INFO_DATA, _number(_MACVLAN_MODE, MACVLAN_MODES[mode]))
    body = _text(_IFLA_IFNAME, name) + (_number(_IFLA_MTU, mtu) if mtu else b"") + _number(_IFLA_LINK, parent)
    body += attribute(_IFLA_ADDRESS, _mac_bytes(mac)) + _number(_IFLA_NET_NS_FD, namespace)
    body += attribute(_IFLA_LINKINFO, info)
    return _link_message(_NEWLINK, _CREATE | _EXCL, body)


def set_up(index: int) -> bytes:
    """Let it work."""
    return _link_message(_SETLINK, 0, b"", index=index, up=True)


def set_alias(name: str, alias: str) -> bytes:
    """A line of text for people, and for who looks whose it is; at most 255 bytes. No interface is made with one."""
    return _link_message(_SETLINK, 0, _text(_IFLA_IFNAME, name) + _text(_IFLA_IFALIAS, alias))


def isolate_port(number: int) -> bytes:
    """A bridge's port that reaches no other such port of it."""
    body = _LINK.pack(_AF_BRIDGE, 0, number, 0, 0)
    body += attribute(_IFLA_PROTINFO | _NESTED, attribute(_IFLA_BRPORT_ISOLATED, b"\1"))
    return message(_SETLINK, _REQUEST | _ACK, body)


def delete_link(name: str) -> bytes:
    """Take an interface away, a veth's other end with it."""
    return _link_message(_DELLINK, 0, _text(_IFLA_IFNAME, name))


def add_address(index: int, address: str, prefix_length: int) -> bytes:
    """An address of an interface; usable at once (nobody else can have it: it was claimed)."""
    family, packed = _packed(address)
    flags = _IFA_F_NODAD if family == AF_INET6 else 0
    body = _ADDRESS.pack(family, prefix_length, flags, 0, index)
    body += attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
    if family == AF_INET and prefix_length < 31:
        every = (1 << 32 - prefix_length) - 1
        body += attribute(_IFA_BROADCAST, struct.pack(">I", int.from_bytes(packed, "big") | every))
    return message(_NEWADDR, _REQUEST | _ACK | _CREATE | _EXCL, body)


def delete_address(index: int, address: str, prefix_length: int) -> bytes:
    """Take one back, and the routes by it."""
    family, packed = _packed(address)
    body = _ADDRESS.pack(family, prefix_length, 0, 0, index) + attribute(_IFA_LOCAL, packed)
    return message(_DELADDR, _REQUEST | _ACK, body)


def add_default_route(index: int, gateway: str) -> bytes:
    """Everything that has no better way goes by a gateway."""
    family, packed = _packed(gateway)
    body = _ROUTE.pack(family, 0, 0, 0, _RT_TABLE_MAIN, _RTPROT_BOOT, _RT_SCOPE_UNIVERSE, _RTN_UNICAST, 0)
    body += attribute(_RTA_GATEWAY, packed) + _number(_RTA_OIF, index)
    return message(_NEWROUTE, _REQUEST | _ACK | _CREATE | _EXCL, body)


def _packed(address: str) -> tuple[int, bytes]:
    family = AF_INET6 if ":" in address else AF_INET
    return family, _socket.inet_pton(family, address)


class Netlink:
    """A socket of the network namespace that the process is in. For one thread."""

    def __init__(self) -> None:
        kind = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC
        self._socket = _socket.socket(_socket.AF_NETLINK, kind, _NETLINK_ROUTE)
        self._number = 0

    def close(self) -> None:
        """Let go of it."""
        self._socket.close()

    def ask(self, *messages: bytes) -> None:
        """Send messages together; the kernel does them in order, each whatever became of those before it.

        Raises: OSError: of the first that failed, once all are done.
        """
        first = self._number + 1
        numbered = []
        for each in messages:
            self._number += 1
            numbered.append(each[:8] + struct.pack("=I", self._number) + each[12:])
        self._socket.send(b"".join(numbered))
        left, failed = len(messages), 0
        while left:
            for kind, number, body in split_packet(self._socket.recv(_RECEIVE_BYTES)):
                if number < first or kind != _ERROR:
                    continue
                left -= 1
                failed = failed or -int(struct.unpack_from("=i", body)[0])
        if failed:
            raise OSError(failed, os.strerror(failed))

    def link(self, name: str) -> Link | None:
        """An interface by its name; None if there is none."""
        if len(name.encode()) > LONGEST_NAME:
            return None
        found = self._answers(_link_message(_GETLINK, 0, _text(_IFLA_IFNAME, name)), dump=False)
        try:
            return _link(next(found))
        except OSError as error:
            if error.errno in (errno.ENODEV, errno.ENOENT):
                return None
            raise

    def links(self) -> list[Link]:
        """All interfaces."""
        body = _LINK.pack(0, 0, 0, 0, 0)
        return [_link(each) for each in self._answers(message(_GETLINK, _REQUEST | _DUMP, body), dump=True)]

    def traffic(self) -> dict[int, Traffic]:
        """What went through every interface, by its number; a light question (IFLA_STATS_LINK_64 alone)."""
        head = struct.pack("=BBHII", 0, 0, 0, 0, 1 << _STATS_LINK_64 - 1)
        found = {}
        for body in self._answers(message(_GETSTATS, _REQUEST | _DUMP, head), dump=True):
            counters = dict(attributes(body, 12)).get(_STATS_LINK_64, b"")
            if len(counters) >= 64:
                found[int(struct.unpack_from("=I", body, 4)[0])] = _traffic(counters)
        return found

    def _answers(self, request: bytes, *, dump: bool) -> Iterator[bytes]:
        self._number += 1
        self._socket.send(request[:8] + struct.pack("=I", self._number) + request[12:])
        while True:
            for kind, number, body in split_packet(self._socket.recv(_RECEIVE_BYTES)):
                if number != self._number:
                    continue
                if kind == _DONE:
                    return
                if kind != _ERROR:
                    yield body
                    continue
                if code := -int(struct.unpack_from("=i", body)[0]):
                    raise OSError(code, os.strerror(code))
                if not dump:
                    return


def split_packet(packet: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Messages of a packet, of any netlink family: kind, number, body."""
    offset = 0
    while offset + _HEADER.size <= len(packet):
        length, kind, _, number, _ = _HEADER.unpack_from(packet, offset)
        if length < _HEADER.size:
            return
        yield kind, number, packet[offset + _HEADER.size : offset + length]
        offset += length + 3 & ~3


def attributes(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Kind (without the marks of nesting and byte order) and content of each."""
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            return
        yield kind & _KIND, data[offset + 4 : offset + length]
        offset += length + 3 & ~3


def _link(body: bytes) -> Link:
    _, _, index, flags, _ = _LINK.unpack_from(body)
    found = dict(attributes(body, _LINK.size))
    info = dict(attributes(found.get(_IFLA_LINKINFO, b"")))
    return Link(
        number=index,
        name=_string(found.get(_IFLA_IFNAME, b"")),
        alias=_string(found.get(_IFLA_IFALIAS, b"")),
        master=_int(found.get(_IFLA_MASTER, b"")),
        mtu=_int(found.get(_IFLA_MTU, b"")),
        is_up=bool(flags & _IFF_UP),
        kind=_string(info.get(_INFO_KIND, b"")),
        mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
    )


def _traffic(counters: bytes) -> Traffic:
    """struct rtnl_link_stats64 begins with packets, bytes, errors and drops, of both directions."""
    received_packets, sent_packets, received_bytes, sent_bytes, _, _, lost_in, lost_out = struct.unpack_from(
        "=8Q", counters
    )
    return Traffic(received_bytes, sent_bytes, received_packets, sent_packets, lost_in + lost_out)


def _string(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")


def _int(data: bytes) -> int:
    return int(struct.unpack_from("=I", data)[0]) if len(data) >= 4 else 0
