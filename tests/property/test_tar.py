"""Our tar reader and writer against each other and against the standard library's."""

from __future__ import annotations

import contextlib
import io
import tarfile
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.trees import tarread, tarwrite
from core.trees.faults import TreeFault
from core.trees.source import Source
from core.trees.tarread import Entry, Limits, TarReader

_KINDS = [
    tarread.FILE,
    tarread.HARDLINK,
    tarread.SYMLINK,
    tarread.CHAR,
    tarread.BLOCK_DEVICE,
    tarread.DIRECTORY,
    tarread.FIFO,
]
_part = st.binary(min_size=1, max_size=60).filter(lambda part: b"/" not in part and b"\0" not in part)
_names = st.lists(_part, min_size=1, max_size=6).map(b"/".join).filter(lambda name: not name.endswith(b"/"))
_keys = st.from_regex(rb"\A(user|security)\.[a-z.]{1,20}\Z")


@st.composite
def entries(draw: Any) -> tuple[Entry, bytes]:
    kind = draw(st.sampled_from(_KINDS))
    body = draw(st.binary(max_size=1500)) if kind is tarread.FILE else b""
    device = kind in (tarread.CHAR, tarread.BLOCK_DEVICE)
    return Entry(
        name=draw(_names),
        kind=kind,
        mode=draw(st.integers(0, 0o7777)),
        uid=draw(st.integers(0, 2**32 - 2)),
        gid=draw(st.integers(0, 2**32 - 2)),
        size=len(body),
        stored=len(body),
        mtime_ns=draw(st.integers(-(2**61), 2**61)),
        link=draw(_names) if kind in (tarread.SYMLINK, tarread.HARDLINK) else b"",
        major=draw(st.integers(0, 4095)) if device else 0,
        minor=draw(st.integers(0, 2**20 - 1)) if device else 0,
        xattrs=draw(st.dictionaries(_keys, st.binary(max_size=80), max_size=3)),
    ), body


def written(members: list[tuple[Entry, bytes]]) -> bytes:
    pieces = [tarwrite.header(entry) + body + tarwrite.padding(len(body)) for entry, body in members]
    return b"".join(pieces) + tarwrite.END


def read(data: bytes, **options: Any) -> list[tuple[Entry, bytes]]:
    buffer = io.BytesIO(data)
    reader = TarReader(Source(buffer.read), **options)
    return [(entry, reader.read_body() if entry.kind is tarread.FILE else b"") for entry in reader]


@given(st.lists(entries(), max_size=8))
def test_what_is_written_is_read_back(members: list[tuple[Entry, bytes]]) -> None:
    found = read(written(members), strict_end=True)
    assert len(found) == len(members)
    for (entry, body), (wanted, data) in zip(found, members, strict=True):
        name = entry.name.rstrip(b"/") if entry.kind is tarread.DIRECTORY else entry.name
        assert name == wanted.name
        assert body == data
        for field in ("kind", "mode", "uid", "gid", "size", "mtime_ns", "link", "major", "minor", "xattrs"):
            assert getattr(entry, field) == getattr(wanted, field), field


@given(_names, st.lists(st.tuples(st.integers(1, 5000), st.binary(min_size=1, max_size=900)), max_size=20))
def test_sparse_files_are_read_back_by_us_and_by_the_standard_library(
    name: bytes, parts: list[tuple[int, bytes]]
) -> None:
    pieces, whole = [], b""
    for hole, data in parts:
        pieces.append((len(whole) + hole, len(data)))
        whole += bytes(hole) + data
    whole += bytes(100)
    sparse_map = tarwrite.sparse_map(pieces)
    body = sparse_map + b"".join(data for _, data in parts)
    entry = Entry(
        name=name, kind=tarread.FILE, mode=0o644, uid=0, gid=0, size=len(whole), stored=len(body), mtime_ns=0, link=b""
    )
    entry.sparse = pieces
    archive = tarwrite.header(entry) + body + tarwrite.padding(len(body)) + tarwrite.END
    reader = TarReader(Source(io.BytesIO(archive).read), strict_end=True)
    (found,) = [(entry, reader.read_body()) for entry in reader]
    assert (found[0].name, found[0].size, found[0].sparse) == (name, len(whole), pieces)
    assert found[1] == b"".join(data for _, data in parts)
    with tarfile.open(fileobj=io.BytesIO(archive), errors="surrogateescape", encoding="utf-8") as theirs:
        (info,) = theirs.getmembers()
        stream = theirs.extractfile(info)
        assert stream is not None
        assert stream.read() == whole


@given(st.lists(entries(), max_size=6))
def test_the_standard_library_reads_what_is_written(members: list[tuple[Entry, bytes]]) -> None:
    with tarfile.open(fileobj=io.BytesIO(written(members)), errors="surrogateescape", encoding="utf-8") as archive:
        found = archive.getmembers()
        assert len(found) == len(members)
        for info, (wanted, data) in zip(found, members, strict=True):
            assert info.name.encode("utf-8", "surrogateescape") == wanted.name
            assert (info.mode, info.uid, info.gid, info.size) == (wanted.mode, wanted.uid, wanted.gid, wanted.size)
            assert info.linkname.encode("utf-8", "surrogateescape") == wanted.link
            if info.isreg():
                stream = archive.extractfile(info)
                assert stream is not None
                assert stream.read() == data


@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=300), st.binary(max_size=900)), max_size=5),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_what_the_standard_library_writes_is_read(members: list[tuple[str, bytes]], format: int) -> None:
    members = [(name.replace("\0", "x").replace("/", "y"), data) for name, data in members]
    members = [(name, data) for name, data in members if name.encode("utf-8", "replace").decode() == name]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.uid = len(data), 1.5, 3_000_000
            archive.addfile(info, io.BytesIO(data))
    found = read(buffer.getvalue())
    assert [(entry.name.decode(), body) for entry, body in found] == members
    assert all(entry.uid == 3_000_000 for entry, _ in found)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(entries(), min_size=1, max_size=4), st.data())
def test_ST1_damaged_archives_are_faults_and_nothing_else(members: list[tuple[Entry, bytes]], data: Any) -> None:
    """Flip, cut and repeat bytes: a fault or a reading comes out, never another exception, and always an end."""
    archive = bytearray(written(members))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(archive) - 1))
        archive[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(archive)))
    with contextlib.suppress(TreeFault):
        for entry, _ in read(bytes(archive[:cut]), limits=Limits(header_bytes=65536)):
            assert b"\0" not in entry.name
            assert entry.size >= 0
