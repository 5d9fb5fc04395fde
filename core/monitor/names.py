"""The name server at 127.0.0.11 of a container on networks with names.

    asker ── 127.0.0.11:53 ── redirected ──▶ our sockets in its namespace
                                               │ a name or address of its networks: answered here
                                               └ else: asked of the host's servers, from the host's namespace

Port 53 stays free for a server of the container's own: ours are any ports, and a table in its namespace
leads there. Without nf_tables they are bound to 53 itself. Whoever asks may be hostile: everything has a bound,
and what does not keep to it is dropped.
"""

from __future__ import annotations

import errno
import functools
import os
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from core.linux import nftables as nft
from core.linux.inside import CLONE_NEWNET, setns
from core.linux.nftables import IPV4, Nftables, Table
from core.monitor import dns_packets as dns
from core.monitor.loop import READ, WRITE, Loop
from core.monitor.name_forwarding import Forwarded
from core.monitor.name_table import NameTable

ADDRESS = "127.0.0.11"
PORT = 53
_TABLE = "names"
_IP_FREEBIND = 15
_AT_ONCE = 32
_MOST_FORWARDED = 512
_MOST_CLIENTS = 64
_IDLE_S = 10.0
_MOST_BYTES = 65535
_PAUSE_S = 0.1
_NO_NFTABLES = (errno.EPROTONOSUPPORT, errno.EOPNOTSUPP, errno.ENOENT, errno.EAFNOSUPPORT)

Reply = Callable[[bytes], None]


class Names:
    """One container's name server.

    Args: network: SandboxNetwork as the sandbox's document has it, with a resolver. port: where servers listen.
    """

    def __init__(self, loop: Loop, network: dict[str, Any], *, port: int = PORT) -> None:
        self._loop = loop
        self._port = port
        self._udp: socket.socket | None = None
        self._tcp: socket.socket | None = None
        self._clients: set[_Client] = set()
        self._forwarded: set[Forwarded] = set()
        self.update(network)

    def update(self, network: dict[str, Any]) -> None:
        """The container has joined or left a network."""
        resolver = network.get("resolver") or {}
        self._table = NameTable(resolver.get("networks") or (), resolver.get("links") or {})
        endpoints = network.get("endpoints") or ()
        has_way_out = not endpoints or not all(one.get("is_internal") for one in endpoints)
        self._servers = list(resolver.get("servers") or ()) if has_way_out else []

    def open(self, namespace: int) -> None:
        """Listen in a network namespace; one that was listened in before is left.

        Args: namespace: a descriptor of it (/proc/<pid>/ns/net). Raises: OSError.
        """
        self.close()
        ours = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(namespace, CLONE_NEWNET)
            try:
                self._listen()
            finally:
                setns(ours, CLONE_NEWNET)
        finally:
            os.close(ours)

    def _listen(self) -> None:
        self._udp, self._tcp = _bound(socket.SOCK_DGRAM, 0), _bound(socket.SOCK_STREAM, 0)
        try:
            _lead_to(self._udp.getsockname()[1], self._tcp.getsockname()[1])
        except OSError as error:
            if error.errno not in _NO_NFTABLES:
                raise
            self._udp.close()
            self._tcp.close()
            self._udp, self._tcp = _bound(socket.SOCK_DGRAM, PORT), _bound(socket.SOCK_STREAM, PORT)
        self._tcp.listen(_MOST_CLIENTS)
        self._loop.add(self._udp.fileno(), READ, self._asked)
        self._loop.add(self._tcp.fileno(), READ, self._accept)

    def close(self) -> None:
        """Answer nobody any more."""
        for exchange in list(self._forwarded):
            exchange.close()
        for client in list(self._clients):
            client.close()
        for listener in (self._udp, self._tcp):
            if listener:
                self._loop.remove(listener.fileno())
                listener.close()
        self._udp = self._tcp = None

    # ── askers ─────────────────────────────────────────────────────────────────────────────────

    def _asked(self, _events: int) -> None:
        for _ in range(_AT_ONCE):
            if not self._udp:
                return
            try:
                packet, asker = self._udp.recvfrom(_MOST_BYTES)
            except BlockingIOError:
                return
            except OSError:
                continue  # an earlier answer came back: its asker has gone
            self.serve(packet, functools.partial(self._reply, self._udp, asker), is_stream=False)

    def _reply(self, udp: socket.socket, asker: Any, packet: bytes) -> None:
        try:
            udp.sendto(packet, asker)
        except OSError:
            pass  # full, gone or closed: the asker asks again

    def _accept(self, _events: int) -> None:
        assert self._tcp
        try:
            connection, _ = self._tcp.accept()
        except BlockingIOError:
            return
        except OSError:  # descriptors have run out
            self._wait()
            return
        self._clients.add(_Client(self._loop, connection, self.serve, self._clients.discard))
        if len(self._clients) >= _MOST_CLIENTS:
            self._wait()

    def _wait(self) -> None:
        assert self._tcp
        self._loop.remove(self._tcp.fileno())
        self._loop.after(_PAUSE_S, functools.partial(self._go_on, self._tcp))

    def _go_on(self, listener: socket.socket) -> None:
        if listener is not self._tcp:
            return
        if len(self._clients) < _MOST_CLIENTS:
            self._loop.add(listener.fileno(), READ, self._accept)
        else:
            self._loop.after(_PAUSE_S, functools.partial(self._go_on, listener))

    # ── answers ────────────────────────────────────────────────────────────────────────────────

    def serve(self, packet: bytes, reply: Reply, *, is_stream: bool) -> None:
        """Answer one packet, now or when a server has answered."""
        try:
            question = dns.parse(packet)
        except dns.Unanswerable:
            return
        except dns.Refused as refused:
            reply(refused.answer)
            return
        records = self._records(question)
        if records is not None:
            most_bytes = _MOST_BYTES if is_stream else question.udp_bytes
            reply(dns.answer(question, dns.FINE, records, most_bytes=most_bytes))
        elif not self._servers or len(self._forwarded) >= _MOST_FORWARDED:
            reply(dns.answer(question, dns.FAILED))
        else:
            exchange = Forwarded(
                self._loop, packet, question, reply, list(self._servers), self._forwarded.discard, self._port
            )
            self._forwarded.add(exchange)
            exchange.ask(is_stream=is_stream)

    def _records(self, question: dns.Question) -> list[bytes] | None:
        """What is known here; none of the kind that is asked for is also an answer. None: nothing is known."""
        if not question.is_internet:
            return None
        address = dns.reversed_address(question.name)
        if address is not None:
            name = self._table.name(address)
            if name is None:
                return None
            return [dns.pointer(name)] if question.kind == dns.PTR else []
        addresses = self._table.addresses(question.name)
        if addresses is None:
            return None
        wanted = {dns.A: False, dns.AAAA: True}.get(question.kind)
        return [dns.address(text) for text in addresses if (":" in text) is wanted]


def _bound(kind: int, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        made.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)  # loopback may not be up yet
        made.bind((ADDRESS, port))
    except OSError:
        made.close()
        raise
    return made


def _lead_to(udp: int, tcp: int) -> None:
    """Redirect port 53 of 127.0.0.11, in the namespace we are in. Raises: OSError."""
    table = Table(IPV4, _TABLE)
    address = socket.inet_aton(ADDRESS)
    messages = [table.make(), table.chain("output", "nat", "output", nft.DESTINATION_NAT)]
    for protocol, port in ((socket.IPPROTO_UDP, udp), (socket.IPPROTO_TCP, tcp)):
        messages.append(
            table.rule(
                "output",
                nft.payload(nft.NETWORK_HEADER, 16, 4) + nft.equals(address),
                nft.meta(nft.L4PROTO) + nft.equals(bytes([protocol])),
                nft.payload(nft.TRANSPORT_HEADER, 2, 2) + nft.equals(struct.pack(">H", PORT)),
                nft.load(address, to=0) + nft.load(struct.pack(">H", port), to=1),
                nft.redirect(socket.AF_INET, address=0, port=1),
            )
        )
    with Nftables() as nftables:
        if nftables.has_table(table):  # a killed monitor's: it leads to sockets that are gone
            messages.insert(0, table.delete())
        nftables.commit(messages)


class _Client:
    """Somebody who asks by TCP: each message after two bytes that tell its length."""

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        serve: Callable[..., None],
        on_gone: Callable[[_Client], None],
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._serve = serve
        self._on_gone = on_gone
        self._received = b""
        self._unsent = b""
        self._used = time.monotonic()
        connection.setblocking(False)
        loop.add(connection.fileno(), READ, self._ready)
        loop.after(_IDLE_S, self._end_when_idle)

    def _ready(self, events: int) -> None:
        self._used = time.monotonic()
        if events & WRITE and self._unsent:
            self._send()
        elif events & ~WRITE:
            self._read()

    def _read(self) -> None:
        try:
            data = self._connection.recv(_MOST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._received += data
        while len(self._received) >= 2:
            length = int.from_bytes(self._received[:2], "big")
            if len(self._received) < 2 + length or self._connection.fileno() < 0:
                return
            packet, self._received = self._received[2 : 2 + length], self._received[2 + length :]
            self._serve(packet, self._reply, is_stream=True)

    def _reply(self, packet: bytes) -> None:
        if self._connection.fileno() < 0:
            return
        self._unsent += len(packet).to_bytes(2, "big") + packet
        if len(self._unsent) > 4 * _MOST_BYTES:
            self.close()  # it asks, and does not read
        else:
            self._send()

    def _send(self) -> None:
        try:
            sent = self._connection.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        self._unsent = self._unsent[sent:]
        self._loop.wait_for(self._connection.fileno(), WRITE if self._unsent else READ, self._ready)

    def _end_when_idle(self) -> None:
        if self._connection.fileno() < 0:
            return
        left_s = self._used + _IDLE_S - time.monotonic()
        if left_s <= 0:
            self.close()
        else:
            self._loop.after(left_s, self._end_when_idle)

    def close(self) -> None:
        """Hang up."""
        if self._connection.fileno() >= 0:
            self._loop.remove(self._connection.fileno())
            self._connection.close()
            self._on_gone(self)
