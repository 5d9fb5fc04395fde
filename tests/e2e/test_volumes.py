"""Volumes with real containers: first content, sharing, use, removal, pruning, browsing."""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.engine.engine import Engine
from core.errors import Conflict, InvalidInput, NotFound, Unsupported
from core.model.container import ContainerSpec
from core.model.mounts import MountSpec
from core.model.progress import CancelToken, silent
from tests.archives import directory, member, symlink, tar
from tests.conftest import STARTER, Runner
from tests.stores import import_tar


@pytest.fixture(autouse=True)
def _no_volume_stays(engine: Engine) -> Iterator[None]:
    yield
    for container in engine.containers.list(all=True):
        engine.containers.remove(container.id, force=True, volumes=True)
    engine.volumes.prune(all=True)
    assert engine.volumes.list() == []


def volume(name: str, target: str, **wish: object) -> MountSpec:
    return MountSpec(kind="volume", source=name, target=target, **wish)  # type: ignore[arg-type]


def test_F4_volumes_are_created_listed_inspected_and_removed(engine: Engine) -> None:
    made = engine.volumes.create("data", labels={"k": "v"})
    assert engine.volumes.create("data") == made
    assert made.mountpoint == str(engine.roots.volume("data") / "_data")
    anonymous = engine.volumes.create()
    assert re.fullmatch(r"[0-9a-f]{64}", anonymous.name)
    assert [v.name for v in engine.volumes.list()] == sorted([anonymous.name, "data"])
    assert engine.volumes.inspect("data").labels == {"k": "v"}
    engine.volumes.remove("data")
    with pytest.raises(NotFound, match="get data: no such volume"):
        engine.volumes.remove("data")
    engine.volumes.remove("data", force=True)


@pytest.mark.parametrize("name", ["../x", "a/b", "-x", ".x", "a b", "a\nb", "x" * 300, "ä"])
def test_SF12_names_never_become_paths(engine: Engine, name: str) -> None:
    with pytest.raises(InvalidInput):
        engine.volumes.create(name)
    for verb in (engine.volumes.inspect, engine.volumes.remove):
        with pytest.raises(NotFound):
            verb(name)
    with pytest.raises(NotFound):
        engine.volumes.list_dir(name, "/")


def test_F4_other_drivers_do_not_exist(engine: Engine) -> None:
    with pytest.raises(Unsupported, match='plugin "nfs" not found'):
        engine.volumes.create("x1", driver="nfs")


def test_F4_what_one_container_writes_another_reads_and_it_outlives_both(engine: Engine, run: Runner) -> None:
    assert run.sh("echo kept > /v/f", mounts=(volume("shared", "/v"),)).code == 0
    assert run.sh("cat /w/f", mounts=(volume("shared", "/w", read_only=True),)).out == "kept\n"
    assert "Read-only" in run.sh("touch /w/g", mounts=(volume("shared", "/w", read_only=True),)).err
    assert Path(engine.volumes.inspect("shared").mountpoint, "f").read_text() == "kept\n"


def test_F2_an_empty_volume_gets_the_images_content_with_owners_and_modes(engine: Engine, run: Runner) -> None:
    run.sh("true", mounts=(volume("etc", "/etc"),))
    names = {entry.name for entry in engine.volumes.list_dir("etc", "/")}
    assert {"passwd", "group"} <= names
    run.sh("true", mounts=(volume("tmp", "/tmp"),))
    assert stat.S_IMODE(os.stat(engine.volumes.inspect("tmp").mountpoint).st_mode) == 0o1777
    run.sh("true", mounts=(volume("bare", "/etc", no_copy=True),))
    assert "passwd" not in {entry.name for entry in engine.volumes.list_dir("bare", "/")}
    run.sh("rm /v/passwd", mounts=(volume("etc", "/v"),))
    run.sh("true", mounts=(volume("etc", "/etc"),))  # not empty: nothing is copied again
    assert "passwd" not in {entry.name for entry in engine.volumes.list_dir("etc", "/")}


def test_F2_first_content_keeps_everything_and_never_leaves_the_image(engine: Engine, tmp_path: Path) -> None:
    data = tar(
        [
            directory("src", 0o2750, uid=12, gid=34),
            member("src/f", b"x", mode=0o4711, uid=5, gid=6, mtime=1000),
            symlink("src/out", str(tmp_path)),
            symlink("link", "/src"),
            symlink("escape", "../../../../../.." + str(tmp_path)),
            member("file", b"no directory"),
        ]
    )
    import_tar(engine, data, "content:1")
    layers = engine.images.inspect("content:1").layers
    try:
        for target, filled in (("/src", True), ("/link", True), ("/escape", False), ("/file", False), ("/no", False)):
            engine.volumes.create("v1")
            assert engine.volumes.copy_up(layers, target, "v1") is filled, target
            found = {entry.name: entry for entry in engine.volumes.list_dir("v1", "/")}
            assert set(found) == ({"f", "out"} if filled else set())
            if filled:
                assert (found["f"].mode, found["f"].uid, found["f"].gid) == (0o4711, 5, 6)
                assert found["f"].mtime_ns == 1000 * 10**9
                top = os.stat(engine.volumes.inspect("v1").mountpoint)
                assert (stat.S_IMODE(top.st_mode), top.st_uid, top.st_gid) == (0o2750, 12, 34)
            engine.volumes.remove("v1")
    finally:
        engine.images.remove("content:1")


def test_F2_volumes_an_image_declares_are_anonymous_and_go_with_rm_v(engine: Engine) -> None:
    data = tar([directory("data"), member("data/f", b"1"), member("x", b"#!", mode=0o755)])
    engine.images.import_tar(io.BytesIO(data), "decl:1", silent, CancelToken(), changes=['VOLUME ["/data"]', "CMD x"])
    try:
        container = engine.containers.create(ContainerSpec(image="decl:1")).id
        (mount,) = engine.containers.inspect(container).config.mounts
        assert mount.anonymous
        assert re.fullmatch(r"[0-9a-f]{64}", mount.name)
        assert engine.volumes.read_file(mount.name, "/f") == b"1"
        assert engine.volumes.inspect(mount.name).used_by == (container,)
        engine.containers.remove(container, volumes=True)
        assert engine.volumes.list() == []
    finally:
        engine.images.remove("decl:1")


def test_F4_a_volume_in_use_is_not_removed(engine: Engine) -> None:
    container = engine.containers.create(
        ContainerSpec(image=STARTER, command=("true",), mounts=(volume("used", "/v"), volume("", "/w")))
    ).id
    with pytest.raises(Conflict, match=re.escape(f"remove used: volume is in use - [{container}]")):
        engine.volumes.remove("used")
    assert engine.volumes.prune(all=True)[0] == []
    engine.containers.remove(container)
    names, freed = engine.volumes.prune()
    assert len(names) == 1
    assert freed == 0
    assert [v.name for v in engine.volumes.list()] == ["used"]


def test_C9_prune_reports_the_bytes_it_frees(engine: Engine, run: Runner) -> None:
    run.sh("head -c 123456 /dev/zero > /v/a; ln /v/a /v/b", mounts=(volume("full", "/v"),))
    assert engine.volumes.list(sizes=True)[0].size_bytes == 123456
    for container in engine.containers.list(all=True):
        engine.containers.remove(container.id)
    assert engine.volumes.prune() == ([], 0)
    assert engine.volumes.prune(all=True) == (["full"], 123456)


def test_browsing_a_volume_stays_inside(engine: Engine, run: Runner, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("host")
    links = f"ln -s {tmp_path} /v/out; ln -s ../../../../../../../..{tmp_path} /v/up; ln -s f /v/l"
    run.sh(f"{links}; echo 123 > /v/f; mkfifo /v/p", mounts=(volume("browse", "/v"),))
    rows = {entry.name: entry for entry in engine.volumes.list_dir("browse", "/")}
    assert {name: row.kind for name, row in rows.items()} == {
        "out": "link",
        "up": "link",
        "l": "link",
        "f": "file",
        "p": "fifo",
    }
    assert engine.volumes.read_file("browse", "/l", 1, 2) == b"23"
    for path in ("/out/secret", "/up/secret", "/../../secret"):
        with pytest.raises(NotFound):
            engine.volumes.read_file("browse", path)
    with pytest.raises(NotFound):
        engine.volumes.list_dir("browse", "/out")
    for path in ("/p", "/"):
        with pytest.raises(InvalidInput, match="not a regular file"):
            engine.volumes.read_file("browse", path)
    with pytest.raises(InvalidInput, match="not a directory"):
        engine.volumes.list_dir("browse", "/f")


def test_a_volume_whose_record_is_damaged_is_still_shown_with_its_data(engine: Engine) -> None:
    engine.volumes.create("hurt")
    (engine.roots.volume("hurt") / "volume.json").write_text("{")
    assert [v.name for v in engine.volumes.list()] == ["hurt"]
    assert engine.volumes.inspect("hurt").mountpoint
    engine.volumes.remove("hurt")
