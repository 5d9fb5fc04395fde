"""The end of children, as a readable descriptor in a loop: SIGCHLD by way of a pipe."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from core.monitor.loop import READ, Loop


class Children:
    """Reaps every child of this process, those that became ours by their parent's death too."""

    def __init__(self, loop: Loop, on_end: Callable[[int, int], None]) -> None:
        """Args: on_end: called with pid and wait status, after the child was reaped."""
        self._on_end = on_end
        self._reading, self._writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, _noted)
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        loop.add(self._reading, READ, self._ready)

    def _ready(self, _events: int) -> None:
        try:
            os.read(self._reading, 4096)
        except BlockingIOError:
            pass
        self.reap()

    def reap(self) -> None:
        """Look for ended children now."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self._on_end(pid, status)

    def let_go(self) -> None:
        """In a fork: signals and descriptors as if there had been none of this."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._reading)
        os.close(self._writing)


def _noted(_number: int, _frame: object) -> None:
    """The wake-up descriptor has told already; without a handler the signal would be dropped."""
