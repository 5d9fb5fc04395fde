"""Two and more engines at the same store at once: one wins, nobody breaks, nothing that is needed goes."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from core.backend import CommitWish
from core.engine.engine import Engine
from core.errors import Busy, Conflict, EngineError, InUse, NotFound
from core.model.container import ContainerSpec
from core.model.mounts import MountSpec
from core.model.progress import CancelToken, silent
from tests.archives import docker_archive, member, tar
from tests.conftest import STARTER
from tests.stores import contents, import_tar, load, open_store, save

_random = random.Random(3)
LAYERS = [tar([member(f"f{at}", _random.randbytes(20_000))]) for at in range(3)]


def together(*works: Callable[[], None]) -> list[BaseException]:
    """Run all at once, each in a thread; what they raised."""
    raised: list[BaseException] = []
    gate = threading.Barrier(len(works))

    def one(work: Callable[[], None]) -> None:
        gate.wait()
        try:
            work()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=one, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
        assert not thread.is_alive(), "a deadlock"
    return raised


def test_the_same_archive_loaded_by_many_is_stored_once(tmp_path: Path) -> None:
    open_store(tmp_path)
    archive = docker_archive(LAYERS, ["same:1"])
    engines = [open_store(tmp_path) for _ in range(5)]
    assert together(*(lambda engine=engine: load(engine, archive) for engine in engines)) == []  # type: ignore[misc]
    engine = engines[0]
    assert [image.tags for image in engine.images.list(all=True)] == [("same:1",)]
    found = contents(engine)
    assert len([name for name in found if name.startswith("layers/")]) == 3
    assert len([name for name in found if name.startswith("blobs/")]) == 4
    assert not [name for name in found if name.startswith(("ingest/", "leases/", "trash/"))]


def test_loading_and_removing_at_once_never_leaves_an_image_without_its_layers(tmp_path: Path) -> None:
    """Two images share a layer; one comes and goes all the time, sweeping behind it."""
    engine, other = open_store(tmp_path), open_store(tmp_path)
    one = docker_archive(LAYERS[:2], ["one:1"])
    two = docker_archive(LAYERS, ["two:1"])

    def come_and_go(engine: Engine, archive: bytes, name: str) -> None:
        for _ in range(15):
            load(engine, archive)
            assert save(engine, name)
            assert engine.images.read_file(name, "/f0", 0, 4)
            engine.images.remove(name)

    raised = together(lambda: come_and_go(engine, one, "one:1"), lambda: come_and_go(other, two, "two:1"))
    assert raised == []
    engine.images.prune()
    assert contents(engine) == set()


def test_one_name_given_by_many_means_one_of_their_images(tmp_path: Path) -> None:
    engines = [open_store(tmp_path) for _ in range(4)]
    ids = []
    for at, engine in enumerate(engines):
        import_tar(engine, tar([member("f", b"%d" % at)]), f"mine:{at}")
        ids.append(engine.images.resolve(f"mine:{at}"))

    def name(engine: Engine, image_id: str) -> None:
        for _ in range(20):
            engine.images.tag(image_id, "contested:1")

    works = [lambda engine=engine, own=own: name(engine, own) for engine, own in zip(engines, ids, strict=True)]
    assert together(*works) == []  # type: ignore[arg-type]
    assert engines[0].images.resolve("contested:1") in ids
    assert [tags for image in engines[0].images.list() if "contested:1" in (tags := image.tags)].__len__() == 1


def test_an_image_removed_while_containers_are_made_of_it_leaves_them_whole(engine: Engine) -> None:
    for round_ in range(8):
        import_tar(engine, tar([member("x", b"%d" % round_, mode=0o755)]), "victim:1")
        made: list[str] = []

        def make(made: list[str] = made) -> None:
            made.append(engine.containers.create(ContainerSpec(image="victim:1", command=("/x",))).id)

        raised = together(make, make, lambda: [engine.images.remove("victim:1", force=True)][:0] and None)
        assert all(isinstance(error, NotFound | Conflict) for error in raised), raised
        for container in made:
            assert engine.containers.read_file(container, "/x") == b"%d" % round_
            engine.containers.remove(container)
        for image in engine.images.list(all=True):
            if STARTER not in image.tags:
                engine.images.remove(image.id, force=True)


def test_a_volume_removed_while_containers_are_made_with_it_stays_or_goes_as_a_whole(engine: Engine) -> None:
    for _ in range(10):
        engine.volumes.create("contested")
        made: list[str] = []

        def make(made: list[str] = made) -> None:
            spec = ContainerSpec(
                image=STARTER, command=("true",), mounts=(MountSpec(kind="volume", source="contested", target="/v"),)
            )
            made.append(engine.containers.create(spec).id)

        def remove() -> None:
            engine.volumes.remove("contested")

        raised = together(make, remove)
        assert all(isinstance(error, InUse | Busy | NotFound) for error in raised), raised
        for container in made:
            assert engine.volumes.inspect("contested").used_by == (container,)
            engine.containers.remove(container)
        engine.volumes.remove("contested", force=True)


def test_first_content_is_copied_once_however_many_ask(tmp_path: Path) -> None:
    engine = open_store(tmp_path)
    import_tar(engine, tar([member(f"d/{at}", b"x") for at in range(200)]))
    layers = engine.images.inspect("made:1").layers
    engine.volumes.create("data")
    copied: list[bool] = []
    works = [lambda: copied.append(engine.volumes.copy_up(layers, "/d", "data"))] * 4
    assert together(*works) == []  # type: ignore[arg-type]
    assert sorted(copied) == [False, False, False, True]
    assert len(engine.volumes.list_dir("data", "/")) == 200


def test_commits_of_one_container_by_two_engines_both_succeed(engine: Engine) -> None:
    container = engine.containers.create(ContainerSpec(image=STARTER, command=("sh", "-c", "echo x > /x"))).id
    engine.containers.start(container)
    engine.containers.wait(container)
    other = Engine(engine.roots)
    raised = together(
        lambda: [engine.images.commit(container, CommitWish(reference="by:1"), silent, CancelToken())][:0] and None,
        lambda: [other.images.commit(container, CommitWish(reference="by:2"), silent, CancelToken())][:0] and None,
    )
    assert raised == []
    assert engine.images.inspect("by:1").layers == engine.images.inspect("by:2").layers
    engine.containers.remove(container)
    for name in ("by:1", "by:2"):
        engine.images.remove(name)


_WORK = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from core.errors import EngineError
from tests.stores import load, open_store
engine = open_store(Path(sys.argv[2]))
data = Path(sys.argv[3]).read_bytes()
for _ in range(10):
    load(engine, data)
    try:
        engine.images.remove("x:1")
    except EngineError as error:
        print(error.message)
"""


def test_processes_that_load_and_remove_the_same_image_end_with_a_clean_store(tmp_path: Path) -> None:
    archive = tmp_path / "archive.tar"
    archive.write_bytes(docker_archive(LAYERS, ["x:1"]))
    project = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", _WORK, project, str(tmp_path), str(archive)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in processes:
        said, failed = process.communicate(timeout=100)
        assert process.returncode == 0, failed
        assert [line for line in said.splitlines() if "No such image" not in line] == []
    engine = open_store(tmp_path)
    try:
        engine.images.remove("x:1")
    except EngineError as error:
        assert isinstance(error, NotFound)  # noqa: PT017
    engine.images.prune()
    assert contents(engine) == set()


@pytest.mark.parametrize("how", ["export", "contents", "compare", "squash", "save"])
def test_what_is_looked_into_or_written_out_stays_until_that_is_done(tmp_path: Path, how: str) -> None:
    """Another engine removes the image, and sweeps, at the first word of progress; all of it comes all the same."""
    engine, other = open_store(tmp_path), open_store(tmp_path)
    big = tar([member(f"big{at}", _random.randbytes(200_000)) for at in range(10)])
    load(engine, docker_archive([big, *LAYERS], ["victim:1"]))
    removed: list[str] = []

    def remove(_progress: object) -> None:
        if not removed:
            removed.append("victim:1")
            other.images.remove("victim:1", force=True)
            other.images.prune(all=True)

    def names_of(pieces: Iterable[bytes]) -> set[str]:
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
            return set(archive.getnames())

    images, cancel = engine.images, CancelToken()
    match how:
        case "export":
            assert {"big9", "f0", "f2"} <= names_of(images.export("victim:1", remove, cancel))
        case "contents":
            assert [len(one.entries) for one in images.contents("victim:1", remove, cancel)] == [10, 1, 1, 1]
        case "compare":
            assert images.compare("victim:1", "victim:1", remove, cancel) == []
        case "squash":
            made = images.squash("victim:1", "", remove, cancel)
            assert images.read_file(made, "/f2", 0, 4)
        case _:
            sink = io.BytesIO()
            images.save(["victim:1"], sink, remove, cancel)
            assert len(names_of([sink.getvalue()])) >= 8
    assert removed
    if how not in ("export", "contents"):  # these take away themselves what they have kept from going
        images.prune(all=True)
    assert contents(engine) == set()


@pytest.mark.parametrize(
    "key", ["nothing", "nothing:1", "sha256:" + "0" * 64, "0" * 12, "UPPER", "a b", "x" * 5000, ""]
)
def test_keys_that_name_nothing_are_told_as_such(tmp_path: Path, key: str) -> None:
    engine = open_store(tmp_path)
    for verb in (engine.images.inspect, engine.images.history, engine.images.remove):
        with pytest.raises(NotFound, match="No such image"):
            verb(key)  # type: ignore[operator]
    with pytest.raises(EngineError):
        save(engine, key)
