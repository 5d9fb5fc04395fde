"""Compressed archives: told by their first bytes, unpacked as a stream, under limits.

gzip by isal where it is installed, else zlib; zstd by backports.zstd, or compression.zstd from
Python 3.14 on; bzip2 and xz by the standard library. All four have the same small interface, and
hand out at most so many bytes at a time, so that a bomb is met while it is still small.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from core.errors import Integrity, LimitExceeded, Unsupported
from core.trees.tarread import DEFAULT_LIMITS, Limits

PIECE_BYTES = 1024 * 1024
_READ_BYTES = 256 * 1024
ZSTD_WINDOW_LOG = 27
"""128 MiB: what `zstd --ultra -22` asks for; more is refused, or a few bytes could claim 2 GiB of memory."""
XZ_MEMORY_BYTES = 128 * 1024 * 1024

_MAGICS = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
)
HEAD_BYTES = 6


def compression_of(head: bytes) -> str:
    """gzip, zstd, bzip2 or xz by the first HEAD_BYTES of a stream; "" for anything else."""
    for magic, name in _MAGICS:
        if head.startswith(magic):
            return name
    if len(head) >= 4 and 0x50 <= head[0] <= 0x5F and head[1:4] == b"\x2a\x4d\x18":
        return "zstd"  # a skippable frame in front
    return ""


def _gzip_library() -> Any:
    try:
        from isal import isal_zlib
    except ImportError:
        import zlib

        return zlib
    return isal_zlib


def _new_decompressor(name: str) -> tuple[Any, Any]:
    """A decompressor, and the exceptions it raises for damaged data."""
    match name:
        case "gzip":
            library = _gzip_library()
            return _Gzip(library.decompressobj(31)), library.error
        case "zstd":
            try:
                if sys.version_info >= (3, 14):
                    from compression import zstd
                else:
                    from backports import zstd
            except ImportError:
                raise Unsupported(
                    "zstd is not available in this Python", hint="install backports.zstd, or use gzip"
                ) from None
            options: Any = {zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
            return zstd.ZstdDecompressor(options=options), zstd.ZstdError
        case "bzip2":
            import bz2

            return bz2.BZ2Decompressor(), (OSError, ValueError)
        case _:
            import lzma

            return lzma.LZMADecompressor(memlimit=XZ_MEMORY_BYTES), lzma.LZMAError


class _Gzip:
    """isal's or zlib's decompressobj with the interface of bz2's: needs_input, eof, unused_data."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._kept = b""
        self._stuck = False

    @property
    def eof(self) -> bool:
        return bool(self._stream.eof)

    @property
    def needs_input(self) -> bool:
        return not self.eof and not self._kept and not self._stuck

    @property
    def unused_data(self) -> bytes:
        return bytes(self._stream.unused_data) + (self._kept if self.eof else b"")

    def decompress(self, data: bytes, most: int) -> bytes:
        given = self._kept + data
        result: bytes = self._stream.decompress(given, most)
        self._kept = b"" if self.eof else bytes(self._stream.unconsumed_tail)
        self._stuck = len(result) == most and not self.eof  # more may be waiting inside
        return result


def plain_pieces(
    read: Callable[[int], bytes], *, what: str, limits: Limits = DEFAULT_LIMITS, head: bytes = b""
) -> Iterator[bytes]:
    """The uncompressed bytes of a stream, in pieces of at most PIECE_BYTES.

    Args: head: bytes of the stream that were read already.
    Raises: Integrity: damaged or truncated data, or garbage behind it. LimitExceeded: too many bytes,
        or far more than came in.
    """
    while len(head) < HEAD_BYTES and (more := read(HEAD_BYTES - len(head))):
        head += more
    name = compression_of(head)
    if not name:
        if head:
            yield head
        while piece := read(PIECE_BYTES):
            yield piece
        return
    packed, unpacked = 0, 0
    for packed, piece in _decompressed(read, head, name, what):
        unpacked += len(piece)
        if unpacked > limits.total_bytes:
            raise LimitExceeded(f"{what}: more than {limits.total_bytes} bytes unpacked", hint="nothing of it was kept")
        if unpacked > limits.ratio_from_bytes and unpacked > packed * limits.ratio:
            raise LimitExceeded(
                f"{what}: {name} data that unpack to more than {limits.ratio} times their size",
                hint="it looks like a decompression bomb; nothing of it was kept",
            )
        yield piece


def _decompressed(read: Callable[[int], bytes], data: bytes, name: str, what: str) -> Iterator[tuple[int, bytes]]:
    """(bytes read so far, next piece); several members after one another count as one stream."""
    packed = len(data)
    stream, errors = _new_decompressor(name)
    while True:
        try:
            piece = stream.decompress(data, PIECE_BYTES)
        except MemoryError as error:
            raise _damaged(what, name, error) from None
        except errors as error:
            raise _damaged(what, name, error) from None
        data = b""
        if piece:
            yield packed, piece
        if stream.eof:
            rest = bytes(stream.unused_data).lstrip(b"\0")  # zeros may pad it
            while len(rest) < HEAD_BYTES and (more := read(_READ_BYTES)):
                packed += len(more)
                rest = (rest + more).lstrip(b"\0")
            if not rest:
                return
            if compression_of(rest[:HEAD_BYTES]) != name:
                raise Integrity(f"{what}: garbage follows the {name} data", hint="fetch or make the archive again")
            (stream, errors), data = _new_decompressor(name), rest
        elif stream.needs_input:
            data = read(_READ_BYTES)
            packed += len(data)
            if not data:
                raise Integrity(f"{what}: the {name} data are truncated", hint="fetch or make the archive again")


def _damaged(what: str, name: str, error: BaseException) -> Integrity | LimitExceeded:
    text = str(error).lower() or type(error).__name__
    if "memory" in text or "window" in text:
        return LimitExceeded(
            f"{what}: the {name} data ask for more memory than is allowed", hint="pack it with a smaller window"
        )
    return Integrity(f"{what}: the {name} data are damaged: {text}", hint="fetch or make the archive again")


def descriptor_reader(descriptor: int) -> Callable[[int], bytes]:
    """A read function over an open file's position."""
    return lambda size: os.read(descriptor, size)
