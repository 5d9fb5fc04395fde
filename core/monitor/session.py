"""One process's standard streams and everybody attached to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.monitor import proto
from core.monitor.loop import READ, Loop
from core.monitor.streams import Client, Input, Output, set_size, window_of


class Session:
    """Streams of a container's first process, or of an exec'd one.

    Args: note: told the events "detach" and "resize", with their attributes.
    """

    def __init__(
        self,
        loop: Loop,
        log: Callable[[int, bytes], int] | None,
        *,
        stdin_once: bool,
        note: Callable[..., None] | None = None,
    ) -> None:
        self._loop = loop
        self._log = log
        self._note = note or _unnoted
        self._stdin_once = stdin_once
        self._terminal = -1
        self._outputs: list[Output] = []
        self._input: Input | None = None
        self.clients: list[Client] = []

    def use_pipes(self, stdin: int | None, stdout: int, stderr: int) -> None:
        """Take our ends of the pipes."""
        self._outputs = [
            Output(self._loop, stdout, proto.STDOUT, self._log),
            Output(self._loop, stderr, proto.STDERR, self._log),
        ]
        if stdin is not None:
            self._input = Input(self._loop, stdin, owns=True)
        self._join_all()

    def use_terminal(self, master: int, *, stdin: bool) -> None:
        """Take the master of a terminal."""
        self._terminal = master
        self._outputs = [Output(self._loop, master, proto.STDOUT, self._log)]
        if stdin:
            self._input = Input(self._loop, master, owns=False)
        self._join_all()

    def _join_all(self) -> None:
        for output in self._outputs:
            output.clients = self.clients

    def attach(self, connection: proto.Socket, wish: dict[str, Any]) -> None:
        """Let somebody in; their window's size becomes the terminal's."""
        client = Client(self._loop, connection, wish, self._gone)
        self.clients.append(client)
        self._loop.add(connection.fileno(), READ, lambda events: self._client_ready(client, events))
        self.resize(wish)

    def resize(self, message: dict[str, Any]) -> None:
        """Set the terminal's size, if there is a terminal."""
        if self._terminal >= 0 and self._outputs[0].is_open:
            rows, columns = window_of(message)
            set_size(self._terminal, rows, columns)
            if rows and columns:
                self._note("resize", height=str(rows), width=str(columns))

    def _client_ready(self, client: Client, events: int) -> None:
        if events & ~READ:
            client.flush()
        if not events & READ or client.connection.fileno() < 0:
            return
        try:
            packet = client.connection.recv(proto.DATA_BYTES + 1)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            client.drop()
        elif packet[0] == proto.STDIN:
            if self._input and client.wants_stdin:
                self._input.write(packet[1:])
        else:
            self._control(client, packet)

    def _control(self, client: Client, packet: bytes) -> None:
        try:
            message = proto.parse(packet)
        except ValueError:
            client.drop()
            return
        match message.get("op"):
            case "resize":
                self.resize(message)
            case "close-stdin":
                self._close_stdin(client)
            case "detach":
                client.is_detaching = True
                client.drop()
                self._note("detach")

    def _close_stdin(self, client: Client) -> None:
        if not (client.wants_stdin and self._stdin_once and self._input):
            return
        if self._terminal >= 0:
            self._input.write(b"\x04")  # a terminal has no end of file but the character for it
        else:
            self._input.close()

    def _gone(self, client: Client) -> None:
        if client in self.clients:
            self.clients.remove(client)
        was_last = client.wants_stdin and not any(other.wants_stdin for other in self.clients)
        if was_last and not client.is_detaching and self._stdin_once and self._input and self._terminal < 0:
            self._input.close()

    def drain(self) -> None:
        """The process has ended: take what it left in its pipes."""
        for output in self._outputs:
            output.drain()

    def finish(self, code: int) -> None:
        """Tell everybody the exit code; they are let go as soon as they have read everything."""
        for output in self._outputs:
            output.close()
        if self._input:
            self._input.close()
        for client in list(self.clients):
            client.finish({"event": "exit", "code": code})


def _unnoted(_action: str, **_attributes: str) -> None:
    """For sessions whose events nobody keeps."""
