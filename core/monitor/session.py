"""One process's standard streams and everybody attached to them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from core.monitor import proto
from core.monitor.loop import READ, Loop
from core.monitor.streams import Client, Input, Log, Output, set_size, window_of

_STREAMS = {"stdout": proto.STDOUT, "stderr": proto.STDERR}


class Session:
    """Streams of a container's first process, or of an exec'd one.

    Args: note: told the events "detach" and "resize", with their attributes.
        on_change: called when descriptors() has become less: a stream has ended.
        on_wait: told why the log takes nothing just now, and "" when it does again.

    Whoever sets `on_left` is told when the last of those attached has gone, in whatever way.
    """

    def __init__(
        self,
        loop: Loop,
        log: Log | None,
        *,
        stdin_once: bool,
        note: Callable[..., None] | None = None,
        on_change: Callable[[], None] | None = None,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        self._on_wait = on_wait or _unheard
        self._loop = loop
        self._log = log
        self._note = note or _unnoted
        self._stdin_once = stdin_once
        self._on_change = on_change
        self._terminal = -1
        self._outputs: list[Output] = []
        self._input: Input | None = None
        self.clients: list[Client] = []
        self.on_left: Callable[[], None] | None = None

    def use_pipes(self, stdin: int | None, stdout: int | None, stderr: int | None, *, count: int | None = None) -> None:
        """Take our ends of the pipes; None where there is none (any more)."""
        for stream, descriptor in ((proto.STDOUT, stdout), (proto.STDERR, stderr)):
            if descriptor is not None:
                self._outputs.append(Output(self._loop, descriptor, stream, self._log, on_wait=self._on_wait))
        if stdin is not None:
            self._input = Input(
                self._loop, stdin, owns=True, on_end=self._on_change, on_progress=self._acknowledge, count=count
            )
        self._join_all()

    def use_terminal(
        self, master: int, *, stdin: bool, relay: tuple[int, int] | None = None, count: int | None = None
    ) -> None:
        """Take the master of a terminal; with a log a relay is made unless one is handed over."""
        self._terminal = master
        if self._log is not None and relay is None:
            relay = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._outputs = [Output(self._loop, master, proto.STDOUT, self._log, relay, on_wait=self._on_wait)]
        if stdin:
            self._input = Input(self._loop, master, owns=False, on_progress=self._acknowledge, count=count)
        self._join_all()

    def adopt(self, descriptors: dict[str, int], *, stdin: bool) -> None:
        """Take over what descriptors() of another monitor's session gave."""
        if (master := descriptors.get("terminal")) is not None:
            reading, writing = descriptors.get("relay-out"), descriptors.get("relay-in")
            relay = (reading, writing) if reading is not None and writing is not None else None
            self.use_terminal(master, stdin=stdin, relay=relay, count=descriptors.get("count"))
        else:
            ends = (descriptors.get(name) for name in ("stdin", "stdout", "stderr"))
            self.use_pipes(*ends, count=descriptors.get("count"))

    def descriptors(self) -> dict[str, int]:
        """What another monitor needs to go on with these streams, by name."""
        found = {}
        if self._input and self._input.descriptor >= 0:
            found["count"] = self._input.count
        if self._terminal >= 0:
            output = self._outputs[0]
            if output.is_open:
                found["terminal"] = self._terminal
                if output.relay:
                    found["relay-out"], found["relay-in"] = output.relay
            return found
        for name, stream in _STREAMS.items():
            for output in self._outputs:
                if output.stream == stream and output.is_open:
                    found[name] = output.descriptor
        if self._input and self._input.descriptor >= 0:
            found["stdin"] = self._input.descriptor
        return found

    def identities(self) -> dict[str, int]:
        """Inode numbers of the pipes, by which they are found again among the container's own descriptors."""
        found = self.descriptors()
        return {name: os.fstat(found[name]).st_ino for name in ("stdin", "stdout", "stderr") if name in found}

    def _join_all(self) -> None:
        for output in self._outputs:
            output.clients = self.clients

    def attach(self, connection: proto.Socket, wish: dict[str, Any]) -> None:
        """Let somebody in; their window's size becomes the terminal's.

        Somebody whose monitor was killed says in "resume" what they have got, and is sent the rest first.
        """
        client = Client(self._loop, connection, wish, self._client_ready, self._gone)
        self.clients.append(client)
        self.resize(wish)
        if client.wants_stdin:
            self._tell_taken(client)
        if (resume := wish.get("resume")) and self._log:
            self._send_missed(client, resume)

    def _send_missed(self, client: Client, resume: dict[str, Any]) -> None:
        assert self._log
        received = {proto.STDOUT: int(resume["received"][0]), proto.STDERR: int(resume["received"][1])}
        for stream, data in self._log.replay(resume["position"]):
            if not client.wants_output.get(stream):
                continue
            missed = data[received[stream] :]
            received[stream] = max(0, received[stream] - len(data))
            for start in range(0, len(missed), proto.DATA_BYTES):
                client.put(bytes((stream,)) + missed[start : start + proto.DATA_BYTES])

    @property
    def taken(self) -> int | None:
        """Bytes of input that the process was given; None without a way to it."""
        return self._input.taken if self._input else None

    def _tell_taken(self, client: Client) -> None:
        client.put(json.dumps({"event": "taken", "total": self.taken}).encode())

    def _acknowledge(self) -> None:
        """The process took some of its input: those who send may forget that, and send on."""
        for client in list(self.clients):
            if client.wants_stdin:
                self._tell_taken(client)
                if client.is_held_up and not (self._input and self._input.is_full):
                    client.hold_up(False)

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
                if self._input.is_full:
                    client.hold_up(True)
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
        if self.on_left and not self.clients:
            self.on_left()
        if was_last and not client.is_detaching and self._stdin_once and self._input and self._terminal < 0:
            self._input.close()

    def hold(self, held: bool) -> None:
        """Leave output where it is for somebody who will come, or no longer."""
        for output in self._outputs:
            output.hold(held)

    def drain(self) -> bool:
        """The process has ended: take what it left in its pipes; False when the log can't take all of it now."""
        return all([output.drain() for output in self._outputs])

    def unread(self) -> int:
        """Bytes of output that are still in the pipes."""
        return sum(output.unread() for output in self._outputs)

    def finish(self, code: int, *, leaving: bool = False) -> None:
        """Tell everybody the exit code, and let them go as soon as they have read everything.

        Args: leaving: they are to wait for let_go(), which says that the container is gone as well.
        """
        for output in self._outputs:
            output.close()
        if self._input:
            self._input.close()
        last = json.dumps({"event": "exit", "code": code, "leaving": leaving}).encode()
        for client in list(self.clients):
            client.put(last)
        if not leaving:
            self.let_go()

    def let_go(self) -> None:
        """Close everybody's connection once they have read everything."""
        for client in list(self.clients):
            client.let_go()


def _unheard(_reason: str) -> None:
    """For sessions without a log."""


def _unnoted(_action: str, **_attributes: str) -> None:
    """For sessions whose events nobody keeps."""
