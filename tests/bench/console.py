"""The console in a real pseudo terminal: first frame, keys under a flood, bytes to the terminal.

No peer of it is in the distribution's packages, so these figures stand alone.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import termios
import time
from collections.abc import Iterator

from core.model.container import ContainerSpec
from tests.bench.measure import Row
from tests.bench.peers import IMAGE, PROJECT, Peers

_RUNNING = 50
_FLOOD = "while :; do echo 0123456789012345678901234567890123456789012345678901234567890123456789; done"


class _Terminal:
    """A console on a pty of 120x40."""

    def __init__(self, command: list[str]) -> None:
        self.started = time.perf_counter()
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.chdir(PROJECT)
            os.environ["TERM"] = "xterm-256color"
            os.execvp(command[0], command)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def read(self, seconds: float) -> bytes:
        """What comes within a while."""
        data = b""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                try:
                    data += os.read(self.master, 65536)
                except OSError:
                    break
        return data

    def wait_for(self, text: bytes, seconds: float = 20.0) -> float | None:
        """Seconds from the start until a text has been painted."""
        data = b""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            data += self.read(0.002)
            if text in data:
                return time.perf_counter() - self.started
        return None

    def key_to_paint(self, key: bytes) -> float | None:
        """Seconds from a key to the first bytes of what it changes, on a quiet terminal."""
        self.read(0.05)
        start = time.perf_counter()
        os.write(self.master, key)
        if select.select([self.master], [], [], 2.0)[0]:
            return time.perf_counter() - start
        return None

    def close(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)
        os.close(self.master)


def console(peers: Peers) -> Iterator[Row]:
    """Fifty containers, one of them flooding its log."""
    containers = peers.engine.containers
    keys = []
    for number in range(_RUNNING):
        script = _FLOOD if number == 0 else "sleep 10000"
        spec = ContainerSpec(image=IMAGE, command=("sh", "-c", script), name=f"flood{number}" if not number else "")
        key = containers.create(spec).id
        containers.start(key)
        keys.append(key)
    command = peers.wharf()
    firsts, lives = [], []
    for _ in range(5):
        terminal = _Terminal(command)
        first = terminal.wait_for(b"flood0")
        if first is not None:
            firsts.append(first * 1000)
        terminal.close()
    yield Row("console: first frame with real state", "ms", {"wharf": statistics.median(firsts) if firsts else None})
    terminal = _Terminal(command)
    terminal.read(5)
    painted = len(terminal.read(10))
    yield Row(f"console: bytes a second to the terminal, {_RUNNING} containers, 120x40", "B/s", {"wharf": painted / 10})
    os.write(terminal.master, b"/flood0\r\r")
    terminal.read(2)
    for number in range(60):
        if (taken := terminal.key_to_paint(b"t" if number % 2 else b"l")) is not None:
            lives.append(taken * 1000)
    terminal.close()
    lives.sort()
    figures: dict[str, float | None] = {"p50": lives[len(lives) // 2] if lives else None}
    figures["p99"] = lives[-1] if lives else None
    yield Row("console: key to paint under a log flood", "ms", figures, note="(p99 is a figure of ours, not a peer)")
    for key in keys:
        containers.remove(key, force=True)
