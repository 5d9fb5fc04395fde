"""The journald driver: one entry a line, in systemd's own protocol.

A datagram of fields: `NAME=value` lines, or, where a value has a newline, the name, a newline, the
value's length as u64 (little-endian) and the value.
"""

from __future__ import annotations

import _socket
import struct

SOCKET = "/run/systemd/journal/socket"
_PRIORITIES = {1: b"6", 2: b"3"}


class Journald:
    """core.monitor.shipping.Sink over the journal's socket.

    Args: fields: what every entry carries, such as CONTAINER_NAME.
    Raises: OSError: there is no journal, when `must_answer`.
    """

    def __init__(self, fields: dict[str, str], *, must_answer: bool, path: str = SOCKET) -> None:
        self._fields = b"".join(_field(name, value.encode("utf-8", "replace")) for name, value in fields.items())
        self._path = path
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._is_connected = False
        if must_answer:
            self._connect()

    def _connect(self) -> None:
        self._socket.connect(self._path)
        self._is_connected = True

    def put(self, stream: int, _at_ns: int, lines: bytes) -> int:
        """Send whole lines, or one piece of a line. Raises: OSError: nothing was sent."""
        taken = 0
        while taken < len(lines):
            end = lines.find(b"\n", taken) + 1 or len(lines)
            text = lines[taken:end]
            entry = _field("MESSAGE", text.removesuffix(b"\n")) + _field("PRIORITY", _PRIORITIES[stream]) + self._fields
            if not text.endswith(b"\n"):
                entry += _field("CONTAINER_PARTIAL_MESSAGE", b"true")
            try:
                if not self._is_connected:
                    self._connect()
                self._socket.send(entry)
            except BlockingIOError:
                if not taken:
                    raise
                return taken
            except OSError:
                self._is_connected = False
                if not taken:
                    raise
                return taken
            taken = end
        return taken

    def mark(self) -> bytes:
        """What was sent can't be taken back."""
        return b""

    def go_on(self, _mark: bytes) -> None:
        """Nothing to take back."""

    def close(self) -> None:
        """Let go."""
        self._socket.close()


def _field(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return name.encode() + b"=" + value + b"\n"
