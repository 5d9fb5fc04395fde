"""The real console in a pty against Debian's docker-registry: log in, pull, browse, delete (rows G2, G4)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from console_process import ConsoleProcess

from app.keyring import FileKeyring
from core.engine.engine import Engine
from core.model.progress import CancelToken, silent
from core.model.registry import Credentials
from tests.registries import (  # noqa: F401 - fixtures
    PASSWORD,
    USERNAME,
    RunningRegistry,
    locked_registry,
)

STARTER = "wharf/starter:latest"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "docker" / "config.json"


@pytest.fixture
def pushed(engine: Engine, locked_registry: RunningRegistry, tmp_path: Path) -> Iterator[str]:  # noqa: F811
    """Two tags of the starter image in the locked registry, and one name of it here."""
    ring = FileKeyring(tmp_path / "other" / "config.json")
    ring.keep(locked_registry.host, Credentials(username=USERNAME, password=PASSWORD))
    repository = f"{locked_registry.host}/console/shop"
    for tag in ("1.0", "2.0"):
        engine.images.tag(STARTER, f"{repository}:{tag}")
        engine.images.push(f"{repository}:{tag}", ring, silent, CancelToken())
    engine.images.remove(f"{repository}:2.0")
    yield repository
    for image in engine.images.list():
        for name in image.tags:
            if name.startswith(repository):
                engine.images.remove(name)


def test_G2_G4_a_person_logs_in_pulls_looks_and_deletes(
    engine: Engine,
    session_root: Path,
    pushed: str,
    locked_registry: RunningRegistry,  # noqa: F811
    config: Path,
) -> None:
    screen = ConsoleProcess(session_root, columns=110, rows=30, DOCKER_CONFIG=str(config.parent))
    try:
        screen.shows("1 Containers", "● live")
        screen.press("2", "R")
        screen.shows("REGISTRY", locked_registry.host, "✖ wants a login: i")
        screen.press("down", "i")
        screen.shows("Log in to a registry", f"wharf login {locked_registry.host}")
        screen.press(*USERNAME, "tab", PASSWORD)
        screen.shows(f"wharf login -u {USERNAME} {locked_registry.host}", "•" * len(PASSWORD))
        screen.press("enter")
        screen.shows("Login Succeeded", "repositor")
        assert list(json.loads(config.read_text())["auths"]) == [locked_registry.host]

        screen.press("enter")
        screen.shows("REPOSITORY", "console/shop")
        screen.press("/", "console/shop", "enter", "enter")
        screen.shows("TAG", "1.0", "2.0", "linux/amd64")
        screen.press("down", "P")
        screen.shows("Pull an image", f"wharf pull {pushed}:2.0")
        screen.press("enter")
        screen.shows(f"{pushed}:2.0", "$ wharf pull")
        screen.until(lambda: f"{pushed}:2.0" in engine.images.inspect(STARTER).tags, "the name here")
        screen.press("escape")
        screen.gone("$ wharf pull")

        screen.press("enter")
        screen.shows("image, ", "Raw", "packed")
        screen.press("i")
        screen.shows('"schemaVersion": 2')
        screen.press("escape", "d")
        screen.shows("goes, and with it: 1.0, 2.0", "on the registry's disk", "registry rm")
        screen.press("enter")
        screen.shows("has no tags (any more)")
        assert " 202 " in next(line for line in locked_registry.log().splitlines()[::-1] if '"DELETE ' in line)
        assert PASSWORD.encode() not in screen.raw
        screen.press("escape", "escape", "escape", "q")
        assert screen.wait() == 0
    finally:
        screen.close()
