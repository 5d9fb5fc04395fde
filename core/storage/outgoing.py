"""Stored content as it is sent: as it is kept, or packed on the way.

Registries hold packed layers, and archives that were made here are kept plain: they are packed with
gzip each time that one is sent, always into the same bytes. What came of it is known afterwards, and
remembered by who sends it (core/images/origins.py), so that it seldom happens twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from core.errors import wrapped
from core.state.paths import Roots
from core.storage.blobs import open_blob
from core.storage.compression import HEAD_BYTES, compression_of, plain_pieces

PIECE_BYTES = 256 * 1024
"""Small enough that the slowest line sends one in time."""
_PLAIN_BYTES = 1024 * 1024


class BytesSource:
    """A document in memory."""

    def __init__(self, data: bytes, digest: str) -> None:
        self._data = data
        self.size_bytes = len(data)
        self.digest = digest

    def pieces(self, offset: int) -> Iterator[bytes]:
        """From an offset on."""
        for start in range(offset, len(self._data), PIECE_BYTES):
            yield self._data[start : start + PIECE_BYTES]


class BlobSource:
    """A blob as it is kept."""

    def __init__(self, roots: Roots, digest: str, size_bytes: int) -> None:
        self._roots = roots
        self.digest = digest
        self.size_bytes = size_bytes

    def pieces(self, offset: int) -> Iterator[bytes]:
        """From an offset on. Raises: NotFound, DigestMismatch."""
        descriptor = open_blob(self._roots, self.digest)
        try:
            while piece := os.pread(descriptor, PIECE_BYTES, offset):
                yield piece
                offset += len(piece)
        except OSError as error:
            raise wrapped(error, "read", self._roots.blob(self.digest)) from error
        finally:
            os.close(descriptor)


class PackedSource:
    """A blob, unpacked if need be, and packed with gzip."""

    def __init__(self, roots: Roots, blob: str) -> None:
        self._roots = roots
        self._blob = blob
        self.size_bytes: int | None = None
        self.digest = ""
        self.read_bytes = 0
        """How much of the blob has gone into it."""

    def pieces(self, offset: int) -> Iterator[bytes]:
        """From an offset of the packed bytes on: they are made from the beginning each time."""
        import hashlib

        total, digest = 0, hashlib.sha256()
        for piece in self._packed():
            digest.update(piece)
            begin, total = total, total + len(piece)
            if total > offset:
                piece = piece[max(0, offset - begin) :]
                for start in range(0, len(piece), PIECE_BYTES):
                    yield piece[start : start + PIECE_BYTES]
        self.size_bytes = total
        self.digest = f"sha256:{digest.hexdigest()}"

    def _packed(self) -> Iterator[bytes]:
        stream = _gzip()
        self.read_bytes = 0
        descriptor = open_blob(self._roots, self._blob)
        try:

            def read(size: int) -> bytes:
                try:
                    data = os.read(descriptor, max(size, _PLAIN_BYTES))
                except OSError as error:
                    raise wrapped(error, "read", self._roots.blob(self._blob)) from error
                self.read_bytes += len(data)
                return data

            if compression_of(os.pread(descriptor, HEAD_BYTES, 0)):
                plain: Iterator[bytes] = plain_pieces(read, what=f"blob {self._blob}")
            else:
                plain = iter(lambda: read(_PLAIN_BYTES), b"")
            for piece in plain:
                if packed := stream(piece, False):
                    yield packed
            yield stream(b"", True)
        finally:
            os.close(descriptor)


def _gzip() -> Callable[[bytes, bool], bytes]:
    """Packs piece by piece; the same bytes for the same input, as no time is written."""
    library: Any
    try:
        from isal import isal_zlib as library
    except ImportError:
        import zlib as library
    stream = library.compressobj(1, library.DEFLATED, 31)

    def pack(data: bytes, is_last: bool) -> bytes:
        packed: bytes = stream.compress(data)
        return packed + stream.flush() if is_last else packed

    return pack
