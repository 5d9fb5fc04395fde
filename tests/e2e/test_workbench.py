"""The image workbench in the real console, in a pty, on real images and containers."""

from __future__ import annotations

import gzip
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from console_process import ConsoleProcess

from core.backend import CommitWish
from core.engine.engine import Engine
from core.errors import NotFound
from core.model.container import ContainerSpec
from core.model.progress import CancelToken, silent

STARTER = "wharf/starter:latest"


@pytest.fixture
def screen(shop: str, session_root: Path) -> Iterator[ConsoleProcess]:
    """A console on an image of two layers and a container of it that has changed three files."""
    process = ConsoleProcess(session_root, columns=120, rows=36)
    yield process
    process.close()


@pytest.fixture
def shop(engine: Engine) -> Iterator[str]:
    first = run(engine, "maker", STARTER, "mkdir /app; echo 'size = 8' > /app/pool.toml; echo old > /app/gone; : ")
    engine.images.commit(first, CommitWish(reference="shop/api:1", message="first"), silent, CancelToken())
    second = run(
        engine,
        "api-1",
        "shop/api:1",
        "echo 'size = 32' > /app/pool.toml; rm /app/gone; echo hush > /app/secret; echo new > /app/new; sleep 600",
    )
    yield second
    for image in engine.images.list():
        if any(tag.startswith("shop/") for tag in image.tags):
            for tag in image.tags:
                engine.images.remove(tag, force=True)


def run(engine: Engine, name: str, image: str, script: str) -> str:
    key = engine.containers.create(ContainerSpec(image=image, name=name, command=("sh", "-c", script))).id
    engine.containers.start(key)
    if "sleep" not in script:
        engine.containers.wait(key)
    return key


def test_a_container_that_never_started_has_changed_nothing(engine: Engine, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "root.tar", "w") as root:
        root.addfile(tarfile.TarInfo("file"))
    with (tmp_path / "root.tar").open("rb") as root_tar:
        engine.images.import_tar(root_tar, "bare:1", silent, CancelToken())
    key = engine.containers.create(ContainerSpec(image="bare:1", command=("x",))).id
    assert engine.containers.changes(key) == ()
    engine.containers.remove(key)
    engine.images.remove("bare:1")


def test_C1_layers_a_diff_and_a_commit_with_one_file_left_out(
    engine: Engine, shop: str, screen: ConsoleProcess
) -> None:
    screen.shows("● api-1")
    screen.press("/", "api-1", "enter", "I")
    screen.shows("shop/api:1", "2 layers", "UNCOMMITTED api-1", "secret", "pool.toml")
    screen.press("tab", "G")
    screen.shows("secret")
    screen.press("k")
    screen.shows("pool.toml", "old │ new", "size = 8", "size = 32")
    screen.press("c")
    screen.shows("Commit api-1 → image", "changes: 4 of 4")
    screen.press("shop/api:2", "tab", "pool size", "tab", "tab", "tab", "tab", "G", " ")
    screen.shows("--leave-out /app/secret", "1 left out")
    screen.press("\x19")  # copies the command, and does not leave
    screen.press("\x1b[Z", "\x1b[Z", "enter")
    screen.shows("committed as shop/api:2")
    with pytest.raises(NotFound):
        engine.images.read_file("shop/api:2", "/app/secret")
    assert engine.images.read_file("shop/api:2", "/app/new") == b"new\n"
    screen.press("escape", "2")
    screen.shows("shop/api:2")
    screen.press("/", "shop/api:2", "enter", "enter")
    screen.shows("shop/api:2", "3 layers", "LAYER 3", "new", "gone")
    screen.press("down")
    screen.shows("LAYER 2")
    screen.press("w")
    screen.shows("efficiency", "/app/pool.toml", "/app/gone")


def test_C4_save_delete_undo_load_compare_and_the_rest_by_key(
    engine: Engine, shop: str, screen: ConsoleProcess, tmp_path: Path
) -> None:
    engine.images.commit(shop, CommitWish(reference="shop/api:2"), silent, CancelToken())
    screen.shows("● api-1")
    screen.press("2")
    screen.shows("shop/api:2", "UNIQUE")
    screen.press("/", "shop/api:2", "enter", "S")
    screen.shows("Save shop/api:2")
    saved = tmp_path / "shop.tar.gz"
    screen.press("\x15", str(saved))
    screen.shows("| gzip >")
    screen.press("enter")
    screen.shows("saved to")
    with gzip.open(saved) as packed, tarfile.open(fileobj=packed) as archive:
        assert "manifest.json" in archive.getnames()

    screen.press("d")
    screen.shows("Delete 1 image", "1 goes, 2 layers that other images share stay")
    screen.press("enter")
    screen.shows("removed shop/api:2: U brings it back")
    with pytest.raises(NotFound):
        engine.images.inspect("shop/api:2")
    screen.press("U")
    screen.shows("shop/api:2 is back")
    assert engine.images.inspect("shop/api:2").tags == ("shop/api:2",)

    engine.images.remove("shop/api:2")
    screen.press("L")
    screen.shows("Load images from a file")
    screen.press(str(saved), "enter")
    screen.shows("loaded shop/api:2")

    screen.press("escape", "/", "shop/api:2", "enter", "C")
    screen.shows("Compare shop/api:2 with …")
    screen.press("shop/api:1", "enter")
    screen.shows("shop/api:2  →  shop/api:1", "1 added  1 changed  2 removed")
    screen.press("s")
    screen.shows("shop/api:1  →  shop/api:2", "2 added  1 changed  1 removed")

    screen.press("escape", "enter")
    screen.shows("[z Squash…]", "3 layers")
    screen.press("z")
    screen.shows("wharf image squash shop/api:2 shop/api:2-squashed")
    screen.press("enter")
    screen.shows("squashed as shop/api:2-squashed")
    assert len(engine.images.inspect("shop/api:2-squashed").layers) == 1
    bill = tmp_path / "packages.json"
    screen.press("b")
    screen.shows("--format spdx-json")
    screen.press("\x15", str(bill), "enter")
    screen.shows("written to")
    assert json.loads(bill.read_text())["spdxVersion"] == "SPDX-2.3"
    tree = tmp_path / "tree"
    screen.press("u")
    screen.shows("wharf image unpack shop/api:2")
    screen.press("\x15", str(tree), "enter")
    screen.shows("unpacked into")
    assert (tree / "app" / "pool.toml").read_text() == "size = 32\n"
