"""Lists of thousands: `ps` in one process over a store of two thousand containers."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from app.commands.io import Io
from app.commands.language import execute
from core.engine.engine import Engine, open_engine
from core.model.container import ContainerSpec
from core.model.progress import CancelToken, silent
from tests.bench.measures import Row, in_turns, milliseconds


def measure(count: int, rounds: int) -> Iterator[Row]:
    """The first `ps -a` of an engine, and the next ones: what a console that stays pays."""
    top = Path(tempfile.mkdtemp(prefix="wharf-bench-lists-", dir="/var/tmp"))
    engine = open_engine(top / "data", top / "run")
    try:
        _fill(engine, count)
        first: dict[str, float] = {"wharf": min(_first_seconds(top, count) for _ in range(3))}
        yield milliseconds(f"the first ps -a of {count} containers, in process", first)
        _list(engine, count)
        yield milliseconds(
            f"ps -a of {count} containers, in process",
            in_turns({"wharf": lambda: _list(engine, count)}, rounds),
            goal="<= 50 ms",
        )
        seconds = in_turns({"wharf": lambda: _list(engine, 0, "--filter", "status=running")}, rounds)
        yield milliseconds(f"ps -a --filter status=running among {count}", seconds)
    finally:
        shutil.rmtree(top)


def _list(engine: Engine, lines: int, *words: str) -> None:
    out = io.BytesIO()
    execute(["ps", "-a", *words], engine, Io(out, io.BytesIO()))
    assert len(out.getvalue().splitlines()) == lines + 1


def _first_seconds(top: Path, count: int) -> float:
    engine = open_engine(top / "data", top / "run")
    began = time.perf_counter()
    _list(engine, count)
    return time.perf_counter() - began


def _fill(engine: Engine, count: int) -> None:
    """Copies of one real container that has ended: creating each would take longer than the question is worth."""
    image = "wharf/starter:latest"
    engine.images.starter(image, silent, CancelToken())
    pattern = engine.containers.create(ContainerSpec(image=image, command=("true",), name="bench0000")).id
    source = engine.roots.container(pattern)
    config = (source / "config.json").read_text()
    long_ago = time.time() - 3600
    for number in range(1, count):
        copied = os.urandom(32).hex()
        directory = engine.roots.container(copied)
        directory.mkdir(mode=0o711)
        document = json.loads(config.replace(pattern, copied).replace("bench0000", f"bench{number:04d}"))
        document["created_ns"] += number
        began = document["created_ns"]
        state = {"type": "exited", "exit_code": number % 3, "started_ns": began, "finished_ns": began + 10**9}
        state = {"schema": 1, "kind": "container.state", **state}
        (directory / "config.json").write_text(json.dumps(document, separators=(",", ":")))
        (directory / "state.json").write_text(json.dumps(state))
        os.symlink(f"../containers/{copied}", engine.roots.names / f"bench{number:04d}")
        for path in (*directory.iterdir(), directory):
            os.utime(path, (long_ago, long_ago))
