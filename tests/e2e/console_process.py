"""A real console in a real pty: its screen as an emulator sees it, keys as a person types them."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

from app.console.vt.terminal import Terminal

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 30.0

KEYS = {"enter": "\r", "escape": "\x1b", "up": "\x1b[A", "down": "\x1b[B", "tab": "\t", "leave": "\x1d"}


class ConsoleProcess:
    """One `wharf` on one terminal of its own."""

    def __init__(self, root: Path, *words: str, columns: int = 100, rows: int = 30, **env: str) -> None:
        self.terminal = Terminal(columns, rows)
        self.raw = bytearray()
        self.code: int | None = None
        self._pid, self._master = pty.fork()
        if self._pid == 0:
            self._become(root, words, columns, rows, env)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(self._master)

    @staticmethod
    def _become(root: Path, words: tuple[str, ...], columns: int, rows: int, env: dict[str, str]) -> None:
        try:
            os.chdir(root.parent)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            own = {
                "PYTHONPATH": str(REPOSITORY),
                "TERM": "xterm-256color",
                "COLORTERM": "truecolor",
                "HOME": str(root.parent),
            }
            if "STDERR" in env:
                os.dup2(os.open(env["STDERR"], os.O_WRONLY | os.O_CREAT, 0o600), 2)
            for variable in ("COLUMNS", "LINES"):
                os.environ.pop(variable, None)
            argv = [sys.executable, "-m", "app", "--root", str(root), *words]
            os.execve(sys.executable, argv, {**os.environ, "XDG_CONFIG_HOME": str(root.parent), **own, **env})
        finally:
            os._exit(127)

    @property
    def pid(self) -> int:
        """The console's process."""
        return self._pid

    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(row.text() for row in self.terminal.grid.lines)

    def read(self, seconds: float = 0.05) -> None:
        """Let the console draw for a while."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if not select.select([self._master], [], [], left)[0]:
                return
            try:
                data = os.read(self._master, 65_536)
            except OSError:
                return  # the other side is closed
            self.raw += data
            self.terminal.feed(data)

    def until(self, true: Callable[[], object], what: str) -> None:
        """Wait for something; the screen is shown if it does not come."""
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < deadline, f"never: {what}\n{self.text()}"
            self.read(0.1)

    def shows(self, *words: str) -> None:
        """Wait until all words are on the screen."""
        for word in words:
            self.until(lambda word=word: word in self.text(), f"{word!r} on the screen")

    def gone(self, word: str) -> None:
        """Wait until a word is no longer on the screen."""
        self.until(lambda: word not in self.text(), f"{word!r} gone")

    def press(self, *keys: str) -> None:
        """Type keys by name, or text as it is."""
        for key in keys:
            self.send(key)
            self.read(0.15)

    def send(self, key: str) -> None:
        """Press a key and do not look what it does."""
        os.write(self._master, KEYS.get(key, key).encode())

    def resize(self, columns: int, rows: int) -> None:
        """Change the window."""
        self.terminal.resize(columns, rows)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(self._pid, signal.SIGWINCH)

    def kill(self, number: int) -> None:
        """Send the console a signal."""
        os.kill(self._pid, number)

    def wait(self) -> int:
        """Wait for its end; the exit code, minus n for signal n."""
        deadline = time.monotonic() + PATIENCE_S
        while self.code is None:
            self.read(0.1)
            done, status = os.waitpid(self._pid, os.WNOHANG)
            if done:
                self.code = os.waitstatus_to_exitcode(status)
            assert self.code is not None or time.monotonic() < deadline, f"does not end\n{self.text()}"
        self.read(0.2)
        return self.code

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self.code is None:
            self.kill(signal.SIGKILL)
            self.wait()
        os.close(self._master)

    def terminal_is_as_before(self) -> bool:
        """Whether modes, screen and cursor are what they were before the console came."""
        echo = termios.tcgetattr(self._master)[3] == self.before[3]
        terminal = self.terminal
        return (
            echo
            and terminal.cursor_visible
            and not terminal.on_alternate_screen
            and not terminal.mouse_mode
            and not terminal.bracketed_paste
            and not terminal.focus_reports
        )
