"""A process's output on its way to the log and to the people attached, and their input back.

Nothing is dropped: a reader that does not keep up, or a full disk, stops the reading of the
process's pipes, and so the process waits.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import struct
import termios
from collections.abc import Callable
from typing import Any

from core.monitor import proto
from core.monitor.loop import READ, WRITE, Loop

_PENDING_MOST_BYTES = 256 * 1024


class Client:
    """Somebody attached: packets wait here until the socket takes them."""

    def __init__(
        self, loop: Loop, connection: proto.Socket, wish: dict[str, Any], on_gone: Callable[[Client], None]
    ) -> None:
        self.connection = connection
        self.wants_output = {proto.STDOUT: bool(wish.get("stdout")), proto.STDERR: bool(wish.get("stderr"))}
        self.wants_stdin = bool(wish.get("stdin"))
        self.is_detaching = False
        self._loop = loop
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._closing = False
        self._when_drained: set[Callable[[], None]] = set()
        self._on_gone = on_gone
        connection.setblocking(False)

    @property
    def is_full(self) -> bool:
        """Whether it has so much waiting that the source must wait for it."""
        return self._pending_bytes > _PENDING_MOST_BYTES

    def put(self, packet: bytes) -> None:
        """Send, now or when the socket takes it."""
        if not self._pending and self._try(packet):
            return
        if self._closing:
            return
        self._pending.append(packet)
        self._pending_bytes += len(packet)
        self._loop.modify(self.connection.fileno(), READ | WRITE)

    def _try(self, packet: bytes) -> bool:
        try:
            self.connection.send(packet)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                return False
            self._drop()
        return True

    def flush(self) -> None:
        """The socket takes more."""
        while self._pending and self._try(self._pending[0]):
            if not self._pending:
                return  # gone
            self._pending_bytes -= len(self._pending.pop(0))
        if not self._pending and self.connection.fileno() >= 0:
            if self._closing:
                self._drop()
            else:
                self._loop.modify(self.connection.fileno(), READ)
        if not self.is_full:
            self._release()

    def when_drained(self, callback: Callable[[], None]) -> None:
        """Call back once, when it is no longer full or has gone."""
        self._when_drained.add(callback)

    def _release(self) -> None:
        waiting, self._when_drained = self._when_drained, set()
        for callback in waiting:
            callback()

    def finish(self, message: dict[str, Any]) -> None:
        """Send a last message and close once everything has gone out."""
        self.put(json.dumps(message).encode())
        self._closing = True
        if not self._pending:
            self._drop()

    @property
    def is_flushed(self) -> bool:
        """Nothing is left to send."""
        return not self._pending

    def _drop(self) -> None:
        self._pending = []
        self._pending_bytes = 0
        if self.connection.fileno() >= 0:
            self._loop.remove(self.connection.fileno())
            self.connection.close()
            self._on_gone(self)
            self._release()

    def drop(self) -> None:
        """The other side has gone."""
        self._drop()


class Output:
    """One source of bytes (a pipe's reading end or a terminal's master) and where they go."""

    def __init__(self, loop: Loop, descriptor: int, stream: int, log: Callable[[int, bytes], int] | None) -> None:
        self.descriptor = descriptor
        self.stream = stream
        self.clients: list[Client] = []
        self._loop = loop
        self._log = log
        self._unlogged = b""
        self._is_paused = False
        os.set_blocking(descriptor, False)
        loop.add(descriptor, READ, self._ready)

    @property
    def is_open(self) -> bool:
        """Whether more may come."""
        return self.descriptor >= 0

    def _ready(self, _events: int) -> None:
        self.pump()

    def pump(self) -> bool:
        """Move one batch; False at the end or when there is nothing just now."""
        try:
            data = os.read(self.descriptor, proto.DATA_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # EIO: every slave of the terminal is closed
        if not data:
            self.close()
            return False
        if self._log:
            written = self._log(self.stream, data)
            if written < len(data):
                self._unlogged = data[written:]
                self._pause()
                self._loop.after(1.0, self._retry)
        packet = bytes((self.stream,)) + data
        for client in list(self.clients):
            if client.wants_output[self.stream]:
                client.put(packet)
                if client.is_full:
                    client.when_drained(self._resume)
                    self._pause()
        return True

    def _retry(self) -> None:
        if self._unlogged and self._log:
            self._unlogged = self._unlogged[self._log(self.stream, self._unlogged) :]
            if self._unlogged:
                self._loop.after(1.0, self._retry)
                return
        self._resume()

    def _pause(self) -> None:
        if not self._is_paused and self.is_open:
            self._is_paused = True
            self._loop.remove(self.descriptor)

    def _resume(self) -> None:
        if self._is_paused and self.is_open and not self._unlogged and not any(c.is_full for c in self.clients):
            self._is_paused = False
            self._loop.add(self.descriptor, READ, self._ready)

    def drain(self) -> None:
        """Take everything that is left, without waiting for more."""
        while self.is_open and not self._unlogged and self.pump():
            pass

    def close(self) -> None:
        """Stop reading."""
        if self.descriptor >= 0:
            if not self._is_paused:
                self._loop.remove(self.descriptor)
            os.close(self.descriptor)
            self.descriptor = -1


class Input:
    """The way to a process's stdin: a pipe's writing end or a terminal's master."""

    def __init__(self, loop: Loop, descriptor: int, *, owns: bool) -> None:
        self.descriptor = descriptor
        self._loop = loop
        self._owns = owns
        self._pending = b""
        self._closing = False
        self._registered = -1
        if owns:
            os.set_blocking(descriptor, False)

    @property
    def is_full(self) -> bool:
        """Whether clients should wait before they send more."""
        return len(self._pending) > _PENDING_MOST_BYTES

    def write(self, data: bytes) -> None:
        """Send, now or when the process reads."""
        if self.descriptor < 0 or self._closing:
            return
        self._pending += data
        self._flush()

    def _flush(self, _events: int = 0) -> None:
        while self._pending:
            try:
                self._pending = self._pending[os.write(self.descriptor, self._pending) :]
            except BlockingIOError:
                break
            except OSError:  # EPIPE: it has closed its stdin
                self._pending = b""
                self._finish()
                return
        if self._pending and self._registered < 0:
            # a duplicate, because a terminal's master is already registered for reading
            self._registered = os.dup(self.descriptor)
            self._loop.add(self._registered, WRITE, self._flush)
        elif not self._pending:
            self._unregister()
            if self._closing:
                self._finish()

    def _unregister(self) -> None:
        if self._registered >= 0:
            self._loop.remove(self._registered)
            os.close(self._registered)
            self._registered = -1

    def close(self) -> None:
        """No more comes; what waits is still sent."""
        self._closing = True
        if not self._pending:
            self._finish()

    def _finish(self) -> None:
        self._unregister()
        if self.descriptor >= 0 and self._owns:
            os.close(self.descriptor)
        self.descriptor = -1


def window_of(message: dict[str, Any]) -> tuple[int, int]:
    """Rows and columns that a message carries, 0 for none."""
    return int(message.get("rows") or 0), int(message.get("columns") or 0)


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Tell a terminal its window's size; sends SIGWINCH to its foreground processes."""
    if 0 < rows < 65536 and 0 < columns < 65536:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
