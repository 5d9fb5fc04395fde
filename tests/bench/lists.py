"""Lists of thousands: `ps` over two thousand containers, `images` over a thousand images."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from app.commands.io import Io
from app.commands.language import execute
from core.engine.engine import Engine, open_engine
from core.engine.image_making import put_image
from core.images.store import ImageStore
from core.model.container import ContainerSpec
from core.model.progress import CancelToken, silent
from core.model.reference import parse_reference
from core.state.leases import Lease
from core.storage.gc import INGEST
from tests.bench.measures import Row, in_turns, milliseconds
from tests.compat.targets import PROJECT


def measure(count: int, rounds: int) -> Iterator[Row]:
    """What a console that stays pays, and what a command does."""
    for ask, number in ((_containers, count), (_images, min(count, 1000))):
        top = Path(tempfile.mkdtemp(prefix="wharf-bench-lists-", dir="/var/tmp"))
        engine = open_engine(top / "data", top / "run")
        try:
            yield from ask(top, engine, number, rounds)
        finally:
            shutil.rmtree(top)


def _containers(top: Path, engine: Engine, count: int, rounds: int) -> Iterator[Row]:
    """The first `ps -a` of an engine, and the next ones."""
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


def _images(top: Path, engine: Engine, count: int, rounds: int) -> Iterator[Row]:
    """`images` of an engine that has never listed, of the next one, of one that stays, and as a whole command."""
    engine.images.starter("wharf/starter:latest", silent, CancelToken())
    _fill_images(engine, count)
    lines = count + 1

    def show(engine: Engine) -> None:
        out = io.BytesIO()
        execute(["images"], engine, Io(out, io.BytesIO()))
        assert len(out.getvalue().splitlines()) == lines

    def command() -> None:
        done = subprocess.run(
            [*program, "images"], capture_output=True, check=True, env={**os.environ, "PYTHONPATH": str(PROJECT)}
        )
        assert len(done.stdout.splitlines()) == lines

    program = [sys.executable, "-c", "from app.main import program; program()", "--root", str(top / "data")]
    program += ["--run-root", str(top / "run")]
    began = time.perf_counter()
    show(open_engine(top / "data", top / "run"))
    yield milliseconds(f"the first images of {count}, in process", {"wharf": time.perf_counter() - began})
    yield milliseconds(
        f"images of {count}, an engine that begins",
        in_turns({"wharf": lambda: show(open_engine(top / "data", top / "run"))}, rounds),
        goal="<= 50 ms",
    )
    yield milliseconds(f"images of {count}, in process", in_turns({"wharf": lambda: show(engine)}, rounds))
    yield milliseconds(f"images of {count}, the whole command", in_turns({"wharf": command}, rounds))


def _fill_images(engine: Engine, count: int) -> None:
    """Images that share a layer, each with a config and a name of its own."""
    first = engine.images.inspect("wharf/starter:latest")
    store = ImageStore(engine.roots)
    layers = store.get(first.id).layers
    document = json.loads(first.raw_config)
    with Lease(engine.roots.leases, INGEST) as lease:
        for number in range(count - 1):
            document["config"]["Labels"] = {"number": str(number)}
            name = parse_reference(f"bench/image{number}:1")
            put_image(engine.roots, store, lease, document, layers, reference=name)
    long_ago = time.time() - 3600
    for directory in (engine.roots.images, engine.roots.refs):
        for path in directory.iterdir():
            os.utime(path, (long_ago, long_ago))


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
