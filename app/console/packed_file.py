"""A file that is written compressed, as its name says: .tar.gz, .tgz, .tar.zst, .tar.bz2, .tar.xz; else plain."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any, BinaryIO

_BY_ENDING = {
    ".gz": "gzip",
    ".tgz": "gzip",
    ".zst": "zstd",
    ".tzst": "zstd",
    ".bz2": "bzip2",
    ".tbz2": "bzip2",
    ".xz": "xz",
    ".txz": "xz",
}
_COMMANDS = {"gzip": "gzip", "zstd": "zstd", "bzip2": "bzip2", "xz": "xz"}


def packing_of(name: str) -> str:
    """What a file of that name is compressed with; empty: nothing."""
    return _BY_ENDING.get(Path(name).suffix.lower(), "")


def packing_command(name: str) -> str:
    """The program that would do the same in a pipe; empty: none is needed."""
    return _COMMANDS.get(packing_of(name), "")


class PackedFile(io.RawIOBase):
    """What is written goes compressed into another file. It has no descriptor: nothing may get round it."""

    def __init__(self, sink: BinaryIO, packing: str) -> None:
        super().__init__()
        self._sink = sink
        self._compressor = _compressor(packing)

    def writable(self) -> bool:
        """True: that is all it is for."""
        return True

    def write(self, data: Any) -> int:
        """Compress a piece."""
        self._sink.write(self._compressor.compress(data))
        return len(data)

    def finish(self) -> None:
        """Write what the compressor still holds; the file below stays open."""
        self._sink.write(self._compressor.flush())


def _compressor(packing: str) -> Any:
    match packing:
        case "gzip":
            try:
                from isal import isal_zlib
            except ImportError:
                import zlib

                return zlib.compressobj(6, wbits=31)
            return isal_zlib.compressobj(3, wbits=31)
        case "zstd":
            if sys.version_info >= (3, 14):
                from compression import zstd
            else:
                from backports import zstd
            return zstd.ZstdCompressor()
        case "bzip2":
            import bz2

            return bz2.BZ2Compressor()
    import lzma

    return lzma.LZMACompressor()
