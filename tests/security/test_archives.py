"""Rows ST1 to ST5: what a hostile archive can't do, tried on the real unpacking path."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.about import STORAGE_DRIVER_VARIABLE
from core.engine.engine import Engine
from core.errors import EngineError, Integrity, LimitExceeded, UnsafeArchive
from core.model.progress import CancelToken, silent
from core.storage.drivers import DRIVERS
from core.storage.layers import UNPACKED
from tests.archives import directory, docker_archive, hardlink, member, raw_header, symlink, tar
from tests.stores import contents, import_tar, let_go, load, open_store

OVERLAY = "trusted.overlay.opaque"


@pytest.fixture
def any_store(tmp_path: Path) -> Iterator[Engine]:
    """One for what is refused before a layer is begun."""
    yield from _store(tmp_path, UNPACKED)


@pytest.fixture(params=DRIVERS)
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine of its own, that unpacks or indexes."""
    yield from _store(tmp_path, request.param)


def _store(tmp_path: Path, driver: str) -> Iterator[Engine]:
    """Whatever the test does, no half-made thing may stay."""
    engine = open_store(tmp_path)
    engine.roots.storage_driver = driver
    yield engine
    let_go()
    assert not [name for name in contents(engine) if name.partition("/")[0] in ("ingest", "leases", "trash")]


def refused(store: Engine, data: bytes, kind: type[EngineError] = UnsafeArchive) -> EngineError:
    """The archive is refused as an import and as a layer of an image, and nothing of it stays."""
    before = contents(store)
    with pytest.raises(kind) as caught:
        import_tar(store, data)
    assert contents(store) == before
    with pytest.raises(kind):
        load(store, docker_archive([data], ["hostile:1"]))
    assert contents(store) == before
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value


# ST1: names


@pytest.mark.parametrize("name", ["../x", "a/../../x", "a/..", "./../x", "/../x", ".."])
def test_ST1_names_that_climb_out_are_refused(store: Engine, name: str, tmp_path: Path) -> None:
    error = refused(store, tar([directory("a"), member(name, b"evil")]))
    assert ".." in error.message
    assert not list(tmp_path.rglob("x"))


def test_ST1_absolute_names_lie_below_the_root(store: Engine) -> None:
    root = import_tar(store, tar([member("/etc/abs", b"1"), member("//tmp///x", b"2"), member("./y", b"3")]))
    assert (root / "etc/abs").read_bytes() == b"1"
    assert (root / "tmp/x").read_bytes() == b"2"
    assert (root / "y").read_bytes() == b"3"


def test_ST1_names_that_are_not_utf8_are_kept(store: Engine) -> None:
    root = import_tar(store, raw_header(b"caf\xe9") + raw_header(b"d\xff/", kind=b"5", mode=0o755) + bytes(1024))
    assert {b"caf\xe9", b"d\xff"} <= set(os.listdir(os.fsencode(root)))


def test_ST1_too_long_names_are_refused(store: Engine) -> None:
    refused(store, tar([member("n" * 256)]))
    refused(store, tar([member("n" * 256 + "/f")]))
    refused(store, tar([member("a/" + "n" * 5000)]), LimitExceeded)


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "d/.wh.", ".wh.x/y", "d/.wh.e/f/g"])
def test_ST1_whiteouts_of_nothing_and_below_whiteouts_are_refused(store: Engine, name: str) -> None:
    refused(store, tar([directory("d"), member(name)]))


def test_ST1_aufs_own_names_are_passed_over(store: Engine) -> None:
    root = import_tar(store, tar([member(".wh..wh.plnk/1.2", b"x"), member(".wh..wh.aufs"), member("f", b"1")]))
    assert sorted(os.listdir(root)) == ["f"]


def test_ST1_the_last_of_two_entries_of_one_name_counts(store: Engine) -> None:
    root = import_tar(
        store,
        tar(
            [
                member("f", b"old"),
                symlink("l", "/etc"),
                directory("d"),
                member("d/x", b"gone"),
                member("f", b"new"),
                member("l", b"file now"),
                member("d", b"file now"),
                directory("g"),
                symlink("g", "f"),
            ]
        ),
    )
    assert (root / "f").read_bytes() == b"new"
    assert (root / "l").read_bytes() == (root / "d").read_bytes() == b"file now"
    assert os.readlink(root / "g") == "f"


# ST2: links


def test_ST2_writing_through_a_link_stays_in_the_root(store: Engine, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    climbing = "../" * 30 + str(outside).lstrip("/")
    root = import_tar(
        store,
        tar(
            [
                directory("tmp"),
                symlink("absolute", "/tmp"),
                symlink("climbing", "../../../../../tmp"),
                member("absolute/a", b"1"),
                member("climbing/b", b"2"),
            ]
        ),
    )
    assert sorted(os.listdir(root / "tmp")) == ["a", "b"]
    refused(store, tar([symlink("out", climbing), member("out/evil", b"x")]))
    refused(store, tar([symlink("out", str(outside)), member("out/evil", b"x")]))
    assert os.listdir(outside) == []


def test_ST2_a_link_is_replaced_and_never_written_through(store: Engine, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    root = import_tar(store, tar([symlink("f", str(victim)), member("f", b"evil", mode=0o777)]))
    assert victim.read_bytes() == b"untouched"
    assert stat.S_IMODE(victim.stat().st_mode) != 0o777
    assert not (root / "f").is_symlink()


def test_ST2_a_directory_entry_does_not_follow_a_link(store: Engine) -> None:
    root = import_tar(
        store, tar([directory("real", 0o700), symlink("d", "real"), directory("d", 0o777), member("d/f")])
    )
    assert stat.S_IMODE((root / "real").stat().st_mode) == 0o700
    assert (root / "d").is_dir()
    assert not (root / "d").is_symlink()


@pytest.mark.parametrize("target", ["../../etc/passwd", "missing", "later", "/nowhere/x", "d", "loop/x"])
def test_ST2_hard_links_to_what_the_archive_has_not_brought_are_refused(store: Engine, target: str) -> None:
    error = refused(store, tar([directory("d"), symlink("loop", "loop"), hardlink("h", target), member("later", b"x")]))
    assert "'h'" in error.message


def test_ST2_hard_links_are_relative_to_the_root_and_do_not_follow(store: Engine, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"x")
    root = import_tar(
        store,
        tar([member("a/f", b"1"), hardlink("abs", "/a/f"), symlink("s", str(victim)), hardlink("hs", "s")]),
    )
    assert (root / "abs").stat().st_ino == (root / "a/f").stat().st_ino
    assert os.readlink(root / "hs") == str(victim)
    assert victim.stat().st_nlink == 1


@pytest.mark.parametrize(
    "members", [[symlink("p", "p"), member("p/f")], [symlink("a", "b"), symlink("b", "a"), member("a/f")]]
)
def test_ST2_links_in_circles_are_refused(store: Engine, members: list[object]) -> None:
    refused(store, tar(members))  # type: ignore[arg-type]


# ST3: devices, set-id bits, attributes


def test_ST3_devices_fifos_and_set_id_bits_are_kept_where_only_root_gets_at_them(store: Engine) -> None:
    root = import_tar(
        store,
        tar(
            [
                member("null", type=b"3", devmajor=1, devminor=3, mode=0o666),
                member("pipe", type=b"6", mode=0o600),
                member("su", b"#!", mode=0o4755, uid=0),
                member("owned", b"", mode=0o2711, uid=70000, gid=70001),
            ]
        ),
    )
    assert stat.S_ISCHR((root / "null").lstat().st_mode)
    assert (root / "null").lstat().st_rdev == os.makedev(1, 3)
    assert stat.S_ISFIFO((root / "pipe").lstat().st_mode)
    assert stat.S_IMODE((root / "su").stat().st_mode) == 0o4755
    owned = (root / "owned").stat()
    assert (owned.st_uid, owned.st_gid, stat.S_IMODE(owned.st_mode)) == (70000, 70001, 0o2711)


def test_ST3_users_of_the_host_do_not_reach_set_id_programs_of_images() -> None:
    """CVE-2021-41091: knowing the path of a set-id program that an image has brought must not be enough."""
    reachable = Path(tempfile.mkdtemp(dir="/var/tmp"))
    reachable.chmod(0o755)
    try:
        root = import_tar(open_store(reachable), tar([member("su", b"#!", mode=0o4755)]))
        stranger = ["setpriv", "--reuid=65534", "--clear-groups"]
        subprocess.run([*stranger, "test", "-d", str(reachable / "data")], check=True)
        assert subprocess.run([*stranger, "test", "-e", str(root / "su")], check=False).returncode == 1
    finally:
        shutil.rmtree(reachable)


def test_ST3_a_forged_whiteout_device_is_refused(store: Engine) -> None:
    error = refused(store, tar([member("x", type=b"3", devmajor=0, devminor=0)]))
    assert "0:0" in error.message


@pytest.mark.parametrize("numbers", [(1 << 21, 0), (0, 1 << 21)])
def test_ST3_devices_that_can_not_be_are_refused(store: Engine, numbers: tuple[int, int]) -> None:
    refused(store, tar([member("x", type=b"4", devmajor=numbers[0], devminor=numbers[1])], 1))


def test_ST3_overlay_marks_in_an_archive_are_dropped_and_capabilities_kept(store: Engine) -> None:
    capability = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
    forged = {
        "SCHILY.xattr.trusted.overlay.opaque": "y",
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
        "SCHILY.xattr.trusted.overlay.metacopy": "",
        "SCHILY.xattr.user.overlay.opaque": "y",
        "SCHILY.xattr.trusted.mine": "v",
        "SCHILY.xattr.user.kept": "v",
        "SCHILY.xattr.security.capability": capability.decode("utf-8", "surrogateescape"),
    }
    root = import_tar(store, tar([directory("d", pax_headers=forged), member("f", b"x", pax_headers=forged)]))
    assert sorted(os.listxattr(root / "f")) == ["security.capability", "user.kept"]
    assert os.getxattr(root / "f", "security.capability") == capability
    assert [name for name in os.listxattr(root / "d") if "overlay" in name or "mine" in name] == []


def test_ST3_whiteouts_and_opaque_directories_are_overlays_own(store: Engine) -> None:
    root = import_tar(
        store,
        tar(
            [
                member(".wh.gone"),
                directory("d"),
                member("d/.wh..wh..opq"),
                member("d/new", b"1"),
                member("both", b"kept"),
                member(".wh.both"),
                member(".wh.again"),
                directory("again"),
                member("again/x"),
                directory("after"),
                member(".wh.after"),
                member("deep/er/.wh.x"),
            ]
        ),
    )
    assert (root / "gone").lstat().st_rdev == 0
    assert stat.S_ISCHR((root / "gone").lstat().st_mode)
    assert os.getxattr(root / "d", OVERLAY) == b"y"
    assert (root / "both").read_bytes() == b"kept"
    assert os.getxattr(root / "again", OVERLAY) == b"y"
    assert os.getxattr(root / "after", OVERLAY) == b"y"
    assert stat.S_ISCHR((root / "deep/er/x").lstat().st_mode)


# ST4: the standard library's extraction is never used


def test_ST4_no_code_of_ours_extracts_with_tarfile() -> None:
    core = Path(sys.modules["core"].__file__ or "").parent
    offenders = [
        path for path in core.rglob("*.py") if "import tarfile" in path.read_text() or "extractall" in path.read_text()
    ]
    assert offenders == []


def test_ST4_workers_load_no_code_after_their_root_has_changed(store: Engine) -> None:
    """An image with modules of the standard library's names at its root: none of them is ever run."""
    poison = b"import os\nos.open('/POISONED', os.O_CREAT)\nraise SystemExit(9)\n"
    names = ["traceback", "linecache", "encodings/idna", "core/trees/copy", "stat", "pwd", "base64", "locale"]
    members = [member(f"{name}.py", poison) for name in names]
    members += [member(f"usr/lib/python3/{name}.py", poison) for name in names]
    root = import_tar(store, tar(members))
    assert [entry.name for entry in store.images.list_dir("made:1", "/encodings")] == ["idna.py"]
    with pytest.raises(EngineError):
        store.images.read_file("made:1", "/missing")
    assert not (root / "POISONED").exists()


# ST5: bombs


def test_ST5_a_gzip_bomb_is_met_while_it_is_small(any_store: Engine) -> None:
    store = any_store
    header = raw_header(b"zeros", size=2**30)
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb", compresslevel=9) as file:
        file.write(header)
        for _ in range(1024):
            file.write(bytes(1024 * 1024))
        file.write(bytes(1024))
    assert len(bomb.getvalue()) < 2 * 1024**2
    before = contents(store)
    with pytest.raises(LimitExceeded, match="times their size"):
        import_tar(store, bomb.getvalue())
    with pytest.raises(LimitExceeded, match="times their size"):
        load(store, docker_archive([b""], ["bomb:1"], pack=lambda _layer: bomb.getvalue()))
    assert contents(store) == before


def test_ST5_a_deep_tree_is_refused(store: Engine) -> None:
    refused(store, tar([member("d/" * 200 + "f", b"x")]), LimitExceeded)


def test_ST5_a_sparse_giant_takes_no_room(store: Engine) -> None:
    pax = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(2**62)}
    refused(store, tar([member("big", b"1\n0\n0\n".ljust(512, b"\0"), pax_headers=pax)]), LimitExceeded)


_BOMB = """
import io, resource, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from core.errors import EngineError
from core.model.progress import CancelToken, silent
from tests.stores import open_store
engine = open_store(Path(sys.argv[2]))
with open(sys.argv[3], "rb") as source:
    try:
        name = ["bomb:1"] if sys.argv[4] == "import_tar" else []
        getattr(engine.images, sys.argv[4])(source, *name, silent, CancelToken())
        print("taken")
    except EngineError as error:
        print(type(error).__name__, error.message)
# not RUSAGE_SELF: that begins with what the process before exec had, which is pytest's own size
with open("/proc/self/status") as status:
    own = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
largest = max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
print(largest)
"""


def swallow(tmp_path: Path, bomb: Path, verb: str = "import_tar", driver: str = UNPACKED) -> tuple[str, int]:
    """Let an engine in a process of its own take a bomb; what it said, and the most memory (KiB) it or a worker had."""
    project = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", _BOMB, project, str(tmp_path), str(bomb), verb],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, STORAGE_DRIVER_VARIABLE: driver},
    )
    said, largest = done.stdout.strip().rsplit("\n", 1)
    return said, int(largest)


@pytest.mark.parametrize("driver", DRIVERS)
def test_ST5_many_empty_directories_are_taken_in_little_memory(tmp_path: Path, driver: str) -> None:
    bomb = tmp_path / "entries.tar.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        for index in range(40):
            file.write(b"".join(raw_header(b"%d/%d" % (index, i), kind=b"5", mode=0o755) for i in range(1000)))
        file.write(bytes(1024))
    said, largest_kib = swallow(tmp_path, bomb, driver=driver)
    assert said == "taken"
    assert largest_kib < 200 * 1024


def test_ST5_more_entries_than_the_limit_are_refused_in_little_memory(tmp_path: Path) -> None:
    bomb = tmp_path / "entries.tar.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        same = raw_header(b".wh..wh.x") * 1000  # a name that is passed over: the disk takes no part
        for _ in range(1001):
            file.write(same)
    said, largest_kib = swallow(tmp_path, bomb)
    assert said.startswith("LimitExceeded")
    assert "entries" in said
    assert largest_kib < 200 * 1024


def test_ST5_a_zstd_window_of_2_GiB_is_refused_in_little_memory(tmp_path: Path) -> None:
    bomb = tmp_path / "window.tar.zst"
    # magic, frame header with window descriptor 0xA8 (2^31 bytes), one raw block of one byte
    bomb.write_bytes(b"\x28\xb5\x2f\xfd\x00\xa8" + (1 << 3 | 1).to_bytes(3, "little") + b"x")
    said, largest_kib = swallow(tmp_path, bomb)
    assert said.startswith("LimitExceeded")
    assert "memory" in said
    assert largest_kib < 200 * 1024


def test_ST5_gigabytes_of_zeros_are_refused_in_little_memory(tmp_path: Path) -> None:
    bomb = tmp_path / "zeros.tar.gz"
    with gzip.open(bomb, "wb", compresslevel=6) as file:
        file.write(raw_header(b"zeros", size=2**34))
        for _ in range(600):
            file.write(bytes(1024 * 1024))
    for verb in ("import_tar", "load"):
        said, largest_kib = swallow(tmp_path, bomb, verb)
        assert said.startswith("LimitExceeded")
        assert largest_kib < 200 * 1024


def test_ST5_a_pax_header_of_1_GB_is_refused(store: Engine) -> None:
    with pytest.raises(LimitExceeded):
        store.images.import_tar(
            io.BytesIO(raw_header(b"x", size=2**30, kind=b"x") + bytes(4096)), "x:1", silent, CancelToken()
        )


@pytest.mark.parametrize("data", [b"", b"junk" * 1000, bytes(300), raw_header(b"f", size=5000) + b"short"])
def test_ST1_broken_archives_are_told_in_one_line(store: Engine, data: bytes) -> None:
    before = contents(store)
    for verb in (lambda: import_tar(store, data), lambda: load(store, data)):
        with pytest.raises(Integrity) as caught:
            verb()
        assert "\n" not in caught.value.message
    assert contents(store) == before
