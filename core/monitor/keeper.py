"""The keeper: the spawner's parent, and the last who holds on to what containers need to live.

    keeper ── fork ─▶ spawner ── fork ─▶ monitor ── clone ─▶ init
      ▲                  │ begin, keep, release, forget
      └──────────────────┘

It does nothing but wait. When the spawner is killed it forks the next one, which finds everything
in its memory that the killed one held: the listening socket (whose callers just wait a little), and
duplicates of the monitors' descriptors. When spawner and monitor are killed together, it is the
parent of the orphans, and so knows their exit codes. When it is killed itself, the spawner goes on
alone.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from typing import NoReturn

from core.monitor import proto
from core.monitor.children import Children
from core.monitor.loop import READ, Loop
from core.monitor.pipes import channel_pair
from core.monitor.vault import Vault

_HOLD_OFF_S = 0.5
"""A spawner that ends as soon as it has begun must not keep a processor busy."""

RunSpawner = Callable[[Vault, proto.Socket], None]


class Keeper:
    """Args: run_spawner: becomes the spawner, with what is kept and the channel to us; returns at its end."""

    def __init__(self, run_spawner: RunSpawner) -> None:
        self._run_spawner = run_spawner
        self._loop = Loop()
        self._vault = Vault()
        self._children = Children(self._loop, self._child_ended)
        self._spawner = 0
        self._channel: proto.Socket | None = None
        self._forked_at = 0.0

    def run(self) -> None:
        """Hold on until the spawner ends by itself."""
        self._fork()
        self._loop.run()

    def _fork(self) -> None:
        ours, theirs = channel_pair()
        self._forked_at = time.monotonic()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._become_spawner(theirs)
        theirs.close()
        self._spawner = pid
        self._channel = ours
        ours.setblocking(False)
        self._loop.add(ours.fileno(), READ, functools.partial(self._take, ours))

    def _become_spawner(self, channel: proto.Socket) -> NoReturn:
        code = 1
        try:
            self._loop.close()
            self._children.let_go()
            self._run_spawner(self._vault, channel)
            code = 0
        finally:
            os._exit(code)  # what went wrong was noted where it happened

    def _take(self, channel: proto.Socket, _events: int = 0) -> None:
        while True:
            try:
                packet, descriptors = proto.receive_with_descriptors(channel, most=proto.MOST_DESCRIPTORS)
            except BlockingIOError:
                return
            if not packet:
                self._loop.remove(channel.fileno())
                return
            self._vault.take(proto.parse(packet), descriptors)

    def _child_ended(self, pid: int, status: int) -> None:
        if pid != self._spawner:
            self._vault.note_end(pid, status)
            return
        if self._channel:
            self._take(self._channel)  # what it sent with its last breath
            self._loop.remove(self._channel.fileno())
            self._channel.close()
            self._channel = None
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            self._loop.stop()
            return
        wait_s = max(0.0, _HOLD_OFF_S - (time.monotonic() - self._forked_at))
        self._loop.after(wait_s, self._fork)
