"""Random access to a log by line number: what a viewer needs that keeps only a window in memory.

Lines keep their numbers while a view is open, also when the oldest of the log are rotated away
meanwhile: a view holds on to a few segments that are gone, and what it can't hold is said as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.errors import InvalidInput, wrapped
from core.model.logs import LogLine
from core.model.progress import CancelToken
from core.monitor.segments import Batch, Segment, segment_numbers

_LONGEST_SHOWN_BYTES = 64 * 1024
_READ_BATCHES = 256
_DROPPED_KEPT = 4
_GONE = b"(rotated away)\n"


class FileLogView:
    """core.backend.LogView over the files; lines are what stands between newlines, streams as they came."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._segments: list[Segment] = []
        self._let_go_lines = 0

    def _refresh(self) -> list[Segment]:
        known = self._segments[-1].number if self._segments else 0
        try:
            for number in segment_numbers(self._directory):
                if number > known:
                    self._segments.append(Segment(self._directory, number))
        except FileNotFoundError:
            pass  # rotated away between two looks: the next look finds what there is
        except OSError as error:
            raise wrapped(error, "read the log in", self._directory) from error
        while len(self._segments) > _DROPPED_KEPT and self._segments[_DROPPED_KEPT].is_dropped:
            oldest = self._segments.pop(0)
            self._let_go_lines += oldest.line_count()
            oldest.close()
        return self._segments

    def line_count(self) -> int:
        """Lines written so far, an unfinished last one included."""
        segments = self._refresh()
        whole = self._let_go_lines + sum(segment.line_count() for segment in segments)
        last = next((segment for segment in reversed(segments) if segment.batch_count()), None)
        return whole + (1 if last and _has_partial(last) else 0)

    def lines(self, first: int, count: int) -> Sequence[LogLine]:
        """Lines [first, first+count), fewer at the end; a very long one is cut."""
        segments = self._refresh()
        first = max(0, first)
        gone = min(count, max(0, self._let_go_lines - first))
        found = [LogLine(0, 1, _GONE)] * gone
        try:
            return found + _lines_from(segments, first + gone - self._let_go_lines, count - gone)
        except OSError as error:
            raise wrapped(error, "read the log in", self._directory) from error

    def line_at(self, at_ns: int) -> int:
        """Number of the first line not older than a moment."""
        passed = self._let_go_lines
        for segment in self._refresh():
            batch = segment.find_time(at_ns)
            if batch < segment.batch_count():
                return passed + (segment.batches(batch - 1, 1)[0].lines if batch else 0)
            passed += segment.line_count()
        return passed

    def search(
        self, pattern: bytes, *, first: int, backwards: bool, ignore_case: bool, cancel: CancelToken
    ) -> int | None:
        """Number of the next matching line, from `first` on (or before it); None if there is none."""
        try:
            matcher = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
        except re.error as error:
            raise InvalidInput(
                f"not a regular expression: {error}", hint="escape what is meant literally with \\"
            ) from None
        total = self.line_count()
        step = 4096
        if backwards:
            end = min(first, total)
            while end > 0:
                cancel.check()
                start = max(0, end - step)
                for offset, line in reversed(list(enumerate(self.lines(start, end - start)))):
                    if matcher.search(line.data):
                        return start + offset
                end = start
            return None
        while first < total:
            cancel.check()
            window = self.lines(first, step)
            for offset, line in enumerate(window):
                if matcher.search(line.data):
                    return first + offset
            if not window:
                return None
            first += len(window)
        return None

    def close(self) -> None:
        """Let go of the files."""
        for segment in self._segments:
            segment.close()
        self._segments = []


def _has_partial(segment: Segment) -> bool:
    last = segment.batches(segment.batch_count() - 1, 1)[0]
    return segment.bytes(last.offset + last.length - 1, 1) != b"\n"


def _lines_from(segments: Sequence[Segment], first: int, count: int) -> list[LogLine]:
    """Lines of all segments as one: line n begins behind the n-th newline, and may begin in an older segment."""
    if count <= 0:
        return []
    at, before = 0, 0
    while at < len(segments) - 1 and before + segments[at].line_count() < first:
        before += segments[at].line_count()
        at += 1
    found: list[LogLine] = []
    partial: tuple[int, int, bytes] | None = None
    skip = first - before
    position = segments[at].find(skip - 1) if skip and segments else 0
    if position:
        skip -= segments[at].batches(position - 1, 1)[0].lines
    for batch, data in _batches(segments, at, position):
        start = 0
        while skip and (end := data.find(b"\n", start) + 1):
            start = end
            skip -= 1
        if skip:
            continue
        while start < len(data):
            end = data.find(b"\n", start) + 1 or len(data)
            at_ns, stream, held = partial or (batch.at_ns, batch.stream, b"")
            piece = (held + data[start : min(end, start + _LONGEST_SHOWN_BYTES)])[:_LONGEST_SHOWN_BYTES]
            start = end
            if data[end - 1 : end] == b"\n":
                partial = None
                found.append(LogLine(at_ns, stream, piece))
                if len(found) == count:
                    return found
            else:
                partial = at_ns, stream, piece
    if partial:
        found.append(LogLine(*partial))
    return found


def _batches(segments: Sequence[Segment], at: int, position: int) -> Iterator[tuple[Batch, bytes]]:
    for segment in segments[at:]:
        while batches := segment.batches(position, _READ_BATCHES):
            for batch in batches:
                yield batch, segment.bytes(batch.offset, batch.length)
            position += len(batches)
        position = 0
