"""One line of progress on a terminal's error output: what, how much, how fast."""

from __future__ import annotations

import time

from app.commands.io import Io
from app.format import human_size
from core.model.progress import Progress

_EVERY_S = 0.1


class ProgressLine:
    """Shows reports while something long runs; silent where no person is looking."""

    def __init__(self, io: Io, *, quiet: bool = False) -> None:
        self._io = io
        self._shows = io.err_is_tty and io.owns_process and not quiet
        self._began = self._last = time.monotonic()
        self._drawn = False

    def report(self, progress: Progress) -> None:
        """Take one report; most are too soon after the last one to be drawn."""
        if self._io.report is not None:
            self._io.report(progress)
        now = time.monotonic()
        if not self._shows or now - self._last < _EVERY_S:
            return
        self._last = now
        done = human_size(progress.done_bytes)
        if progress.total_bytes:
            done += f" of {human_size(progress.total_bytes)}"
        rate = human_size(progress.done_bytes / max(now - self._began, 0.001))
        text = f"{progress.what}: {done}, {rate}/s"
        self._io.err.write(b"\r\x1b[K")
        self._io.err.write(text[: self._io.columns - 1].encode("utf-8", "replace"))
        self._io.err.flush()
        self._drawn = True

    def done(self) -> None:
        """Take the line away."""
        if self._drawn:
            self._io.err.write(b"\r\x1b[K")
            self._io.err.flush()
            self._drawn = False

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.done()
