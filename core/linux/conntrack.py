"""Connections that the kernel remembers, and with them where their packets are led to.

Source: include/uapi/linux/netfilter/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Collection, Iterator

from core.linux.netlink import attribute, attributes, split_packet

_NETLINK_NETFILTER = 12
_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_NESTED = 0x8000
_TUPLE_ORIGINAL, _TUPLE_REPLY, _ZONE, _FILTER = 1, 2, 18, 25
_TUPLE_IP, _TUPLE_PROTOCOL = 1, 2
_IPV4_SOURCE, _IPV6_SOURCE = 1, 3
_PROTOCOL_NUMBER, _SOURCE_PORT = 1, 2
_FILTER_ORIGINAL, _FILTER_REPLY = 1, 2
_BY_PROTOCOL = 1 << 3
_HEADER = struct.Struct("=IHHII")
_FAMILY_BYTES = 4
"""What is before the attributes of each message."""
_RECEIVE_BYTES = 1 << 16
_ANSWER_WAIT_S = 5.0


def forget(protocol: int, address: str, ports: Collection[int]) -> None:
    """Forget all connections that an address answers from some ports, whatever they were sent to.

    The kernel is asked for the protocol's alone, and addresses are compared here: its own comparison of IPv6 addresses
    takes all but the one asked for. Raises: OSError: it remembers no connections, or does not let us.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    source = (_IPV6_SOURCE if family == socket.AF_INET6 else _IPV4_SOURCE, socket.inet_pton(family, address))
    answers = attribute(_TUPLE_PROTOCOL | _NESTED, attribute(_PROTOCOL_NUMBER, bytes([protocol])))
    by = _number(_FILTER_ORIGINAL, 0) + _number(_FILTER_REPLY, _BY_PROTOCOL)
    body = attribute(_TUPLE_REPLY | _NESTED, answers) + attribute(_FILTER | _NESTED, by)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as kernel:
        kernel.settimeout(_ANSWER_WAIT_S)
        for found in list(_asked(kernel, _GET, _DUMP, family, body)):
            connection = dict(attributes(found))
            reply = dict(attributes(connection.get(_TUPLE_REPLY, b"")))
            ends = dict(attributes(reply.get(_TUPLE_IP, b"")))
            said = dict(attributes(reply.get(_TUPLE_PROTOCOL, b"")))
            is_ours = said.get(_PROTOCOL_NUMBER) == bytes([protocol]) and ends.get(source[0]) == source[1]
            if is_ours and int.from_bytes(said.get(_SOURCE_PORT, b""), "big") in ports:
                which = attribute(_TUPLE_ORIGINAL | _NESTED, connection[_TUPLE_ORIGINAL])
                which += attribute(_ZONE, connection[_ZONE]) if _ZONE in connection else b""
                try:
                    list(_asked(kernel, _DELETE, _ACK, family, which))
                except FileNotFoundError:
                    pass  # it has just ended by itself


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def _asked(kernel: socket.socket, kind: int, flags: int, family: int, body: bytes) -> Iterator[bytes]:
    """Attributes of each answer. Raises: OSError."""
    whole = struct.pack("=BBH", family, 0, 0) + body
    kernel.send(_HEADER.pack(_HEADER.size + len(whole), kind, _REQUEST | flags, 1, 0) + whole)
    while True:
        for answer, _, found in split_packet(kernel.recv(_RECEIVE_BYTES)):
            if answer in (_ERROR, _DONE):
                if code := -struct.unpack_from("=i", found)[0]:
                    raise OSError(code, f"conntrack: {os.strerror(code)}")
                return
            yield found[_FAMILY_BYTES:]
