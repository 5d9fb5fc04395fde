"""`python -m tests.bench [--quick] [--json FILE] [QUESTION …]`; without a question all that are listed below."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator

from core.linux import inside
from tests.bench import (
    archives,
    console,
    crowd,
    drivers,
    files,
    layers,
    lists,
    logs,
    networks,
    recovery,
    registries,
    starts,
)
from tests.bench.machines import Machines
from tests.bench.measures import Row

QUESTIONS = (
    "starts",
    "crowd",
    "recovery",
    "logs",
    "drivers",
    "archives",
    "layers",
    "files",
    "lists",
    "networks",
    "registries",
    "console",
)


def _ask(question: str, machines: Machines, quick: bool) -> Iterator[Row]:
    match question:
        case "starts":
            yield from starts.measure(machines, 5 if quick else 25)
        case "crowd":
            for count in (10,) if quick else (100, 300):
                yield from crowd.measure(machines, count)
        case "recovery":
            yield from recovery.measure(machines, 3 if quick else 15)
        case "logs":
            yield from logs.measure(machines, 1 if quick else 3)
        case "drivers":
            yield from drivers.measure(machines, 1 if quick else 3)
        case "archives":
            yield from archives.measure(machines, 1 if quick else 2)
        case "layers":
            yield from layers.measure(machines, 1 if quick else 3)
        case "files":
            yield from files.measure(machines, 1 if quick else 3)
        case "networks":
            yield from networks.measure(machines, 3 if quick else 15, crowd=10 if quick else 100)
        case "registries":
            yield from registries.measure(machines, 1 if quick else 2)
        case "lists":
            yield from lists.measure(200 if quick else 2000, 5 if quick else 20)
        case _:
            yield from console.measure(machines)


def _leave_the_hosts_network() -> None:
    """What is started from here on shares a network namespace that nobody else sees: dockerd changes all of its own."""
    inside.unshare(inside.CLONE_NEWNET)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def main(words: list[str]) -> int:
    """Measure and print; the exit code is not zero when a peer could not be measured."""
    if os.geteuid() != 0:
        print("containers are measured, which needs root: run it with sudo", file=sys.stderr)
        return 3
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is compiled
    quick = "--quick" in words
    target = words[words.index("--json") + 1] if "--json" in words else ""
    questions = [word for word in words if word in QUESTIONS] or list(QUESTIONS)
    _leave_the_hosts_network()
    machines = Machines()
    rows: list[Row] = []
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print("network none but where networks are measured; medians, taken in turns; (n x): that many times ours")
    for name, why in machines.missing.items():
        print(f"NOT MEASURED {name}: {why}")
    try:
        for question in questions:
            for row in _ask(question, machines, quick):
                rows.append(row)
                print(row.line(), flush=True)
    finally:
        machines.close()
    if target:
        with open(target, "w") as file:
            json.dump([row._asdict() for row in rows], file, indent=2)
    return 0 if {"docker", "podman"}.isdisjoint(machines.missing) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
