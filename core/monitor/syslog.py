"""The syslog driver: one message a line, to a local socket or over udp or tcp.

Formats: the traditional one of local daemons, rfc3164, rfc5424 and rfc5424micro. stdout is sent as
"info", stderr as "err". A message ends with a newline, which is also what keeps them apart on tcp.
"""

from __future__ import annotations

import _socket
import errno
import os
import select
import time
from typing import Any

LOCAL_PATHS = ("/dev/log", "/var/run/syslog", "/var/run/log")
_SEVERITIES = {1: 6, 2: 3}
_FIRST_CONNECT_S = 5.0
_TRADITIONAL, _RFC3164 = "", "rfc3164"


class Syslog:
    """core.monitor.shipping.Sink over a socket.

    Args: address: proto://…, or empty for the local daemon. facility: a number from 0 to 23.
    Raises: OSError: nobody listens there, when `must_answer`.
    """

    def __init__(self, address: str, *, facility: int, tag: str, format: str, must_answer: bool) -> None:
        self._places = _places(address) if must_answer else _places_quietly(address)
        self._address = address
        self._facility = facility
        self._tag = tag
        self._format = format
        self._host = os.uname().nodename
        self._socket: _socket.socket | None = None
        self._is_stream = False
        self._is_connecting = False
        self._unsent = b""
        self._last = b""
        """What has begun to go out on a stream, whole: it is sent again on the next connection."""
        if must_answer:
            self._connect(_FIRST_CONNECT_S)

    def put(self, stream: int, at_ns: int, lines: bytes) -> int:
        """Send whole lines, or one piece of a line. Raises: OSError: nothing was sent."""
        self._be_connected()
        head = self._head(stream, at_ns)
        if self._is_stream:  # all of it at once: the newlines keep messages apart
            text = lines.removesuffix(b"\n").replace(b"\n", b"\n" + head)
            self._send(head + text + b"\n")
            return len(lines)
        taken = 0
        while taken < len(lines):
            end = lines.find(b"\n", taken) + 1 or len(lines)
            text = lines[taken:end].removesuffix(b"\n")
            try:
                self._send(head + text + b"\n")
            except OSError:
                if not taken:
                    raise
                return taken
            taken = end
        return taken

    def _head(self, stream: int, at_ns: int) -> bytes:
        priority = self._facility * 8 + _SEVERITIES[stream]
        seconds, rest = divmod(at_ns, 10**9)
        here = time.localtime(seconds)
        stamp = time.strftime("%b %e %H:%M:%S", here)
        tag, pid = self._tag, os.getpid()
        if self._format == _TRADITIONAL:
            text = f"<{priority}>{stamp} {tag}[{pid}]: "
        elif self._format == _RFC3164:
            text = f"<{priority}>{stamp} {self._host} {tag}[{pid}]: "
        else:
            decimals = f".{rest // 1000:06d}" if self._format == "rfc5424micro" else ""
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", here) + decimals + _zone(here)
            text = f"<{priority}>1 {stamp} {self._host} {tag} {pid} {tag} - "
        return text.encode("utf-8", "replace")

    def _send(self, message: bytes) -> None:
        assert self._socket
        try:
            if self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
                if self._unsent:
                    raise BlockingIOError(errno.EAGAIN, "the server does not read")
            sent = self._socket.send(message)
        except BlockingIOError:
            raise
        except OSError:
            self._drop()
            raise
        self._unsent, self._last = message[sent:], message

    def _drop(self) -> None:
        if self._socket:
            self._socket.close()
        self._socket = None
        self._is_connecting = False
        self._unsent = self._last if self._unsent else b""

    def _be_connected(self) -> None:
        """Raises: OSError: not yet, or nobody listens."""
        if self._socket is None:
            self._connect(0.0)
        if self._is_connecting:
            assert self._socket
            poll = select.poll()
            poll.register(self._socket.fileno(), select.POLLOUT)
            if not poll.poll(0):
                raise BlockingIOError(errno.EAGAIN, "it is still being connected")
            if error := self._socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR):
                self._drop()
                raise OSError(error, os.strerror(error), self._address)
            self._is_connecting = False

    def _connect(self, wait_s: float) -> None:
        self._places = self._places or _places(self._address)
        failure = OSError(errno.ECONNREFUSED, "nobody listens", self._address)
        for family, kind, place in self._places:
            made = _socket.socket(family, kind | _socket.SOCK_CLOEXEC)
            try:
                if wait_s and kind == _socket.SOCK_STREAM:
                    made.settimeout(wait_s)
                    made.connect(place)
                    made.setblocking(False)
                else:
                    made.setblocking(False)
                    made.connect(place)
            except BlockingIOError:
                self._is_connecting = True
            except OSError as error:
                made.close()
                failure = error
                continue
            self._socket, self._is_stream = made, kind == _socket.SOCK_STREAM
            return
        raise failure

    def mark(self) -> bytes:
        """What was sent can't be taken back."""
        return b""

    def go_on(self, _mark: bytes) -> None:
        """Nothing to take back."""

    def close(self) -> None:
        """Let go; what a stream has not taken yet is given a moment."""
        if self._socket and self._unsent:
            self._socket.settimeout(1.0)
            try:
                self._socket.send(self._unsent)
            except OSError:
                pass  # it reads no more: it is sent with the next start, as nothing after it was noted
        if self._socket:
            self._socket.close()


def _zone(here: time.struct_time) -> str:
    offset = here.tm_gmtoff or 0
    if not offset:
        return "Z"
    return f"{'+' if offset > 0 else '-'}{abs(offset) // 3600:02d}:{abs(offset) // 60 % 60:02d}"


def _places_quietly(address: str) -> list[tuple[int, int, Any]]:
    try:
        return _places(address)
    except OSError:
        return []  # its name can't be looked up just now: tried again with the first line


def _places(address: str) -> list[tuple[int, int, Any]]:
    """Family, kind and address of every place to try. Raises: OSError: its name is not known."""
    if not address:
        either = (_socket.SOCK_DGRAM, _socket.SOCK_STREAM)
        return [(_socket.AF_UNIX, kind, path) for path in LOCAL_PATHS for kind in either]
    proto, _, place = address.partition("://")
    if proto in ("unix", "unixgram"):
        kinds = [_socket.SOCK_DGRAM] if proto == "unixgram" else [_socket.SOCK_STREAM, _socket.SOCK_DGRAM]
        return [(_socket.AF_UNIX, kind, place) for kind in kinds]
    host, _, port = place.rpartition(":")
    kind = _socket.SOCK_DGRAM if proto == "udp" else _socket.SOCK_STREAM
    found = _socket.getaddrinfo(host.strip("[]") or None, int(port), 0, kind)
    return [(family, kind, where) for family, _, _, _, where in found]
