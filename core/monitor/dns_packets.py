"""DNS messages (RFC 1035): reading a question, writing an answer. Bytes come from anybody.

header 12 bytes │ question: name, type, class │ records … │ OPT record (RFC 6891): how much the asker takes by UDP
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

A, PTR, AAAA, OPT = 1, 12, 28, 41
INTERNET, ANY_CLASS = 1, 255
FINE, MALFORMED, FAILED, UNKNOWN_NAME, NOT_DONE, REFUSED = 0, 1, 2, 3, 4, 5
"""Response codes."""
TTL_S = 600
HEADER_BYTES = 12
UDP_BYTES = 512
_UDP_MOST_BYTES = 4096
_NAME_MOST_BYTES = 255
_LABEL_MOST_BYTES = 63
_IS_ANSWER, _IS_TRUNCATED, _WANTS_RECURSION, _HAS_RECURSION = 0x8000, 0x0200, 0x0100, 0x0080
_OPERATION = 0x7800
_TO_QUESTION = b"\xc0\x0c"
"""A pointer to the first name of a message."""
_HEADER = struct.Struct(">6H")


class Unanswerable(Exception):
    """Not a question at all: nothing is said."""


class Refused(Exception):
    """A question that is only answered by a code."""

    def __init__(self, answer: bytes) -> None:
        super().__init__("not a question that can be answered")
        self.answer = answer


class Question(NamedTuple):
    """What is asked."""

    number: int
    """The asker's, which the answer must carry."""
    flags: int
    name: str
    """In lower case, labels joined by dots, without the last one."""
    kind: int
    section: bytes
    """As it was sent."""
    udp_bytes: int
    has_options: bool
    is_internet: bool


def parse(packet: bytes) -> Question:
    """Read a question. Raises: Unanswerable, Refused."""
    if len(packet) < HEADER_BYTES:
        raise Unanswerable
    number, flags, questions, answers, authorities, additional = _HEADER.unpack_from(packet)
    if flags & _IS_ANSWER:
        raise Unanswerable
    if flags & _OPERATION:
        raise Refused(_message(number, flags, NOT_DONE, b"", 0, b"", 0))
    name, end = _read_name(packet)
    if questions != 1 or end < 0 or end + 4 > len(packet):
        raise Refused(_message(number, flags, MALFORMED, b"", 0, b"", 0))
    kind, of_class = struct.unpack_from(">HH", packet, end)
    has_options, size = False, UDP_BYTES
    if additional and not answers and not authorities and packet[end + 4 : end + 7] == b"\0\0\x29":
        has_options = True
        (size,) = struct.unpack_from(">H", packet[end + 7 : end + 9].ljust(2, b"\0"))
    return Question(
        number,
        flags,
        name,
        kind,
        packet[HEADER_BYTES : end + 4],
        min(max(size, UDP_BYTES), _UDP_MOST_BYTES),
        has_options,
        of_class in (INTERNET, ANY_CLASS),
    )


def _read_name(packet: bytes) -> tuple[str, int]:
    """The question's name and where it ends; -1 where it is none. Pointers have nowhere to point to here."""
    labels: list[str] = []
    position = HEADER_BYTES
    while position < len(packet):
        length = packet[position]
        if not length:
            return ".".join(labels), position + 1
        following = position + 1 + length
        if length > _LABEL_MOST_BYTES or following > len(packet) or following - HEADER_BYTES > _NAME_MOST_BYTES:
            break
        labels.append(packet[position + 1 : following].decode("latin-1").lower())
        position = following
    return "", -1


def answer(question: Question, code: int, records: Sequence[bytes] = (), *, most_bytes: int = 65535) -> bytes:
    """A whole answer; what does not fit is left out, and said to be.

    Args: records: of address() and pointer().
    """
    options = b"\0\0\x29\x10\0" + bytes(6) if question.has_options else b""
    room = most_bytes - HEADER_BYTES - len(question.section) - len(options)
    taken: list[bytes] = []
    for record in records:
        room -= len(record)
        if room < 0:
            break
        taken.append(record)
    flags = question.flags | (_IS_TRUNCATED if len(taken) < len(records) else 0)
    body = b"".join(taken) + options
    return _message(question.number, flags, code, question.section, len(taken), body, bool(options))


def _message(number: int, flags: int, code: int, section: bytes, answers: int, body: bytes, additional: int) -> bytes:
    kept = flags & (_WANTS_RECURSION | _IS_TRUNCATED | _OPERATION)
    head = _HEADER.pack(number, _IS_ANSWER | kept | _HAS_RECURSION | code, bool(section), answers, 0, additional)
    return head + section + body


def address(text: str) -> bytes:
    """A record: the name asked for has this address."""
    if ":" in text:
        return _record(AAAA, socket.inet_pton(socket.AF_INET6, text))
    return _record(A, socket.inet_aton(text))


def pointer(name: str) -> bytes:
    """A record: the address asked for has this name."""
    labels = [label.encode("latin-1", "replace")[:_LABEL_MOST_BYTES] for label in name.split(".")]
    return _record(PTR, b"".join(bytes([len(label)]) + label for label in labels if label) + b"\0")


def _record(kind: int, data: bytes) -> bytes:
    return _TO_QUESTION + struct.pack(">HHIH", kind, INTERNET, TTL_S, len(data)) + data


def reversed_address(name: str) -> str | None:
    """The address that a name of in-addr.arpa or ip6.arpa asks about; None: it is not such a name."""
    labels = name.split(".")
    zone, parts = labels[-2:], labels[-3::-1]
    if zone == ["in-addr", "arpa"] and len(parts) == 4:
        text = ".".join(parts)
    elif zone == ["ip6", "arpa"] and len(parts) == 32:
        text = ":".join("".join(parts[at : at + 4]) for at in range(0, 32, 4))
    else:
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def is_answer_to(packet: bytes, number: int, question: Question) -> bool:
    """Whether a server's packet answers what it was asked."""
    if len(packet) < HEADER_BYTES or not packet[2] & 0x80 or packet[:2] != number.to_bytes(2, "big"):
        return False
    section = packet[HEADER_BYTES : HEADER_BYTES + len(question.section)]
    return section.lower() == question.section.lower() or (packet[4:6] == b"\0\0" and code_of(packet) != FINE)


def code_of(packet: bytes) -> int:
    """The response code."""
    return packet[3] & 0x0F


def renumbered(packet: bytes, number: int) -> bytes:
    """The same message under another number."""
    return number.to_bytes(2, "big") + packet[2:]
