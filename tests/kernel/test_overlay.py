"""Layers as the kernel mounts them: hiding, depth, the init layer, and what a container finds at its root."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from core.engine.engine import Engine
from core.errors import LimitExceeded, NotFound
from core.linux import mounts
from core.storage import overlay
from tests.archives import config_of, directory, docker_archive, member, symlink, tar
from tests.conftest import STARTER, Runner
from tests.stores import contents, load, open_store


@pytest.fixture
def store(tmp_path: Path) -> Engine:
    return open_store(tmp_path)


def image_of(store: Engine, *layers: list[tuple[object, bytes]]) -> tuple[str, ...]:
    """Load an image of these layers, lowest first; its chain ids."""
    load(store, docker_archive([tar(layer) for layer in layers], ["layered:1"]))  # type: ignore[arg-type]
    return store.images.inspect("layered:1").layers


def names(store: Engine, path: str) -> list[str]:
    return [entry.name for entry in store.images.list_dir("layered:1", path)]


def test_C6_upper_layers_hide_what_their_whiteouts_name(store: Engine) -> None:
    image_of(
        store,
        [directory("d"), member("d/a", b"1"), member("d/b", b"1"), directory("e"), member("e/x"), member("f", b"low")],
        [
            member("d/.wh.a"),
            member("d/c", b"2"),
            directory("e"),
            member("e/.wh..wh..opq"),
            member("e/y"),
            member(".wh.f"),
        ],
        [member("f", b"again")],
    )
    assert names(store, "/d") == ["b", "c"]
    assert names(store, "/e") == ["y"]
    assert store.images.read_file("layered:1", "/f") == b"again"


def test_C6_a_directory_replaced_by_a_file_and_back_shows_nothing_old(store: Engine) -> None:
    image_of(
        store,
        [directory("d"), member("d/old")],
        [member("d", b"file now")],
        [member(".wh.d"), directory("d"), member("d/new")],
    )
    assert names(store, "/d") == ["new"]


def test_C6_127_layers_are_mounted_and_128_refused(store: Engine) -> None:
    layers = [[member(f"f{at}", b"%d" % at)] for at in range(127)]
    image_of(store, *layers)
    assert len(names(store, "/")) == 127
    store.images.remove("layered:1")
    before = contents(store)
    with pytest.raises(LimitExceeded, match="max depth exceeded"):
        image_of(store, *layers, [member("one too many")])
    assert contents(store) == before


def test_an_image_without_layers_is_an_image(store: Engine) -> None:
    load(store, docker_archive([], ["layered:1"], config=config_of([], config={"Cmd": ["x"]})))
    assert store.images.inspect("layered:1").layers == ()
    lowers = overlay.overlay_lowers(store.roots, ())
    assert overlay.ensure_init_layer(store.roots, ()) == lowers[0]
    assert (lowers[0] / "etc/hosts").is_file()
    store.images.remove("layered:1")
    assert lowers[0].is_dir()


def init_of(store: Engine, *layers: list[tuple[object, bytes]]) -> Path:
    return overlay.ensure_init_layer(store.roots, image_of(store, *layers))


def test_the_init_layer_makes_only_what_the_image_lacks(store: Engine) -> None:
    init = init_of(
        store,
        [directory("etc", 0o751, uid=7, gid=8, mtime=1234), member("etc/hosts", b"own"), directory("proc", 0o555)],
    )
    made = sorted(str(path.relative_to(init)) for path in init.rglob("*"))
    assert made == [
        ".dockerenv",
        "dev",
        "dev/console",
        "dev/mqueue",
        "dev/pts",
        "dev/shm",
        "etc",
        "etc/hostname",
        "etc/mtab",
        "etc/resolv.conf",
        "sys",
    ]
    there = (init / "etc").stat()
    assert (stat.S_IMODE(there.st_mode), there.st_uid, there.st_gid, there.st_mtime) == (0o751, 7, 8, 1234)
    assert os.readlink(init / "etc/mtab") == "/proc/mounts"


def test_the_init_layer_covers_links_in_its_places_and_follows_none(store: Engine, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    init = init_of(
        store,
        [
            symlink("dev", str(outside)),
            directory("etc"),
            symlink("etc/resolv.conf", "../run/stub"),
            member("proc", b"x"),
        ],
        [symlink("etc/hosts", str(outside / "evil"))],
    )
    for name in ("dev", "proc", "etc/hosts", "etc/resolv.conf", "dev/console"):
        assert not (init / name).is_symlink()
    assert (init / "dev").is_dir()
    assert (init / "proc").is_dir()
    assert list(outside.iterdir()) == []


def test_the_init_layer_sees_through_whiteouts(store: Engine) -> None:
    init = init_of(
        store,
        [directory("etc", 0o700), member("etc/hosts"), member("etc/hostname"), directory("sys")],
        [member("etc/.wh.hosts"), member(".wh.sys")],
        [directory("etc", 0o711)],
    )
    assert (init / "etc/hosts").is_file()
    assert not (init / "etc/hostname").exists()
    assert (init / "sys").is_dir()
    assert stat.S_IMODE((init / "etc").stat().st_mode) == 0o711


def test_the_root_has_the_mode_and_owner_the_image_gives_it(engine: Engine, run: Runner) -> None:
    box = Path("/bin/busybox").read_bytes()
    layer = [directory("./", 0o711, uid=3, gid=4), directory("bin"), member("bin/stat", box, mode=0o755)]
    load(engine, docker_archive([tar(layer), tar([member("x")])], ["rooted:1"]))
    try:
        assert run("stat", "-c", "%a %u:%g", "/", image="rooted:1").out == "711 3:4\n"
    finally:
        for container in engine.containers.list(all=True):
            engine.containers.remove(container.id)
        engine.images.remove("rooted:1")


def test_C1_a_renamed_directory_of_the_image_is_copied_and_leaves_no_mark(engine: Engine, run: Runner) -> None:
    """Where a kernel redirects by default, rename(2) would leave a mark that no layer's tar can carry."""
    data = mounts.overlay_data([3, 4], 5, 6)
    assert data.startswith("lowerdir=/proc/self/fd/3:/proc/self/fd/4,upperdir=/proc/self/fd/5,workdir=/proc/self/fd/6,")
    assert {"index=off", "redirect_dir=off", "metacopy=off"} <= set(data.split(","))
    container = run.background("sh", "-c", "mv /var /moved; chmod 600 /moved/log; sleep 1000")
    while run.exec(container, "test", "-e", "/moved/log", "-a", "!", "-e", "/var").code:
        pass
    upper = engine.roots.container(container) / "upper"
    marks = [(path, name) for path in upper.rglob("*") for name in os.listxattr(path, follow_symlinks=False)]
    assert [mark for mark in marks if mark[1] not in ("trusted.overlay.origin", "trusted.overlay.opaque")] == []


def test_nothing_of_ours_is_ever_in_the_hosts_mount_table(engine: Engine, run: Runner) -> None:
    container = run.background("sleep", "100")
    engine.containers.list_dir(container, "/")
    engine.containers.changes(container)
    engine.images.list_dir(STARTER, "/bin")
    mounted = Path("/proc/self/mountinfo").read_text().splitlines()
    assert [line for line in mounted if str(engine.roots.data) in line or str(engine.roots.run) in line] == []
    engine.containers.remove(container, force=True)


def test_workers_end_with_their_call(engine: Engine, run: Runner) -> None:
    container = run.background("sleep", "100")
    stream = engine.containers.copy_out(container, "/bin")
    next(iter(stream))
    stream.close()  # type: ignore[attr-defined]
    with pytest.raises(NotFound):
        engine.containers.read_file(container, "/nope")
    found = subprocess.run(
        ["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=True
    )
    assert [line for line in found.stdout.splitlines() if "core.trees.worker" in line] == []
