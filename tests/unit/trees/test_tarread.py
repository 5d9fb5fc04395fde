"""Headers of all dialects, and what is refused."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from core.trees import tarread
from core.trees.faults import CORRUPT, LIMIT, UNSAFE, TreeFault
from core.trees.source import Source
from core.trees.tarread import Entry, Limits, TarReader, is_tar_header
from tests.archives import directory, member, raw_header, symlink, tar


def read(data: bytes, limits: Limits | None = None, *, strict_end: bool = False) -> list[Entry]:
    return list(TarReader(Source(io.BytesIO(data).read), limits or Limits(), strict_end=strict_end))


def refused(data: bytes, limits: Limits | None = None, *, strict_end: bool = False) -> TreeFault:
    with pytest.raises(TreeFault) as caught:
        read(data, limits, strict_end=strict_end)
    return caught.value


def test_names_that_are_not_utf8_stay_bytes() -> None:
    (entry,) = read(raw_header(b"caf\xe9/\xff") + bytes(1024))
    assert entry.name == b"caf\xe9/\xff"


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_dialect_gives_the_same_entries(format: int) -> None:
    long = "d" * 60 + "/" + "f" * 90
    data = tar([directory("a"), member(long, b"x" * 700, mtime=77), symlink("a/l", "t" * 90)], format)
    first, second, third = read(data)
    assert (first.kind, first.name.rstrip(b"/")) == (tarread.DIRECTORY, b"a")
    assert (second.name.decode(), second.size, second.mtime_ns) == (long, 700, 77_000_000_000)
    assert (third.kind, third.link) == (tarread.SYMLINK, b"t" * 90)


def test_pax_times_keep_their_fractions_and_may_be_negative() -> None:
    data = tar([member("f", pax_headers={"mtime": "-1.25"}), member("g", pax_headers={"mtime": "3.000000007"})])
    assert [entry.mtime_ns for entry in read(data)] == [-1_250_000_000, 3_000_000_007]


def test_pax_attributes_are_bytes() -> None:
    data = tar([member("f", pax_headers={"SCHILY.xattr.user.k": "v\n=w"})])
    assert read(data)[0].xattrs == {b"user.k": b"v\n=w"}


@pytest.mark.parametrize(
    "options", [["--format=gnu"], *[["--format=posix", f"--sparse-version={v}"] for v in ("0.0", "0.1", "1.0")]]
)
def test_sparse_files_of_every_form_keep_their_holes(tmp_path: Path, options: list[str]) -> None:
    source = tmp_path / "sparse"
    with source.open("wb") as file:
        for at in range(0, 40 * 65536, 2 * 65536):
            file.seek(at)
            file.write(b"x" * 4096)
        file.truncate(50 * 65536)
    subprocess.run(["tar", "-S", *options, "-cf", "s.tar", "sparse"], cwd=tmp_path, check=True)
    (entry,) = read((tmp_path / "s.tar").read_bytes())
    assert entry.name == b"sparse"
    assert entry.size == 50 * 65536
    assert entry.sparse is not None
    assert sum(length for _, length in entry.sparse) == entry.stored == 20 * 4096
    assert [offset for offset, length in entry.sparse if length] == list(range(0, 40 * 65536, 2 * 65536))


def test_ST5_a_sparse_file_of_8_EiB_is_over_the_limit() -> None:
    pax = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "big",
        "GNU.sparse.realsize": str(2**63 - 1),
    }
    body = b"1\n0\n0\n".ljust(512, b"\0")
    assert refused(tar([member("x", body, pax_headers=pax)])).kind == LIMIT


@pytest.mark.parametrize("pieces", ["10,5,3,5", "0,5,2,5", "0,9000", "0,5,5"])
def test_sparse_maps_that_contradict_themselves_are_refused(pieces: str) -> None:
    pax = {"GNU.sparse.map": pieces, "GNU.sparse.size": "20", "GNU.sparse.name": "big"}
    assert refused(tar([member("x", b"0123456789", pax_headers=pax)])).kind == CORRUPT


def test_ST5_a_pax_header_of_1_GB_is_refused_by_its_size() -> None:
    fault = refused(raw_header(b"x", size=2**30, kind=b"x") + b"1")
    assert fault.kind == LIMIT
    assert "header" in fault.text


@pytest.mark.parametrize("kind", [b"L", b"K", b"x", b"g", b"X"])
def test_ST5_every_extended_header_has_a_limit(kind: bytes) -> None:
    assert refused(raw_header(b"x", size=2 * 1024**2, kind=kind)).kind == LIMIT


def test_ST5_entries_are_counted() -> None:
    data = raw_header(b"x") * 11 + bytes(1024)
    assert refused(data, Limits(entries=10)).kind == LIMIT
    assert len(read(data, Limits(entries=11))) == 11


def test_ST5_depth_and_length_of_names_have_limits() -> None:
    assert refused(tar([member("a/" * 200 + "f")])).kind == LIMIT
    assert refused(tar([member("f" * 5000)])).kind == LIMIT
    assert refused(tar([symlink("l", "t" * 5000)])).kind == LIMIT


def test_ST5_bytes_of_all_files_together_have_a_limit() -> None:
    data = tar([member("a", b"x" * 600), member("b", b"x" * 600)])
    assert refused(data, Limits(total_bytes=1000)).kind == LIMIT


def test_ST1_a_zero_byte_in_a_name_is_unsafe() -> None:
    record = b"path=a\0b\n"
    body = b"%d %s" % (len(record) + 3, record)
    data = raw_header(b"x", size=len(body), kind=b"x") + body.ljust(512, b"\0") + raw_header(b"a") + bytes(1024)
    assert refused(data).kind == UNSAFE


@pytest.mark.parametrize(
    "record", [b"5 a=\n", b"999 a=b\n", b"x a=b\n", b"6 ab\n", b"07 a=b\nx", b" a=b\n", b"-7 a=b\n"]
)
def test_pax_records_that_lie_are_refused(record: bytes) -> None:
    data = raw_header(b"x", size=len(record), kind=b"x") + record.ljust(512, b"\0") + raw_header(b"a") + bytes(1024)
    if record == b"5 a=\n":  # an empty value is a value
        assert read(data)[0].name == b"a"
    else:
        assert refused(data).kind == CORRUPT


@pytest.mark.parametrize("cut", [1, 300, 511, 512, 700, 1023])
def test_truncated_archives_are_told(cut: int) -> None:
    data = tar([member("a", b"x" * 600)])[:cut]
    assert refused(data, strict_end=True).kind == CORRUPT


def test_an_archive_without_its_end_mark_is_truncated_only_where_nothing_else_can_tell() -> None:
    data = raw_header(b"a") + raw_header(b"b")
    assert len(read(data)) == 2
    assert "end mark" in refused(data, strict_end=True).text
    assert refused(b"", strict_end=True).text == "the archive is empty"


def test_what_is_no_tar_is_told() -> None:
    for junk in (b"hello world" * 100, b"\x7fELF" + bytes(1000), b"PK\x03\x04" + b"z" * 1000):
        fault = refused(junk)
        assert fault.kind == CORRUPT
        assert "not a tar archive" in fault.text


@pytest.mark.parametrize("field", [slice(124, 136), slice(136, 148), slice(100, 108), slice(108, 116)])
def test_numbers_that_are_none_are_refused(field: slice) -> None:
    block = bytearray(raw_header(b"a"))
    block[field] = b"z" * (field.stop - field.start)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    assert refused(bytes(block) + bytes(1024)).kind == CORRUPT


def test_negative_sizes_and_impossible_owners_are_refused() -> None:
    block = bytearray(raw_header(b"a"))
    block[124:136] = b"\xff" * 12
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    assert refused(bytes(block)).kind == CORRUPT
    assert refused(tar([member("f", pax_headers={"uid": "4294967295"})])).kind == UNSAFE


def test_a_header_is_known_by_its_checksum() -> None:
    assert is_tar_header(raw_header(b"a"))
    assert not is_tar_header(bytes(512))
    assert not is_tar_header(b"x" * 512)
    assert not is_tar_header(b"short")


def test_bodies_left_alone_are_skipped() -> None:
    data = tar([member("a", b"x" * 3000), member("b", b"y")])
    assert [entry.name for entry in read(data)] == [b"a", b"b"]
