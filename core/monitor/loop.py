"""One thread, one epoll: what a monitor and the spawner wait in."""

from __future__ import annotations

import heapq
import select
import time
from collections.abc import Callable

READ = select.EPOLLIN
WRITE = select.EPOLLOUT


class Loop:
    """Callbacks by descriptor, and timers."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._stopped = False

    def add(self, descriptor: int, events: int, callback: Callable[[int], None]) -> None:
        """Call back with the events that came."""
        self._callbacks[descriptor] = callback
        self._poll.register(descriptor, events)

    def wait_for(self, descriptor: int, events: int, callback: Callable[[int], None]) -> None:
        """Wait for these events from now on; for none, not even an end is told."""
        if not events:
            self.remove(descriptor)
        elif descriptor in self._callbacks:
            self._poll.modify(descriptor, events)
        else:
            self.add(descriptor, events, callback)

    def remove(self, descriptor: int) -> None:
        """Forget a descriptor, before it is closed."""
        if self._callbacks.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def after(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back once, later (monotonic time)."""
        self._count += 1
        heapq.heappush(self._timers, (time.monotonic() + seconds, self._count, callback))

    def stop(self) -> None:
        """Leave run() after this round."""
        self._stopped = True

    def run(self) -> None:
        """Wait and call back until stopped."""
        while not self._stopped:
            timeout = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else -1
            for descriptor, events in self._poll.poll(timeout):
                if callback := self._callbacks.get(descriptor):
                    callback(events)
            while self._timers and self._timers[0][0] <= time.monotonic():
                heapq.heappop(self._timers)[2]()

    def close(self) -> None:
        """Let go of the epoll."""
        self._poll.close()
