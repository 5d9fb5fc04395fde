"""A log for a viewer: a thread of its own reads windows of lines; the viewer never waits.

The viewer asks for blocks of lines by number and gets them on the UI thread. Kept are only the
blocks around what was looked at last, so a log of a million lines costs what a short one does.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from app.console.log_levels import LevelCounter, LevelCounts
from app.console.relay import Relay
from core.backend import LogView
from core.errors import EngineError
from core.model.logs import LogLine
from core.model.progress import CancelToken

BLOCK = 256
_BLOCKS_KEPT = 48
_POLL_S = 0.1


class LogSource:
    """One log while somebody looks at it."""

    def __init__(
        self, open_view: Callable[[], LogView], relay: Relay, changed: Callable[[], None], *, counts: bool = False
    ) -> None:
        self._open_view = open_view
        self._relay = relay
        self._changed = changed
        self._blocks: OrderedDict[int, tuple[LogLine, ...]] = OrderedDict()
        self._partial: dict[int, int] = {}
        """Blocks that were not full when read → the line count then."""
        self._asked: set[int] = set()
        self._open_end = False
        """Whether the last line has no newline yet: it may grow without the count changing."""
        self._tasks: list[Callable[[LogView], None]] = []
        self._wake = threading.Condition()
        self._closed = CancelToken()
        self._counter = LevelCounter() if counts else None
        self.levels = LevelCounts()
        """Errors and warnings, if they are to be counted."""
        self.count = 0
        self.ready = False
        """Whether the first count has come."""
        self.trouble = ""
        threading.Thread(target=self._read, name="log-read", daemon=True).start()

    def close(self) -> None:
        """Stop reading; returns at once."""
        self._closed.cancel()
        with self._wake:
            self._wake.notify_all()

    def line(self, number: int) -> LogLine | None:
        """A line if it is here; else it is fetched, and `changed` is called when it has come."""
        block = number // BLOCK
        lines = self._blocks.get(block)
        stale = block in self._partial and self._partial[block] < min(self.count, (block + 1) * BLOCK)
        if lines is None or stale:
            self._want(block)
        if lines is None:
            return None
        self._blocks.move_to_end(block)
        offset = number - block * BLOCK
        return lines[offset] if offset < len(lines) else None

    def search(
        self,
        pattern: bytes,
        first: int,
        cancel: CancelToken,
        found: Callable[[int | None], None],
        *,
        backwards: bool,
    ) -> None:
        """Find the next line that matches, from `first` on; the answer comes on the UI thread."""

        def work(view: LogView) -> None:
            number = view.search(pattern, first=first, backwards=backwards, ignore_case=True, cancel=cancel)
            self._hand(found, number)

        self._queue(work)

    def line_at(self, at_ns: int, found: Callable[[int], None]) -> None:
        """The number of the first line not older than a moment."""
        self._queue(lambda view: self._hand(found, view.line_at(at_ns)))

    # ------------------------------------------------------------------ both sides

    def _want(self, block: int) -> None:
        with self._wake:
            if block not in self._asked:
                self._asked.add(block)
                self._wake.notify_all()

    def _queue(self, task: Callable[[LogView], None]) -> None:
        with self._wake:
            self._tasks.append(task)
            self._wake.notify_all()

    # ------------------------------------------------------------------ the thread

    def _read(self) -> None:
        try:
            view = self._open_view()
        except EngineError as error:
            self._hand(self._fail, error.message)
            return
        try:
            while not self._closed.is_cancelled:
                self._turn(view)
        except EngineError as error:
            self._hand(self._fail, error.message)
        finally:
            view.close()

    def _turn(self, view: LogView) -> None:
        count = view.line_count()
        with self._wake:
            asked, tasks = set(sorted(self._asked, reverse=True)[:8]), self._tasks
            self._tasks = []
        last = (count - 1) // BLOCK
        growing = self._open_end and count == self.count and last not in asked
        fetched = {block: tuple(view.lines(block * BLOCK, BLOCK)) for block in (asked | {last} if growing else asked)}
        if growing and fetched[last] == self._blocks.get(last):
            del fetched[last]
        if fetched or count != self.count or not self.ready:
            self._hand(self._take, count, fetched)
        for task in tasks:
            task(view)
        if self._counter is not None and self._counter.go_on(view, count):
            self._hand(self._take_levels, self._counter.counts)
        with self._wake:
            if self._asked <= asked and not self._tasks and not self._closed.is_cancelled:
                self._wake.wait(_POLL_S)
        if fetched:
            self._closed.wait(0.005)  # the answer must arrive before we look at what is still asked

    def _hand(self, receive: Callable[..., Any], *values: Any) -> None:
        if not self._relay(receive, *values):
            self._closed.cancel()

    # ------------------------------------------------------------------ on the UI thread

    def _take(self, count: int, fetched: dict[int, tuple[LogLine, ...]]) -> None:
        if self._closed.is_cancelled:
            return
        if count < self.count:  # the log was cut or began anew
            self._blocks.clear()
            self._partial.clear()
        self.count, self.ready = count, True
        for block, lines in fetched.items():
            if block == (count - 1) // BLOCK:
                self._open_end = bool(lines) and not lines[-1].data.endswith(b"\n")
            self._blocks[block] = lines
            self._blocks.move_to_end(block)
            if len(lines) < BLOCK:
                self._partial[block] = count
            else:
                self._partial.pop(block, None)
        while len(self._blocks) > _BLOCKS_KEPT:
            gone, _lines = self._blocks.popitem(last=False)
            self._partial.pop(gone, None)
        with self._wake:
            self._asked -= fetched.keys()
        self._changed()

    def _take_levels(self, levels: LevelCounts) -> None:
        self.levels = levels
        self._changed()

    def _fail(self, why: str) -> None:
        self.trouble, self.ready = why, True
        self._changed()
