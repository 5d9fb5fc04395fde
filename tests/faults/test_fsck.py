"""A store that is damaged in any way is found out, mended where that can be, and never made worse."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core.cgroups import driver
from core.engine.engine import Engine, open_engine
from core.engine.fsck import check
from core.model.container import ContainerSpec, Exited
from core.model.findings import Finding
from core.model.limits import Limits
from core.model.mounts import MountSpec
from core.model.progress import CancelToken, silent
from tests.conftest import STARTER, Runner


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two images, a container of each, a volume; copied for every test."""
    top = Path("/var/tmp") / f"wharf-fsck-{os.getpid()}"
    engine = open_engine(top / "data", top / "run")
    engine.images.starter(STARTER, silent, CancelToken())
    first = _create(engine, "first", image=STARTER, limits=Limits(memory_bytes=64 << 20))
    (engine.roots.container(first) / "upper" / "note").write_text("mine")
    from core.backend import CommitWish

    engine.images.commit(first, CommitWish(reference="second:1"), silent, CancelToken())
    mounts = (MountSpec(kind="volume", source="site", target="/www"),)
    _create(engine, "second", image="second:1", mounts=mounts)
    (engine.roots.volume("site") / "_data" / "page").write_text("hello")
    return top


@pytest.fixture(scope="module", autouse=True)
def _gone(pattern: Path) -> Iterator[None]:
    yield
    open_engine(pattern / "data", pattern / "run").system.reset()
    shutil.rmtree(pattern)


@pytest.fixture(autouse=True, scope="module")
def _no_waiting() -> Iterator[None]:
    """Nobody else is at work in these stores: the second look may follow at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "SECOND_LOOK_S", 0.0)
        yield


def _create(engine: Engine, name: str, **wish: Any) -> str:
    return engine.containers.create(ContainerSpec(name=name, command=("true",), **wish)).id


@pytest.fixture
def store(pattern: Path) -> Iterator[Engine]:
    with_copy = _copied(pattern)
    yield with_copy
    shutil.rmtree(with_copy.roots.data.parent)


def _copied(pattern: Path) -> Engine:
    top = pattern.with_name(f"{pattern.name}-{os.urandom(4).hex()}")
    top.mkdir()
    subprocess.run(["cp", "-a", "--reflink=auto", f"{pattern}/data", f"{top}/data"], check=True)
    return open_engine(top / "data", top / "run")


def _id(engine: Engine, name: str) -> str:
    return engine.containers.inspect(name).id


def _lines(findings: Any) -> str:
    return "\n".join(finding.line for finding in findings)


def _repaired(engine: Engine, *, deep: bool = False) -> list[Finding]:
    """Found, mended, and clean afterwards."""
    found = engine.system.fsck(deep=deep)
    assert found, "nothing was found"
    mended = engine.system.fsck(repair=True, deep=deep)
    assert all(finding.repaired for finding in mended), _lines(mended)
    assert engine.system.fsck(deep=True) == [], _lines(engine.system.fsck(deep=True))
    return list(mended)


def test_a_whole_store_is_clean_even_when_every_byte_is_read(store: Engine) -> None:
    assert store.system.fsck(deep=True) == []


def test_a_running_container_is_clean(run: Runner) -> None:
    run.background("sleep", "1000")
    assert run.engine.system.fsck() == []


def _blob_of_layer(engine: Engine) -> Path:
    return engine.roots.blob(engine.images._store.get(engine.images.resolve(STARTER)).layers[0].blob)


DAMAGES: dict[str, tuple[str, Callable[[Engine], object]]] = {
    "image record": ("image", lambda e: e.roots.image(e.images.resolve("second:1")).write_text("{")),
    "image record gone": ("reference", lambda e: e.roots.image(e.images.resolve("second:1")).unlink()),
    "reference": ("reference", lambda e: next(e.roots.refs.glob("*second*")).write_bytes(b"\xff\xfe")),
    "settings": ("container", lambda e: (e.roots.container(_id(e, "first")) / "settings.json").write_text("[]")),
    "state": ("container", lambda e: (e.roots.container(_id(e, "first")) / "state.json").write_text("[]")),
    "config": ("container", lambda e: (e.roots.container(_id(e, "first")) / "config.json").write_text('{"a":1}')),
    "own files": ("container", lambda e: (e.roots.container(_id(e, "first")) / "hosts").unlink()),
    "work": ("container", lambda e: shutil.rmtree(e.roots.container(_id(e, "first")) / "work")),
    "name": ("container", lambda e: (e.roots.names / "first").unlink()),
    "second name": ("name", lambda e: (e.roots.names / "third").symlink_to(f"../containers/{_id(e, 'first')}")),
    "name to nowhere": ("name", lambda e: (e.roots.names / "lost").symlink_to("../containers/" + "ab" * 32)),
    "a directory for a name": ("container", lambda e: _hit(e.roots.names / "first", "directory")),
    "a file as name": ("name", lambda e: (e.roots.names / "plain").write_text("mine")),
    "volume record": ("volume", lambda e: (e.roots.volume("site") / "volume.json").write_text("")),
    "volume gone": ("volume", lambda e: shutil.rmtree(e.roots.volume("site"))),
    "half-filled volume": ("volume", lambda e: (e.roots.volume("site") / "POPULATING").touch()),
    "layer's record": ("layer", lambda e: (_layer(e) / "layer.json").write_text("nothing")),
    "layer's files": ("layer", lambda e: shutil.rmtree(_layer(e) / "diff")),
    "layer": ("layer", lambda e: shutil.rmtree(_layer(e))),
    "directory": ("directory", lambda e: shutil.rmtree(e.roots.trash)),
    "trash": ("trash", lambda e: (e.roots.trash / "x").mkdir()),
    "lease": ("lease", lambda e: (e.roots.leases / ("0" * 32)).write_text("blob x\n")),
    "half-made layer": ("ingest", lambda e: (e.roots.ingest / "x").mkdir()),
    "half-made container": ("container", lambda e: (e.roots.containers / (".new-" + "cd" * 32)).mkdir()),
    "half-written document": ("file", lambda e: (e.roots.images / "x.json.999999999-00ff00ff.tmp").touch()),
    "stranger": ("file", lambda e: (e.roots.data / "readme").write_text("mine")),
    "unneeded blob": ("blob", lambda e: _write_blob(e, b"nobody's")),
    "run root": ("runtime", lambda e: (e.roots.run / "c" / ("e" * 16)).mkdir()),
}


def _layer(engine: Engine) -> Path:
    return engine.roots.layer(engine.images.inspect(STARTER).layers[0])


def _write_blob(engine: Engine, data: bytes) -> None:
    from hashlib import sha256

    path = engine.roots.blob(f"sha256:{sha256(data).hexdigest()}")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_named_and_mended(store: Engine, name: str) -> None:
    kind, damage = DAMAGES[name]
    damage(store)
    found = store.system.fsck()
    assert kind in {finding.kind for finding in found}, _lines(found)
    before = _everything(store)
    assert store.system.fsck() == found
    assert _everything(store) == before, "a check has changed something"
    _repaired(store)


def _everything(engine: Engine) -> set[str]:
    return {str(path) for path in engine.roots.data.rglob("*")}


def test_what_a_person_made_is_still_there_after_a_repair(store: Engine) -> None:
    (store.roots.container(_id(store, "first")) / "config.json").write_text("broken")
    (store.roots.data / "letters").mkdir()
    (store.roots.data / "letters" / "dear").write_text("dear")
    (store.roots.volume("site") / "volume.json").unlink()
    _repaired(store)
    assert [path.read_text() for path in store.roots.damaged.rglob("upper/note")] == ["mine"]
    assert [path.read_text() for path in store.roots.damaged.rglob("letters/dear")] == ["dear"]
    assert (store.roots.volume("site") / "_data" / "page").read_text() == "hello"
    for reason in store.roots.damaged.glob("*/reason.txt"):
        place, why = reason.read_text().splitlines()
        assert place.startswith(str(store.roots.data))
        assert why


def test_repaired_settings_keep_name_and_limits(store: Engine) -> None:
    (store.roots.container(_id(store, "first")) / "settings.json").write_text("[]")
    _repaired(store)
    assert store.containers.inspect("first").settings.limits.memory_bytes == 64 << 20


def test_a_lost_state_is_said_to_be_unknown(store: Engine) -> None:
    (store.roots.container(_id(store, "first")) / "state.json").write_text("{}")
    _repaired(store)
    state = store.containers.inspect("first").state
    assert isinstance(state, Exited)
    assert state.exit_code == 255
    assert state.error


def test_a_changed_file_of_a_layer_is_found_by_reading_it_only(store: Engine) -> None:
    program = _layer(store) / "diff" / "bin" / "busybox"
    inode = program.stat().st_ino
    data = bytearray(program.read_bytes())
    data[1000] ^= 1
    program.write_bytes(data)
    assert store.system.fsck() == []
    (finding,) = store.system.fsck(deep=True)
    assert (finding.kind, "busybox" in finding.problem) == ("layer", True), finding.line
    _repaired(store, deep=True)
    assert (_layer(store) / "diff" / "bin" / "busybox").stat().st_ino != inode


@pytest.mark.parametrize("change", ["chmod", "added", "removed", "link"])
def test_deep_sees_every_kind_of_change_to_a_layer(store: Engine, change: str) -> None:
    files = _layer(store) / "diff"
    match change:
        case "chmod":
            (files / "etc/passwd").chmod(0o666)
        case "added":
            (files / "etc/backdoor").write_text("x")
        case "removed":
            (files / "etc/passwd").unlink()
        case "link":
            applet = next(path for path in (files / "bin").iterdir() if path.is_symlink())
            target = "/elsewhere"
            applet.unlink()
            applet.symlink_to(target)
    assert [finding.kind for finding in store.system.fsck(deep=True)] == ["layer"]
    _repaired(store, deep=True)


def test_a_rotten_archive_costs_the_image_its_saving_not_its_running(store: Engine) -> None:
    blob = _blob_of_layer(store)
    blob.chmod(0o600)
    data = bytearray(blob.read_bytes())
    data[700] ^= 1
    blob.write_bytes(data)
    assert store.system.fsck() == []
    assert {finding.kind for finding in store.system.fsck(deep=True)} == {"blob", "image"}
    store.system.fsck(repair=True, deep=True)
    left = store.system.fsck(deep=True)
    assert left
    assert all(finding.kind == "image" and not finding.repair and "saved" in finding.problem for finding in left)
    store.images.starter(STARTER, silent, CancelToken())  # the same bytes again
    assert store.system.fsck(deep=True) == []


def test_an_image_that_lost_all_is_set_aside_and_its_container_said_to_be_lost(store: Engine) -> None:
    layer, blob = _layer(store), _blob_of_layer(store)
    shutil.rmtree(layer)
    blob.unlink()
    store.system.fsck(repair=True)
    left = store.system.fsck()
    assert [finding.kind for finding in left] == ["layer"], _lines(left)
    assert "container" in left[0].problem
    assert store.images.list() == []
    store.images.starter(STARTER, silent, CancelToken())
    store.system.fsck(repair=True)
    assert store.system.fsck() == []


def test_documents_of_a_later_version_are_left_alone(store: Engine) -> None:
    path = store.roots.container(_id(store, "first")) / "config.json"
    later = path.read_text().replace('"schema":1', '"schema":99')
    path.write_text(later)
    findings = store.system.fsck(repair=True)
    assert [finding.repair for finding in findings] == [""], _lines(findings)
    assert path.read_text() == later


def test_processes_in_the_group_of_a_container_that_does_not_run_are_found_and_ended(store: Engine) -> None:
    group = driver.choose(driver.find_hierarchies(), f"{store.roots.tag}/{_id(store, 'first')}")
    group.create()
    sleeper = subprocess.Popen(["sleep", "1000"])
    try:
        for top in {*driver.find_hierarchies().v1.values(), driver.find_hierarchies().v2 or ""}:
            members = Path(top, group.path, "cgroup.procs")
            if members.exists():
                members.write_text(str(sleeper.pid))
        (finding,) = store.system.fsck()
        assert (finding.kind, str(sleeper.pid) in finding.problem) == ("cgroup", True)
        _repaired(store)
        assert sleeper.wait(10) == -9
    finally:
        sleeper.kill()
        sleeper.wait()


_FILES = st.integers(0, 10_000)
_HOW = st.sampled_from(["delete", "truncate", "garbage", "flip", "directory", "symlink"])


@pytest.mark.timeout(600)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(_FILES, _HOW), min_size=1, max_size=4))
@example([(10_000, "directory")])
def test_random_damage_is_found_and_what_can_be_mended_is(pattern: Path, hits: list[tuple[int, str]]) -> None:
    engine = _copied(pattern)
    try:
        for number, how in hits:
            documents = sorted(path for path in engine.roots.data.rglob("*") if _is_ours(engine, path))
            _hit(documents[number % len(documents)], how)
        engine = open_engine(engine.roots.data, engine.roots.run)
        found = engine.system.fsck(deep=True)
        mended = engine.system.fsck(repair=True, deep=True)
        assert [finding.line for finding in mended if finding.failure] == []
        left = engine.system.fsck(deep=True)
        assert all(not finding.repair for finding in left), _lines(left)
        assert bool(found) or left == []
        for container in engine.containers.list(all=True):
            assert container.status != "dead"
        engine.images.list(all=True)
        engine.volumes.list(sizes=True)
    finally:
        shutil.rmtree(engine.roots.data.parent)


def _is_ours(engine: Engine, path: Path) -> bool:
    """Files that we write; what containers and people put into trees is theirs to change."""
    if path.name in ("format.json", "lock", ".lock", "store.lock") or (path.is_dir() and not path.is_symlink()):
        return False
    parts = path.relative_to(engine.roots.data).parts
    return parts[0] in ("blobs", "containers", "images", "layers", "names", "refs", "volumes") and not (
        {"upper", "work", "_data", "init"} & set(parts)
    )


def _hit(path: Path, how: str) -> None:
    if path.is_symlink() or how in ("delete", "directory", "symlink"):
        path.unlink()
        if how == "directory":
            path.mkdir()
        elif how == "symlink":
            path.symlink_to("/etc/passwd")
        return
    path.chmod(0o600)
    data = path.read_bytes()
    if how == "truncate":
        path.write_bytes(data[: len(data) // 2])
    elif how == "garbage":
        path.write_bytes(b"\x00garbage\xff")
    elif data:
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 0x20]))
