"""A look at a root that is broken, empty or none of ours gives what there is, and never an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.model.glance import Glance, Standing
from core.state.glance import glance
from core.state.paths import open_roots

STATE = {"schema": 1, "kind": "container.state"}


def write(root: Path, number: int, state: object, **settings: object) -> Path:
    directory = root / "containers" / f"{number:064x}"
    directory.mkdir()
    config = {"id": directory.name, "created_ns": 5, "image_name": "shop/api:1"}
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "settings.json").write_text(json.dumps({"name": f"c{number}", **settings}))
    (directory / "state.json").write_text(state if isinstance(state, str) else json.dumps(state))
    return directory


@pytest.fixture
def root(tmp_path: Path) -> Path:
    open_roots(tmp_path / "data", tmp_path / "run")
    return tmp_path / "data"


def look(root: Path) -> Glance:
    seen = glance(str(root), str(root.parent / "run"), 10)
    assert seen is not None
    return seen


def test_states_limits_and_counts(root: Path) -> None:
    ended = {**STATE, "type": "exited", "exit_code": 137, "started_ns": 1, "finished_ns": 7, "oom_killed": True}
    write(root, 1, ended, limits={"memory_bytes": 64})
    write(root, 2, {**STATE, "type": "created", "error": "no such file", "exit_code": 127})
    write(root, 3, {**STATE, "type": "running", "started_ns": 9})  # no monitor holds its lock
    (root / "images" / "a.json").write_text("{}")
    (root / "volumes" / "data").mkdir()
    seen = look(root)
    assert {one.name: one.standing for one in seen.containers} == {
        "c1": Standing("exited", 7, 137, True),
        "c2": Standing("created", 5, failed=True),
        "c3": Standing("", 9),
    }
    assert [one.memory_limit_bytes for one in seen.containers if one.name == "c1"] == [64]
    assert seen[1:] == (3, 1, 1, 3)


@pytest.mark.parametrize(
    "state", ["", "{", "[]", '"x"', '{"type": "exited"}', '{"type": "running", "started_ns": "x"}']
)
def test_SR10_a_broken_document_is_left_out(root: Path, state: str) -> None:
    write(root, 1, state)
    write(root, 2, {**STATE, "type": "created"})
    assert [one.name for one in look(root).containers] == ["c2"]


def test_broken_statistics_are_none(root: Path) -> None:
    directory = write(root, 1, {**STATE, "type": "paused"})
    (directory / "stats.ring").write_bytes(b"WHRF")
    assert look(root).containers[0].memory_bytes is None


def test_a_root_that_is_none_of_ours_gives_nothing(root: Path, tmp_path: Path) -> None:
    assert glance(str(tmp_path / "nowhere"), "", 10) is None
    (root / "format.json").write_text('{"schema": 99, "uuid": "0123456789"}')
    assert glance(str(root), "", 10) is None
