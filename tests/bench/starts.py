"""Starts, exec, whole commands, memory and statistics of many."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from core.backend import AttachWish
from core.model.container import ContainerSpec, ExecSpec
from tests.bench.measure import Row, in_turn
from tests.bench.peers import IMAGE, Peers

_MANY = 100


def start_to_exit(peers: Peers) -> Iterator[Row]:
    """`true`, network none, from the engine's call to its exit code, durable state and removal included."""
    containers = peers.engine.containers

    def ours() -> None:
        made = containers.create(ContainerSpec(image=IMAGE, command=("true",), auto_remove=True))
        attached = containers.start(made.id, AttachWish())
        assert attached is not None
        while attached.read() is not None:
            pass
        assert attached.exit_code() == 0
        attached.close()

    subjects: dict[str, Callable[[], object]] = {"wharf, in process": ours}
    if peers.crun:
        crun = peers.crun
        subjects["crun run"] = lambda: peers.run([*crun, f"b{time.monotonic_ns()}"])
    subjects |= _peer_runs(peers)
    yield Row("start to exit of `true`, network none", "ms", _ms(in_turn(subjects, 15)))


def _peer_runs(peers: Peers) -> dict[str, Callable[[], object]]:
    subjects: dict[str, Callable[[], object]] = {}
    if peers.docker:
        docker = [*peers.docker, "run", "--rm", "--network", "none", IMAGE, "true"]
        subjects["docker run --rm"] = lambda: peers.run(docker)
    if peers.podman:
        podman = [*peers.podman, *peers.podman_run("--rm"), IMAGE, "true"]
        subjects["podman run --rm"] = lambda: peers.run(podman)
    return subjects


def whole_command(peers: Peers) -> Iterator[Row]:
    """`wharf run --rm` as a person types it."""
    ours = peers.wharf("run", "--rm", "--network", "none", IMAGE, "true")
    subjects: dict[str, Callable[[], object]] = {"wharf run --rm": lambda: peers.run(ours), **_peer_runs(peers)}
    yield Row("`run --rm … true` as a whole command", "ms", _ms(in_turn(subjects, 15)))


def exec_true(peers: Peers) -> Iterator[Row]:
    """One more process in a running container."""
    containers = peers.engine.containers
    key = containers.create(ContainerSpec(image=IMAGE, command=("sleep", "10000"))).id
    containers.start(key)

    def ours() -> None:
        attached = containers.exec(key, ExecSpec(argv=("true",)), AttachWish())
        assert attached is not None
        while attached.read() is not None:
            pass
        attached.close()

    subjects: dict[str, Callable[[], object]] = {"wharf, in process": ours}
    command = peers.wharf("exec", key, "true")
    subjects["wharf exec"] = lambda: peers.run(command)
    if peers.docker:
        docker = peers.docker
        peers.run([*docker, "run", "-d", "--name", "bench-exec", "--network", "none", IMAGE, "sleep", "10000"])
        subjects["docker exec"] = lambda: peers.run([*docker, "exec", "bench-exec", "true"])
    if peers.podman:
        podman = peers.podman
        peers.run([*podman, *peers.podman_run("-d", "--name", "bench-exec"), IMAGE, "sleep", "10000"])
        subjects["podman exec"] = lambda: peers.run([*podman, "exec", "bench-exec", "true"])
    figures = _ms(in_turn(subjects, 15))
    containers.remove(key, force=True)
    for peer in (peers.docker, peers.podman):
        if peer:
            subprocess.run([*peer, "rm", "-f", "bench-exec"], capture_output=True, check=False)
    yield Row("exec of `true` in a running container", "ms", figures)


def many(peers: Peers) -> Iterator[Row]:
    """A hundred running containers: memory beside them, start rate, and what watching them costs."""
    containers = peers.engine.containers
    start = time.perf_counter()
    keys = []
    for _ in range(_MANY):
        key = containers.create(ContainerSpec(image=IMAGE, command=("sleep", "10000"))).id
        containers.start(key)
        keys.append(key)
    ours_rate = _MANY / (time.perf_counter() - start)
    ours = [pid for pid in _processes("core.monitor.spawner") if str(peers.root) in _cmdline(pid)]
    ours_memory = sum(_pss_bytes(pid) for pid in ours) / _MANY
    spawner = min(ours)
    ours_cpu = _cpu_ms_per_s([spawner])
    for key in keys:
        containers.remove(key, force=True)

    docker_rate = docker_memory = docker_cpu = None
    if peers.docker:
        docker = peers.docker
        start = time.perf_counter()
        for number in range(_MANY):
            peers.run([*docker, "run", "-d", "--name", f"many{number}", "--network", "none", IMAGE, "sleep", "10000"])
        docker_rate = _MANY / (time.perf_counter() - start)
        mine = [pid for pid in _all_pids() if str(peers.directory / "docker") in _cmdline(pid)]
        mine += [
            pid for pid in _all_pids() if _parent(pid) in mine and pid not in mine and "sleep" not in _cmdline(pid)
        ]
        docker_memory = sum(_pss_bytes(pid) for pid in set(mine)) / _MANY
        watcher = subprocess.Popen([*docker, "stats"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(3)
        docker_cpu = _cpu_ms_per_s([*set(mine), watcher.pid])
        watcher.terminate()
        watcher.wait()
        names = [f"many{number}" for number in range(_MANY)]
        peers.run([*docker, "rm", "-f", *names])
    yield Row(
        f"memory beside each of {_MANY} running containers (PSS of all helpers and daemons)",
        "KiB",
        {"wharf": ours_memory / 1024, "docker": docker_memory and docker_memory / 1024},
    )
    yield Row("starts a second, serial", "/s", {"wharf, in process": ours_rate, "docker run -d": docker_rate}, True)
    yield Row(
        f"CPU of statistics of {_MANY} (ours are always kept; docker's while `docker stats` runs)",
        "ms/s",
        {"wharf's spawner": ours_cpu, "docker stats": docker_cpu},
    )


def _ms(figures: dict[str, float | None]) -> dict[str, float | None]:
    return {name: None if value is None else value * 1000 for name, value in figures.items()}


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _processes(needle: str) -> list[int]:
    return [pid for pid in _all_pids() if needle in _cmdline(pid)]


def _cmdline(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _pss_bytes(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def _cpu_ms_per_s(pids: list[int], seconds: float = 10.0) -> float:
    """CPU time of processes over a while, by the kernel's count."""

    def ticks() -> int:
        total = 0
        for pid in pids:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            total += int(fields[11]) + int(fields[12])
        return total

    before, start = ticks(), time.monotonic()
    time.sleep(seconds)
    return (ticks() - before) * 1000 / os.sysconf("SC_CLK_TCK") / (time.monotonic() - start)
