"""Passing a container's log on to where its driver wants it: a file of JSON lines, syslog, the journal.

The log on disk comes first. The shipper follows it, and notes how far it has come:

    logs/shipped      per stream (stdout, stderr): segment u64, offset u64; then the sink's own mark, 16 bytes

A sink that takes nothing (a server that is away, a full disk) is asked again a second later; the
container goes on meanwhile, until the log has no room for what was not passed on. Then, in the
blocking mode, the container waits; in the other mode the oldest is left out, and that is said in
the stream itself. Lines longer than 16 KiB are passed on in pieces, as docker does.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple, Protocol

from core.monitor.loop import Loop
from core.monitor.segments import Batch, Segment, segment_numbers

PIECE_BYTES = 16 * 1024
"""What docker's copier reads a line by."""
_RECORD = struct.Struct("<QQQQ16s")
_RETRY_S = 1.0
_BUSY_S = 0.02
_AT_ONCE = 64
_ROUNDS = 4
_STREAMS = (1, 2)


class Sink(Protocol):
    """Where lines go."""

    def put(self, stream: int, at_ns: int, lines: bytes) -> int:
        """Take whole lines (or one piece of a long line); how many bytes were taken, all but when it fails midway.

        Raises: OSError: nothing was taken.
        """

    def mark(self) -> bytes:
        """What the sink needs to know to go on exactly here, at most 16 bytes."""

    def go_on(self, mark: bytes) -> None:
        """Take back what was put since a mark, if that can be done."""

    def close(self) -> None:
        """No more comes."""


class _Held(NamedTuple):
    """The beginning of a line whose end has not come."""

    data: bytes = b""
    at_ns: int = 0


class _Owed(NamedTuple):
    """Lines that the sink has not taken yet, and the place in the log behind them."""

    stream: int
    at_ns: int
    lines: bytes
    place: tuple[int, int]


class LogShipper:
    """Follows one log.

    Args: most_behind_bytes: how far it may be behind before the oldest is left out; None: never.
    """

    def __init__(self, loop: Loop, directory: str, sink: Sink, most_behind_bytes: int | None) -> None:
        self._loop = loop
        self._directory = directory
        self._sink = sink
        self._most_behind_bytes = most_behind_bytes
        self._held = dict.fromkeys(_STREAMS, _Held())
        self._owed: list[_Owed] = []
        self._segment: Segment | None = None
        self._next = (0, 0)
        """Segment and record that come next."""
        self._behind_bytes = 0
        self._left_out_bytes = 0
        self._is_waiting = self._is_scheduled = self._is_closed = False
        self._read_to = 0, 0
        """Segment and offset up to which batches have been fed."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._notes = os.open(f"{directory}/shipped", flags, 0o600)
        self._done: dict[int, tuple[int, int]] = dict.fromkeys(_STREAMS, (0, 0))
        self._resume()

    def _resume(self) -> None:
        noted = os.pread(self._notes, _RECORD.size, 0)
        if len(noted) == _RECORD.size:
            first, first_offset, second, second_offset, mark = _RECORD.unpack(noted)
            self._done = {1: (first, first_offset), 2: (second, second_offset)}
            self._sink.go_on(mark)
        number, offset = min(self._done.values())
        numbers = segment_numbers(self._directory)
        if number in numbers:
            segment = Segment(self._directory, number)
            self._next = number, segment.find_offset(offset)
            segment.close()
        else:
            self._next = next((later for later in numbers if later > number), number + 1), 0
        self._catch_up()

    # ── what comes ─────────────────────────────────────────────────────────────────────────────

    def offer(self, segment: int, record: int, batch: Batch, data: bytes) -> None:
        """A batch has been written: it is passed on at once unless others come first."""
        if self._is_waiting:
            self._fall_behind(len(data))
        elif self._next == (segment, record) and not self._owed:
            self._next = segment, record + 1
            self._feed(segment, batch, data)
            self._send()
        else:
            self._catch_up()

    def _catch_up(self, rounds: int = _ROUNDS) -> None:
        """Read what the log has and we have not passed on, some of it now and the rest soon."""
        for _ in range(rounds):
            batches = self._read() if not self._owed else []
            if not batches:
                return
            for segment, batch, data in batches:
                self._feed(segment, batch, data)
            self._send()
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.after(0.0, self._go_on)

    def _go_on(self) -> None:
        self._is_scheduled = False
        if not self._is_closed:
            self._catch_up()

    def _read(self) -> list[tuple[int, Batch, bytes]]:
        while True:
            number, record = self._next
            try:
                if self._segment is None or self._segment.number != number:
                    self._let_go()
                    self._segment = Segment(self._directory, number)
            except FileNotFoundError:
                later = [other for other in segment_numbers(self._directory) if other > number]
                if not later:
                    return []
                self._next = later[0], 0
                continue
            if batches := self._segment.batches(record, _AT_ONCE):
                self._next = number, record + len(batches)
                return [(number, batch, self._segment.bytes(batch.offset, batch.length)) for batch in batches]
            later = [other for other in segment_numbers(self._directory) if other > number]
            if not later or self._segment.batch_count() > record:
                return []
            self._next = later[0], 0

    def _feed(self, segment: int, batch: Batch, data: bytes) -> None:
        """Turn a batch into whole lines; what has been passed on before is left out."""
        self._read_to = segment, batch.offset + batch.length
        stream = batch.stream
        done_segment, done_offset = self._done[stream]
        if segment < done_segment:
            return
        if segment == done_segment:
            data = data[max(0, done_offset - batch.offset) :]
        if not data:
            return
        held = self._held[stream]
        data = held.data + data
        at_ns = held.at_ns or batch.at_ns
        whole = data.rfind(b"\n") + 1
        end = batch.offset + batch.length
        if whole:
            self._owe(stream, batch.at_ns, data[:whole], (segment, end - (len(data) - whole)))
            data, at_ns = data[whole:], batch.at_ns
        while len(data) >= PIECE_BYTES:
            data_left = len(data) - PIECE_BYTES
            self._owed.append(_Owed(stream, batch.at_ns, data[:PIECE_BYTES], (segment, end - data_left)))
            data, at_ns = data[PIECE_BYTES:], batch.at_ns
        self._held[stream] = _Held(data, at_ns) if data else _Held()

    def _owe(self, stream: int, at_ns: int, lines: bytes, place: tuple[int, int]) -> None:
        """Whole lines, the long ones in pieces."""
        if len(lines) <= PIECE_BYTES or max(map(len, lines.split(b"\n"))) < PIECE_BYTES:
            self._owed.append(_Owed(stream, at_ns, lines, place))
            return
        segment, end = place
        start = end - len(lines)
        at = 0
        run = 0  # where the lines begin that are not owed yet
        while at < len(lines):
            newline = lines.index(b"\n", at)
            if newline - at >= PIECE_BYTES:
                if at > run:
                    self._owed.append(_Owed(stream, at_ns, lines[run:at], (segment, max(0, start + at))))
                while newline - at >= PIECE_BYTES:
                    piece = lines[at : at + PIECE_BYTES]
                    at += PIECE_BYTES
                    self._owed.append(_Owed(stream, at_ns, piece, (segment, max(0, start + at))))
                run = at
            at = newline + 1
        if run < len(lines):
            self._owed.append(_Owed(stream, at_ns, lines[run:], place))

    # ── what goes ──────────────────────────────────────────────────────────────────────────────

    def _send(self) -> None:
        """Give the sink what is owed; what it does not take is tried again later."""
        sent, pause_s = 0, _BUSY_S
        for owed in self._owed:
            try:
                taken = self._sink.put(owed.stream, owed.at_ns, owed.lines)
            except BlockingIOError:
                taken = 0
            except OSError:
                taken, pause_s = 0, _RETRY_S
            if taken < len(owed.lines):
                self._owed[sent] = owed._replace(lines=owed.lines[taken:])
                break
            self._done[owed.stream] = owed.place
            sent += 1
        del self._owed[:sent]
        if sent:
            self._note()
        if self._owed and not self._is_waiting:
            self._is_waiting = True
            self._loop.after(pause_s, self._retry)

    def _note(self) -> None:
        mark = self._sink.mark()
        try:
            os.pwrite(self._notes, _RECORD.pack(*self._done[1], *self._done[2], mark.ljust(16, b"\0")), 0)
        except OSError:
            pass  # a full disk: after a kill some lines would come twice, none is lost

    def _retry(self) -> None:
        if self._is_closed:
            return
        self._is_waiting = False
        self._send()
        if not self._owed:
            self._behind_bytes = self._left_out_bytes = 0
            self._catch_up()

    def _fall_behind(self, count: int) -> None:
        """The sink takes nothing: in the mode that does not block, the oldest is left out."""
        self._behind_bytes += count
        if self._most_behind_bytes is None or self._behind_bytes <= self._most_behind_bytes:
            return
        numbers = segment_numbers(self._directory)
        segment = Segment(self._directory, numbers[-1])
        self._next = numbers[-1], segment.batch_count()
        segment.close()
        if not self._left_out_bytes:  # else what is owed is the note
            self._left_out_bytes = sum(len(owed.lines) for owed in self._owed)
            self._left_out_bytes += sum(len(held.data) for held in self._held.values())
        self._left_out_bytes += self._behind_bytes
        self._behind_bytes = 0
        text = b"[%d bytes are left out here: the log driver did not keep up]\n" % self._left_out_bytes
        self._held = dict.fromkeys(_STREAMS, _Held())
        self._owed = [_Owed(2, self._owed[0].at_ns, text, self._done[2])]

    def may_drop(self, segment: int) -> bool:
        """Whether nothing of a segment is needed any more."""
        return self._most_behind_bytes is not None or (not self._owed and self._next[0] >= segment)

    def _let_go(self) -> None:
        if self._segment:
            self._segment.close()
            self._segment = None

    def close(self) -> None:
        """The process has ended: what is left of unended lines goes out; what can't, goes with the next start."""
        while not self._owed and (batches := self._read()):
            for segment, batch, data in batches:
                self._feed(segment, batch, data)
            self._send()
        if not self._owed:
            held = [(stream, held) for stream, held in self._held.items() if held.data]
            self._owed = [_Owed(stream, one.at_ns, one.data, self._read_to) for stream, one in held]
            self._send()
        self._is_closed = True
        self._let_go()
        self._sink.close()
        os.close(self._notes)
