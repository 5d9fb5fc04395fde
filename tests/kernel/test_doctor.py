"""doctor on the host that the tests run on: what it says works, works."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from core.engine.engine import Engine
from core.linux import caps
from core.linux.procfs import mount_points

PROJECT = Path(__file__).resolve().parents[2]


_SCRIPT = """
import os, sys
import app.commands.doctor, app.commands.language, app.main, core.host.features, core.host.settings
user = int(sys.argv.pop(1))
if user:  # not before everything is imported: the interpreter may lie where only root looks
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
app.main.program()
"""


def _doctor(*words: str, user: int = 0) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", _SCRIPT, str(user), "doctor", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=PROJECT)


def test_a_host_that_runs_containers_is_said_to(engine: Engine) -> None:
    found = {feature.name: feature for feature in engine.doctor()}
    assert not [feature for feature in found.values() if feature.standing == "missing"]
    for name in ("kernel", "privileges", "seccomp", "cgroups", "overlay", "data root"):
        assert found[name].standing in ("ok", "note"), found[name]
    lacks = [name for name, number in caps.CAPABILITIES.items() if not caps.read_mask("CapEff") >> number & 1]
    said = found["capabilities"].found
    assert all(name in said for name in lacks if caps.CAPABILITIES[name] <= caps.last_capability())


def test_it_exits_with_0_prints_json_and_leaves_nothing(tmp_path: Path) -> None:
    before = mount_points()
    done = _doctor("--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(done.stdout)
    assert all({"name", "standing", "found", "consequence", "remedy"} == set(row) for row in rows)
    for row in rows:
        assert row["standing"] == "ok" or row["consequence"] or row["standing"] == "note", row
    assert mount_points() == before
    assert not list(Path("/var/lib").glob(".overlay-*"))


def test_a_plain_user_is_answered_and_told_what_is_missing() -> None:
    done = _doctor(user=65534)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "sudo" in done.stdout
    assert "containers can't run here" in done.stdout
