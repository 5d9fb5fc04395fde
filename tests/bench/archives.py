"""Images of real sizes: 588 MB in 20,000 files in one layer and in ten; save, load, commit, diff, export, disk.

Everybody works on the same disk, by whole commands, and what was written is flushed in the time.
"""

from __future__ import annotations

import io
import os
import random
import statistics
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.machines import Machines
from tests.bench.measures import Row, in_turns, seconds
from tests.compat.targets import Cli

FILES = 20_000
TOTAL_BYTES = 588_000_000
LAYERS = 10
FOLDERS = 200
COMMITTED = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); head -c 100000 /dev/urandom > /f$i; done"
CHANGED = """i=0; for f in /d*/f*; do i=$((i+1)); [ $i -gt 9200 ] && break; echo x > $f; done"""


def _layer(files: int, total_bytes: int, first: int) -> bytes:
    """A tar of files of many sizes, whose content does not compress."""
    draw = random.Random(first)
    sizes = [draw.choice((200, 2_000, 8_000, 20_000, 50_000, 100_000)) for _ in range(files)]
    scale = total_bytes / sum(sizes)
    noise = os.urandom(1 << 20)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for folder in range(FOLDERS):
            info = tarfile.TarInfo(f"d{folder}")
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        for number, size in enumerate(sizes, first):
            info = tarfile.TarInfo(f"d{number % FOLDERS}/f{number}")
            info.size, info.mtime = int(size * scale), 1_700_000_000
            at = draw.randrange(len(noise) // 2)
            tar.addfile(info, io.BytesIO((noise[at:] + noise)[: info.size]))
    return buffer.getvalue()


def _image(path: Path, name: str, layers: int) -> None:
    """An archive as docker until 24 wrote it, with busybox at the bottom, so that a shell can run in it."""
    from tests.archives import config_of, docker_archive
    from tests.compat.targets import busybox_tar

    bottom = busybox_tar(path.parent)
    count = FILES // layers
    made = [bottom.read_bytes()]
    made += [_layer(count, TOTAL_BYTES // layers, number * count) for number in range(layers)]
    path.write_bytes(docker_archive(made, [name], config=config_of(made)))
    bottom.unlink()


def measure(machines: Machines, rounds: int) -> Iterator[Row]:
    """Medians of a few rounds."""
    clis = machines.command_lines
    one, ten = machines.wharf.directory / "one.tar", machines.wharf.directory / "ten.tar"
    _image(one, "bench/one:1", 1)
    _image(ten, "bench/ten:1", LAYERS)
    for path, name, what in ((one, "bench/one:1", "588 MB, 1 layer"), (ten, "bench/ten:1", "588 MB, 10 layers")):
        yield from _saved_and_loaded(clis, path, name, what, rounds)
    ten.unlink()
    yield from _disk(clis, one)
    yield seconds("commit of 300 MB in 3,000 files", _committed(clis, rounds), goal="docker >= 2x")
    yield seconds("diff of 9,200 changed files", _compared(clis, rounds + 2), goal="docker >= 10x")
    yield seconds("export of 588 MB to a file", _exported(clis, rounds), goal="docker >= 1.7x")
    for cli in clis.values():
        cli.clean()
    one.unlink()


def _flushed(action: Callable[[], object]) -> float:
    os.sync()
    began = time.perf_counter()
    action()
    os.sync()
    return time.perf_counter() - began


def _medians(taken: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(times) for name, times in taken.items()}


def _saved_and_loaded(clis: dict[str, Cli], path: Path, name: str, what: str, rounds: int) -> Iterator[Row]:
    saved: dict[str, list[float]] = {}
    loaded: dict[str, list[float]] = {}
    for _ in range(rounds):
        for peer, cli in clis.items():
            loaded.setdefault(peer, []).append(_flushed(lambda cli=cli: cli.ok("load", "-q", "-i", str(path))))
            target = cli.directory / "saved.tar"
            words = ("save", "-o", str(target), name)
            saved.setdefault(peer, []).append(_flushed(lambda cli=cli, words=words: cli.ok(*words)))
            target.unlink()
            cli.ok("rmi", name)
    yield seconds(f"save {what}, on disk", _medians(saved), goal="docker >= 4x")
    yield seconds(f"load {what}, on disk", _medians(loaded), goal="docker >= 1.3x")


def _disk(clis: dict[str, Cli], path: Path) -> Iterator[Row]:
    used = {}
    for peer, cli in clis.items():
        before = _taken(cli.directory)
        cli.ok("load", "-q", "-i", str(path))
        used[peer] = (_taken(cli.directory) - before) / 1e6
    peers = {peer: size for peer, size in used.items() if peer != "wharf"}
    yield Row("disk taken by an image of 588 MB", "MB", used["wharf"], peers)


def _taken(directory: Path) -> int:
    """Bytes of the blocks of everything below; what is mounted there is another's."""
    return int(subprocess.run(["du", "-sxB1", directory], capture_output=True, check=False).stdout.split()[0])


def _committed(clis: dict[str, Cli], rounds: int) -> dict[str, float]:
    taken: dict[str, list[float]] = {}
    for cli in clis.values():
        cli.ok("run", "--name", "full", *cli.run_options, "bench/one:1", "sh", "-c", COMMITTED)
    for _ in range(rounds):
        for peer, cli in clis.items():
            taken.setdefault(peer, []).append(_flushed(lambda cli=cli: cli.ok("commit", "full", "bench/made:1")))
            cli.ok("rmi", "bench/made:1")
    for cli in clis.values():
        cli.ok("rm", "full")
    return _medians(taken)


def _compared(clis: dict[str, Cli], rounds: int) -> dict[str, float]:
    for cli in clis.values():
        cli.ok("run", "--name", "changed", *cli.run_options, "bench/one:1", "sh", "-c", CHANGED)
    found = in_turns({peer: lambda cli=cli: cli.ok("diff", "changed") for peer, cli in clis.items()}, rounds)
    for cli in clis.values():
        cli.ok("rm", "changed")
    return found


def _exported(clis: dict[str, Cli], rounds: int) -> dict[str, float]:
    taken: dict[str, list[float]] = {}
    for cli in clis.values():
        cli.ok("create", "--name", "whole", *cli.run_options, "bench/one:1", "true")
    for _ in range(rounds):
        for peer, cli in clis.items():
            target = cli.directory / "exported.tar"
            words = ("export", "-o", str(target), "whole")
            taken.setdefault(peer, []).append(_flushed(lambda cli=cli, words=words: cli.ok(*words)))
            target.unlink()
    for cli in clis.values():
        cli.ok("rm", "whole")
    return _medians(taken)
