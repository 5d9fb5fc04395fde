"""The worker from the engine's side: what it loads, how it fails, how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core import errors
from core.trees import faults, launch
from core.trees.launch import Worker, to_engine_error

_CORE_PARENT = str(Path(launch.__file__).parents[2])


def test_workers_load_the_standard_library_and_little_of_ours() -> None:
    script = f"""
import sys
sys.path.append({_CORE_PARENT!r})
import core.trees.worker
print("\\n".join(sorted(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    ours = {name for name in loaded if name.partition(".")[0] == "core"}
    assert {name.split(".")[1] for name in ours if "." in name} <= {"trees", "linux"}
    assert "core.trees.launch" not in ours
    outside = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"core", "__main__"}
    assert outside == set()
    assert not {"tarfile", "subprocess", "threading", "asyncio", "msgspec"} & set(loaded)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (faults.UNSAFE, errors.UnsafeArchive),
        (faults.CORRUPT, errors.Integrity),
        (faults.LIMIT, errors.LimitExceeded),
        (faults.NO_SPACE, errors.NoSpace),
        (faults.DENIED, errors.Denied),
        (faults.MISSING, errors.NotFound),
        (faults.INVALID, errors.InvalidInput),
        (faults.FAILED, errors.EngineError),
    ],
)
def test_every_fault_is_an_error_of_its_kind(kind: str, expected: type[errors.EngineError]) -> None:
    error = to_engine_error(faults.TreeFault(kind, "why"), "layer x")
    assert type(error) is expected
    assert error.message == "layer x: why"


def test_names_in_messages_are_printable_and_short() -> None:
    assert faults.shown(b"a\x1b[31m\nb\xff") == "'a\\x1b[31m\\x0ab\\xff'"
    assert len(faults.shown(b"x" * 5000)) < 210


def test_a_worker_that_fails_is_told_in_one_line() -> None:
    with Worker("no-such-operation", {}) as worker, pytest.raises(errors.EngineError) as caught:
        worker.finish(what="it")
    assert caught.value.message == "it: the worker failed: KeyError: 'no-such-operation'"


def test_a_worker_that_is_killed_is_told_in_one_line() -> None:
    with Worker("unpack", {"root": 0, "input": "pipe"}, stdin="pipe") as worker:
        worker._process.kill()
        with pytest.raises(errors.EngineError, match="it: the worker ended without an answer: exit code -9"):
            worker.finish(what="it")


def test_leaving_early_ends_the_worker_and_closes_everything() -> None:
    before = set(os.listdir("/proc/self/fd"))
    worker = Worker(
        "unpack", {"root": 0, "limits": {}, "whiteouts": True, "strict_end": True, "input": "pipe"}, stdin="pipe"
    )
    with worker:
        pid = worker._process.pid
    assert not Path(f"/proc/{pid}").exists()
    assert set(os.listdir("/proc/self/fd")) == before
