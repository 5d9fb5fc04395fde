"""Pulls that are killed anywhere, and disks that fill up: nothing half-published, and the next pull goes on."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.engine.engine import Engine
from core.errors import EngineError, NoSpace, NotFound
from core.linux import mounts
from core.linux.checkpoints import VARIABLE
from core.model.progress import CancelToken, silent
from core.model.registry import NoCredentials
from tests.archives import directory, member, sha256, tar
from tests.faults.test_images import fill, small_disk
from tests.registries import RunningRegistry
from tests.registry.server import Asked, FakeRegistry, Handler, fake_registry
from tests.stores import contents, import_tar, open_store

__all__ = ["small_disk"]
PROJECT = str(Path(__file__).parents[2])
CHUNK = 64 * 1024
LAYERS = [tar([directory("d"), member(f"d/{name}", os.urandom(700_000))]) for name in "ab"]
CHECKPOINTS = [
    *("pull:config", "download:written", "download:whole", "download:published"),
    *("pull:unpacked", "pull:layers", "pull:named", "pull:let-go"),
]
_PULL = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from core.model.progress import CancelToken, silent
from core.model.registry import NoCredentials
from tests.stores import open_store
engine = open_store(Path(sys.argv[2]))
engine.images.pull(sys.argv[3], NoCredentials(), silent, CancelToken())
"""


class LockStep:
    """A trick: layers go out in chunks, the next one when the one before is stored: one is under way."""

    def __init__(self, fake: FakeRegistry, store: Path) -> None:
        self._fake = fake
        self._store = store

    def __call__(self, handler: Handler, asked: Asked) -> bool:
        digest = asked.path.rpartition("/")[2]
        layer = self._fake.blobs.get(digest)
        if layer not in LAYERS:
            return False
        begin = int(asked.headers["range"][6:-1]) if "range" in asked.headers else 0
        extra = {"Content-Range": f"bytes {begin}-{len(layer) - 1}/{len(layer)}"} if begin else {}
        handler.head(206 if begin else 200, len(layer) - begin, extra)
        kept = self._store / "data" / "ingest" / f"download-{digest[7:]}"
        for start in range(begin, len(layer), CHUNK):
            handler.send(digest, layer[start : start + CHUNK])
            for _ in range(200):
                if kept.exists() and kept.stat().st_size >= min(start + CHUNK, len(layer)):
                    break
                time.sleep(0.002)
            else:
                handler.hang_up()  # whoever asked is gone
                return True
        return True


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeRegistry]:
    with fake_registry() as registry:
        registry.put_image("x", "1", LAYERS)
        yield registry


def pull(directory: Path, fake: FakeRegistry, fault: str = "") -> int:
    """In a process of its own; its exit code."""
    environment = {**os.environ, **({VARIABLE: fault} if fault else {})}
    words = [sys.executable, "-c", _PULL, PROJECT, str(directory), f"{fake.host}/x:1"]
    return subprocess.run(words, env=environment, stderr=subprocess.DEVNULL).returncode


def check_sound(directory: Path) -> Engine:
    """After a fault: nothing half-made is visible, and what was kept is no trouble."""
    engine = open_store(directory)
    assert engine.system.fsck(deep=True) == []
    for image in engine.images.list(all=True):
        assert len(engine.images.list_dir(image.id, "/d")) == len(image.layers)
    return engine


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_a_pull_killed_anywhere_is_gone_on_with(tmp_path: Path, fake: FakeRegistry, checkpoint: str) -> None:
    fake.tricks.append(LockStep(fake, tmp_path))
    token = tmp_path / "token"
    kills = 2 if checkpoint == "download:written" else 1
    for _ in range(kills):
        token.touch()
        assert pull(tmp_path, fake, f"{checkpoint}->kill@{token}") == -9
        assert not token.exists()
        engine = check_sound(tmp_path)
        is_named = checkpoint in ("pull:named", "pull:let-go")
        assert bool(engine.images.list(all=True)) == is_named
    assert pull(tmp_path, fake) == 0
    engine = check_sound(tmp_path)
    assert len(engine.images.list()) == 1
    for layer in LAYERS:
        assert fake.sent[sha256(layer)] - len(layer) <= CHUNK * kills
    assert os.listdir(engine.roots.ingest) == []
    engine.images.remove(f"{fake.host}/x:1")
    assert contents(engine) == set()


@pytest.mark.parametrize("point", ["download:whole", "pull:layers"])
def test_a_disk_error_in_a_pull_is_told_and_gone_on_after(tmp_path: Path, fake: FakeRegistry, point: str) -> None:
    token = tmp_path / "token"
    token.touch()
    assert pull(tmp_path, fake, f"{point}->EIO@{token}") == 1
    engine = check_sound(tmp_path)
    assert engine.images.list(all=True) == []
    assert pull(tmp_path, fake) == 0
    assert {fake.sent[sha256(layer)] for layer in LAYERS} == {len(layer) for layer in LAYERS}


@pytest.mark.parametrize("small_disk", [1, 2], indirect=True)
def test_ENOSPC_a_pull_onto_a_full_disk_publishes_nothing_and_goes_on_with_room(
    small_disk: Path, fake: FakeRegistry
) -> None:
    """No room for what is fetched, and none for what is unpacked."""
    fake.tricks.append(LockStep(fake, small_disk))
    engine = open_store(small_disk)
    before = set(os.listdir(engine.roots.layers))
    for _ in range(2):
        with pytest.raises(NoSpace) as caught:
            engine.images.pull(f"{fake.host}/x:1", NoCredentials(), silent, CancelToken())
        assert "no space left on device" in caught.value.message
        assert set(os.listdir(engine.roots.layers)) == before
        assert engine.images.list(all=True) == []
        assert {name for name in contents(engine) if not name.startswith("ingest/download-")} == set()
        assert engine.system.fsck(deep=True) == []
    mounts.mount("small", str(small_disk), "tmpfs", mounts.MS_REMOUNT, "size=32m,nr_inodes=4000")
    engine.images.pull(f"{fake.host}/x:1", NoCredentials(), silent, CancelToken())
    check_sound(small_disk)
    for layer in LAYERS:
        assert fake.sent[sha256(layer)] - len(layer) <= CHUNK * 2


@pytest.mark.parametrize("small_disk", [32], indirect=True)
def test_ENOSPC_a_pull_onto_a_disk_that_fills_up_at_any_moment_keeps_old_images(
    small_disk: Path, fake: FakeRegistry
) -> None:
    engine = open_store(small_disk)
    import_tar(engine, tar([directory("d"), member("d/old", b"old")]), "old:1")
    before = contents(engine)
    for leave in (0, 16384, 100_000, 1_500_000, 2_300_000):
        ballast = fill(small_disk, leave)
        with pytest.raises(NoSpace):
            engine.images.pull(f"{fake.host}/x:1", NoCredentials(), silent, CancelToken())
        assert {name for name in contents(engine) if not name.startswith("ingest/download-")} == before, leave
        ballast.unlink()
        assert engine.images.read_file("old:1", "/d/old") == b"old"
        engine.images.prune()
        assert os.listdir(engine.roots.ingest) == []
    engine.images.pull(f"{fake.host}/x:1", NoCredentials(), silent, CancelToken())
    assert check_sound(small_disk)


def test_a_push_killed_anywhere_is_done_again(tmp_path: Path, registry: RunningRegistry) -> None:
    engine = open_store(tmp_path)
    name = f"{registry.host}/killed/push:1"
    import_tar(engine, LAYERS[0], name)
    script = _PULL.replace("images.pull", "images.push")
    token = tmp_path / "token"
    token.touch()
    words = [sys.executable, "-c", script, PROJECT, str(tmp_path), name]
    fault = {VARIABLE: f"push:blobs->kill@{token}"}
    assert subprocess.run(words, env={**os.environ, **fault}).returncode == -9
    assert check_sound(tmp_path).images.list()[0].tags == (name,)
    with pytest.raises(NotFound):
        engine.registries.manifest(name, NoCredentials())
    assert subprocess.run(words).returncode == 0
    assert registry.requests("PATCH", "killed/push") == 2  # the layer and the config, once each
    with contextlib.suppress(EngineError):
        engine.images.remove(name)
    engine.images.pull(name, NoCredentials(), silent, CancelToken())
    check_sound(tmp_path)
