"""A process's output on its way to the log and to the people attached, and their input back.

Nothing is dropped: a reader that does not keep up, or a full disk, stops the reading of the
process's pipes, and so the process waits.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import struct
import sys
import termios
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from core.monitor import proto
from core.monitor.loop import READ, WRITE, Loop

_PENDING_MOST_BYTES = 256 * 1024
_LOG_RETRY_S = 1.0


class Client:
    """Somebody attached: packets wait here until the socket takes them."""

    def __init__(
        self,
        loop: Loop,
        connection: proto.Socket,
        wish: dict[str, Any],
        on_ready: Callable[[Client, int], None],
        on_gone: Callable[[Client], None],
    ) -> None:
        self.connection = connection
        self._on_ready = functools.partial(on_ready, self)
        self.wants_output = {proto.STDOUT: bool(wish.get("stdout")), proto.STDERR: bool(wish.get("stderr"))}
        self.wants_stdin = bool(wish.get("stdin"))
        self.is_detaching = False
        self.is_held_up = False
        self._loop = loop
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._closing = False
        self._when_drained: set[Callable[[], None]] = set()
        self._on_gone = on_gone
        connection.setblocking(False)
        self._wait()

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
        self._wait()

    def hold_up(self, held: bool) -> None:
        """Leave what it sends in its socket for a while: the process does not read as fast."""
        self.is_held_up = held
        if self.connection.fileno() >= 0:
            self._wait()

    def _wait(self) -> None:
        """For what can be done; for nothing at all not even its leaving is noticed, nor need it be."""
        wanted = (0 if self.is_held_up else READ) | (WRITE if self._pending else 0)
        self._loop.wait_for(self.connection.fileno(), wanted, self._on_ready)

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
                self._wait()
        if not self.is_full:
            self._release()

    def when_drained(self, callback: Callable[[], None]) -> None:
        """Call back once, when it is no longer full or has gone."""
        self._when_drained.add(callback)

    def _release(self) -> None:
        waiting, self._when_drained = self._when_drained, set()
        for callback in waiting:
            callback()

    def let_go(self) -> None:
        """Close once everything has gone out."""
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


class Log(Protocol):
    """Where output is kept; core.monitor.log.LogWriter is one."""

    def take(self, stream: int, descriptor: int) -> bytes:
        """Move a batch out of a pipe and return it; b"" at its end.

        Raises: BlockingIOError: it is empty. OSError: it can't be kept now and stays in the pipe.
        """

    def replay(self, position: list[int]) -> Iterator[tuple[int, bytes]]:
        """What was kept from a position on, as (stream, bytes)."""


class Tap:
    """A Log that hands everything to a callback and keeps nothing."""

    def __init__(self, sink: Callable[[int, bytes], int]) -> None:
        self._sink = sink

    def take(self, stream: int, descriptor: int) -> bytes:
        """Read a batch."""
        data = os.read(descriptor, proto.DATA_BYTES)
        self._sink(stream, data)
        return data

    def replay(self, _position: list[int]) -> Iterator[tuple[int, bytes]]:
        """Nothing: nobody is attached."""
        return iter(())


class Output:
    """One source of bytes (a pipe's reading end or a terminal's master) and where they go.

    Args: relay: the two ends of a pipe that a terminal's bytes go through on their way to the log,
        because only a pipe's can be moved into a file without being in our memory alone.
        on_wait: told why the log takes nothing just now, and "" when it does again.
    """

    def __init__(
        self,
        loop: Loop,
        descriptor: int,
        stream: int,
        log: Log | None,
        relay: tuple[int, int] | None = None,
        *,
        on_wait: Callable[[str], None],
    ) -> None:
        self.descriptor = descriptor
        self.stream = stream
        self.clients: list[Client] = []
        self.relay = relay
        self._loop = loop
        self._log = log
        self._on_wait = on_wait
        self._is_waiting_for_log = False
        self._is_retry_due = False
        self._is_held = False
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
            data = self._take()
        except BlockingIOError:
            return False
        except OSError as error:  # the disk is full or failing: the process waits until it is not
            self._wait_for_log(error)
            return False
        if self._is_waiting_for_log:
            self._is_waiting_for_log = False
            self._on_wait("")
        if not data:
            self.close()
            return False
        packet = bytes((self.stream,)) + data
        for client in list(self.clients):
            if client.wants_output[self.stream]:
                client.put(packet)
                if client.is_full:
                    client.when_drained(self._resume)
                    self._pause()
        return True

    def _take(self) -> bytes:
        if self._log is None:
            return self._read()
        if self.relay is None:
            return self._log.take(self.stream, self.descriptor)
        reading, writing = self.relay
        try:
            return self._log.take(self.stream, reading)  # what a full disk, or a killed monitor, left there
        except BlockingIOError:
            pass
        try:
            moved = os.splice(self.descriptor, writing, proto.DATA_BYTES, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            raise
        except OSError:
            return b""  # EIO: every slave of the terminal is closed
        return self._log.take(self.stream, reading) if moved else b""

    def _read(self) -> bytes:
        try:
            return os.read(self.descriptor, proto.DATA_BYTES)
        except BlockingIOError:
            raise
        except OSError:
            return b""  # EIO, as above

    def _wait_for_log(self, error: OSError) -> None:
        if not self._is_waiting_for_log:
            self._on_wait((error.strerror or str(error)).lower())
        self._is_waiting_for_log = True
        self._pause()
        if not self._is_retry_due:
            self._is_retry_due = True
            self._loop.after(_LOG_RETRY_S, self._retry)

    def _retry(self) -> None:
        self._is_retry_due = False
        if self._is_waiting_for_log and self.is_open and self.pump():
            self._resume()

    def _pause(self) -> None:
        if not self._is_paused and self.is_open:
            self._is_paused = True
            self._loop.remove(self.descriptor)

    def _resume(self) -> None:
        must_wait = self._is_held or self._is_waiting_for_log or any(client.is_full for client in self.clients)
        if self._is_paused and self.is_open and not must_wait:
            self._is_paused = False
            self._loop.add(self.descriptor, READ, self._ready)

    def hold(self, held: bool) -> None:
        """Let the process wait with its output for somebody who will come, or no longer."""
        self._is_held = held
        if held:
            self._pause()
        else:
            self._resume()

    def drain(self) -> bool:
        """Take everything that is left, without waiting for more; False when the log can't take it now."""
        while self.is_open and self.pump():
            pass
        return not (self.is_open and self._is_waiting_for_log)

    def unread(self) -> int:
        """Bytes that are still to be taken."""
        sources = (self.descriptor, *(self.relay or ())[:1]) if self.is_open else ()
        return sum(_readable_bytes(source) for source in sources)

    def close(self) -> None:
        """Stop reading."""
        if self.descriptor >= 0:
            if not self._is_paused:
                self._loop.remove(self.descriptor)
            os.close(self.descriptor)
            for end in self.relay or ():
                os.close(end)
            self.descriptor = -1


def _readable_bytes(descriptor: int) -> int:
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)
    except OSError:
        return 0  # a terminal whose other side is closed


class Input:
    """The way to a process's stdin: a pipe's writing end or a terminal's master.

    How many bytes the process was given is noted in memory that outlives this monitor: people who
    go on with the next one then send what is missing, and nothing twice.

    Args: on_progress: called after some of what waited was taken. count: the note of an earlier
        monitor, a file in memory.
    """

    def __init__(
        self,
        loop: Loop,
        descriptor: int,
        *,
        owns: bool,
        on_progress: Callable[[], None],
        on_end: Callable[[], None] | None = None,
        count: int | None = None,
    ) -> None:
        self.count = os.memfd_create("taken", os.MFD_CLOEXEC) if count is None else count
        self.taken = int.from_bytes(os.pread(self.count, 8, 0), "little")
        self._on_progress = on_progress
        self.descriptor = descriptor
        self._loop = loop
        self._on_end = on_end
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
                written = os.write(self.descriptor, self._pending)
                self.taken += written
                os.pwrite(self.count, self.taken.to_bytes(8, "little"), 0)
                self._pending = self._pending[written:]
            except BlockingIOError:
                break
            except OSError:  # EPIPE: it has closed its stdin
                self._pending = b""
                self._finish()
                self._on_progress()
                return
        if self._pending and self._registered < 0:
            # a duplicate, because a terminal's master is already registered for reading
            self._registered = os.dup(self.descriptor)
            self._loop.add(self._registered, WRITE, self._flush)
        elif not self._pending:
            self._unregister()
            if self._closing:
                self._finish()
        self._on_progress()

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
        if self.descriptor < 0:
            return
        descriptor, self.descriptor = self.descriptor, -1
        os.close(self.count)
        if self._owns:
            if self._on_end:
                self._on_end()  # duplicates of it must go too, else the process never sees the end
            os.close(descriptor)


def window_of(message: dict[str, Any]) -> tuple[int, int]:
    """Rows and columns that a message carries, 0 for none."""
    return int(message.get("rows") or 0), int(message.get("columns") or 0)


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Tell a terminal its window's size; sends SIGWINCH to its foreground processes."""
    if 0 < rows < 65536 and 0 < columns < 65536:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
