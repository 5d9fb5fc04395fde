"""Where a tar's bytes come from: anything that can be read once, front to back.

Small reads are served from a buffer; long bodies of a regular file are copied inside the kernel.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

BUFFER_BYTES = 1024 * 1024
_KERNEL_COPY_FROM = 256 * 1024
_AFTER_SKIP_BYTES = 4 * 1024


class EndOfInput(Exception):
    """Fewer bytes than were asked for."""


class Source:
    """A buffered reader with an exact position.

    Args: read: gives at most so many bytes, b"" at the end. descriptor: the same input as a regular
        file positioned at `position`, where there is one; it is then read by offset and its own
        position never moves.
    """

    def __init__(self, read: Callable[[int], bytes] | None, *, descriptor: int = -1, position: int = 0) -> None:
        self._read = read
        self._descriptor = descriptor
        self._buffer = b""
        self._taken = 0
        self._fetched = position
        self._start = position
        self._step = BUFFER_BYTES
        self._end = os.fstat(descriptor).st_size if read is None else 0

    @classmethod
    def of_file(cls, descriptor: int, position: int = 0) -> Source:
        """A regular file, read by offset."""
        return cls(None, descriptor=descriptor, position=position)

    @property
    def position(self) -> int:
        """Bytes handed out so far."""
        return self._fetched - (len(self._buffer) - self._taken) - self._start

    def _fetch(self, size: int) -> bytes:
        data = self._read(size) if self._read is not None else os.pread(self._descriptor, size, self._fetched)
        self._fetched += len(data)
        return data

    def read_some(self, most: int) -> bytes:
        """Between one and `most` bytes; b"" only at the end."""
        if self._taken == len(self._buffer):
            self._buffer = self._fetch(self._step)
            self._taken = 0
            self._step = min(self._step * 4, BUFFER_BYTES)
        data = self._buffer[self._taken : self._taken + most]
        self._taken += len(data)
        return data

    def read_exact(self, size: int) -> bytes:
        """Exactly so many bytes. Raises: EndOfInput."""
        taken = self._taken
        if len(self._buffer) - taken >= size:
            self._taken = taken + size
            return self._buffer[taken : taken + size]
        pieces = []
        missing = size
        while missing:
            piece = self.read_some(missing)
            if not piece:
                raise EndOfInput
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def skip(self, size: int) -> None:
        """Pass over bytes. Raises: EndOfInput."""
        available = len(self._buffer) - self._taken
        if size <= available:
            self._taken += size
            return
        size -= available
        self._taken = len(self._buffer)
        if self._read is None:
            if self._end < self._fetched + size:
                raise EndOfInput
            self._fetched += size
            self._step = _AFTER_SKIP_BYTES  # whoever passes over one body may well pass over the next one
            return
        while size:
            piece = self.read_some(size)
            if not piece:
                raise EndOfInput
            size -= len(piece)

    def copy_to(self, target: int, size: int) -> None:
        """Write the next bytes to a file at its position. Raises: EndOfInput, OSError."""
        while size:
            if self._read is None and self._taken == len(self._buffer) and size >= _KERNEL_COPY_FROM:
                copied = self._copy_in_kernel(target, size)
                if copied:
                    size -= copied
                    continue
            piece = self.read_some(size)
            if not piece:
                raise EndOfInput
            size -= len(piece)
            view = memoryview(piece)
            while view:
                view = view[os.write(target, view) :]

    def _copy_in_kernel(self, target: int, size: int) -> int:
        """Bytes copied without passing through us; 0 where the kernel declines, or at the end."""
        try:
            copied = os.copy_file_range(self._descriptor, target, size, offset_src=self._fetched)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF):
                raise
            return 0
        self._fetched += copied
        return copied

    def drain(self) -> int:
        """Read to the end; how many bytes there were."""
        total = 0
        while piece := self.read_some(BUFFER_BYTES):
            total += len(piece)
        return total
