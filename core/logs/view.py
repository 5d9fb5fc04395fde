"""Random access to a log by line number: what a viewer needs that keeps only a window in memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from core.errors import InvalidInput
from core.logs.reader import Segment, segment_numbers
from core.model.logs import LogLine
from core.model.progress import CancelToken

_LONGEST_SHOWN_BYTES = 64 * 1024
_READ_BATCHES = 256


class FileLogView:
    """core.backend.LogView over the files; lines are what stands between newlines, streams as they came."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._segments: list[Segment] = []

    def _refresh(self) -> list[Segment]:
        known = self._segments[-1].number if self._segments else 0
        for number in segment_numbers(self._directory):
            if number > known:
                self._segments.append(Segment(self._directory, number))
        return self._segments

    def line_count(self) -> int:
        """Lines written so far, an unfinished last one included."""
        segments = self._refresh()
        whole = sum(segment.line_count() for segment in segments)
        return whole + (1 if segments and _has_partial(segments[-1]) else 0)

    def lines(self, first: int, count: int) -> Sequence[LogLine]:
        """Lines [first, first+count), fewer at the end; a very long one is cut."""
        found: list[LogLine] = []
        for segment in self._refresh():
            there = segment.line_count()
            is_last = segment is self._segments[-1]
            if first < there or (is_last and first == there):
                found += _segment_lines(segment, max(0, first), count - len(found))
                if len(found) >= count:
                    break
            first = max(0, first - there)
        return found

    def line_at(self, at_ns: int) -> int:
        """Number of the first line not older than a moment."""
        passed = 0
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
    count = segment.batch_count()
    if not count:
        return False
    last = segment.batches(count - 1, 1)[0]
    return segment.bytes(last.offset + last.length - 1, 1) != b"\n"


def _segment_lines(segment: Segment, first: int, count: int) -> list[LogLine]:
    """Lines of one segment: line n begins behind the n-th newline."""
    position = segment.find(first - 1) if first else 0
    batches = segment.batches(position, _READ_BATCHES)
    before = segment.batches(position - 1, 1)[0].lines if position else 0
    skip = first - before
    found: list[LogLine] = []
    partial: tuple[int, int, bytes] | None = None
    while batches:
        for batch in batches:
            data = segment.bytes(batch.offset, batch.length)
            start = 0
            while skip:
                start = data.find(b"\n", start) + 1
                skip -= 1
            while start < len(data):
                end = data.find(b"\n", start) + 1 or len(data)
                at_ns, stream, held = partial or (batch.at_ns, batch.stream, b"")
                piece = held + data[start : min(end, start + _LONGEST_SHOWN_BYTES)]
                start = end
                if data[end - 1 : end] == b"\n":
                    partial = None
                    found.append(LogLine(at_ns, stream, piece[:_LONGEST_SHOWN_BYTES]))
                    if len(found) == count:
                        return found
                else:
                    partial = at_ns, stream, piece[:_LONGEST_SHOWN_BYTES]
        position += len(batches)
        batches = segment.batches(position, _READ_BATCHES)
    if partial:
        found.append(LogLine(*partial))
    return found
