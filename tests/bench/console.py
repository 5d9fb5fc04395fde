"""The console: its first frame, a key's way to the screen under a flood of logs and in a tree of 100,000 files,
what it sends the terminal.
"""

from __future__ import annotations

import io
import statistics
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.machines import Machines
from tests.bench.measures import Row
from tests.e2e.console_process import ConsoleProcess

FLOOD = "i=0; while :; do i=$((i+1)); echo line $i of a log that never ends and is longer than this; done"
HELP, FOLLOWING = " Keys: ", "▸ following"
KEYS = 20
FOLDERS, FILES = 500, 200
WATCHED_S = 5.0
PAINT_S = 0.002
"""How often the screen is looked at."""


def measure(machines: Machines) -> Iterator[Row]:
    """No peer has a console of its own: the figures stand alone."""
    root = machines.wharf.directory / "data"
    machines.wharf.ok(*machines.wharf.run_words("run", "-d", "--name", "flood", "IMAGE", "sh", "-c", FLOOD))
    frames = []
    for _ in range(5):
        began = time.perf_counter()
        console = ConsoleProcess(root, columns=120, rows=35)
        _until(console, "flood")
        frames.append((time.perf_counter() - began) * 1000)
        console.close()
    yield Row("console: start to the first full screen", "ms", statistics.median(frames), {})
    console = ConsoleProcess(root, columns=120, rows=35)
    _until(console, "flood")
    console.press("enter")
    _until(console, "of a log")
    moved = _paints(console, FOLLOWING, "up", shows=False, back="G")
    yield Row("console: key to paint under a log flood, median", "ms", statistics.median(moved), {}, "<= 5 ms")
    opened = _paints(console, HELP, "?", shows=True, back="escape")
    yield Row("console: the same, a key that opens a dialog", "ms", statistics.median(opened), {})
    console.read(0.5)
    begun = len(console.raw)
    until = time.monotonic() + WATCHED_S
    while time.monotonic() < until:
        console.read(0.1)
    sent = (len(console.raw) - begun) / WATCHED_S / 1000
    yield Row("console: sent to the terminal under a log flood", "kB/s", sent, {})
    console.close()
    yield from _workbench(machines, root)
    machines.wharf.clean()


def _workbench(machines: Machines, root: Path) -> Iterator[Row]:
    archive = machines.wharf.directory / "many.tar"
    _many_files(archive)
    machines.wharf.ok("import", str(archive), "many:1")
    archive.unlink()
    console = ConsoleProcess(root, columns=120, rows=35)
    _until(console, "flood")
    console.press("2", "/", "many", "enter")
    began = time.perf_counter()
    console.send("enter")
    _until(console, f"{FOLDERS * FILES} files")
    yield Row("console: an image of 100,000 files: opened, its files listed", "ms", _since(began), {})
    console.press("tab", "g", "e")
    console.read(1.0)
    moved = _painted(console, "\x1b[B", "\x1b[A")
    yield Row(
        "console: key to paint in its tree, all of it open, median", "ms", statistics.median(moved), {}, "<= 5 ms"
    )
    console.press("g", "/")
    console.read(0.5)
    began = time.perf_counter()
    console.send("d150/f09")
    _until(console, "f097")
    yield Row("console: found by name in it", "ms", _since(began), {})
    console.close()


def _many_files(path: Path) -> None:
    with tarfile.open(path, "w") as tar:
        for number in range(FOLDERS * FILES):
            info = tarfile.TarInfo(f"srv/d{number // FILES:03}/f{number % FILES:03}")
            info.size, info.mode = 6, 0o644
            tar.addfile(info, io.BytesIO(b"%06d" % number))


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def _painted(console: ConsoleProcess, key: str, back: str) -> list[float]:
    """Milliseconds from a key until the console begins to draw."""
    taken = []
    for _ in range(KEYS):
        console.read(0.3)
        before, began = len(console.raw), time.perf_counter()
        console.send(key)
        while len(console.raw) == before:
            console.read(PAINT_S)
        taken.append(_since(began))
        key, back = back, key
    return taken


def _paints(console: ConsoleProcess, text: str, key: str, *, shows: bool, back: str) -> list[float]:
    """Milliseconds from a key until a text is on the screen, or off it; another key undoes that each time."""
    taken = []
    for _ in range(KEYS):
        began = time.perf_counter()
        console.send(key)
        _until(console, text, there=shows)
        taken.append((time.perf_counter() - began) * 1000)
        console.send(back)
        _until(console, text, there=not shows)
        console.read(0.3)
    return taken


def _until(console: ConsoleProcess, text: str, *, there: bool = True) -> None:
    """Look often until a text is on the screen, or is gone."""
    deadline = time.monotonic() + 30
    while (text in console.text()) != there:
        assert time.monotonic() < deadline, console.text()
        console.read(PAINT_S)
