"""save and load of an image of 500 MB in 5,000 files."""

from __future__ import annotations

import os
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.machines import Machines
from tests.bench.measures import Row, seconds

FILES = 5000
FILE_BYTES = 100_000


def _big_tar(directory: Path) -> Path:
    tree, archive = directory / "big", directory / "big.tar"
    tree.mkdir()
    for number in range(FILES):
        folder = tree / f"d{number % 50}"
        folder.mkdir(exist_ok=True)
        (folder / f"f{number}").write_bytes(os.urandom(FILE_BYTES))
    with tarfile.open(archive, "w") as tar:
        tar.add(tree, arcname=".")
    subprocess.run(["rm", "-rf", str(tree)], check=True)
    return archive


def measure(machines: Machines, rounds: int) -> Iterator[Row]:
    """The best of a few rounds, what was written flushed to disk in the time."""
    big = _big_tar(machines.wharf.directory)
    saved: dict[str, list[float]] = {}
    loaded: dict[str, list[float]] = {}
    for cli in machines.command_lines.values():
        cli.ok("import", str(big), "bench/big:1")
    for _ in range(rounds):
        for name, cli in machines.command_lines.items():
            path = cli.directory / "saved.tar"
            os.sync()
            began = time.perf_counter()
            cli.ok("save", "-o", str(path), "bench/big:1")
            os.sync()
            saved.setdefault(name, []).append(time.perf_counter() - began)
            cli.ok("rmi", "bench/big:1")
            os.sync()
            began = time.perf_counter()
            cli.ok("load", "-i", str(path))
            os.sync()
            loaded.setdefault(name, []).append(time.perf_counter() - began)
            path.unlink()
    for cli in machines.command_lines.values():
        cli.clean()
    big.unlink()
    yield seconds("save 500 MB, on disk", {n: min(t) for n, t in saved.items()}, goal="docker >= 4x")
    yield seconds("load 500 MB, on disk", {n: min(t) for n, t in loaded.items()}, goal="docker >= 1.3x")
