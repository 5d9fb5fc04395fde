"""Images and volumes on a full disk, and an engine killed at any moment of its work on them."""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.engine.engine import Engine
from core.errors import Cancelled, NoSpace, NotFound
from core.linux import mounts
from core.model.progress import CancelToken, silent
from tests.archives import directory, docker_archive, member, tar
from tests.stores import contents, import_tar, load, open_store, save

MEGABYTE = 1024 * 1024
_random = random.Random(7)


def noise(size: int) -> bytes:
    return _random.randbytes(size)


LAYER = tar([directory("d"), *(member(f"d/{i}", noise(100_000)) for i in range(60))])


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of as many megabytes as the test says."""
    place = tmp_path / "small"
    place.mkdir()
    mounts.mount("small", str(place), "tmpfs", 0, f"size={request.param}m,nr_inodes=4000")
    yield place
    mounts.umount(str(place))


def fill(place: Path, leave: int) -> Path:
    """Take all room but some bytes."""
    ballast = place / "ballast"
    free = os.statvfs(place)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize - leave))
    return ballast


@pytest.mark.parametrize("small_disk", [5, 8, 11], indirect=True)  # the archive, the layer, the last bit of it
def test_a_full_disk_while_an_image_is_made_leaves_nothing(small_disk: Path) -> None:
    engine = open_store(small_disk)
    before = contents(engine)
    for attempt in (lambda: import_tar(engine, LAYER), lambda: load(engine, docker_archive([LAYER], ["x:1"]))):
        with pytest.raises(NoSpace) as caught:
            attempt()
        assert "no space left on device" in caught.value.message
        assert contents(engine) == before
    assert engine.images.list(all=True) == []
    small = tar([member("f", b"fits")])
    assert (import_tar(engine, small) / "f").read_bytes() == b"fits"


@pytest.mark.parametrize("small_disk", [40], indirect=True)
def test_a_full_disk_at_every_moment_leaves_old_images_whole(small_disk: Path) -> None:
    engine = open_store(small_disk)
    import_tar(engine, tar([member("f", b"old")]), "old:1")
    before, archive = contents(engine), save(engine, "old:1")
    for leave in (0, 4096, 8192, 65536, 3 * MEGABYTE, 7 * MEGABYTE, 9 * MEGABYTE):
        ballast = fill(small_disk, leave)
        with pytest.raises(NoSpace):
            import_tar(engine, LAYER, "new:1")
        assert contents(engine) == before, leave
        ballast.unlink()
        assert save(engine, "old:1") == archive
    import_tar(engine, LAYER, "new:1")
    assert len(engine.images.list()) == 2


@pytest.mark.parametrize("small_disk", [40], indirect=True)
def test_images_and_volumes_can_be_removed_from_a_full_disk(small_disk: Path) -> None:
    engine = open_store(small_disk)
    import_tar(engine, LAYER)
    engine.volumes.create("data")
    fill(small_disk, 0)
    engine.images.remove("made:1")
    engine.volumes.remove("data")
    assert contents(engine) == set()
    assert import_tar(engine, tar([member("f")]))


@pytest.mark.parametrize("small_disk", [30], indirect=True)
def test_too_few_inodes_are_a_full_disk_too(small_disk: Path) -> None:
    engine = open_store(small_disk)
    before = contents(engine)
    with pytest.raises(NoSpace):
        import_tar(engine, tar([member(f"f{i}") for i in range(5000)]))
    assert contents(engine) == before


@pytest.mark.parametrize("small_disk", [4], indirect=True)
def test_saving_to_a_full_disk_tells_and_leaves_the_store_alone(small_disk: Path, tmp_path: Path) -> None:
    engine = open_store(tmp_path)
    import_tar(engine, LAYER)
    before = contents(engine)
    with (small_disk / "out.tar").open("wb") as sink, pytest.raises(NoSpace) as caught:
        engine.images.save(["made:1"], sink, silent, CancelToken())
    assert "out.tar" in caught.value.message
    assert contents(engine) == before


@pytest.mark.parametrize("small_disk", [26], indirect=True)
def test_a_full_disk_while_a_volume_gets_its_first_content_leaves_it_empty(small_disk: Path) -> None:
    engine = open_store(small_disk)
    import_tar(engine, LAYER)
    layers = engine.images.inspect("made:1").layers
    engine.volumes.create("data")
    ballast = fill(small_disk, 2 * MEGABYTE)
    with pytest.raises(NoSpace):
        engine.volumes.copy_up(layers, "/d", "data")
    assert engine.volumes.list_dir("data", "/") == ()
    ballast.unlink()
    assert engine.volumes.copy_up(layers, "/d", "data")
    assert len(engine.volumes.list_dir("data", "/")) == 60


def test_a_volume_whose_first_copying_died_is_filled_again(tmp_path: Path) -> None:
    engine = open_store(tmp_path)
    import_tar(engine, LAYER)
    layers = engine.images.inspect("made:1").layers
    volume = engine.volumes.create("data")
    Path(volume.mountpoint, "half").write_text("of it")
    (engine.roots.volume("data") / "POPULATING").touch()
    assert engine.volumes.copy_up(layers, "/d", "data")
    assert len(engine.volumes.list_dir("data", "/")) == 60
    assert not engine.volumes.copy_up(layers, "/d", "data")


_VICTIM = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from core.model.progress import CancelToken, silent
from tests.stores import open_store
engine = open_store(Path(sys.argv[2]))
print("ready", flush=True)
while True:
    with open(sys.argv[3], "rb") as source:
        if sys.argv[4] == "import":
            engine.images.import_tar(source, "x:1", silent, CancelToken())
        else:
            engine.images.load(source, silent, CancelToken())
    if sys.argv[4] == "squash":
        engine.images.squash("x:1", "x:1", silent, CancelToken())
        engine.images.prune()
    engine.images.remove("x:1")
"""


def next_engine(directory: Path) -> Engine:
    """An engine that has found nothing half-made left, once the victim's last worker has ended by itself."""
    for _ in range(200):
        engine = open_store(directory)
        if not [name for name in contents(engine) if name.startswith(("ingest/", "leases/")) and "/." not in name]:
            return engine
        time.sleep(0.05)
    raise AssertionError(contents(engine))


@pytest.mark.parametrize("verb", ["load", "import", "squash"])
def test_an_engine_killed_at_any_moment_leaves_whole_images_or_none(tmp_path: Path, verb: str) -> None:
    archive = tmp_path / "archive.tar"
    archive.write_bytes(LAYER if verb == "import" else docker_archive([LAYER], ["x:1"]))
    project = str(Path(__file__).parents[2])
    for _ in range(12):
        victim = subprocess.Popen(
            [sys.executable, "-c", _VICTIM, project, str(tmp_path), str(archive), verb], stdout=subprocess.PIPE
        )
        assert victim.stdout is not None
        victim.stdout.readline()
        time.sleep(_random.random() * 0.4)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        victim.stdout.close()
        engine = next_engine(tmp_path)
        try:
            image = engine.images.inspect("x:1")
        except NotFound:
            continue
        assert engine.images.read_file("x:1", "/d/59", 0, 10)
        assert [chain for chain in image.layers if not (engine.roots.layer(chain) / "layer.json").exists()] == []
        assert save(engine, "x:1")
    check_second_attempt(open_store(tmp_path), archive, verb)


def check_second_attempt(engine: Engine, archive: Path, verb: str) -> None:
    if verb == "import":
        import_tar(engine, archive.read_bytes(), "x:1")
    else:
        load(engine, archive.read_bytes())
    assert len(engine.images.list_dir("x:1", "/d")) == 60
    # a killed import may leave the image that had the name before: whole, without a name, and ready for prune
    for image in engine.images.list(all=True):
        assert len(engine.images.list_dir(image.id, "/d")) == 60
    engine.images.remove("x:1")
    engine.images.prune()
    assert {name for name in contents(engine) if not name.startswith("trash/")} == set()


def test_cancelling_leaves_nothing_at_any_step(tmp_path: Path) -> None:
    engine = open_store(tmp_path)
    archive = docker_archive([LAYER], ["x:1"])
    steps = 0
    for after in range(40):
        cancel = CancelToken()
        told: list[object] = []

        def report(
            progress: object, cancel: CancelToken = cancel, told: list[object] = told, after: int = after
        ) -> None:
            told.append(progress)
            if len(told) > after:
                cancel.cancel()

        with contextlib.suppress(Cancelled):
            engine.images.load(io.BytesIO(archive), report, cancel)
            break
        steps += 1
        assert contents(engine) == set()
    assert steps > 3
    assert engine.images.inspect("x:1")
