"""A connection to a process's streams, over its monitor's socket."""

from __future__ import annotations

import _socket
from typing import Any

from core.errors import EngineError, WrongState
from core.monitor import proto


class LocalAttachment:
    """core.backend.Attachment: one thread reads, any other may write."""

    def __init__(self, connection: proto.Socket) -> None:
        self._connection = connection
        self._code: int | None = None

    def fileno(self) -> int:
        """A descriptor to poll."""
        return self._connection.fileno()

    def read(self) -> tuple[int, bytes] | None:
        """The next piece, or None at the end."""
        while True:
            try:
                packet = proto.receive(self._connection)
            except OSError:
                return None  # closed by ourselves, from another thread
            if not packet:
                return None
            if packet[0] in (proto.STDOUT, proto.STDERR):
                return packet[0], packet[1:]
            message = proto.parse(packet)
            if message.get("event") == "exit":
                self._code = int(message["code"])
                return None

    def write(self, data: bytes) -> None:
        """Send bytes to stdin; a process that has gone takes none."""
        for start in range(0, len(data), proto.DATA_BYTES):
            try:
                self._connection.send(bytes((proto.STDIN,)) + data[start : start + proto.DATA_BYTES])
            except (BrokenPipeError, ConnectionResetError):
                return

    def close_stdin(self) -> None:
        """No more comes."""
        self._control({"op": "close-stdin"})

    def resize(self, rows: int, columns: int) -> None:
        """Tell the terminal its size."""
        self._control({"op": "resize", "rows": rows, "columns": columns})

    def _control(self, message: dict[str, Any]) -> None:
        try:
            proto.send(self._connection, message)
        except OSError:
            pass  # it has ended meanwhile: read() tells

    def exit_code(self) -> int | None:
        """The code, once read() gave None."""
        return self._code

    def close(self) -> None:
        """Detach."""
        if self._connection.fileno() < 0:
            return
        self._control({"op": "detach"})
        try:
            self._connection.shutdown(_socket.SHUT_RDWR)  # wakes a reader in another thread
        except OSError:
            pass
        self._connection.close()


def ask(path: Any, request: dict[str, Any], *, timeout_s: float | None = 10.0) -> tuple[proto.Socket, dict[str, Any]]:
    """Make a request of a monitor; the open connection and its first answer.

    Raises: WrongState: no monitor listens. EngineError: it refused, or did not answer in time.
    """
    try:
        connection = proto.connect(path)
    except OSError as error:
        raise WrongState("the container is not running") from error
    connection.settimeout(timeout_s)
    try:
        proto.send(connection, {**request, "protocol": proto.PROTOCOL})
        packet = proto.receive(connection)
    except TimeoutError:
        connection.close()
        raise EngineError(
            f"the container's monitor has not answered for {timeout_s:.0f} s",
            hint="it may be stopped or stuck: try again",
        ) from None
    except OSError as error:
        connection.close()
        raise WrongState("the container is not running") from error
    connection.settimeout(None)
    if not packet:
        connection.close()
        raise WrongState("the container is not running")
    answer = proto.parse(packet)
    if answer.get("event") == "error":
        connection.close()
        raise WrongState(str(answer.get("text")))
    return connection, answer
