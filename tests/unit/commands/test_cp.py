"""cp's own tar reading and writing: trees come out equal, and nothing leaves the target."""

import io
import os
import stat
import tarfile

import pytest

from app.commands import maketar, untar
from app.commands.maketar import pack
from app.commands.untar import unpack
from core.errors import EngineError, InvalidInput, UnsafeArchive


def tar_of(*entries: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> list[bytes]:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for entry in entries:
            info, data = entry if isinstance(entry, tuple) else (entry, b"")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    data = out.getvalue()
    return [data[at : at + 700] for at in range(0, len(data), 700)]


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


@pytest.fixture
def tree(tmp_path):
    top = tmp_path / "tree"
    (top / "sub" / "empty").mkdir(parents=True)
    (top / "file").write_bytes(os.urandom(3000))
    (top / "sub" / "hard").hardlink_to(top / "file")
    (top / "sub" / "link").symlink_to("../file")
    (top / "sub" / "dangling").symlink_to("/nonexistent/x")
    (top / "sub" / "tool").write_bytes(b"#!/bin/sh\n")
    (top / "sub" / "tool").chmod(0o4751)
    (top / os.fsdecode(b"caf\xe9")).write_bytes(b"x")
    (top / ("long" * 50)).write_bytes(b"y")
    (top / "sub" / "empty").chmod(0o500)
    os.utime(top / "file", (1_000_000, 1_000_000))
    os.mkfifo(top / "pipe")
    return top


def seen(top):
    found = {}
    for folder, names, files in os.walk(top):
        for name in [*names, *files]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            what = os.readlink(path) if stat.S_ISLNK(status.st_mode) else ""
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    what = file.read()
            time = 0 if stat.S_ISLNK(status.st_mode) else int(status.st_mtime)
            found[os.path.relpath(path, top)] = (status.st_mode, status.st_nlink, time, what)
    return found


def test_C2_a_tree_comes_out_equal(tree, tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    unpack(pack(str(tree), "tree", keep_owner=True), str(target), rename=None, keep_owner=False)
    assert seen(target / "tree") == seen(tree)
    assert len(seen(tree)) == 10


def test_C2_a_copy_may_get_another_name_or_only_the_contents(tree, tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    unpack(pack(str(tree), "tree", keep_owner=True), str(target), rename="renamed", keep_owner=False)
    assert seen(target / "renamed") == seen(tree)
    inner = target / "inner"
    inner.mkdir()
    unpack(pack(str(tree), "", keep_owner=True), str(inner), rename=None, keep_owner=False)
    assert seen(inner) == seen(tree)
    packed = b"".join(pack(str(tree), "", keep_owner=True))
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        names = tar.getnames()
    assert "sub/link" in names
    assert "tree" not in names


def test_C2_a_file_is_replaced_not_written_through(tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"safe")
    target = tmp_path / "out"
    target.mkdir()
    (target / "f").symlink_to(victim)
    unpack(tar_of((entry("f"), b"new")), str(target), rename=None, keep_owner=False)
    assert victim.read_bytes() == b"safe"
    assert (target / "f").read_bytes() == b"new"
    assert not (target / "f").is_symlink()


@pytest.mark.parametrize(
    "entries",
    [
        [(entry("../out2"), b"x")],
        [(entry("a/../../out2"), b"x")],
        [entry("a", tarfile.SYMTYPE, "/"), (entry("a/out2"), b"x")],
        [entry("a", tarfile.SYMTYPE, ".."), (entry("a/out2"), b"x")],
        [entry("a", tarfile.SYMTYPE, ".."), entry("a/out2", tarfile.DIRTYPE)],
        [entry("h", tarfile.LNKTYPE, "../victim")],
        [entry("a", tarfile.SYMTYPE, ".."), entry("h", tarfile.LNKTYPE, "a/victim")],
        [entry("h", tarfile.LNKTYPE, "")],
    ],
)
def test_ST1_ST2_nothing_leaves_the_target(tmp_path, entries):
    (tmp_path / "victim").write_bytes(b"safe")
    target = tmp_path / "out"
    target.mkdir()
    with pytest.raises((UnsafeArchive, EngineError)):
        unpack(tar_of(*entries), str(target), rename=None, keep_owner=False)
    assert sorted(os.listdir(tmp_path)) == ["out", "victim"]
    assert (tmp_path / "victim").stat().st_nlink == 1


def test_ST1_an_absolute_name_lands_inside(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    unpack(tar_of((entry("/etc/x"), b"x")), str(target), rename=None, keep_owner=False)
    assert (target / "etc/x").read_bytes() == b"x"


def test_C2_a_directory_and_a_file_do_not_replace_each_other(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(InvalidInput):
        unpack(tar_of((entry("d"), b"x")), str(tmp_path), rename=None, keep_owner=False)
    with pytest.raises(InvalidInput):
        unpack(tar_of(entry("f", tarfile.DIRTYPE)), str(tmp_path), rename=None, keep_owner=False)


def test_a_broken_tar_is_refused(tmp_path):
    whole = b"".join(tar_of((entry("f"), b"x" * 5000)))
    for broken in (b"junk" * 500, whole[:1500]):
        with pytest.raises(EngineError):
            unpack([broken], str(tmp_path), rename=None, keep_owner=False)


def test_a_socket_is_named(tmp_path):
    import socket

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
    with pytest.raises(InvalidInput, match="cannot copy the socket"):
        list(pack(str(tmp_path), "t", keep_owner=False))


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
@pytest.mark.parametrize("name", ["a", "dir/" + "x" * 90, "dir/" + "y" * 200, "ünï", "d/ end "])
@pytest.mark.parametrize("number", [0, 7, 2**21 - 1, 2**21, 2**33])
def test_headers_are_those_of_tarfile(kind: bytes, name: str, number: int):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, 0o6755, min(number, 2**33 - 1)
    info.uid = info.gid = min(number, 2**31)
    info.size = number if kind == tarfile.REGTYPE else 0
    info.linkname = "to/" + name if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
    ours = maketar._header(info)
    theirs = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    for made in (ours, theirs):
        with tarfile.open(fileobj=io.BytesIO(made), mode="r|", errors="surrogateescape", tarinfo=untar._Info) as tar:
            found = tar.next()
        assert found is not None
        with tarfile.open(fileobj=io.BytesIO(made), mode="r|", errors="surrogateescape") as tar:
            read_by_tarfile = tar.next()
        assert read_by_tarfile is not None
        for field in ("name", "type", "mode", "uid", "gid", "size", "mtime", "linkname"):
            assert getattr(found, field) == getattr(read_by_tarfile, field), field
        assert (found.name, found.linkname, found.uid) == (info.name, info.linkname, info.uid)


def test_a_header_with_a_wrong_checksum_is_none():
    info = tarfile.TarInfo("file")
    broken = bytearray(maketar._header(info))
    broken[0:1] = b"g"
    with (
        pytest.raises(tarfile.TarError),
        tarfile.open(fileobj=io.BytesIO(bytes(broken)), mode="r|", tarinfo=untar._Info) as tar,
    ):
        tar.next()
