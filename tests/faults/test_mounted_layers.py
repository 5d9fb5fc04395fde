"""A layer that is mounted from its tar appears whole or not at all, and damage to it is found and mended."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.engine.engine import Engine
from core.engine.fsck import check
from core.errors import NotFound
from core.linux.checkpoints import VARIABLE
from core.storage.drivers import can_mount
from core.storage.layers import MOUNTED, read_layer
from tests.archives import directory, docker_archive, member, tar
from tests.faults.test_images import next_engine
from tests.faults.test_kills import REPOSITORY
from tests.stores import contents, import_tar, let_go, load, open_store, save

PLAIN = tar([directory("d", uid=5), member("d/f", b"content" * 1000), member("g", b"g")])
PACKED = docker_archive([tar([member("h", b"packed" * 1000)])], ["packed:1"], pack=gzip.compress)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(check, "SECOND_LOOK_S", 0.0)
    engine = open_store(tmp_path)
    engine.roots.storage_driver = MOUNTED
    if not can_mount(engine.roots).works:
        pytest.skip(f"no tar can be mounted here: {can_mount(engine.roots).why}")
    yield engine
    let_go()


def layer(store: Engine, reference: str = "made:1") -> Path:
    return store.roots.layer(store.images.inspect(reference).layers[-1])


def rewrite(path: Path, change: Callable[[bytearray], object]) -> None:
    data = bytearray(path.read_bytes())
    change(data)
    path.chmod(0o600)
    path.write_bytes(data)


def flip(path: Path, at: int) -> None:
    rewrite(path, lambda data: data.__setitem__(at, data[at] ^ 1))


def cut(path: Path) -> None:
    rewrite(path, lambda data: data.__delitem__(slice(-512, None)))


OWNER_OF_AN_INODE = 1536 + 64 + 24
"""Where the index says who owns what comes behind the root."""


DAMAGES: dict[str, tuple[bool, Callable[[Path], object]]] = {
    "index gone": (False, lambda place: (place / "tree.erofs").unlink()),
    "index cut": (False, lambda place: cut(place / "tree.erofs")),
    "superblock": (False, lambda place: flip(place / "tree.erofs", 1024 + 40)),
    "index is a link": (False, lambda place: _make_link(place / "tree.erofs")),
    "inode": (True, lambda place: flip(place / "tree.erofs", OWNER_OF_AN_INODE)),
    "tar gone": (False, lambda place: (place / "layer.tar").unlink()),
    "tar cut": (False, lambda place: cut(place / "layer.tar")),
    "a file's content": (True, lambda place: flip(place / "layer.tar", 700)),
    "record": (False, lambda place: (place / "layer.json").write_text("nothing")),
    "record gone": (False, lambda place: (place / "layer.json").unlink()),
    "half-made": (False, lambda place: (place / "INCOMPLETE").touch()),
}


def _make_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_to_a_mounted_layer_is_found_and_mended(store: Engine, name: str) -> None:
    load(store, PACKED)
    place = layer(store, "packed:1")
    assert store.system.fsck(deep=True) == []
    needs_reading, damage = DAMAGES[name]
    damage(place)
    if needs_reading:
        assert store.system.fsck() == []
    found = store.system.fsck(deep=True)
    assert [finding.kind for finding in found] == ["layer"], found
    mended = store.system.fsck(repair=True, deep=True)
    assert [finding.repaired for finding in mended] == [True], mended
    assert store.system.fsck(deep=True) == []
    assert store.images.read_file("packed:1", "/h") == b"packed" * 1000


def test_a_blob_that_is_gone_is_put_back_from_the_tar_that_is_mounted(store: Engine) -> None:
    import_tar(store, PLAIN)
    archive = save(store, "made:1")
    store.roots.blob(read_layer(store.roots, f"sha256:{layer(store).name}").blob).unlink()
    assert "missing among the blobs" in next(finding.problem for finding in store.system.fsck())
    store.system.fsck(repair=True)
    assert store.system.fsck(deep=True) == []
    assert save(store, "made:1") == archive


def test_a_rotten_tar_is_not_put_back_as_a_blob(store: Engine) -> None:
    """The blob and what is mounted are one file: nothing is left to make the layer of."""
    import_tar(store, PLAIN)
    place = layer(store)
    flip(place / "layer.tar", 700)
    assert {finding.kind for finding in store.system.fsck(deep=True)} == {"blob", "image"}
    store.system.fsck(repair=True, deep=True)
    assert not store.roots.blob(f"sha256:{place.name}").exists()
    assert store.images.list() == []
    import_tar(store, PLAIN)
    store.system.fsck(repair=True, deep=True)
    assert store.system.fsck(deep=True) == []
    assert store.images.read_file("made:1", "/g") == b"g"


_MAKER = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.stores import load, open_store
engine = open_store(Path(sys.argv[2]))
load(engine, Path(sys.argv[3]).read_bytes())
"""


@pytest.mark.parametrize(
    ("point", "kind"),
    [
        ("layer:tar", "plain"),
        ("layer:tar", "packed"),
        ("layer:indexed", "packed"),
        ("layer:described", "plain"),
        ("layer:durable", "packed"),
    ],
)
def test_a_layer_whose_maker_was_killed_is_there_whole_or_not_at_all(
    store: Engine, tmp_path: Path, point: str, kind: str
) -> None:
    archive, token = tmp_path / "archive.tar", tmp_path / "token"
    archive.write_bytes(PACKED if kind == "packed" else docker_archive([PLAIN], ["packed:1"]))
    token.touch()
    environment = {**os.environ, VARIABLE: f"{point}->kill@{token}", "WHARF_STORAGE_DRIVER": MOUNTED}
    maker = subprocess.run(
        [sys.executable, "-c", _MAKER, str(REPOSITORY), str(tmp_path), str(archive)], env=environment, check=False
    )
    assert maker.returncode == -signal.SIGKILL
    engine = next_engine(tmp_path)
    engine.roots.storage_driver = MOUNTED
    with pytest.raises(NotFound):
        engine.images.inspect("packed:1")
    assert not [name for name in contents(engine) if name.startswith("layers/")]
    engine.system.fsck(repair=True)
    assert engine.system.fsck(deep=True) == []
    load(engine, archive.read_bytes())
    assert read_layer(engine.roots, engine.images.inspect("packed:1").layers[0]).driver == MOUNTED
    assert engine.system.fsck(deep=True) == []


def test_what_a_layer_stands_on_is_durable_before_its_name_is(
    store: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of flushes and renames, as the processes that take part make them."""
    archive, trace = tmp_path / "archive.tar", tmp_path / "trace"
    archive.write_bytes(PACKED)
    maker = [sys.executable, "-c", _MAKER, str(REPOSITORY), str(tmp_path), str(archive)]
    environment = {**os.environ, "WHARF_STORAGE_DRIVER": MOUNTED}
    calls = "trace=fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat"
    subprocess.run(["strace", "-f", "-y", "-qq", "-e", calls, "-o", str(trace), *maker], env=environment, check=True)
    lines = trace.read_text().splitlines()

    def at(*words: str) -> int:
        found = [number for number, line in enumerate(lines) if all(word in line for word in words)]
        assert found, (words, lines)
        return found[-1]

    published = at("rename", "/layers/")
    order = [
        at("fsync", "layer.tar>"),
        at("fsync", "tree.erofs>"),
        at("rename", "layer.json"),
        at("unlink", "INCOMPLETE"),
    ]
    assert order == sorted(order)
    assert order[-1] < at("fsync", "/ingest/", ">)") < published or order[-1] < published
    assert published < at("fsync", "/layers>")
