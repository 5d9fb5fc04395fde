"""A container's log as its monitor writes it (core.monitor.log owns the format), read as one stream.

Raw bytes carry both streams in the order they were read; the index says which batch is whose and
when. A line belongs to the stream of its bytes: a partial line of stdout is joined with its rest
even if stderr spoke in between.
"""

from __future__ import annotations

import collections
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from core.errors import wrapped
from core.model.logs import LogLine, LogQuery
from core.model.progress import CancelToken
from core.monitor.segments import Batch, Segment, segment_numbers

_POLL_S = 0.05
_CHUNK_RECORDS = 512
_LONGEST_LINE_BYTES = 1 << 20


def read_batches(directory: Path, segment: int, start: int) -> Iterator[tuple[int, bytes]]:
    """What was written from an offset of a segment on, as (stream, bytes)."""
    for number in segment_numbers(directory):
        if number < segment:
            continue
        try:
            found = Segment(directory, number)
        except FileNotFoundError:
            continue  # rotated away
        first = 0
        while batches := found.batches(first, _CHUNK_RECORDS):
            first += len(batches)
            for batch in batches:
                skipped = max(0, start - batch.offset) if number == segment else 0
                if skipped < batch.length:
                    yield batch.stream, found.bytes(batch.offset + skipped, batch.length - skipped)
        found.close()


class _Joiner:
    """Turns batches into lines, keeping a partial line of each stream until its end comes."""

    def __init__(self) -> None:
        self._partial: dict[int, tuple[int, bytes]] = {}

    def feed(self, batch: Batch, data: bytes) -> Iterator[LogLine]:
        at_ns, held = self._partial.pop(batch.stream, (batch.at_ns, b""))
        for piece in _split(held + data):
            if piece.endswith(b"\n") or len(piece) > _LONGEST_LINE_BYTES:
                yield LogLine(at_ns, batch.stream, piece)
                at_ns = batch.at_ns
            else:
                self._partial[batch.stream] = (at_ns, piece)

    def rest(self) -> Iterator[LogLine]:
        for stream, (at_ns, piece) in sorted(self._partial.items(), key=lambda item: item[1][0]):
            yield LogLine(at_ns, stream, piece)
        self._partial = {}


def _split(data: bytes) -> list[bytes]:
    """Split at newlines only: bytes.splitlines() would also end a line at a carriage return."""
    pieces = data.split(b"\n")
    lines = [piece + b"\n" for piece in pieces[:-1]]
    return [*lines, pieces[-1]] if pieces[-1] else lines


class _Cursor:
    """A place in the log that moves forward, from segment to segment."""

    def __init__(self, directory: Path, segment: Segment | None, position: int) -> None:
        self._directory = directory
        self._segment = segment
        self._position = position
        self._joiner = _Joiner()

    def lines(self) -> Iterator[LogLine]:
        """Whole lines from here to the present end."""
        if self._segment is None and not self._open_next(0):
            return
        while True:
            assert self._segment is not None
            # asked first: what was written to this segment before the next one began is found below
            has_next = any(number > self._segment.number for number in segment_numbers(self._directory))
            while batches := self._segment.batches(self._position, _CHUNK_RECORDS):
                for batch in batches:
                    self._position += 1
                    yield from self._joiner.feed(batch, self._segment.bytes(batch.offset, batch.length))
            if not has_next or not self._open_next(self._segment.number):
                return

    def _open_next(self, after: int) -> bool:
        """Go on to the segment behind `after`, if there is one; what was rotated away meanwhile is skipped."""
        for number in segment_numbers(self._directory):
            if number <= after:
                continue
            try:
                segment = Segment(self._directory, number)
            except FileNotFoundError:
                continue
            self.close()
            self._segment, self._position = segment, 0
            return True
        return False

    def rest(self) -> Iterator[LogLine]:
        """Lines that have not been ended."""
        return self._joiner.rest()

    def close(self) -> None:
        """Let go of the files."""
        if self._segment:
            self._segment.close()


def read_log(directory: Path, query: LogQuery, cancel: CancelToken, is_over: Callable[[], bool]) -> Iterator[LogLine]:
    """Lines that match a query, oldest first.

    Args: is_over: whether nothing more can come; asked before each look at the files, so that what
        was written before the end is always found. Only with follow.
    """
    cursor = None
    try:
        cursor = _cursor(directory, query)
        lines = cursor.lines() if query.follow else itertools.chain(cursor.lines(), cursor.rest())
        existing: Iterable[LogLine] = _within(lines, query)
        if query.tail is not None:
            existing = collections.deque(existing, maxlen=query.tail)
        yield from existing
        while query.follow and not cancel.is_cancelled:
            over = is_over()
            yield from _within(cursor.lines(), query)
            if over or (query.until_ns is not None and time.time_ns() > query.until_ns):
                yield from _within(cursor.rest(), query)
                return
            cancel.wait(_POLL_S)
    except OSError as error:
        raise wrapped(error, "read the log in", directory) from error
    finally:
        if cursor:
            cursor.close()


def _within(lines: Iterator[LogLine], query: LogQuery) -> Iterator[LogLine]:
    if query.since_ns is None and query.until_ns is None:
        return lines
    since, until = query.since_ns or 0, query.until_ns
    return (line for line in lines if line.at_ns >= since and (until is None or line.at_ns <= until))


def _cursor(directory: Path, query: LogQuery) -> _Cursor:
    """Begin early enough for the query; what comes too early is cut by time or by count."""
    numbers = segment_numbers(directory)
    wanted = None if query.tail is None else query.tail + 2
    for number in reversed(numbers):
        try:
            segment = Segment(directory, number)
        except FileNotFoundError:
            break  # rotated away just now, and what is older with it
        position = 0
        if query.since_ns:
            position = max(0, segment.find_time(query.since_ns) - 1)
        if wanted is not None:
            there = segment.line_count()
            if there >= wanted:
                return _Cursor(directory, segment, max(position, segment.find(there - wanted)))
            wanted -= there
        if position > 0 or number == numbers[0]:
            return _Cursor(directory, segment, position)
        segment.close()
    return _Cursor(directory, None, 0)
