"""A connection to a process's streams, over its monitor's socket.

A monitor that is killed is followed by another one: the attachment finds it, says what it has
received, and gets the rest from the log. Nobody above notices.
"""

from __future__ import annotations

import _socket
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from core.errors import EngineError, TimedOut, WrongState
from core.monitor import proto

_SUCCESSOR_S = 15.0
_POLL_S = 0.02
_LEAVE_S = 10.0
"""How long somebody waits for a container to be taken away after its end; then its monitor hangs."""


class Successor:
    """How to find the monitor that follows a killed one.

    Args: path: where it will listen. request: what to ask it for. position: where our output begins
        in the log; None when it is not logged. ended: the exit code once there will be no monitor.
        taken: how much input the process had been given by others before us, in bytes.
        rest: once there will be no monitor, what came out after a position in the log, as (stream, bytes).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        request: dict[str, Any],
        position: list[int] | None,
        ended: Callable[[], int | None],
        taken: int = 0,
        rest: Callable[[list[int]], Iterator[tuple[int, bytes]]] | None = None,
    ) -> None:
        self.rest = rest
        self.path = path
        self.taken = taken
        self.request = request
        self.position = position
        self.ended = ended


class LocalAttachment:
    """core.backend.Attachment: one thread reads, any other may write."""

    def __init__(self, connection: proto.Socket, successor: Successor | None = None) -> None:
        self._connection = connection
        self._successor = successor
        self._received = {proto.STDOUT: 0, proto.STDERR: 0}
        self._is_closed = False
        self._finding = threading.Lock()
        self._times_found = 0
        self._unconfirmed = bytearray()
        """Input that the process may not have been given yet, for the next monitor if need be."""
        self._confirmed = successor.taken if successor else 0
        """How much of all that its people sent the process had been given at the beginning of that."""
        self._is_stdin_closed = False
        self._rest: Iterator[tuple[int, bytes]] = iter(())
        """Output that the last monitor was killed with: it had ended before another one could hand it to us."""
        self._code: int | None = None

    def fileno(self) -> int:
        """A descriptor to poll."""
        return self._connection.fileno()

    def read(self) -> tuple[int, bytes] | None:
        """The next piece, or None at the end."""
        while True:
            if self._code is not None:
                return next(self._rest, None)
            try:
                packet = proto.receive(self._connection)
            except OSError:
                return None  # closed by ourselves, from another thread
            if not packet:
                if not self._find_successor(self._times_found):
                    self._rest = self._missed()
                    return next(self._rest, None)
                continue
            if packet[0] in (proto.STDOUT, proto.STDERR):
                self._received[packet[0]] += len(packet) - 1
                return packet[0], packet[1:]
            message = proto.parse(packet)
            if message.get("event") == "exit":
                self._code = int(message["code"])
                if message.get("leaving"):
                    await_leave(self._connection)
                return None
            if message.get("event") == "taken":
                with self._finding:
                    self._confirm(message["total"])

    def write(self, data: bytes) -> None:
        """Send bytes to stdin; a process that has gone takes none."""
        for start in range(0, len(data), proto.DATA_BYTES):
            piece = data[start : start + proto.DATA_BYTES]
            with self._finding:
                found = self._times_found
                self._unconfirmed += piece
            if not self._send(bytes((proto.STDIN,)) + piece, found, is_kept=True):
                return

    def _confirm(self, total: int | None) -> None:
        if total is None:  # nobody knows any more: better something missing than something twice
            self._unconfirmed.clear()
        elif total > self._confirmed:
            del self._unconfirmed[: total - self._confirmed]
            self._confirmed = total

    def _send(self, packet: bytes, found: int, *, is_kept: bool) -> bool:
        """Args: found: times_found when it was decided to send. is_kept: a successor is given it by _join()."""
        while True:
            try:
                if found == self._times_found:
                    self._connection.send(packet)
                return True
            except (BrokenPipeError, ConnectionResetError):
                if not self._find_successor(found):
                    return False
                if not is_kept:
                    found = self._times_found

    def _find_successor(self, times_found: int) -> bool:
        """The monitor is gone without a word: go on with the next one, if there is to be one.

        Args: times_found: as it was when the caller's connection still worked; whoever of reader and
            writer comes second finds the work done.
        """
        if self._successor is None or self._is_closed:
            return False
        with self._finding:
            if self._times_found != times_found:
                return True
            deadline = time.monotonic() + _SUCCESSOR_S
            while time.monotonic() < deadline and not self._is_closed:
                if self._join(self._successor):
                    self._times_found += 1
                    return True
                if self._code is None:
                    self._code = self._successor.ended()
                if self._code is not None:
                    return self._join_late(self._successor)
                time.sleep(_POLL_S)
        return False

    def _join_late(self, successor: Successor) -> bool:
        """The container is over; a monitor that put it in order meanwhile may still wait for us."""
        code, self._code = self._code, None
        if self._join(successor):
            self._times_found += 1
            return True
        self._code = code if self._code is None else self._code
        return False

    def _missed(self) -> Iterator[tuple[int, bytes]]:
        """What the log has of our streams beyond what we have received."""
        successor = self._successor
        if self._code is None or successor is None or successor.rest is None or successor.position is None:
            return
        received = dict(self._received)
        for stream, data in successor.rest(successor.position):
            if successor.request.get("stdout" if stream == proto.STDOUT else "stderr"):
                missed = data[received[stream] :]
                received[stream] = max(0, received[stream] - len(data))
                if missed:
                    yield stream, missed

    def _join(self, successor: Successor) -> bool:
        request = dict(successor.request)
        if successor.position is not None:
            received = [self._received[proto.STDOUT], self._received[proto.STDERR]]
            request["resume"] = {"position": successor.position, "received": received}
        try:
            connection, answer = ask(successor.path, request)
        except EngineError:
            return False
        if answer.get("event") == "exit":
            self._code = int(answer["code"])
            connection.close()
            return False
        if not self._send_again(connection, successor):
            connection.close()
            return False
        # under the number that the caller polls
        os.dup2(connection.fileno(), self._connection.fileno(), inheritable=False)
        connection.close()
        return True

    def _send_again(self, connection: proto.Socket, successor: Successor) -> bool:
        """What the process was not given of the input; the monitor says first how much it was."""
        if not successor.request.get("stdin"):
            return True
        try:
            packet = proto.receive(connection)
            if not packet:
                return False
            self._confirm(proto.parse(packet).get("total"))
            for start in range(0, len(self._unconfirmed), proto.DATA_BYTES):
                connection.send(bytes((proto.STDIN,)) + self._unconfirmed[start : start + proto.DATA_BYTES])
            if self._is_stdin_closed:
                proto.send(connection, {"op": "close-stdin"})
        except OSError:
            return False
        return True

    def close_stdin(self) -> None:
        """No more comes."""
        self._is_stdin_closed = True
        self._control({"op": "close-stdin"})

    def resize(self, rows: int, columns: int) -> None:
        """Tell the terminal its size."""
        self._control({"op": "resize", "rows": rows, "columns": columns})

    def _control(self, message: dict[str, Any]) -> None:
        try:
            self._send(json.dumps(message).encode(), self._times_found, is_kept=message["op"] == "close-stdin")
        except OSError:
            pass  # it has ended meanwhile: read() tells

    def exit_code(self) -> int | None:
        """The code, once read() gave None."""
        return self._code

    def close(self) -> None:
        """Detach."""
        if self._connection.fileno() < 0:
            return
        self._is_closed = True
        self._control({"op": "detach"})
        try:
            self._connection.shutdown(_socket.SHUT_RDWR)  # wakes a reader in another thread
        except OSError:
            pass
        self._connection.close()


def await_leave(connection: proto.Socket) -> None:
    """The exit code is told; wait until the container is taken away as well, or its monitor is killed before."""
    try:
        connection.settimeout(_LEAVE_S)
        while proto.receive(connection):
            pass
    except OSError:
        pass  # stopped by somebody, or the connection closed by ourselves: the code is known all the same


class MonitorGone(WrongState):
    """Nobody listens, or whoever was asked has ended without an answer."""

    def __init__(self) -> None:
        super().__init__("the container is not running")


def ask(
    path: str | os.PathLike[str], request: dict[str, Any], *, timeout_s: float | None = 10.0, whose: str = "container"
) -> tuple[proto.Socket, dict[str, Any]]:
    """Make a request of a monitor; the open connection and its first answer.

    Args: whose: the container, for the error.
    Raises: MonitorGone: there is none (any more). WrongState: it refused. TimedOut: it lives, and is silent.
    """
    try:
        connection = proto.connect(path)
    except OSError as error:
        raise MonitorGone() from error
    connection.settimeout(timeout_s)
    try:
        proto.send(connection, {**request, "protocol": proto.PROTOCOL})
        packet = proto.receive(connection)
    except TimeoutError:
        pid = proto.peer_pid(connection)
        connection.close()
        raise TimedOut(
            f"the monitor of {whose} (process {pid}) has not answered for {timeout_s:.0f} s",
            hint=f"it may have been stopped: kill -CONT {pid} lets it go on; killed, it is followed by another one",
        ) from None
    except OSError as error:
        connection.close()
        raise MonitorGone() from error
    connection.settimeout(None)
    if not packet:
        connection.close()
        raise MonitorGone()
    answer = proto.parse(packet)
    if answer.get("event") == "error":
        connection.close()
        raise WrongState(str(answer.get("text")))
    return connection, answer
