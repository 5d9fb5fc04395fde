"""Layers mounted from their tar beside unpacked ones and docker's: an image of 588 MB in 20,000 files.

Ours is driver erofs; "unpacked" is our driver overlay2. Page caches are dropped for what is called cold.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import statistics
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from core.backend import AttachWish
from core.engine.engine import Engine, open_engine
from core.model.container import ContainerSpec
from core.model.progress import CancelToken, silent
from core.state.leases import Lease
from core.storage.gc import INGEST
from core.storage.layers import MOUNTED, UNPACKED, read_layer, remove_directory
from core.storage.unpacking import unpack_blob
from tests.bench.machines import Machines
from tests.bench.measures import Row, in_turns, milliseconds, seconds

FILES = 20_000
BYTES = 588_000_000
CROWD = 20
_NAMES = {"wharf": MOUNTED, "unpacked": UNPACKED}
_IMAGE = "bench/layers:1"


def _write_tar(path: Path) -> None:
    """Files of many sizes in 400 directories, and a busybox to run."""
    chance = random.Random(588)
    sizes = [chance.expovariate(1) for _ in range(FILES)]
    scale = BYTES / sum(sizes)
    with tarfile.open(path, "w") as archive:
        program = Path("/bin/busybox").read_bytes()
        for name, data, mode in (("bin/busybox", program, 0o755), ("etc/passwd", b"root:x:0:0::/:/bin/sh\n", 0o644)):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), mode
            archive.addfile(info, io.BytesIO(data))
        for name in ("sh", "true", "cat", "find", "xargs", "sleep", "head"):
            info = tarfile.TarInfo(f"bin/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(info)
        for number, size in enumerate(sizes):
            info = tarfile.TarInfo(f"data/d{number % 400}/f{number}")
            info.size = int(size * scale)
            archive.addfile(info, io.BytesIO(chance.randbytes(info.size)))


def _flushed(action: Callable[[], object]) -> float:
    os.sync()
    began = time.perf_counter()
    action()
    os.sync()
    return time.perf_counter() - began


def _drop_caches() -> None:
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


def measure(machines: Machines, rounds: int) -> Iterator[Row]:
    """Loads are the best of a few rounds, flushed to disk in the time; starts are medians."""
    top = Path(tempfile.mkdtemp(prefix="wharf-layers-", dir="/var/tmp"))
    engines = {name: open_engine(top / name, top / f"run-{name}") for name in _NAMES}
    try:
        for name, engine in engines.items():
            engine.roots.storage_driver = _NAMES[name]
        _write_tar(top / "big.tar")
        with (top / "big.tar").open("rb") as source:
            engines["wharf"].images.import_tar(source, _IMAGE, silent, CancelToken(), changes=("CMD sh",))
        (top / "big.tar").unlink()
        with (top / "saved.tar").open("wb") as sink:
            engines["wharf"].images.save([_IMAGE], sink, silent, CancelToken(), format="docker-archive")
        engines["wharf"].images.remove(_IMAGE)
        yield from _loads(machines, engines, top / "saved.tar", rounds)
        yield from _made_of_what_is_stored(engines, rounds)
        yield from _starts(engines, 5 * rounds)
        yield from _caches(engines)
    finally:
        for engine in engines.values():
            engine.system.reset()
        shutil.rmtree(top)


def _loads(machines: Machines, engines: dict[str, Engine], archive: Path, rounds: int) -> Iterator[Row]:
    times: dict[str, list[float]] = {}

    def load(engine: Engine) -> None:
        with archive.open("rb") as source:
            engine.images.load(source, silent, CancelToken())

    for _ in range(rounds):
        for name, engine in engines.items():
            if engine.images.list():
                engine.images.remove(_IMAGE)
            times.setdefault(name, []).append(_flushed(lambda engine=engine: load(engine)))  # type: ignore[misc]
        for name, cli in machines.command_lines.items():
            if name != "wharf":
                times.setdefault(name, []).append(_flushed(lambda cli=cli: cli.ok("load", "-i", str(archive))))  # type: ignore[misc]
                cli.ok("rmi", _IMAGE)
    yield seconds("load 588 MB in 20,000 files, on disk", {n: min(t) for n, t in times.items()}, goal="docker >= 4x")


def _made_of_what_is_stored(engines: dict[str, Engine], rounds: int) -> Iterator[Row]:
    """What is left to do when the tar is in the store: after a pull, or for another image on the same layers."""
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, engine in engines.items():
            chain = engine.images.inspect(_IMAGE).layers[0]
            layer = read_layer(engine.roots, chain)
            remove_directory(engine.roots.layer(chain))

            def make(engine: Engine = engine, blob: str = layer.blob, diff_id: str = layer.diff_id) -> None:
                with Lease(engine.roots.leases, INGEST) as lease:
                    unpack_blob(engine.roots, lease, blob=blob, parent="", diff_id=diff_id)

            os.sync()
            began = time.perf_counter()
            make()  # which flushes what it has made, either way
            times.setdefault(name, []).append(time.perf_counter() - began)
    yield seconds("a layer of a tar that is stored", {n: min(t) for n, t in times.items()}, goal="unpacked >= 20x")


def _run(engine: Engine, *argv: str) -> Callable[[], object]:
    def run() -> None:
        made = engine.containers.create(ContainerSpec(image=_IMAGE, command=argv, network="none"))
        attached = engine.containers.start(made.id, AttachWish())
        assert attached is not None
        while attached.read() is not None:
            pass
        assert attached.exit_code() == 0
        attached.close()
        engine.containers.remove(made.id)

    return run


def _starts(engines: dict[str, Engine], rounds: int) -> Iterator[Row]:
    actions = {name: _run(engine, "/bin/true") for name, engine in engines.items()}
    yield milliseconds("create, start, exit of true, remove: warm", in_turns(actions, rounds))
    cold: dict[str, list[float]] = {}
    first: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, action in actions.items():
            for times, act in ((cold, action), (first, _run(engines[name], "/bin/head", "-c1", "/data/d7/f7"))):
                _drop_caches()
                began = time.perf_counter()
                act()
                times.setdefault(name, []).append(time.perf_counter() - began)
    yield milliseconds("the same, cold", {n: statistics.median(t) for n, t in cold.items()})
    yield milliseconds("first byte of a file, cold", {n: statistics.median(t) for n, t in first.items()})


def _caches(engines: dict[str, Engine]) -> Iterator[Row]:
    """Twenty containers of one image, in one of which all is read; then what stays of it, after 11 s."""
    cached: dict[str, float] = {}
    cold: dict[str, float] = {}
    warm: dict[str, float] = {}
    read = ("/bin/sh", "-c", "find /data -type f | xargs cat > /dev/null")
    for name, engine in engines.items():
        for _ in range(CROWD):
            made = engine.containers.create(ContainerSpec(image=_IMAGE, command=("/bin/sleep", "100"), network="none"))
            engine.containers.start(made.id)
        _drop_caches()
        for times in (cold, warm):
            began = time.perf_counter()
            _run(engine, *read)()
            times[name] = time.perf_counter() - began
        time.sleep(11)
        layer = engine.roots.layer(engine.images.inspect(_IMAGE).layers[0])
        # of a mounted layer its own pages can't be listed: they are all that was read
        own = BYTES if _NAMES[name] == MOUNTED else 0
        cached[name] = (own + _resident_bytes(layer)) / 1e6
        for container in engine.containers.list(all=True):
            engine.containers.remove(container.id, force=True)
    yield seconds("read all 588 MB, cold", cold)
    yield seconds("read all 588 MB, warm", warm)
    yield Row("page cache of 20 containers", "MB", cached["wharf"], {"unpacked": cached["unpacked"]})


def _resident_bytes(directory: Path) -> int:
    """How much of the files below a directory is in the page cache."""
    script = 'find "$0" -type f -print0 | xargs -0 fincore -b -n -o RES'
    said = subprocess.run(["sh", "-c", script, str(directory)], capture_output=True, text=True, check=True).stdout
    return sum(map(int, said.split()))
