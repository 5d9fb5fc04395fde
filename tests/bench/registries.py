"""pull and push over loopback: an image of 588 MB in 20,000 files, and one of ten layers.

The registry is Debian's, a new one for every push, so that nobody finds anything there.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.machines import Machines
from tests.bench.measures import Row, seconds
from tests.compat.targets import Cli, Docker
from tests.registries import RunningRegistry, serving

IMAGES = {
    "588 MB, 20,000 files": (1, 20_000, 29_400),
    "10 layers, 300 MB": (10, 600, 50_000),
}
"""Layers, files in each, bytes of a file."""
LOCAL = "docker.io/bench/image:1"


def _layer(path: Path, number: int, files: int, size: int) -> Path:
    """A tar of files that pack to half of their size, as programs do."""
    noise = os.urandom(size)
    with tarfile.open(path, "w") as archive:
        for index in range(files):
            info = tarfile.TarInfo(f"layer{number}/d{index % 100}/f{index}")
            info.size = size
            salt = index.to_bytes(4, "big")
            data = (salt + noise[index % 97 :])[: size // 2]
            archive.addfile(info, io.BytesIO((data + b"some text that is often met " * size)[:size]))
    return path


def _archive(directory: Path, layers: int, files: int, size: int) -> Path:
    """A docker-archive with the image."""
    paths = [_layer(directory / f"layer{number}.tar", number, files, size) for number in range(layers)]
    archive = directory / "image.tar"
    diff_ids = [f"sha256:{_sha256(path)}" for path in paths]
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    ).encode()
    rows = [{"Config": "config.json", "RepoTags": [LOCAL], "Layers": [path.name for path in paths]}]
    with tarfile.open(archive, "w") as whole:
        for path in paths:
            whole.add(path, arcname=path.name)
            path.unlink()
        for name, data in (("config.json", config), ("manifest.json", json.dumps(rows).encode())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            whole.addfile(info, io.BytesIO(data))
    return archive


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _insecure(cli: Cli, verb: str, reference: str) -> list[str]:
    return [verb, *(("--tls-verify=false",) if cli.name == "podman" else ()), reference]


class _Taken:
    """Times of one action by every machine: on the clock, flushed to disk, and of processors, whoever else is busy."""

    def __init__(self) -> None:
        self.wall: dict[str, list[float]] = {}
        self.processors: dict[str, list[float]] = {}

    def take(self, cli: Cli, verb: str, reference: str) -> None:
        os.sync()
        before, began = _processor_seconds(cli), time.perf_counter()
        cli.ok(*_insecure(cli, verb, reference))
        self.processors.setdefault(cli.name, []).append(_processor_seconds(cli) - before)
        os.sync()
        self.wall.setdefault(cli.name, []).append(time.perf_counter() - began)

    def rows(self, what: str, goal: str) -> Iterator[Row]:
        yield seconds(f"{what}, on disk", {name: min(times) for name, times in self.wall.items()}, goal=goal)
        yield seconds(f"{what}, of processors", {name: min(times) for name, times in self.processors.items()})


def _processor_seconds(cli: Cli) -> float:
    """What a command line has taken so far: its commands, and the daemon behind it with all its children."""
    times = os.times()
    spent = times.children_user + times.children_system
    if isinstance(cli, Docker):
        fields = Path(f"/proc/{cli.daemon_pid}/stat").read_text().rpartition(")")[2].split()
        spent += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return spent


def measure(machines: Machines, rounds: int) -> Iterator[Row]:
    """The best of a few rounds."""
    for what, (layers, files, size) in IMAGES.items():
        archive = _archive(machines.wharf.directory, layers, files, size)
        pulls, pushes = _Taken(), _Taken()
        with serving() as registry:
            _publish(archive, registry)
            for _ in range(rounds):
                for cli in machines.command_lines.values():
                    pulls.take(cli, "pull", f"{registry.host}/bench/image:1")
                    cli.ok("rmi", f"{registry.host}/bench/image:1")
        yield from pulls.rows(f"pull {what}", "docker >= 1.5x")
        for cli in machines.command_lines.values():
            cli.ok("load", "-i", str(archive))
            for _ in range(rounds):
                with serving() as registry:
                    cli.ok("tag", LOCAL, f"{registry.host}/bench/image:1")
                    pushes.take(cli, "push", f"{registry.host}/bench/image:1")
                    cli.ok("rmi", f"{registry.host}/bench/image:1")
            cli.clean()
        archive.unlink()
        yield from pushes.rows(f"push {what}", "docker >= 1.5x")


def _publish(archive: Path, registry: RunningRegistry) -> None:
    """By somebody who is not measured."""
    target = f"docker://{registry.host}/bench/image:1"
    words = ["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", f"docker-archive:{archive}", target]
    subprocess.run(words, check=True, capture_output=True)
