"""Writing a container's log: raw bytes in segments, and an index with one record a read batch.

    logs/000001.log   what the container wrote, both streams in the order it was read
    logs/000001.idx   32-byte records (core.monitor.segments draws them)
    logs/000002.log   where it goes on once the first is full

Bytes are written before their record, so bytes behind the last record are what a kill -9 left:
still part of the log. A line's time is its batch's; nothing is done per line. A segment that is
full ends with a line where there is one; the next begins before the oldest goes, so that whoever
reads always finds a log.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from core.monitor.packing import After, Packing, clear_unfinished
from core.monitor.segments import FIRST_SEGMENT, RECORD, Batch, Segment, segment_name, segment_numbers

_BATCH_BYTES = 65536
_LEAST_BATCH_BYTES = 4096
_LEAST_INDEX_BYTES = 1 << 20
_MOST_BEHIND = 2
"""Segments that may wait to be compressed before the container waits for that."""


class Rotation(NamedTuple):
    """When a segment is full and how many are kept, the one being written counted; 0 is no limit."""

    max_bytes: int = 0
    max_files: int = 0
    compress: bool = False


class Shipper(Protocol):
    """Who passes the log on to somewhere else; core.monitor.shipping has the one there is."""

    def offer(self, segment: int, record: int, batch: Batch, data: bytes) -> None:
        """A batch has been written, as that record of the segment."""

    def may_drop(self, segment: int) -> bool:
        """Whether nothing of a segment is needed any more."""

    def close(self) -> None:
        """No more comes."""


class LogWriter:
    """The one writer of a container's log; only its monitor has one.

    Args: after: calls back a little later; needed where segments are compressed.
    """

    def __init__(self, directory: str, rotation: Rotation | None = None, after: After | None = None) -> None:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self._directory = directory
        self._rotation = rotation or Rotation()
        self._packing = Packing(after) if self._rotation.compress and after else None
        self._owed = b""
        self._ends_line = True
        self._at_ns = 0
        self.shipper: Shipper | None = None
        logs = [int(name[:-4]) for name in os.listdir(directory) if name.endswith(".log") and name[:-4].isdigit()]
        self._segment = max([*logs, *segment_numbers(directory)], default=FIRST_SEGMENT)
        self._open(self._segment)
        self._recover()
        self._tidy()

    def _open(self, number: int) -> None:
        base = f"{self._directory}/{segment_name(number)}"
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        data = os.open(f"{base}.log", flags, 0o600)
        try:
            index = os.open(f"{base}.idx", flags | os.O_APPEND, 0o600)
        except OSError:
            os.close(data)
            raise
        self._segment, self._data, self._index = number, data, index
        self._offset = os.fstat(data).st_size
        self._records = os.fstat(index).st_size // RECORD.size
        self._lines = 0

    def _recover(self) -> None:
        """Cut a torn record, and write the one that a killed writer owed."""
        size = os.fstat(self._index).st_size
        whole = size - size % RECORD.size
        if whole != size:
            os.ftruncate(self._index, whole)
        covered = 0
        if whole:
            offset, self._at_ns, self._lines, length, _ = RECORD.unpack(
                os.pread(self._index, RECORD.size, whole - RECORD.size)
            )
            covered = offset + length
        while covered < self._offset:
            data = os.pread(self._data, min(1 << 20, self._offset - covered), covered)
            self._lines += data.count(b"\n")
            os.write(self._index, RECORD.pack(covered, self._now_ns(), self._lines, len(data), 1))
            self._records += 1
            covered += len(data)

    def _tidy(self) -> None:
        """Go on with what a killed writer was compressing."""
        clear_unfinished(self._directory)
        for number in segment_numbers(self._directory):
            base = f"{self._directory}/{segment_name(number)}"
            if number != self._segment and os.path.exists(f"{base}.log"):
                if os.path.exists(f"{base}.log.gz"):
                    os.unlink(f"{base}.log")
                elif self._packing:
                    self._packing.add(f"{base}.log", f"{base}.log.gz")

    def take(self, stream: int, descriptor: int) -> bytes:
        """Move a batch from a pipe to the end of the log in one system call, and return it; b"" at the pipe's end.

        The bytes are never in our memory alone: whenever a writer is killed, each of them is still in
        the pipe or already in the file. Raises: BlockingIOError: the pipe is empty. OSError: a full or
        failing disk, or a log that can't go on before somebody has passed it on; what could not be
        moved stays in the pipe.
        """
        self._make_room()
        moved = os.splice(descriptor, self._data, self._room(), offset_dst=self._offset, flags=os.SPLICE_F_NONBLOCK)
        if not moved:
            return b""
        data = os.pread(self._data, moved, self._offset)
        self._record(stream, data)
        return data

    def write(self, stream: int, data: bytes) -> int:
        """Append a batch; how many bytes went in, fewer than all on a full or failing disk."""
        written = 0
        try:
            while written < len(data):
                self._make_room()
                piece = data[written : written + self._room()]
                count = os.pwrite(self._data, piece, self._offset)
                self._record(stream, piece[:count])
                written += count
        except OSError:
            pass  # the caller keeps the rest and tries again: the container waits, no byte is lost
        return written

    @property
    def position(self) -> list[int]:
        """Its end: segment and offset."""
        return [self._segment, self._offset]

    def replay(self, position: list[int]) -> Iterator[tuple[int, bytes]]:
        """Batches from a position on, as (stream, bytes); what has been rotated away is left out."""
        first, start = position
        for number in segment_numbers(self._directory):
            if number < first:
                continue
            segment = Segment(self._directory, number)
            try:
                skipped = start if number == first else 0
                record = segment.find_offset(skipped)
                while batches := segment.batches(record, 512):
                    record += len(batches)
                    for batch in batches:
                        cut = max(0, skipped - batch.offset)
                        yield batch.stream, segment.bytes(batch.offset + cut, batch.length - cut)
            finally:
                segment.close()

    def _room(self) -> int:
        limit = self._rotation.max_bytes
        return min(_BATCH_BYTES, max(limit - self._offset, _LEAST_BATCH_BYTES)) if limit else _BATCH_BYTES

    def _make_room(self) -> None:
        """Begin the next segment when this one is full. Raises: OSError: it must wait."""
        limit = self._rotation.max_bytes
        if not limit:
            return
        over = self._offset - limit
        if over >= _BATCH_BYTES or (over >= 0 and self._ends_line) or self._is_index_full():
            self._rotate()

    def _is_index_full(self) -> bool:
        return self._records * RECORD.size >= max(self._rotation.max_bytes, _LEAST_INDEX_BYTES)

    def _rotate(self) -> None:
        if self._owed:
            self._pay()
            if self._owed:
                raise OSError(errno.ENOSPC, "the log's index can't be written", self._directory)
        numbers = segment_numbers(self._directory)
        most = self._rotation.max_files
        dropped = numbers[: max(0, len(numbers) + 1 - most)] if most else []
        if self.shipper and not all(self.shipper.may_drop(number) for number in dropped):
            raise OSError(errno.ENOSPC, "the oldest of the log has not been passed on yet", self._directory)
        full, data, index = self._segment, self._data, self._index
        self._open(full + 1)
        os.close(data)
        os.close(index)
        for number in dropped:
            self._drop(number)
        if self._packing and full not in dropped:
            base = f"{self._directory}/{segment_name(full)}"
            self._packing.add(f"{base}.log", f"{base}.log.gz")
            if self._packing.behind > _MOST_BEHIND:
                self._packing.finish()

    def _drop(self, number: int) -> None:
        base = f"{self._directory}/{segment_name(number)}"
        if self._packing:
            self._packing.forget(f"{base}.log")
        for ending in (".idx", ".log", ".log.gz"):
            try:
                os.unlink(base + ending)
            except FileNotFoundError:
                pass

    def _record(self, stream: int, data: bytes) -> None:
        self._lines += data.count(b"\n")
        self._ends_line = data.endswith(b"\n")
        batch = Batch(self._offset, self._now_ns(), self._lines, len(data), stream)
        self._owed += RECORD.pack(*batch)
        self._offset += len(data)
        self._records += 1
        self._pay()
        if self.shipper:
            self.shipper.offer(self._segment, self._records - 1, batch, data)

    def _now_ns(self) -> int:
        """A clock that is set back stands still here: who looks for a moment finds it by halving."""
        self._at_ns = max(self._at_ns, time.time_ns())
        return self._at_ns

    def _pay(self) -> None:
        """Write owed records; what a full disk refuses stays owed, and half a record is taken back."""
        try:
            written = os.write(self._index, self._owed)
        except OSError:
            return
        if torn := written % RECORD.size:
            os.ftruncate(self._index, os.fstat(self._index).st_size - torn)
        self._owed = self._owed[written - torn :]

    def close(self, *, durable: bool = True) -> None:
        """Let go, made durable unless nobody will read it; records still owed are made up by the next writer."""
        if self._owed:
            self._pay()
        if self.shipper:
            self.shipper.close()
        for descriptor in (self._data, self._index):
            if durable:
                os.fsync(descriptor)
            os.close(descriptor)


class NoLog:
    """For a container whose output nobody keeps."""

    def take(self, _stream: int, descriptor: int) -> bytes:
        """Read a batch; b"" at the end. Raises: BlockingIOError: there is nothing just now."""
        return os.read(descriptor, _BATCH_BYTES)

    def write(self, _stream: int, data: bytes) -> int:
        """Take it all."""
        return len(data)

    @property
    def position(self) -> list[int]:
        """There is none."""
        return [FIRST_SEGMENT, 0]

    def replay(self, _position: list[int]) -> Iterator[tuple[int, bytes]]:
        """Nothing was kept."""
        return iter(())

    def close(self, *, durable: bool = True) -> None:
        """Nothing is open."""
