"""Roots: made once, recognised again, and never mixed up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import Conflict, CorruptDocument, Unsupported
from core.state.paths import Roots, open_roots


@pytest.fixture
def roots(tmp_path: Path) -> Iterator[Roots]:
    return open_roots(tmp_path / "data", tmp_path / "run")


def test_a_root_keeps_its_identity(roots: Roots) -> None:
    again = open_roots(roots.data, roots.run)
    assert again.identity == roots.identity
    assert again.tag == f"wharf-{roots.identity[:8]}"


def test_run_root_follows_the_data_roots_identity(tmp_path: Path) -> None:
    found = open_roots(tmp_path / "data")
    try:
        assert found.run == Path(f"/run/wharf-{found.identity[:8]}")
        assert open_roots(tmp_path / "data").run == found.run
    finally:
        shutil.rmtree(found.run)


def test_environment_moves_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHARF_ROOT", str(tmp_path / "d"))
    monkeypatch.setenv("WHARF_RUN_ROOT", str(tmp_path / "r"))
    found = open_roots()
    assert (found.data, found.run) == (tmp_path / "d", tmp_path / "r")


def test_configured_roots_count_last(tmp_path: Path) -> None:
    found = open_roots(configured_data=tmp_path / "c", configured_run=tmp_path / "cr")
    assert (found.data, found.run) == (tmp_path / "c", tmp_path / "cr")
    other = open_roots(tmp_path / "d", tmp_path / "r", configured_data=tmp_path / "c", configured_run=tmp_path / "cr")
    assert other.data == tmp_path / "d"


def test_run_root_of_another_data_root_is_refused(roots: Roots, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="belongs to data root"):
        open_roots(tmp_path / "other", roots.run)


def test_a_directory_of_something_else_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").touch()
    with pytest.raises(Conflict, match="not empty"):
        open_roots(tmp_path / "home", tmp_path / "run")
    assert [entry.name for entry in (tmp_path / "home").iterdir()] == ["letter.txt"]


def test_a_newer_root_is_refused(roots: Roots) -> None:
    path = roots.data / "format.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    with pytest.raises(Unsupported, match="newer version"):
        open_roots(roots.data, roots.run)


def test_a_damaged_root_says_which_file(roots: Roots) -> None:
    (roots.data / "format.json").write_text("{")
    with pytest.raises(CorruptDocument, match=r"format\.json"):
        open_roots(roots.data, roots.run)


@pytest.mark.parametrize("reference", ["a/../../b", "docker.io/library/x:y", "ü/…", "a\nb"])
def test_a_reference_is_one_file_name(roots: Roots, reference: str) -> None:
    assert roots.ref(reference).parent == roots.refs
