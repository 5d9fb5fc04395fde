"""Writing a container's log: raw bytes in segments, and an index with one record a read batch.

    logs/000001.log   what the container wrote, both streams in the order it was read
    logs/000001.idx   32-byte records: offset u64, wall_ns u64, lines u64, length u32, stream u8, 3 bytes 0

`lines` counts the newlines of this segment up to and with the batch. Bytes are written before
their record, so bytes behind the last record are what a kill -9 left: still part of the log.
A line's time is its batch's; nothing is done per line.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator

RECORD = struct.Struct("<QQQIB3x")
FIRST_SEGMENT = 1
_BATCH_BYTES = 65536


def segment_name(number: int) -> str:
    """File name of a segment, without its ending."""
    return f"{number:06d}"


class LogWriter:
    """The one writer of a container's log; only its monitor has one."""

    def __init__(self, directory: str) -> None:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        numbers = [int(name[:-4]) for name in os.listdir(directory) if name.endswith(".log") and name[:-4].isdigit()]
        self._segment = max(numbers, default=FIRST_SEGMENT)
        base = os.path.join(directory, segment_name(self._segment))
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._data = os.open(f"{base}.log", flags, 0o600)
        self._index = os.open(f"{base}.idx", flags | os.O_APPEND, 0o600)
        self._offset = os.fstat(self._data).st_size
        self._lines = 0
        self._owed = b""
        self._recover()

    def _recover(self) -> None:
        """Cut a torn record, and write the one that a killed writer owed."""
        size = os.fstat(self._index).st_size
        whole = size - size % RECORD.size
        if whole != size:
            os.ftruncate(self._index, whole)
        covered = 0
        if whole:
            offset, _, self._lines, length, _ = RECORD.unpack(os.pread(self._index, RECORD.size, whole - RECORD.size))
            covered = offset + length
        while covered < self._offset:
            data = os.pread(self._data, min(1 << 20, self._offset - covered), covered)
            self._lines += data.count(b"\n")
            os.write(self._index, RECORD.pack(covered, time.time_ns(), self._lines, len(data), 1))
            covered += len(data)

    def take(self, stream: int, descriptor: int) -> bytes:
        """Move a batch from a pipe to the end of the log in one system call, and return it; b"" at the pipe's end.

        The bytes are never in our memory alone: whenever a writer is killed, each of them is still in
        the pipe or already in the file. Raises: BlockingIOError: the pipe is empty. OSError: a full or
        failing disk; what could not be moved stays in the pipe.
        """
        moved = os.splice(descriptor, self._data, _BATCH_BYTES, offset_dst=self._offset, flags=os.SPLICE_F_NONBLOCK)
        if not moved:
            return b""
        data = os.pread(self._data, moved, self._offset)
        self._record(stream, data)
        return data

    @property
    def position(self) -> list[int]:
        """Its end: segment and offset."""
        return [self._segment, self._offset]

    def replay(self, position: list[int]) -> Iterator[tuple[int, bytes]]:
        """Batches from a position on, as (stream, bytes)."""
        segment, start = position
        if segment != self._segment:
            start = 0
        record = 0
        while packed := os.pread(self._index, RECORD.size * 512, record):
            record += len(packed)
            for offset, _, _, length, stream in RECORD.iter_unpack(packed[: len(packed) - len(packed) % RECORD.size]):
                if offset + length > start:
                    skipped = max(0, start - offset)
                    yield stream, os.pread(self._data, length - skipped, offset + skipped)

    def write(self, stream: int, data: bytes) -> int:
        """Append a batch; how many bytes went in, fewer than all on a full or failing disk."""
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(self._data, data[written:] if written else data, self._offset + written)
        except OSError:
            pass  # the caller keeps the rest and tries again: the container waits, no byte is lost
        if written:
            self._record(stream, data[:written])
        return written

    def _record(self, stream: int, data: bytes) -> None:
        self._lines += data.count(b"\n")
        self._owed += RECORD.pack(self._offset, time.time_ns(), self._lines, len(data), stream)
        self._offset += len(data)
        self._pay()

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
        for descriptor in (self._data, self._index):
            if durable:
                os.fsync(descriptor)
            os.close(descriptor)
