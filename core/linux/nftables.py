"""nf_tables: tables, sets, chains and rules of the network namespace that a socket was made in.

What changes together goes in one batch (NFNL_MSG_BATCH_BEGIN … END), which the kernel takes as a whole
or not at all. A rule is a row of expressions working on registers; `nft --debug=netlink` shows the same
rows. Source: include/uapi/linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import _socket as socket  # the library around it takes 2 ms to import, of every start
import errno
import os
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from core.linux.netlink import attribute, attributes, split_packet

INET, IPV4, BRIDGE, IPV6 = 1, 2, 7, 10
"""Families of tables: both kinds of addresses, or one of them, or frames on bridges (NFPROTO_*)."""

_NETLINK_NETFILTER = 12
_REQUEST, _ACK, _DUMP, _CREATE = 0x1, 0x4, 0x300, 0x400
_ERROR, _DONE = 2, 3
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_SUBSYSTEM = 10
_NEW_TABLE, _GET_TABLE, _DELETE_TABLE, _NEW_CHAIN, _GET_CHAIN = 0, 1, 2, 3, 4
_NEW_RULE, _GET_RULE = 6, 7
_NEW_SET, _NEW_ELEMENTS, _GET_ELEMENTS, _DELETE_ELEMENTS, _GET_GENERATION = 9, 12, 13, 14, 16
_NESTED = 0x8000
_RECEIVE_BYTES = 1 << 16
_SEND_BUFFER_BYTES = 1 << 20
_HEADER = struct.Struct("=IHHII")
_ANSWER_WAIT_S = 10.0

HOOKS = {"prerouting": 0, "input": 1, "forward": 2, "output": 3, "postrouting": 4}
RAW, DESTINATION_NAT, FILTER, SOURCE_NAT = -300, -100, 0, 100
"""Priorities, as nft names them: raw, dstnat, filter, srcnat."""

DROP, ACCEPT = 0, 1
RETURN = -5
_JUMP = -3

IIFNAME, OIFNAME, NFPROTO, L4PROTO = 6, 7, 15, 16
"""What meta() loads."""
LINK_HEADER, NETWORK_HEADER, TRANSPORT_HEADER = 0, 1, 2
ESTABLISHED_OR_RELATED = 0x6
_CT_STATE, _CT_STATUS = 0, 2
_CT_STATUS_DNAT = 0x20
_FIB_SOURCE, _FIB_DESTINATION, _FIB_IIF, _FIB_PRESENT = 1, 2, 8, 32
_FIB_RESULT_OIF, _FIB_RESULT_TYPE = 1, 3
UNICAST, LOCAL = 1, 2
"""Types of addresses: RTN_UNICAST, RTN_LOCAL."""
_HOST_BYTE_ORDER = struct.pack("=BBI", 0, 4, 1)
"""A note of the nft tool's, so that it shows names of interfaces the right way round."""
_MAP_FLAG, _CONCATENATION_FLAG = 0x8, 0x80


class Kind(NamedTuple):
    """A type of data: the number that the nft tool knows it by, and its length."""

    number: int
    length: int


IPV4_ADDRESS, IPV6_ADDRESS = Kind(7, 4), Kind(8, 16)
LINK_ADDRESS, PROTOCOL, PORT, INTERFACE = Kind(9, 6), Kind(12, 1), Kind(13, 2), Kind(41, 16)


def _nested(kind: int, *parts: bytes) -> bytes:
    return attribute(kind | _NESTED, b"".join(parts))


def _text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">i" if value < 0 else ">I", value))


def _value(kind: int, data: bytes) -> bytes:
    """nft_data that holds bytes."""
    return _nested(kind, attribute(1, data))


# ── expressions ────────────────────────────────────────────────────────────────────────────────
# Registers are numbered by words of four bytes, 0 to 15 (NFT_REG32_00 and so on).


def _register(word: int) -> int:
    return word + 8


def _expression(name: str, *parts: bytes) -> bytes:
    return _nested(1, _text(1, name), _nested(2, *parts))


def meta(key: int, *, to: int = 0) -> bytes:
    """Load a fact of the packet."""
    return _expression("meta", _number(2, key), _number(1, _register(to)))


def payload(base: int, offset: int, length: int, *, to: int = 0) -> bytes:
    """Load bytes of a header."""
    return _expression("payload", _number(1, _register(to)), _number(2, base), _number(3, offset), _number(4, length))


def equals(data: bytes, *, register: int = 0) -> bytes:
    """Go on only if a register holds this."""
    return _expression("cmp", _number(1, _register(register)), _number(2, 0), _value(3, data))


def differs(data: bytes, *, register: int = 0) -> bytes:
    """Go on only if a register does not hold this."""
    return _expression("cmp", _number(1, _register(register)), _number(2, 1), _value(3, data))


def is_in(name: str, *, register: int = 0) -> bytes:
    """Go on only if what begins at a register is in a set."""
    return _expression("lookup", _text(1, name), _number(2, _register(register)))


def is_not_in(name: str, *, register: int = 0) -> bytes:
    """Go on only if it is in no such set."""
    return _expression("lookup", _text(1, name), _number(2, _register(register)), _number(5, 1))


def mapped(name: str, *, register: int = 0, to: int = 0) -> bytes:
    """Go on only if a map has it, with what the map says."""
    return _expression("lookup", _text(1, name), _number(2, _register(register)), _number(3, _register(to)))


def masked(mask: bytes) -> bytes:
    """Leave only these bits of the first register."""
    word = _number(1, _register(0)) + _number(2, _register(0)) + _number(3, len(mask))
    return _expression("bitwise", word, _value(4, mask), _value(5, bytes(len(mask))))


def _any_bit(key: int, mask: int) -> bytes:
    loaded = _expression("ct", _number(2, key), _number(1, _register(0)))
    return loaded + masked(struct.pack("=I", mask)) + differs(bytes(4))


def has_state(states: int) -> bytes:
    """Go on only if its connection is in one of these states."""
    return _any_bit(_CT_STATE, states)


def is_redirected() -> bytes:
    """Go on only if its connection's destination was rewritten."""
    return _any_bit(_CT_STATUS, _CT_STATUS_DNAT)


def _fib(result: int, flags: int) -> bytes:
    return _expression("fib", _number(1, _register(0)), _number(2, result), _number(3, flags))


def has_no_way_back() -> bytes:
    """Go on only if no route to its source leads where it came from."""
    return _fib(_FIB_RESULT_OIF, _FIB_SOURCE | _FIB_IIF | _FIB_PRESENT) + equals(bytes(4))


def goes_to(kind: int, *, of_its_interface: bool = False) -> bytes:
    """Go on only if its destination is of a type, for the whole host or for the interface it came by."""
    flags = _FIB_DESTINATION | (_FIB_IIF if of_its_interface else 0)
    return _fib(_FIB_RESULT_TYPE, flags) + equals(struct.pack("=I", kind))


def redirect(family: int, *, address: int, port: int) -> bytes:
    """Rewrite the destination, by registers that hold an address and a port."""
    words = _number(1, 1) + _number(2, family) + _number(3, _register(address)) + _number(5, _register(port))
    return _expression("nat", words)


def masquerade() -> bytes:
    """Rewrite the source to the address of the interface it goes out by."""
    return _expression("masq")


def load(data: bytes, *, to: int) -> bytes:
    """Put bytes into a register."""
    return _expression("immediate", _number(1, _register(to)), _value(2, data))


def verdict(code: int) -> bytes:
    """The end of a rule: DROP, ACCEPT, RETURN."""
    return _verdict(_number(1, code))


def jump(chain: str) -> bytes:
    """Go on in another chain, and come back."""
    return _verdict(_number(1, _JUMP) + _text(2, chain))


def _verdict(data: bytes) -> bytes:
    return _expression("immediate", _number(1, 0), _nested(2, _nested(2, data)))


def joined(*parts: bytes) -> bytes:
    """A key or value of several parts, each padded to whole registers."""
    return b"".join(part + b"\0" * (-len(part) % 4) for part in parts)


def interface(name: str) -> bytes:
    """An interface's name as registers hold it."""
    return name.encode().ljust(INTERFACE.length, b"\0")


# ── messages ───────────────────────────────────────────────────────────────────────────────────


class Table:
    """A table by its name, and the messages about what is in it. They take effect in commit()."""

    def __init__(self, family: int, name: str) -> None:
        self.family = family
        self.name = name

    def _message(self, kind: int, flags: int, body: bytes) -> bytes:
        whole = struct.pack("=BBH", self.family, 0, 0) + body
        return _HEADER.pack(_HEADER.size + len(whole), _SUBSYSTEM << 8 | kind, _REQUEST | flags, 0, 0) + whole

    def make(self) -> bytes:
        """The table itself; one that stands is left as it is."""
        return self._message(_NEW_TABLE, _CREATE, _text(1, self.name))

    def delete(self) -> bytes:
        """The table with all that is in it. ENOENT: there is none."""
        return self._message(_DELETE_TABLE, 0, _text(1, self.name))

    def set(self, name: str, key: Sequence[Kind], data: Sequence[Kind] = (), *, number: int) -> bytes:
        """A set, or with data a map; keys and data of several parts are concatenations.

        Args: number: of its own among the sets of a batch.
        """
        flags = (_MAP_FLAG if data else 0) | (_CONCATENATION_FLAG if len(key) > 1 else 0)
        body = _text(1, self.name) + _text(2, name) + _number(3, flags)
        body += _number(4, _type_of(key)) + _number(5, _length_of(key))
        if data:
            body += _number(6, _type_of(data)) + _number(7, _length_of(data))
        if len(key) > 1:
            fields = (_nested(1, _number(1, kind.length)) for kind in key)
            body += _nested(9, _nested(2, *fields))
        return self._message(_NEW_SET, _CREATE, body + _number(10, number) + attribute(13, _HOST_BYTE_ORDER))

    def add(self, name: str, key: bytes, data: bytes = b"") -> bytes:
        """One element of a set, or of a map. EBUSY or EEXIST: the map has the key with other data."""
        return self._message(_NEW_ELEMENTS, _CREATE, self._element(name, key, data))

    def remove(self, name: str, key: bytes) -> bytes:
        """Take one element out. ENOENT: there is none."""
        return self._message(_DELETE_ELEMENTS, 0, self._element(name, key, b""))

    def _element(self, name: str, key: bytes, data: bytes) -> bytes:
        parts = _value(1, key) + (_value(2, data) if data else b"")
        return _text(1, self.name) + _text(2, name) + _nested(3, _nested(1, parts))

    def chain(self, name: str, kind: str = "", hook: str = "", priority: int = 0) -> bytes:
        """A chain; one with a kind (filter, nat) and a hook sees packets itself; what it does not judge it accepts."""
        body = _text(1, self.name) + _text(3, name)
        if hook:
            body += _nested(4, _number(1, HOOKS[hook]), _number(2, priority)) + _text(7, kind)
        return self._message(_NEW_CHAIN, _CREATE, body)

    def rule(self, chain: str, *expressions: bytes) -> bytes:
        """A rule at a chain's end."""
        body = _text(1, self.name) + _text(2, chain) + _nested(4, *expressions)
        return self._message(_NEW_RULE, _CREATE | 0x800, body)


def _type_of(kinds: Sequence[Kind]) -> int:
    number = 0
    for kind in kinds:
        number = number << 6 | kind.number
    return number


def _length_of(kinds: Sequence[Kind]) -> int:
    return sum(kind.length + -kind.length % 4 for kind in kinds) if len(kinds) > 1 else kinds[0].length


# ── the socket ─────────────────────────────────────────────────────────────────────────────────


_left_open: list[Nftables] = []


class Nftables:
    """A socket to nf_tables. Raises: OSError: this kernel has none."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._socket.settimeout(_ANSWER_WAIT_S)
        self._number = 0

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def leave_open(self) -> None:
        """Have the process's end close it: after a removal that waits for the kernel's grace period, some 15 ms."""
        _left_open.append(self)

    def __enter__(self) -> Nftables:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def commit(self, messages: Sequence[bytes], *, generation: int | None = None) -> None:
        """All of it, or nothing.

        Args: generation: of the rules that the messages were made for; if others have changed them since, nothing
            is done.
        Raises: OSError: the first that the kernel minded; ERESTART: the generation is another one.
        """
        begin = attribute(1, struct.pack(">I", generation)) if generation is not None else b""
        self._send(begin, messages, self._numbered(_batch_edge(_BATCH_END)))

    def check(self, messages: Sequence[bytes]) -> None:
        """Whether the kernel would take it: a batch without an end is undone. Raises: OSError: as commit()."""
        self._send(b"", messages, b"")

    def _send(self, begin: bytes, messages: Sequence[bytes], end: bytes) -> None:
        *others, last = messages
        packet = [self._numbered(_batch_edge(_BATCH_BEGIN, begin))]
        packet += [self._numbered(message) for message in others]
        packet += [self._numbered(last, _ACK), end]
        self._socket.send(b"".join(packet))
        codes = [-struct.unpack_from("=i", data)[0] for kind, _, data in self._answers() if kind == _ERROR]
        if not codes:
            raise OSError(errno.EPROTO, "nftables: the kernel did not answer")
        if failed := next(filter(None, codes), 0):
            raise OSError(failed, f"nftables: {os.strerror(failed)}")

    def _answers(self) -> Iterator[tuple[int, int, bytes]]:
        """A batch is dealt with within send(2): what is said of it waits already."""
        self._socket.setblocking(False)
        try:
            while True:
                yield from split_packet(self._socket.recv(_RECEIVE_BYTES))
        except BlockingIOError:
            self._socket.settimeout(_ANSWER_WAIT_S)

    def _numbered(self, message: bytes, flags: int = 0) -> bytes:
        """A message's own number, by which its answer is known."""
        self._number += 1
        length, kind, old, _, port = _HEADER.unpack_from(message)
        return _HEADER.pack(length, kind, old | flags, self._number, port) + message[_HEADER.size :]

    def generation(self) -> int:
        """Of all rules just now: it changes with every batch of anybody's."""
        for data in self._ask(0, _GET_GENERATION, b"", _ACK):
            for kind, value in attributes(data, 4):
                if kind == 1:
                    return int(struct.unpack(">I", value)[0])
        raise OSError(errno.EPROTO, "nftables: the kernel tells no generation")

    def has_table(self, table: Table) -> bool:
        """Whether it stands."""
        return self._is_there(table.family, _GET_TABLE, _text(1, table.name))

    def policy(self, table: Table, chain: str) -> int | None:
        """DROP or ACCEPT of a chain with a hook; None where there is no such chain."""
        try:
            for data in self._ask(table.family, _GET_CHAIN, _text(1, table.name) + _text(3, chain), _ACK):
                return next((struct.unpack(">I", value)[0] for kind, value in attributes(data, 4) if kind == 5), ACCEPT)
        except FileNotFoundError:
            pass
        return None

    def rules(self, table: Table, chain: str) -> list[bytes]:
        """A chain's rules as the kernel tells them; none where there is no such chain."""
        try:
            return list(self._ask(table.family, _GET_RULE, _text(1, table.name) + _text(2, chain), _DUMP))
        except FileNotFoundError:
            return []

    def _is_there(self, family: int, kind: int, body: bytes) -> bool:
        try:
            return bool(list(self._ask(family, kind, body, _ACK)))
        except FileNotFoundError:
            return False

    def tables(self, family: int) -> list[str]:
        """Names of all tables of a family."""
        found = []
        for data in self._ask(family, _GET_TABLE, b"", _DUMP):
            found += [value.rstrip(b"\0").decode() for kind, value in attributes(data, 4) if kind == 1]
        return found

    def has_element(self, table: Table, name: str, key: bytes) -> bool:
        """Whether a set that stands has it."""
        body = _text(1, table.name) + _text(2, name) + _nested(3, _nested(1, _value(1, key)))
        return self._is_there(table.family, _GET_ELEMENTS, body)

    def element(self, table: Table, name: str, key: bytes) -> bytes | None:
        """What a map says of one key; None: nothing, or there is no such map."""
        body = _text(1, table.name) + _text(2, name) + _nested(3, _nested(1, _value(1, key)))
        try:
            for data in self._ask(table.family, _GET_ELEMENTS, body, _ACK):
                for kind, value in attributes(data, 4):
                    if kind == 3:
                        return next(_element(inner)[1] for _, inner in attributes(value))
        except FileNotFoundError:
            pass
        return None

    def elements(self, table: Table, name: str) -> dict[bytes, bytes]:
        """What a set or map holds, as bytes of registers. Raises: FileNotFoundError: there is no such set."""
        body = _text(1, table.name) + _text(2, name)
        found: dict[bytes, bytes] = {}
        for data in self._ask(table.family, _GET_ELEMENTS, body, _DUMP):
            for kind, value in attributes(data, 4):
                if kind == 3:
                    found.update(_element(inner) for _, inner in attributes(value))
        return found

    def _ask(self, family: int, kind: int, body: bytes, flags: int) -> Iterator[bytes]:
        """Bodies of the messages that answer a question. Raises: OSError."""
        whole = struct.pack("=BBH", family, 0, 0) + body
        header = _HEADER.pack(_HEADER.size + len(whole), _SUBSYSTEM << 8 | kind, _REQUEST | flags, 0, 0)
        self._socket.send(self._numbered(header + whole))
        answers: list[bytes] = []
        while True:
            for answer, number, data in split_packet(self._socket.recv(_RECEIVE_BYTES)):
                if number != self._number:
                    continue
                if answer in (_ERROR, _DONE):
                    code = -struct.unpack_from("=i", data)[0] if len(data) >= 4 else 0
                    if code:
                        raise OSError(code, f"nftables: {os.strerror(code)}")
                    return iter(answers)
                answers.append(data)


def _batch_edge(kind: int, body: bytes = b"") -> bytes:
    whole = struct.pack(">BBH", 0, 0, _SUBSYSTEM) + body
    return _HEADER.pack(_HEADER.size + len(whole), kind, _REQUEST, 0, 0) + whole


def _element(data: bytes) -> tuple[bytes, bytes]:
    found = {kind: value for kind, value in attributes(data) if kind in (1, 2)}
    inner = {kind: next(attributes(value))[1] for kind, value in found.items()}
    return inner.get(1, b""), inner.get(2, b"")
