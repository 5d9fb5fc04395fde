"""Bytes: logs in and out, images in and out."""

from __future__ import annotations

import os
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator

from core.model.container import ContainerSpec
from core.model.logs import LogQuery
from core.model.progress import CancelToken, silent
from tests.bench.measure import Row, in_turn
from tests.bench.peers import IMAGE, Peers

_LINES = 671_000
_FLOOD = f"yes {'x' * 99} | head -n {_LINES}"
_IMAGE_FILES, _FILE_BYTES = 5_000, 100_000


def logs(peers: Peers) -> Iterator[Row]:
    """67 MB of 100-byte lines through a container, then all of them read back."""
    containers = peers.engine.containers
    made: list[str] = []

    def ours() -> None:
        key = containers.create(ContainerSpec(image=IMAGE, command=("sh", "-c", _FLOOD))).id
        containers.start(key)
        assert containers.wait(key) == 0
        made.append(key)

    subjects: dict[str, Callable[[], object]] = {"wharf (raw and index)": ours}
    if peers.docker:
        docker = peers.docker
        subjects["docker (json-file)"] = lambda: peers.run(
            [*docker, "run", "--network", "none", IMAGE, "sh", "-c", _FLOOD]
        )
    if peers.podman:
        podman = [*peers.podman, *peers.podman_run("-d"), IMAGE, "sh", "-c", _FLOOD]
        subjects["podman (k8s-file)"] = lambda: _podman_to_end(peers, podman)
    times = in_turn(subjects, 3, warm=1)
    megabytes = _LINES * 100 / 1e6
    yield Row(
        "log write: 67 MB of 100-byte lines",
        "MB/s",
        {name: value and megabytes / value for name, value in times.items()},
        True,
    )
    readers: dict[str, Callable[[], object]] = {
        "wharf, in process": lambda: _count(containers.logs(made[-1], LogQuery())),
        "wharf logs": lambda: peers.run(peers.wharf("logs", made[-1])),
    }
    for name, peer in (("docker logs", peers.docker), ("podman logs", peers.podman)):
        if peer:
            newest = subprocess.run([*peer, "ps", "-aq"], capture_output=True, text=True, check=True).stdout.split()[0]
            readers[name] = lambda command=[*peer, "logs", newest]: peers.run(command)  # type: ignore[misc]
    yield Row(f"log read: {_LINES:,} lines", "s", in_turn(readers, 3, warm=1))
    for key in made:
        containers.remove(key)
    for peer in (peers.docker, peers.podman):
        if peer:
            ids = subprocess.run([*peer, "ps", "-aq"], capture_output=True, text=True, check=True).stdout.split()
            subprocess.run([*peer, "rm", "-f", *ids], capture_output=True, check=False)


def _podman_to_end(peers: Peers, command: list[str]) -> None:
    key = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert peers.podman is not None
    peers.run([*peers.podman, "wait", key])


def _count(lines: Iterator[object]) -> None:
    total = sum(1 for _ in lines)
    assert total == _LINES, total


def images(peers: Peers) -> Iterator[Row]:
    """Save and load of a 500 MB image of 5,000 files, everything synced."""
    archive = peers.directory / "big.tar"
    with tarfile.open(archive, "w") as tar:
        for number in range(_IMAGE_FILES):
            path = peers.directory / "member"
            path.write_bytes(os.urandom(_FILE_BYTES // 2) + bytes(_FILE_BYTES // 2))
            tar.add(path, f"data/{number // 100}/{number}")
    with archive.open("rb") as source:
        peers.engine.images.import_tar(source, "bench/big", silent, CancelToken())
    if peers.docker:
        peers.run([*peers.docker, "import", str(archive), "bench/big"])
    if peers.podman:
        peers.run([*peers.podman, "import", str(archive), "bench/big"], stderr=subprocess.DEVNULL)
    archive.unlink()
    saved = peers.directory / "saved.tar"

    def save(command: list[str]) -> None:
        saved.unlink(missing_ok=True)
        peers.run(command, stderr=subprocess.DEVNULL)
        os.sync()

    savers = {"wharf save": lambda: save(peers.wharf("save", "-o", str(saved), "bench/big"))}
    for name, peer in (("docker save", peers.docker), ("podman save", peers.podman)):
        if peer:
            savers[name] = lambda command=[*peer, "save", "-o", str(saved), "bench/big"]: save(command)  # type: ignore[misc]
    yield Row("save of a 500 MB image", "s", in_turn(savers, 3, warm=1))

    save(peers.wharf("save", "-o", str(saved), "bench/big"))
    figures: dict[str, list[float]] = {}
    for _ in range(3):
        for name, prefix in (
            ("wharf load", peers.wharf()),
            ("docker load", peers.docker),
            ("podman load", peers.podman),
        ):
            if prefix is None:
                continue
            peers.run([*prefix, "rmi", "bench/big"], stderr=subprocess.DEVNULL)
            os.sync()
            start = time.perf_counter()
            peers.run([*prefix, "load", "-i", str(saved)], stderr=subprocess.DEVNULL)
            os.sync()
            figures.setdefault(name, []).append(time.perf_counter() - start)
    yield Row("load of a 500 MB image", "s", {name: sorted(values)[1] for name, values in figures.items()})
    saved.unlink()
