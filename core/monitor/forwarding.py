"""Passing on what reaches a host's port itself: loopback's connections, and all where no firewall does it.

Nothing is dropped: who does not read makes the other side wait. A connection that can't be made is
reset, as a closed port would be.
"""

from __future__ import annotations

import errno
import functools
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from core.monitor.loop import READ, WRITE, Loop

_BATCH_BYTES = 256 * 1024
_SMALLEST_BATCH_BYTES = 4096
_MOST_HELD_BYTES = 8 * 1024 * 1024
"""About what connections may hold together of what nobody takes: any number of them is opened by anybody."""
_MOST_CONNECTIONS = 4096
_MOST_FLOWS = 1024
_PAUSE_S = 0.1
_FLOW_IDLE_S = 90.0
"""As long as docker keeps a UDP client's port."""
_DATAGRAM_BYTES = 65536
_DATAGRAMS_AT_ONCE = 64
_IP_PKTINFO = 8
"""linux/in.h; the socket module has only IPv6's."""
_IN_PROGRESS = (0, errno.EINPROGRESS, errno.EAGAIN)

Target = tuple[str, int]
"""Address and port in the container."""
_buffer = bytearray(_BATCH_BYTES)
"""What is read is written at once: one is enough for all."""
_connections: set[_Pair] = set()
"""Of all ports of this process."""


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class StreamForwarder:
    """A listening socket whose connections go on to a container."""

    def __init__(self, loop: Loop, listener: socket.socket, target: Target) -> None:
        self.target = target
        self._loop = loop
        self._listener = listener
        self._pairs: set[_Pair] = set()
        self._is_waiting = False
        listener.setblocking(False)
        loop.add(listener.fileno(), READ, self._accept)

    def _accept(self, _events: int) -> None:
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:  # descriptors or memory have run out
            self._wait()
            return
        try:
            server = socket.socket(_family(self.target[0]), client.type, client.proto)
        except OSError:
            client.close()
            self._wait()
            return
        pair = _Pair(self._loop, client, server, self._pairs.discard)
        self._pairs.add(pair)
        pair.begin(self.target)
        if len(self._pairs) >= _MOST_CONNECTIONS:
            self._wait()

    def _wait(self) -> None:
        """Whoever comes waits before the door for a while."""
        if not self._is_waiting:
            self._is_waiting = True
            self._loop.remove(self._listener.fileno())
            self._loop.after(_PAUSE_S, self._go_on)

    def _go_on(self) -> None:
        if self._listener.fileno() < 0:
            return
        self._is_waiting = False
        self._loop.add(self._listener.fileno(), READ, self._accept)
        if len(self._pairs) >= _MOST_CONNECTIONS:
            self._wait()

    def close(self) -> None:
        """The port, and all that goes through it."""
        self._loop.remove(self._listener.fileno())
        self._listener.close()
        for pair in list(self._pairs):
            pair.close()


class _Way:
    """One direction of a connection."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source = source
        self.sink = sink
        self.waiting = b""
        """Read, and not yet taken by the sink."""
        self.is_over = False

    def move(self) -> None:
        """One batch, a smaller one the more connections there are. Raises: OSError: a side is gone."""
        if not self.waiting:
            share = _MOST_HELD_BYTES // (len(_connections) or 1)
            try:
                size = self.source.recv_into(_buffer, min(_BATCH_BYTES, max(_SMALLEST_BATCH_BYTES, share)))
            except BlockingIOError:
                return
            if not size:
                self._end()
                return
            self._send(memoryview(_buffer)[:size])
        else:
            self._send(memoryview(self.waiting))

    def _send(self, data: memoryview) -> None:
        try:
            sent = self.sink.send(data)
        except BlockingIOError:
            sent = 0
        self.waiting = bytes(data[sent:])

    def _end(self) -> None:
        self.is_over = True
        try:
            self.sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other side has already gone altogether


class _Pair:
    """A client's connection and ours to the container."""

    def __init__(
        self, loop: Loop, client: socket.socket, server: socket.socket, on_end: Callable[[_Pair], None]
    ) -> None:
        self._loop = loop
        self._client, self._server = client, server
        self._there, self._back = _Way(client, server), _Way(server, client)
        self._on_end = on_end
        _connections.add(self)
        for side in (client, server):
            side.setblocking(False)
            if side.proto in (0, socket.IPPROTO_TCP):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                side.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def begin(self, target: Target) -> None:
        """Connect to the container."""
        if self._server.connect_ex(target) in _IN_PROGRESS:
            self._loop.add(self._server.fileno(), WRITE, self._connected)
        else:
            self._reset()

    def _connected(self, _events: int) -> None:
        self._loop.remove(self._server.fileno())
        if self._server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._reset()
        else:
            self._wait()

    def _wait(self) -> None:
        for side, incoming, outgoing in (
            (self._client, self._there, self._back),
            (self._server, self._back, self._there),
        ):
            reads = not incoming.is_over and not incoming.waiting
            wanted = (READ if reads else 0) | (WRITE if outgoing.waiting else 0)
            self._loop.wait_for(side.fileno(), wanted, functools.partial(self._ready, side))

    def _ready(self, side: socket.socket, events: int) -> None:
        incoming, outgoing = (self._there, self._back) if side is self._client else (self._back, self._there)
        before = bool(self._there.waiting), bool(self._back.waiting)
        try:
            if events & WRITE and outgoing.waiting:
                outgoing.move()
            if events & ~WRITE and not incoming.waiting and not incoming.is_over:
                incoming.move()
        except OSError:
            self._reset()
            return
        if self._there.is_over and self._back.is_over:
            self.close()
        elif before != (bool(self._there.waiting), bool(self._back.waiting)) or incoming.is_over:
            self._wait()

    def _reset(self) -> None:
        """Say that it did not end well."""
        for side in (self._client, self._server):
            try:
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                pass
        self.close()

    def close(self) -> None:
        """Both sides."""
        for side in (self._client, self._server):
            if side.fileno() >= 0:
                self._loop.remove(side.fileno())
                side.close()
        _connections.discard(self)
        self._on_end(self)


class DatagramForwarder:
    """A bound UDP socket: each client's datagrams go on to a container by a socket of their own, and answers back."""

    def __init__(self, loop: Loop, bound: socket.socket, target: Target) -> None:
        self.target = target
        self._loop = loop
        self._socket = bound
        self._flows: dict[tuple[Any, bytes], _Flow] = {}
        self._is_sweeping = False
        self._level, kind = (
            (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO)
            if bound.family == socket.AF_INET6
            else (socket.IPPROTO_IP, _IP_PKTINFO)
        )
        bound.setsockopt(self._level, kind, 1)
        bound.setblocking(False)
        loop.add(bound.fileno(), READ, self._from_clients)

    def _from_clients(self, _events: int) -> None:
        for _ in range(_DATAGRAMS_AT_ONCE):
            try:
                data, ancillary, _flags, client = self._socket.recvmsg(_DATAGRAM_BYTES, socket.CMSG_SPACE(64))
            except BlockingIOError:
                return
            except OSError:
                continue  # an earlier answer could not be delivered
            here = next((value for level, _kind, value in ancillary if level == self._level), b"")
            flow = self._flows.get((client, here)) or self._begin(client, here)
            if flow:
                flow.send(data)

    def _begin(self, client: Any, here: bytes) -> _Flow | None:
        if len(self._flows) >= _MOST_FLOWS:
            oldest = min(self._flows, key=lambda key: self._flows[key].used)
            self._flows.pop(oldest).close()
        try:
            server = socket.socket(_family(self.target[0]), socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError:
            return None
        if server.connect_ex(self.target):
            server.close()
            return None
        flow = self._flows[client, here] = _Flow(self._loop, server, functools.partial(self._to_client, client, here))
        if not self._is_sweeping:
            self._is_sweeping = True
            self._loop.after(_FLOW_IDLE_S, self._sweep)
        return flow

    def _to_client(self, client: Any, here: bytes, data: bytes) -> None:
        """From the address that the client had sent to: it would not know another one."""
        kind = socket.IPV6_PKTINFO if self._level == socket.IPPROTO_IPV6 else _IP_PKTINFO
        if kind == _IP_PKTINFO and len(here) == 12:
            here = bytes(4) + here[8:12] + bytes(4)  # the interface is the kernel's to choose
        try:
            self._socket.sendmsg([data], [(self._level, kind, here)] if here else [], 0, client)
        except OSError:
            pass  # a datagram that does not arrive: its client asks again

    def _sweep(self) -> None:
        self._is_sweeping = bool(self._flows)
        before = time.monotonic() - _FLOW_IDLE_S
        for key in [key for key, flow in self._flows.items() if flow.used < before]:
            self._flows.pop(key).close()
        if self._is_sweeping:
            self._loop.after(_FLOW_IDLE_S / 2, self._sweep)

    def close(self) -> None:
        """The port and all flows."""
        self._loop.remove(self._socket.fileno())
        self._socket.close()
        for flow in self._flows.values():
            flow.close()
        self._flows.clear()


class _Flow:
    """One client's way to the container."""

    def __init__(self, loop: Loop, server: socket.socket, answer: Callable[[bytes], None]) -> None:
        self.used = time.monotonic()
        self._loop = loop
        self._server = server
        self._answer = answer
        loop.add(server.fileno(), READ, self._from_server)

    def send(self, data: bytes) -> None:
        """One datagram to the container."""
        self.used = time.monotonic()
        try:
            self._server.send(data)
        except OSError:
            pass  # full, or refused: as on any way, it is lost

    def _from_server(self, _events: int) -> None:
        for _ in range(_DATAGRAMS_AT_ONCE):
            try:
                data = self._server.recv(_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except OSError:
                return  # nobody listens there
            self.used = time.monotonic()
            self._answer(data)

    def close(self) -> None:
        """Forget the client."""
        self._loop.remove(self._server.fileno())
        self._server.close()
