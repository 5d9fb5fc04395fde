"""One stretch of a container's log on disk, read as if it were never compressed.

    logs/000001.idx       32-byte records: offset u64, wall_ns u64, lines u64, length u32, stream u8, 3 bytes 0
    logs/000001.log       raw bytes, or
    logs/000001.log.gz    the same once it is full: gzip members of 256 KiB of it each, so that any
                          part can be read alone; zcat gives the whole

`lines` counts the newlines of the segment up to and with the batch. A member's header carries an
extra field "WH" with its own length: the members can be found without unpacking them.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from typing import NamedTuple

RECORD = struct.Struct("<QQQIB3x")
FIRST_SEGMENT = 1
MEMBER_BYTES = 256 * 1024
"""Of raw log in each gzip member; the last one may have less."""
_HEADER = struct.Struct("<2sBBIBBH2sHI")
_TRAILER_BYTES = 8
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class Batch(NamedTuple):
    """One record of the index."""

    offset: int
    at_ns: int
    lines: int
    """Newlines of the segment up to and with this batch."""
    length: int
    stream: int


def segment_name(number: int) -> str:
    """File name of a segment, without its ending."""
    return f"{number:06d}"


def segment_numbers(directory: str | os.PathLike[str]) -> list[int]:
    """Numbers of the segments there are, oldest first."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(int(name[:-4]) for name in names if name.endswith(".idx") and name[:-4].isdigit())


def pack_member(raw: bytes) -> bytes:
    """A gzip member of up to MEMBER_BYTES."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    body = packer.compress(raw) + packer.flush()
    length = _HEADER.size + len(body) + _TRAILER_BYTES
    head = _HEADER.pack(b"\x1f\x8b", 8, 4, 0, 4, 255, 8, b"WH", 4, length)
    return head + body + struct.pack("<II", zlib.crc32(raw), len(raw))


class Segment:
    """A pair of files, open; what was opened stays readable when it is compressed or dropped.

    Raises: FileNotFoundError: there is none of that number.
    """

    def __init__(self, directory: str | os.PathLike[str], number: int) -> None:
        base = os.path.join(directory, segment_name(number))
        self.number = number
        self._index = os.open(f"{base}.idx", _FLAGS)
        try:
            self._data, self._packed = _open_data(base)
        except OSError:
            os.close(self._index)
            raise

    def close(self) -> None:
        """Let go of both files."""
        os.close(self._index)
        if self._packed:
            self._packed.close()
        else:
            os.close(self._data)

    @property
    def is_dropped(self) -> bool:
        """Whether it has been rotated away meanwhile; it can be read as long as it is open."""
        return os.fstat(self._index).st_nlink == 0

    def batch_count(self) -> int:
        """Whole records written so far."""
        return os.fstat(self._index).st_size // RECORD.size

    def batches(self, first: int, count: int) -> list[Batch]:
        """Records [first, first+count)."""
        raw = os.pread(self._index, count * RECORD.size, first * RECORD.size)
        return [Batch(*fields) for fields in RECORD.iter_unpack(raw[: len(raw) - len(raw) % RECORD.size])]

    def bytes(self, offset: int, length: int) -> bytes:
        """Part of the data. Raises: OSError."""
        if self._packed:
            return self._packed.read(offset, length)
        return os.pread(self._data, length, offset)

    def line_count(self) -> int:
        """Newlines in the indexed part."""
        count = self.batch_count()
        return self.batches(count - 1, 1)[0].lines if count else 0

    def find(self, lines: int) -> int:
        """Number of the first batch in which the newline count passes `lines`."""
        low, high = 0, self.batch_count()
        while low < high:
            middle = (low + high) // 2
            if self.batches(middle, 1)[0].lines > lines:
                high = middle
            else:
                low = middle + 1
        return low

    def find_time(self, at_ns: int) -> int:
        """Number of the first batch not older than a moment."""
        low, high = 0, self.batch_count()
        while low < high:
            middle = (low + high) // 2
            if self.batches(middle, 1)[0].at_ns >= at_ns:
                high = middle
            else:
                low = middle + 1
        return low

    def find_offset(self, offset: int) -> int:
        """Number of the batch that holds a byte, or the count of batches."""
        low, high = 0, self.batch_count()
        while low < high:
            middle = (low + high) // 2
            batch = self.batches(middle, 1)[0]
            if batch.offset + batch.length > offset:
                high = middle
            else:
                low = middle + 1
        return low


def _open_data(base: str) -> tuple[int, _Packed | None]:
    """The raw file, or its compressed successor, which is there before the raw one goes."""
    try:
        return os.open(f"{base}.log", _FLAGS), None
    except FileNotFoundError:
        return -1, _Packed(f"{base}.log.gz")


class _Packed:
    """A compressed segment: its members by number, the one last read kept unpacked."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = os.open(path, _FLAGS)
        self._members: list[tuple[int, int]] = []
        self._kept = -1, b""
        try:
            self._find_members()
        except OSError:
            os.close(self._file)
            raise

    def _find_members(self) -> None:
        place, size = 0, os.fstat(self._file).st_size
        while place < size:
            head = os.pread(self._file, _HEADER.size, place)
            if len(head) < _HEADER.size or head[:4] != b"\x1f\x8b\x08\x04" or head[12:14] != b"WH":
                raise self._damaged()
            length = _HEADER.unpack(head)[-1]
            if length <= _HEADER.size + _TRAILER_BYTES:
                raise self._damaged()
            self._members.append((place, length))
            place += length

    def _damaged(self) -> OSError:
        return OSError(errno.EIO, "the compressed log is damaged", self._path)

    def read(self, offset: int, length: int) -> bytes:
        pieces = []
        while length > 0 and offset // MEMBER_BYTES < len(self._members):
            raw = self._member(offset // MEMBER_BYTES)
            start = offset % MEMBER_BYTES
            piece = raw[start : start + length]
            if not piece:
                break
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return b"".join(pieces)

    def _member(self, number: int) -> bytes:
        if self._kept[0] != number:
            place, length = self._members[number]
            packed = os.pread(self._file, length, place)
            try:
                raw = zlib.decompress(packed[_HEADER.size : -_TRAILER_BYTES], -15)
            except zlib.error:
                raise self._damaged() from None
            if struct.unpack("<II", packed[-_TRAILER_BYTES:]) != (zlib.crc32(raw), len(raw)):
                raise self._damaged()
            self._kept = number, raw
        return self._kept[1]

    def close(self) -> None:
        os.close(self._file)
