"""Ports that are passed on in userland, by whatever many strangers do."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from core.monitor import forwarding
from core.monitor.forwarding import StreamForwarder
from core.monitor.loop import Loop

CONNECTIONS = 64
HELD_BYTES = 1 << 20


def test_SR1_strangers_who_do_not_read_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would make a quarter of a MiB wait: the more there are, the less is taken from the server for one."""
    monkeypatch.setattr(forwarding, "_MOST_HELD_BYTES", HELD_BYTES)
    loop = Loop()
    with ExitStack() as held:
        server = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS))
        port = socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS)
        forwarder = StreamForwarder(loop, port, server.getsockname())
        held.callback(forwarder.close)
        clients, flooding = [], []
        for _ in range(CONNECTIONS):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(port.getsockname())
            clients.append(held.enter_context(client))
            turn(loop)
            connection, _ = server.accept()
            connection.setblocking(False)
            flooding.append(held.enter_context(connection))
        waiting: list[int] = []
        while sum(map(bool, waiting)) < CONNECTIONS:  # until nobody takes any more
            for connection in flooding:
                flood(connection)
            turn(loop)
            waiting = [len(pair._back.waiting) for pair in forwarding._connections]
        assert len(waiting) == CONNECTIONS
        assert max(waiting) <= HELD_BYTES // CONNECTIONS
    assert not forwarding._connections


def flood(connection: socket.socket) -> None:
    try:
        connection.send(bytes(1 << 18))
    except BlockingIOError:
        pass


def turn(loop: Loop) -> None:
    """Whatever is ready just now."""
    loop.after(0.01, loop.stop)
    loop._stopped = False
    loop.run()
