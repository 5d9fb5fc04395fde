"""What lies in the layers of real images, and how images and containers differ."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator

import pytest

from core.backend import CommitWish
from core.engine.engine import Engine
from core.errors import InvalidInput, NotFound
from core.model.image_files import FileTree
from core.model.progress import CancelToken, silent
from tests.archives import directory, docker_archive, hardlink, member, symlink, tar
from tests.conftest import STARTER, Runner
from tests.stores import load

NOW = 1_700_000_000

BOTTOM = tar(
    [
        directory("./", mode=0o755),
        directory("etc", uid=3),
        member("etc/passwd", b"root:x:0:0", mode=0o640, uid=1, gid=2, mtime=NOW),
        member("etc/again", b"first"),
        member("etc/again", b"the last one counts"),
        hardlink("etc/twin", "etc/passwd"),
        hardlink("/etc/triplet", "./etc/twin"),
        symlink("bin", "usr/bin"),
        member("dev/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        member("caps", b"x", pax_headers={"SCHILY.xattr.user.note": "hello"}),
        member("na\udcffme", b"not UTF-8"),
        member("opt/old/file", b"o" * 100),
    ]
)
TOP = tar(
    [
        member("etc/.wh.again"),
        directory("opt"),
        member("opt/.wh..wh..opq"),
        member("opt/new", b"n" * 300_000),
        member(".wh..wh.plnk/x", b"aufs"),
    ]
)


@pytest.fixture
def image(engine: Engine) -> Iterator[str]:
    load(engine, docker_archive([BOTTOM, TOP], ["layered:1"]))
    yield "layered:1"
    engine.images.remove("layered:1", force=True)


@pytest.mark.parametrize("pack", [lambda layer: layer, lambda layer: gzip.compress(layer, 1)], ids=["plain", "gzip"])
def test_contents_are_the_archives_entries_with_marks_understood(engine: Engine, pack) -> None:
    load(engine, docker_archive([BOTTOM, TOP], ["packed:1"], pack=pack))
    try:
        layers = engine.images.contents("packed:1", silent, CancelToken())
        with_digests = engine.images.contents("packed:1", silent, CancelToken(), digests=True)
        part = engine.images.read_layer_file("packed:1", 1, "/opt/new", 299_990, 100)
    finally:
        engine.images.remove("packed:1", force=True)
    entries = {entry.path: entry for entry in layers[0].entries}
    assert list(entries) == [
        "etc", "etc/passwd", "etc/again", "etc/twin", "etc/triplet", "bin", "dev/null", "caps", "na\udcffme",
        "opt/old/file",
    ]  # fmt: skip
    passwd = entries["etc/passwd"]
    assert (passwd.kind, passwd.size_bytes, passwd.mode, passwd.uid, passwd.gid) == ("file", 10, 0o640, 1, 2)
    assert (passwd.mtime_s, passwd.digest) == (NOW, "")
    assert (entries["etc/triplet"].kind, entries["etc/triplet"].link) == ("hardlink", "etc/twin")
    assert (entries["bin"].kind, entries["bin"].link) == ("symlink", "usr/bin")
    assert (entries["dev/null"].kind, entries["dev/null"].device) == ("char", "1:3")
    assert entries["caps"].attributes
    assert not passwd.attributes
    assert [(entry.kind, entry.path) for entry in layers[1].entries] == [
        ("whiteout", "etc/again"),
        ("dir", "opt"),
        ("opaque", "opt"),
        ("file", "opt/new"),
    ]
    import hashlib

    digests = {entry.path: entry.digest for entry in with_digests[0].entries}
    assert digests["etc/passwd"] == "sha256:" + hashlib.sha256(b"root:x:0:0").hexdigest()
    assert digests["bin"] == ""
    assert part == b"n" * 10


def test_a_layers_file_is_read_as_that_layer_has_it(engine: Engine, image: str) -> None:
    read = engine.images.read_layer_file
    assert read(image, 0, "etc/again") == b"the last one counts"
    assert read(image, 0, "/etc/triplet") == b"root:x:0:0"
    assert read(image, 0, "etc/passwd", 5, 2) == b"x:"
    assert read(image, 0, "na\udcffme") == b"not UTF-8"
    assert read(image, 0, "etc/passwd", 50) == b""
    with pytest.raises(NotFound, match="'/etc/passwd' is not in this layer"):
        read(image, 1, "etc/passwd")
    with pytest.raises(InvalidInput, match=r"'/etc/again' is no regular file in this layer but a whiteout"):
        read(image, 1, "etc/again")
    with pytest.raises(InvalidInput, match="but a symlink"):
        read(image, 0, "bin")
    with pytest.raises(NotFound, match="has no layer 2"):
        read(image, 2, "etc/passwd")


def test_layers_laid_together_are_what_a_container_sees(engine: Engine, run: Runner, image: str) -> None:
    tree = FileTree(engine.images.contents(image, silent, CancelToken()))
    with tarfile.open(fileobj=io.BytesIO(b"".join(engine.images.copy_out(image, "/.", CancelToken())))) as seen:
        names = {member.name.removeprefix("./").rstrip("/") for member in seen} - {"", "."}
    assert set(tree) == names


def test_layers_say_where_they_come_from_and_who_else_has_them(engine: Engine, run: Runner) -> None:
    run.sh("echo one > /one", name="first")
    first = engine.images.commit("first", CommitWish(reference="first:1", message="one"), silent, CancelToken())
    try:
        starter, top = engine.images.layers("first:1")
        assert (starter.shared_by, top.shared_by) == (2, 1)
        assert starter.chain_id == engine.images.layers(STARTER)[0].chain_id
        assert top.created_by == "sh -c echo one > /one"
        assert top.blob == top.diff_id
        assert top.size_bytes == 4
        assert top.blob_bytes > 4
        assert top.created_ns == engine.images.inspect(first).created_ns
    finally:
        engine.containers.remove("first")
        engine.images.remove("first:1")


def test_images_and_containers_are_compared_by_what_their_files_are(engine: Engine, run: Runner) -> None:
    script = "echo changed > /etc/passwd; rm /etc/group; mkdir /new; echo x > /new/file; touch /etc/profile"
    run.sh(script, name="changed")
    compare = engine.images.compare
    try:
        found = compare(STARTER, "changed", silent, CancelToken())
        assert [(d.kind, d.path) for d in found] == [
            ("D", "/etc/group"),
            ("C", "/etc/passwd"),
            ("A", "/new"),
            ("A", "/new/file"),
        ]
        assert found[1].size_after == 8
        assert found[0].size_before > 0
        engine.images.commit("changed", CommitWish(reference="changed:1"), silent, CancelToken())
        assert compare(STARTER, "changed:1", silent, CancelToken()) == found
        assert compare("changed:1", "changed", silent, CancelToken()) == []
        back = compare("changed:1", STARTER, silent, CancelToken())
        assert [(d.kind, d.path) for d in back] == [
            ("A", "/etc/group"),
            ("C", "/etc/passwd"),
            ("D", "/new"),
            ("D", "/new/file"),
        ]
        with pytest.raises(NotFound, match="No such image or container: nothing-of-the-kind"):
            compare(STARTER, "nothing-of-the-kind", silent, CancelToken())
    finally:
        engine.containers.remove("changed")
        engine.images.remove("changed:1")
