"""Compressed streams: told by their bytes, whole or refused, never larger than allowed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
from collections.abc import Callable

import pytest

from core.errors import Integrity, LimitExceeded
from core.storage import compression
from core.storage.compression import compression_of, plain_pieces
from core.trees.tarread import Limits

try:
    from compression import zstd  # type: ignore[import-not-found]
except ImportError:
    from backports import zstd

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}
DATA = random.Random(1).randbytes(1_500_000) + b"x" * 3_000_000


def plain(data: bytes, **options: object) -> bytes:
    return b"".join(plain_pieces(io.BytesIO(data).read, what="it", **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PACKERS)
def test_each_kind_is_known_and_unpacked(name: str) -> None:
    packed = PACKERS[name](DATA)
    assert compression_of(packed[:6]) == name
    assert plain(packed) == DATA
    assert plain(packed + packed) == DATA * 2
    assert all(len(piece) <= compression.PIECE_BYTES for piece in plain_pieces(io.BytesIO(packed).read, what="it"))


def test_what_is_not_compressed_passes_through() -> None:
    for data in (b"", b"x", DATA):
        assert plain(data) == data
        assert plain(data[3:], head=data[:3]) == data


@pytest.mark.parametrize("name", PACKERS)
def test_reading_byte_by_byte_makes_no_difference(name: str) -> None:
    packed = io.BytesIO(PACKERS[name](DATA[:20_000]))
    assert b"".join(plain_pieces(lambda _size: packed.read(1), what="it")) == DATA[:20_000]


@pytest.mark.parametrize("name", PACKERS)
def test_damaged_truncated_and_trailing_bytes_are_told(name: str) -> None:
    packed = PACKERS[name](DATA)
    middle = len(packed) // 2
    for bad in (
        packed[:-6],
        packed[:middle],
        packed[:7],
        packed + b"garbage that follows",
        packed[:middle] + bytes(64) + packed[middle + 64 :],
    ):
        with pytest.raises(Integrity) as caught:
            plain(bad)
        assert caught.value.message.startswith("it: ")


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz"])
def test_zeros_may_pad_the_end(name: str) -> None:
    assert plain(PACKERS[name](DATA) + bytes(300_000)) == DATA


@pytest.mark.parametrize("name", PACKERS)
def test_ST5_bombs_are_met_by_ratio_and_by_size(name: str) -> None:
    packed = PACKERS[name](bytes(8_000_000))
    with pytest.raises(LimitExceeded, match="times their size"):
        plain(packed, limits=Limits(ratio=100, ratio_from_bytes=1_000_000))
    with pytest.raises(LimitExceeded, match="more than 1000000 bytes"):
        plain(packed, limits=Limits(total_bytes=1_000_000))
    assert len(plain(packed)) == 8_000_000


def test_ST5_memory_that_a_stream_may_claim_is_limited() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 160 * 1024**2}]
    greedy = lzma.compress(b"x" * 100, format=lzma.FORMAT_XZ, filters=filters)
    with pytest.raises(LimitExceeded, match="more memory"):
        plain(greedy)


def test_the_standard_librarys_zlib_does_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    import zlib

    monkeypatch.setattr(compression, "_gzip_library", lambda: zlib)
    packed = gzip.compress(DATA)
    assert plain(packed + packed) == DATA * 2
    with pytest.raises(Integrity):
        plain(packed[:-6])
    with pytest.raises(Integrity):
        plain(packed[:1000] + bytes(64) + packed[1064:])
