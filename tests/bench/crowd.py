"""Many containers at once: the memory that keeping each takes, and what watching them costs."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

from tests.bench.machines import Machines
from tests.bench.measures import (
    Row,
    cpu_seconds,
    median_seconds,
    milliseconds,
    parent_of,
    processes_named,
    proportional_bytes,
)
from tests.compat.targets import Cli

WATCHED_S = 8.0


def measure(machines: Machines, count: int) -> Iterator[Row]:
    """Start `count` sleepers on each, weigh the processes that keep them, watch them for a while."""
    memory: dict[str, float] = {}
    watching: dict[str, float] = {}
    starting: dict[str, float] = {}
    events: dict[str, float] = {}
    for name, cli in machines.command_lines.items():
        if name == "podman":
            continue  # one conmon each and nothing that samples: weighed below on a tenth
        began = time.perf_counter()
        for number in range(count):
            cli.start_sleeper(f"bench{number}")
        starting[name] = (time.perf_counter() - began) / count
        keepers = _keepers(name, cli)
        events[name] = _events_seconds(cli)
        memory[name] = proportional_bytes(keepers) / count / 1024**2
        watching[name] = _watched(name, cli, keepers)
        cli.clean()
    yield milliseconds(f"run -d, the whole command, {count} one after another", starting, goal="ahead of docker")
    yield milliseconds(f"events of {count} starts read back, the whole command", events)
    podman = machines.peers.get("podman")
    if podman is not None:
        few = max(count // 10, 1)
        for number in range(few):
            podman.start_sleeper(f"bench{number}")
        memory["podman (conmon)"] = (
            proportional_bytes(processes_named("conmon", below=str(podman.directory))) / few / 1024**2
        )
        podman.clean()
    yield Row(
        f"memory to keep a container, {count} running",
        "MiB",
        memory.pop("wharf"),
        memory,
        "<= 0.9 MiB, below conmon",
    )
    yield Row(f"CPU a second to watch {count} containers", "ms", watching.pop("wharf"), watching, "<= 5 ms")


def _events_seconds(cli: Cli) -> float:
    """All that was told since the beginning (docker keeps the last 256)."""

    def read() -> float:
        began = time.perf_counter()
        cli.ok("events", "--since", "1h", "--until", "0s")
        return time.perf_counter() - began

    return median_seconds(read, 3)


def _keepers(name: str, cli: Cli) -> set[int]:
    """The processes that are there because of the containers, the containers' own left out."""
    if name == "docker":
        return processes_named("dockerd", "containerd", "containerd-shim-runc-v2", below=str(cli.directory)) | (
            processes_named("containerd-shim-runc-v2")
        )
    ids = cli.ok("ps", "-q").split()
    inits = [int(pid) for pid in cli.ok("inspect", "--format", "{{.State.Pid}}", *ids).split()]
    monitors = {parent_of(pid) for pid in inits}
    return monitors | {parent_of(next(iter(monitors)))}


def _watched(name: str, cli: Cli, keepers: set[int]) -> float:
    """Milliseconds of CPU a second while statistics are being taken: ours always are, docker's on demand."""
    watcher = None
    if name == "docker":
        watcher = subprocess.Popen(cli.argv("stats"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=cli.env)
        time.sleep(3)
    before = cpu_seconds(keepers)
    time.sleep(WATCHED_S)
    taken = cpu_seconds(keepers) - before
    if watcher is not None:
        watcher.terminate()
        watcher.wait()
    return taken / WATCHED_S * 1000
