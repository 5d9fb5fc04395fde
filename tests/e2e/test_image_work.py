"""Images laid together, taken apart and packed again; what a commit leaves out; the software they list."""

from __future__ import annotations

import hashlib
import io
import os
import sqlite3
import struct
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.commands.io import Io
from app.commands.language import execute
from core.backend import CommitWish
from core.engine.engine import Engine
from core.errors import EngineError, InvalidInput
from core.model.progress import CancelToken, silent
from tests.archives import directory, docker_archive, hardlink, member, symlink, tar
from tests.conftest import STARTER, Runner
from tests.stores import contents, load, open_store, save

NOTE = "SCHILY.xattr.user.note"
SCRIPT = """
    echo one > /etc/motd; rm /etc/group; mkdir -p /d/e; echo x > /d/e/f; ln /d/e/f /d/g; ln -s f /d/e/l
    rm -rf /var/log; mkdir /var/log; echo new > /var/log/z; mknod /nod c 1 3; mkfifo /pipe; chown 7:8 /d/e/f
    chmod 4755 /d/e/f; rm -rf /usr/share; echo file > /usr/share
"""


@pytest.fixture
def store() -> Iterator[Engine]:
    """On a disk: what lies in memory keeps no attributes of users' own before Linux 6.6."""
    with tempfile.TemporaryDirectory(prefix="wharf-test-", dir="/var/tmp") as directory:
        yield open_store(Path(directory))


def compared(engine: Engine, first: str, second: str) -> list[str]:
    return [f"{one.kind} {one.path}" for one in engine.images.compare(first, second, silent, CancelToken())]


def tree_of(engine: Engine, key: str) -> dict[str, tuple[object, ...]]:
    """Everything of an image's tree, as its export has it."""
    found: dict[str, tuple[object, ...]] = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(engine.images.export(key, silent, CancelToken())))) as archive:
        for entry in archive:
            data = archive.extractfile(entry).read() if entry.isreg() else b""  # type: ignore[union-attr]
            facts = (entry.type, entry.mode, entry.uid, entry.gid, entry.size, entry.mtime, entry.linkname)
            found[entry.name] = (*facts, entry.devmajor, entry.devminor, hashlib.sha256(data).hexdigest())
    return found


@pytest.fixture
def layered(engine: Engine, run: Runner) -> Iterator[str]:
    """An image of three layers, the upper ones of which replace and delete."""
    run.sh(SCRIPT, name="one")
    engine.images.commit("one", CommitWish(reference="layered:1", changes=("CMD true",)), silent, CancelToken())
    run.sh("rm /d/g; echo two > /etc/motd; rm -r /var/log; echo back > /etc/group", image="layered:1", name="two")
    engine.images.commit("two", CommitWish(reference="layered:2"), silent, CancelToken())
    yield "layered:2"
    for container in ("one", "two"):
        engine.containers.remove(container)
    for image in ("squashed:1", "layered:2", "layered:1"):
        if any(image in found.tags for found in engine.images.list()):
            engine.images.remove(image)


def test_a_squashed_image_has_the_same_files_config_and_history_in_one_layer(engine: Engine, layered: str) -> None:
    before = tree_of(engine, layered)
    engine.images.squash(layered, "squashed:1", silent, CancelToken())
    assert tree_of(engine, "squashed:1") == before
    squashed, original = engine.images.inspect("squashed:1"), engine.images.inspect(layered)
    assert len(squashed.layers) == 1
    assert squashed.config == original.config
    rows = engine.images.history("squashed:1")
    assert [row.created_by for row in rows[1:]] == [row.created_by for row in engine.images.history(layered)]
    assert [row.size_bytes for row in rows] == [squashed.size_bytes, 0, 0, 0]
    assert rows[0].comment == f"merge {original.id} to scratch"


def test_a_squash_onto_a_base_keeps_its_layers_and_marks_what_was_deleted(engine: Engine, layered: str) -> None:
    before = tree_of(engine, layered)
    engine.images.squash(layered, "squashed:1", silent, CancelToken(), base=STARTER)
    assert tree_of(engine, "squashed:1") == before
    starter, squashed = engine.images.inspect(STARTER), engine.images.inspect("squashed:1")
    assert squashed.layers[:-1] == starter.layers
    assert compared(engine, layered, "squashed:1") == []
    top = engine.images.contents("squashed:1", silent, CancelToken())[-1]
    assert {entry.path for entry in top.entries if entry.kind == "whiteout"} == {"var/log"}
    with pytest.raises(InvalidInput, match="was not made from layered:1"):
        engine.images.squash(STARTER, "x:1", silent, CancelToken(), base="layered:1")
    with pytest.raises(InvalidInput, match="no layers above those of layered:2"):
        engine.images.squash(layered, "x:1", silent, CancelToken(), base=layered)


def test_a_failed_squash_leaves_nothing(store: Engine) -> None:
    load(store, docker_archive([tar([member("a", b"x" * 5_000_000)]), tar([member("b")])], ["two:1"]))
    before = contents(store)
    cancel = CancelToken()

    def stop(_progress: object) -> None:
        cancel.cancel()

    with pytest.raises(EngineError):
        store.images.squash("two:1", "squashed:1", stop, cancel)
    assert contents(store) == before


def test_what_a_commit_leaves_out_is_not_in_the_image(engine: Engine, run: Runner) -> None:
    run.sh("mkdir -p /cache/a; echo x > /cache/a/b; echo y > /keep; rm /etc/group; echo z > /etc/motd", name="full")
    wish = CommitWish(reference="left:1", left_out=("/cache", "/etc/group", "/etc/./nothing/"))
    engine.images.commit("full", wish, silent, CancelToken())
    try:
        assert compared(engine, STARTER, "left:1") == ["A /etc/motd", "A /keep"]
        assert compared(engine, "left:1", "full") == ["A /cache", "A /cache/a", "A /cache/a/b", "D /etc/group"]
        for path in ("/", "relative", "/../up", ""):
            with pytest.raises(InvalidInput, match="can't leave out"):
                engine.images.commit("full", CommitWish(left_out=(path,)), silent, CancelToken())
    finally:
        engine.containers.remove("full")
        engine.images.remove("left:1")


def wharf(engine: Engine, *words: str) -> tuple[int, str, str]:
    out, err = io.BytesIO(), io.BytesIO()
    code = execute(words, engine, Io(out, err))
    return code, out.getvalue().decode(), err.getvalue().decode()


def test_an_image_unpacked_and_packed_again_is_the_same_tree(store: Engine) -> None:
    capability = "\x01\x00\x00\x02\x00\x20\x00\x00" + "\x00" * 12
    layer = tar(
        [
            directory("d", mode=0o1777, uid=5, gid=6, mtime=77),
            member("d/file", b"content", mode=0o4751, uid=70_000, gid=3, mtime=1_600_000_000),
            hardlink("d/second", "d/file"),
            symlink("d/link", "../nowhere"),
            member("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666, mtime=5),
            member("pipe", type=tarfile.FIFOTYPE, mode=0o622),
            member("noted", b"n", pax_headers={NOTE: "grün", "SCHILY.xattr.security.capability": capability}),
            member("na\udcffme", b"not UTF-8", mtime=9),
            member("long/" + "n" * 200, b"x"),
        ]
    )  # fmt: skip
    load(store, docker_archive([layer], ["tree:1"]))
    target = store.roots.data.parent / "tree"
    assert wharf(store, "image", "unpack", "tree:1", str(target)) == (0, "", "")
    there = os.lstat(target / "d/file")
    assert (there.st_mode & 0o7777, there.st_uid, there.st_gid, there.st_nlink) == (0o4751, 70_000, 3, 2)
    assert os.getxattr(target / "noted", "user.note") == "grün".encode()
    assert os.lstat(target / "null").st_rdev == os.makedev(1, 3)
    code, out, err = wharf(store, "image", "pack", "-c", "CMD true", str(target), "again:1")
    assert (code, err) == (0, "")
    assert out.strip() == store.images.inspect("again:1").id
    assert tree_of(store, "again:1") == tree_of(store, "tree:1")
    assert compared(store, "tree:1", "again:1") == []  # attributes, too
    assert store.images.inspect("again:1").config.cmd == ("/bin/sh", "-c", "true")
    code, _, err = wharf(store, "image", "unpack", "tree:1", str(target))
    assert (code, "is not an empty directory" in err) == (1, True)
    assert [entry for entry in os.listdir(target.parent) if entry.endswith(".part")] == []


def test_an_unpack_that_fails_leaves_no_directory(store: Engine, tmp_path: Path) -> None:
    code, _, err = wharf(store, "image", "unpack", "nothing:1", str(tmp_path / "x"))
    assert (code, "No such image: nothing:1" in err) == (1, True)
    load(store, docker_archive([tar([member("a")])], ["a:1"]))
    code, _, err = wharf(store, "image", "unpack", "a:1", str(tmp_path / "not/there"))
    assert (code, "does not exist" in err) == (1, True)
    assert not any(entry.name.endswith(".part") for entry in tmp_path.iterdir())


# the software an image lists


def rpm_header(tags: dict[int, str | int]) -> bytes:
    """A header blob as rpm keeps it."""
    index, data = b"", b""
    for tag, value in sorted(tags.items()):
        if isinstance(value, int):
            data += b"\0" * (-len(data) % 4)
            index += struct.pack(">IIII", tag, 4, len(data), 1)
            data += struct.pack(">I", value)
        else:
            index += struct.pack(">IIII", tag, 6, len(data), 1)
            data += value.encode() + b"\0"
    return struct.pack(">II", len(tags), len(data)) + index + data


def rpm_database(path: Path, *, unfinished_log: bool) -> dict[str, bytes]:
    """A database of two packages; with a log, the second one is only there yet."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
    hello = {
        1000: "hello",
        1001: "1.5",
        1002: "3",
        1003: 2,
        1014: "MIT",
        1022: "noarch",
        1044: "src-1.5-3.src.rpm",
    }
    connection.execute("INSERT INTO Packages (blob) VALUES (?)", (rpm_header(hello),))
    connection.execute("INSERT INTO Packages (blob) VALUES (?)", (rpm_header({1000: "gpg-pubkey"}),))
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("INSERT INTO Packages (blob) VALUES (?)", (rpm_header({1000: "late", 1001: "1", 1002: "1"}),))
    connection.commit()
    names = ("rpmdb.sqlite", "rpmdb.sqlite-wal") if unfinished_log else ("rpmdb.sqlite",)
    if not unfinished_log:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    found = {name: (path.parent / name).read_bytes() for name in names}
    connection.close()
    return found


def listed(store: Engine, files: dict[str, bytes], name: str) -> list[str]:
    members = [member(path, data) for path, data in files.items()]
    load(store, docker_archive([tar(members)], [name]))
    found = store.images.packages(name, silent, CancelToken())
    return [f"{p.manager} {p.name} {p.version} {p.architecture} {p.license} {p.origin}".rstrip() for p in found]


def test_packages_of_every_manager_are_listed(store: Engine, tmp_path: Path) -> None:
    status = b"""Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2
Description: a shell
 Version: not this

Package: gone
Status: deinstall ok config-files
Version: 1

Package: libc6
Status: hold ok installed
Architecture: amd64
Source: glibc (2.36-9)
Version: 2.36-9
"""
    files = {
        "var/lib/dpkg/status": status,
        "var/lib/dpkg/status.d/tzdata": b"Package: tzdata\nVersion: 2024a\nArchitecture: all\n",
        "var/lib/dpkg/status.d/tzdata.md5sums": b"Package: no\n",
        "lib/apk/db/installed": b"C:Q1\nP:musl\nV:1.2\nA:x86_64\nL:MIT\no:musl\n\nP:zlib\nV:1.3\nA:x86_64\nL:Zlib\no:z",
        "usr/lib/python3/x-1.dist-info/METADATA": b"Name: x\nVersion: 1\nLicense-Expression: MIT\n\nVersion: 9\n",
        "opt/venv/y.egg-info/PKG-INFO": b"Name: y\nVersion: 2\nLicense: BSD\n",
        "opt/venv/z.egg-info": b"Name: z\nVersion: 3\n",
        "app/node_modules/a/package.json": b'{"name": "a", "version": "1.0.0", "license": {"type": "ISC"}}',
        "app/node_modules/@s/b/package.json": b'{"name": "@s/b", "version": "2.0.0", "license": "MIT"}',
        "app/node_modules/a/test/package.json": b'{"name": "not", "version": "1"}',
        "app/node_modules/broken/package.json": b"{",
        "app/package-lock.json": b'{"packages": {"": {"name": "app"}, "node_modules/a": {"version": "1.0.0"}, '
        b'"node_modules/c": {"version": "3.0.0", "license": "MIT"}}}',
        "old/package-lock.json": b'{"dependencies": {"d": {"version": "4", "dependencies": {"e": {"version": "5"}}}}}',
        "var/lib/rpm/rpmdb.sqlite": rpm_database(tmp_path / "rpmdb.sqlite", unfinished_log=False)["rpmdb.sqlite"],
    }
    assert listed(store, files, "soft:1") == [
        "apk musl 1.2 x86_64 MIT musl",
        "apk zlib 1.3 x86_64 Zlib z",
        "dpkg bash 5.2.15-2 amd64",
        "dpkg libc6 2.36-9 amd64  glibc",
        "dpkg tzdata 2024a all",
        "npm @s/b 2.0.0  MIT",
        "npm a 1.0.0  ISC",
        "npm c 3.0.0  MIT",
        "npm d 4",
        "npm e 5",
        "pip x 1  MIT",
        "pip y 2  BSD",
        "pip z 3",
        "rpm hello 2:1.5-3 noarch MIT src",
        "rpm late 1-1",
    ]


def test_what_an_rpm_database_has_only_in_its_log_is_listed(store: Engine, tmp_path: Path) -> None:
    found = rpm_database(tmp_path / "rpmdb.sqlite", unfinished_log=True)
    files = {f"usr/lib/sysimage/rpm/{name}": data for name, data in found.items()}
    assert [line.split()[1] for line in listed(store, files, "log:1")] == ["hello", "late"]
    del files["usr/lib/sysimage/rpm/rpmdb.sqlite-wal"]
    assert [line.split()[1] for line in listed(store, files, "log:2")] == ["hello"]


@pytest.mark.parametrize(
    ("path", "data", "words"),
    [
        ("var/lib/rpm/Packages", b"\0\1", r"Berkeley DB, which can't be read"),
        ("usr/lib/sysimage/rpm/Packages.db", b"RpmP", r"rpm's own ndb, which can't be read"),
        ("var/lib/rpm/rpmdb.sqlite", b"SQLite format 3\0" + b"\1" * 500, r"rpm database is damaged"),
        ("var/lib/rpm/rpmdb.sqlite", b"", r"rpm database is damaged"),
    ],
)
def test_a_database_that_can_not_be_read_is_named(store: Engine, path: str, data: bytes, words: str) -> None:
    with pytest.raises(EngineError, match=rf"image odd:1: .*{words}"):
        listed(store, {path: data}, "odd:1")


def test_links_of_an_image_lead_to_files_of_that_image_alone(store: Engine) -> None:
    layer = tar(
        [
            symlink("var/lib/dpkg/status", "/var/lib/dpkg/status2"),
            symlink("usr", "/"),
            member("var/lib/dpkg/status2", b"Package: linked\nVersion: 1\n"),
        ]
    )
    load(store, docker_archive([layer], ["linked:1"]))
    assert [one.name for one in store.images.packages("linked:1", silent, CancelToken())] == ["linked"]


# rows of the table of what must work


def test_C6_a_second_image_adds_what_it_changes_and_no_more(engine: Engine, run: Runner) -> None:
    def stored() -> int:
        roots = engine.roots
        return sum(
            path.lstat().st_size
            for top in (roots.blobs, roots.layers)
            for path in top.rglob("*")
            if path.is_file() and not path.is_symlink()
        )

    run.sh("head -c 300000 /dev/urandom > /delta", name="maker")
    before = stored()
    engine.images.commit("maker", CommitWish(reference="delta:1"), silent, CancelToken())
    engine.images.tag("delta:1", "delta:2")
    grown = stored() - before
    try:
        assert 300_000 <= grown < 2 * 300_000 + 20_000  # its tar, its files unless the tar is mounted, documents
        assert engine.images.inspect("delta:1").layers[:-1] == engine.images.inspect(STARTER).layers
    finally:
        engine.containers.remove("maker")
        engine.images.remove("delta:1")
        engine.images.remove("delta:2")
    assert stored() == before


def test_C7_every_step_of_an_images_making_is_a_row_of_its_history(engine: Engine, run: Runner) -> None:
    """What a Dockerfile of FROM, ADD, VOLUME and CMD would make, by one commit a step."""
    steps = [
        ("echo added > /added", (), 6),
        ("true", ("VOLUME /data",), 0),
        ("true", ('CMD ["cat", "/added"]',), 0),
    ]
    image = STARTER
    try:
        for number, (script, changes, _) in enumerate(steps):
            run.sh(script, image=image, name=f"step{number}")
            image = f"steps:{number}"
            wish = CommitWish(reference=image, changes=changes, message=f"step {number}")
            engine.images.commit(f"step{number}", wish, silent, CancelToken())
        rows = engine.images.history(image)
        assert [(row.comment, row.size_bytes) for row in rows[:-1]] == [
            (f"step {number}", size) for number, (_, _, size) in reversed(list(enumerate(steps)))
        ]
        assert len(rows) == 4
        config = engine.images.inspect(image).config
        assert (config.volumes, config.cmd) == (("/data",), ("cat", "/added"))
        assert run(image=image).out == "added\n"
    finally:
        for container in engine.containers.list(all=True):
            engine.containers.remove(container.id, volumes=True)
        for number in reversed(range(len(steps))):
            engine.images.remove(f"steps:{number}")


def test_I12_what_was_committed_and_saved_is_the_same_tree_in_another_root(
    engine: Engine, run: Runner, tmp_path: Path
) -> None:
    run.sh(SCRIPT, name="maker")
    engine.images.commit("maker", CommitWish(reference="moving:1", message="修改了默认首页"), silent, CancelToken())
    elsewhere = open_store(tmp_path)
    try:
        for how in ("docker-archive", "oci-archive"):
            load(elsewhere, save(engine, "moving:1", format=how))
            assert tree_of(elsewhere, "moving:1") == tree_of(engine, "moving:1")
            assert elsewhere.images.resolve("moving:1") == engine.images.resolve("moving:1")
            assert elsewhere.images.history("moving:1")[0].comment == "修改了默认首页"
            elsewhere.images.remove("moving:1")
    finally:
        engine.containers.remove("maker")
        engine.images.remove("moving:1")
