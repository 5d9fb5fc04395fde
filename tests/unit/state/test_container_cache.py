"""A list of many containers reads what has changed, and nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from core.engine import records
from core.engine.records import ContainerRecords
from core.model.container import ContainerConfig, ContainerSettings, ContainerSpec, Exited
from core.model.limits import Limits
from core.state.documents import write_struct
from core.state.paths import open_roots

ID = "ab" * 32


def _config() -> ContainerConfig:
    settings = ContainerSettings(name="box", limits=Limits())
    return ContainerConfig(
        id=ID, created_ns=1, spec=ContainerSpec(image="x"), image_id="", image_name="x", layers=(), entrypoint=(),
        command=("true",), env=(), working_dir="", user="", hostname="", stop_signal="", labels={}, settings=settings,
    )  # fmt: skip


@pytest.fixture
def found(tmp_path: Path) -> ContainerRecords:
    """Records of one container whose documents were written long ago."""
    roots = open_roots(tmp_path / "data", tmp_path / "run")
    directory = roots.container(ID)
    directory.mkdir()
    write_struct(directory / "config.json", "container.config", _config())
    write_struct(directory / "settings.json", "container.settings", ContainerSettings(name="box", limits=Limits()))
    write_struct(directory / "state.json", "container.state", Exited(exit_code=1, started_ns=1, finished_ns=2))
    _age(directory)
    return ContainerRecords(roots)


def _age(directory: Path, seconds: float = 100.0) -> None:
    for path in (*directory.iterdir(), directory):
        there = path.stat()
        os.utime(path, ns=(there.st_atime_ns, there.st_mtime_ns - int(seconds * 10**9)))


def _reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    seen: list[Path] = []
    real = records.read_struct

    def counting(path, kind, struct):
        seen.append(path)
        return real(path, kind, struct)

    monkeypatch.setattr(records, "read_struct", counting)
    return seen


def test_what_has_not_changed_is_not_read_again(found: ContainerRecords, monkeypatch) -> None:
    first = found.load(ID)
    seen = _reads(monkeypatch)
    assert found.load(ID) is first
    assert seen == []


@pytest.mark.parametrize("how", ["replaced", "in place"])
def test_a_change_is_seen_at_once(found: ContainerRecords, how: str) -> None:
    assert found.load(ID).state == Exited(exit_code=1, started_ns=1, finished_ns=2)
    path = found._roots.container(ID) / "state.json"
    if how == "replaced":
        write_struct(path, "container.state", Exited(exit_code=2, started_ns=1, finished_ns=2))
    else:
        document = json.loads(path.read_text()) | {"exit_code": 2}
        path.write_text(json.dumps(document))
    state = found.load(ID).state
    assert isinstance(state, Exited)
    assert state.exit_code == 2


def test_two_changes_within_one_tick_of_the_clock_are_both_seen(found: ContainerRecords) -> None:
    directory = found._roots.container(ID)
    path = directory / "state.json"
    for code in range(20):
        write_struct(path, "container.state", Exited(exit_code=code, started_ns=1, finished_ns=2))
        stamp = directory.stat().st_mtime_ns
        for other in (path, directory):
            os.utime(other, ns=(stamp, stamp))
        state = found.load(ID).state
        assert isinstance(state, Exited)
        assert state.exit_code == code


def test_one_that_is_gone_is_gone_and_one_that_broke_is_damaged(found: ContainerRecords) -> None:
    found.load(ID)
    directory = found._roots.container(ID)
    (directory / "settings.json").write_text("{")
    assert found.load(ID).status == "dead"
    directory.rename(found._roots.trash / "x")
    assert found.all() == []
