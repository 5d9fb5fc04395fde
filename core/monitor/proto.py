"""What engine, spawner and monitor say to each other.

Unix SOCK_SEQPACKET sockets in the run root, mode 0600; a packet is one message, and its first
byte tells its kind:

    {      a JSON object: a request ("op") or an answer ("event")
    0x00   bytes for the process's stdin        engine  → monitor
    0x01   bytes from its stdout (or terminal)  monitor → engine
    0x02   bytes from its stderr                monitor → engine

    engine            spawner            monitor
      │ start + memfd ──▶│ fork, connection goes along ─▶│
      │◀─────────────────────────────── started | failed │
      │◀─── with "attach": 0x01 0x02 …, exit ────────────│

    monitor           spawner            keeper
      │ keep + descriptors, release, forget │   what a successor needs, as long as it is needed
      │─────────────────▶│ the same ───────▶│   "begin" comes before it, with the sandbox

    to the spawner    start, look (for orphans), monitor (one whose spawner was killed), quit
    to a monitor      attach, wait, signal, stop (no more restarts), go (do not wait for the next), pause,
                      unpause, freeze, rename, limit, policy, connect and disconnect (networks), exec,
                      resume-exec (after a takeover)
    on an attachment  resize, close-stdin, detach; taken (input that the process was given), exit
    answers           started, running, failed, ok, error, exit

A start names the container's places; its document is for the monitor alone to read.
Every first request carries "protocol". A start is only done where both speak the same: a spawner's
refusal says its own, and the engine has an idle one end and starts the next. Monitors answer engines
of any version in what both know.
"""

from __future__ import annotations

import _socket
import array
import json
import os
from typing import Any

PROTOCOL = 2
STDIN, STDOUT, STDERR = 0, 1, 2
DATA_BYTES = 65536
_PACKET_BYTES = DATA_BYTES + 1
_BACKLOG = 128
MOST_DESCRIPTORS = 8
"""In one packet: what a process needs to go on without its monitor."""

Socket = _socket.socket


def socket_on(descriptor: int) -> Socket:
    """A socket object on an inherited descriptor."""
    return Socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, descriptor)


def connect(path: str | os.PathLike[str]) -> Socket:
    """Connect to a spawner or monitor. Raises: OSError: ENOENT or ECONNREFUSED when nobody listens."""
    connection = Socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    try:
        connection.connect(os.fspath(path))
    except OSError:
        connection.close()
        raise
    return connection


def listen(path: str | os.PathLike[str]) -> Socket:
    """Listen at a path, replacing what a dead process left there; only root may connect."""
    name = os.fspath(path)
    try:
        os.unlink(name)
    except FileNotFoundError:
        pass
    listener = Socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
    before = os.umask(0o177)
    try:
        listener.bind(name)
    finally:
        os.umask(before)
    listener.listen(_BACKLOG)
    return listener


def accept(listener: Socket) -> Socket | None:
    """The next connection of a process with our own uid (or root's); None if there is none."""
    try:
        descriptor, _ = listener._accept()  # type: ignore[attr-defined]
    except (BlockingIOError, InterruptedError, ConnectionAbortedError):
        return None
    os.set_inheritable(descriptor, False)
    connection = socket_on(descriptor)
    credentials = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    uid = int.from_bytes(credentials[4:8], "little")
    if uid not in (0, os.geteuid()):
        connection.close()
        return None
    return connection


def peer_pid(connection: Socket) -> int:
    """Who connected."""
    return int.from_bytes(connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)[:4], "little")


def send(connection: Socket, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
    """Send a JSON message, with descriptors if any."""
    send_packet(connection, json.dumps(message, separators=(",", ":")).encode(), descriptors)


def send_packet(connection: Socket, packet: bytes, descriptors: tuple[int, ...] = ()) -> None:
    """Send a packet as it is, with descriptors if any."""
    if descriptors:
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", descriptors))
        connection.sendmsg([packet], [rights])
    else:
        connection.send(packet)


def answer(connection: Socket, message: dict[str, Any]) -> None:
    """Send to somebody who may have gone meanwhile; what matters is on disk as well."""
    try:
        send(connection, message)
    except OSError:
        pass


def receive(connection: Socket) -> bytes:
    """The next packet, or b"" when the other side has gone."""
    try:
        return connection.recv(_PACKET_BYTES)
    except (ConnectionResetError, BrokenPipeError):
        return b""


def receive_with_descriptors(connection: Socket, most: int = 4) -> tuple[bytes, list[int]]:
    """The next packet and the descriptors that came with it, close-on-exec."""
    room = _socket.CMSG_SPACE(most * 4)
    try:
        packet, ancillary, _, _ = connection.recvmsg(_PACKET_BYTES, room, _socket.MSG_CMSG_CLOEXEC)
    except (ConnectionResetError, BrokenPipeError):
        return b"", []
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return packet, list(descriptors)


def parse(packet: bytes) -> dict[str, Any]:
    """Read a JSON packet. Raises: ValueError: it is none, or not an object."""
    try:
        message = json.loads(packet)
    except RecursionError:
        raise ValueError("a message must not be nested without end") from None
    if not isinstance(message, dict):
        raise ValueError("a message must be an object")
    return message
