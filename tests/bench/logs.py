"""Logs: writing 64 MB of 100-byte lines, and reading them back."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

from tests.bench.machines import Machines
from tests.bench.measures import Row, seconds
from tests.compat.targets import Cli

LINE = "x" * 99
BYTES = 64_000_000


def measure(machines: Machines, rounds: int) -> Iterator[Row]:
    """Medians of a few rounds; a lost line is an error."""
    written: dict[str, list[float]] = {}
    read: dict[str, list[float]] = {}
    for number in range(rounds):
        for name, cli in machines.command_lines.items():
            key = f"log{number}"
            began = time.perf_counter()
            cli.ok(*cli.run_words("run", "-d", "--name", key, "IMAGE", "sh", "-c", f"yes {LINE} | head -c {BYTES}"))
            cli.ok("wait", key)
            written.setdefault(name, []).append(time.perf_counter() - began)
            began = time.perf_counter()
            count = _read(cli, key)
            read.setdefault(name, []).append(time.perf_counter() - began)
            assert count == BYTES, (name, count)
            cli.ok("rm", key)
    yield seconds("log: write 640,000 lines, 64 MB", {n: min(t) for n, t in written.items()}, goal="docker >= 5x")
    yield seconds("log: read them back", {n: min(t) for n, t in read.items()}, goal="docker >= 5x")


def _read(cli: Cli, key: str) -> int:
    """How many bytes `logs` gives."""
    process = subprocess.Popen(cli.argv("logs", key), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=cli.env)
    assert process.stdout is not None
    count = 0
    while piece := process.stdout.read(1 << 20):
        count += len(piece)
    assert process.wait() == 0
    return count
