"""A question on its way to the host's name servers, one after the other."""

from __future__ import annotations

import errno
import functools
import os
import socket
from collections.abc import Callable

from core.monitor import dns_packets as dns
from core.monitor.loop import READ, WRITE, Loop

_SERVER_WAIT_S = 2.0
_MOST_BYTES = 65535


class Forwarded:
    """One question, asked by a socket and under a number of its own each time: nobody else can guess its answer.

    Args: reply: takes the answer. servers: addresses. port: where they listen.
    """

    def __init__(
        self,
        loop: Loop,
        packet: bytes,
        question: dns.Question,
        reply: Callable[[bytes], None],
        servers: list[str],
        on_end: Callable[[Forwarded], None],
        port: int,
    ) -> None:
        self._loop = loop
        self._packet = packet
        self._question = question
        self._reply = reply
        self._servers = servers
        self._on_end = on_end
        self._port = port
        self._is_stream = False
        self._socket: socket.socket | None = None
        self._number = 0
        self._received = b""
        self._best = b""
        """A server's refusal, to be passed on if no other one does better."""

    def ask(self, *, is_stream: bool) -> None:
        """The next server, by the way that the asker has taken."""
        self._is_stream = is_stream
        while self._servers:
            if self._connect(self._servers.pop(0)):
                return
        self._finish(dns.renumbered(self._best, self._question.number) if self._best else b"")

    def _connect(self, server: str) -> bool:
        kind = socket.SOCK_STREAM if self._is_stream else socket.SOCK_DGRAM
        try:
            found = socket.getaddrinfo(server, self._port, type=kind, flags=socket.AI_NUMERICHOST)
            made = socket.socket(found[0][0], kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        except (OSError, UnicodeError):
            return False  # not an address, or no descriptor left
        code = made.connect_ex(found[0][4])
        if code not in (0, errno.EINPROGRESS):
            made.close()
            return False
        self._socket = made
        self._number = int.from_bytes(os.urandom(2), "big")
        self._received = b""
        self._loop.add(made.fileno(), WRITE if self._is_stream else READ, self._ready)
        self._loop.after(_SERVER_WAIT_S, functools.partial(self._give_up_on, made))
        if not self._is_stream:
            self._send(dns.renumbered(self._packet, self._number))
        return True

    def _send(self, data: bytes) -> None:
        assert self._socket
        try:
            self._socket.send(data)
        except OSError:
            self._next()

    def _ready(self, events: int) -> None:
        assert self._socket
        if self._is_stream and events & WRITE:
            self._loop.wait_for(self._socket.fileno(), READ, self._ready)
            message = dns.renumbered(self._packet, self._number)
            self._send(len(message).to_bytes(2, "big") + message)
            return
        try:
            data = self._socket.recv(_MOST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # nobody listens there
        if self._is_stream:
            self._received += data
            length = int.from_bytes(self._received[:2], "big") + 2
            if data and (len(self._received) < 2 or len(self._received) < length):
                return
            data = self._received[2:length]
        elif data and not dns.is_answer_to(data, self._number, self._question):
            return  # somebody's guess: the answer may still come
        if not dns.is_answer_to(data, self._number, self._question):
            self._next()
        elif dns.code_of(data) in (dns.FAILED, dns.REFUSED):
            self._best = data
            self._next()
        else:
            self._finish(dns.renumbered(data, self._question.number))

    def _give_up_on(self, asked: socket.socket) -> None:
        if self._socket is asked:
            self._next()

    def _next(self) -> None:
        self._hang_up()
        self.ask(is_stream=self._is_stream)

    def _hang_up(self) -> None:
        if self._socket:
            self._loop.remove(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _finish(self, packet: bytes) -> None:
        self.close()
        self._reply(packet or dns.answer(self._question, dns.FAILED))

    def close(self) -> None:
        """Nobody waits for it any more."""
        self._hang_up()
        self._on_end(self)
