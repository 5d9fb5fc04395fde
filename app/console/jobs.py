"""Long work: how far it is, how fast it goes, how long it will take, and how to stop it."""

from __future__ import annotations

import time
from collections import deque

from app import short
from app.console.layer_progress import LayersTogether
from core.model.display import safe_text
from core.model.progress import CancelToken, Progress

_RATE_WINDOW_S = 5.0


class Job:
    """One save, load, commit … in the background. `report` comes from its worker thread."""

    def __init__(self, title: str, command: str) -> None:
        self.title = title
        self.command = command
        self.cancel = CancelToken()
        self.progress: Progress | None = None
        self.layers = LayersTogether()
        """Of a pull or push: what is done at once to several layers."""
        self.outcome = ""
        """How it ended, in the words of its notice; empty while it goes on."""
        self.began_monotonic = time.monotonic()
        self._marks: deque[tuple[float, int]] = deque(maxlen=64)

    def report(self, progress: Progress) -> None:
        """Take a report; cheap, and safe from the worker's thread."""
        if progress.part:
            self.layers.take(progress)
            return
        now = time.monotonic()
        if self.progress is not None and progress.what != self.progress.what:
            self._marks.clear()
        if not self._marks or now - self._marks[-1][0] > 0.1:
            self._marks.append((now, progress.done_bytes))
        self.progress = progress

    def share(self) -> float | None:
        """How much is done, 0 to 1; None while nobody knows."""
        if self.layers:
            return self.layers.share()
        progress = self.progress
        if progress is None or not progress.total_bytes:
            return None
        return min(1.0, progress.done_bytes / progress.total_bytes)

    def rate(self) -> float:
        """Bytes a second over the last seconds."""
        marks = list(self._marks)
        recent = [mark for mark in marks if marks[-1][0] - mark[0] <= _RATE_WINDOW_S]
        if len(recent) < 2:
            return 0.0
        (first_s, first_bytes), (last_s, last_bytes) = recent[0], recent[-1]
        return max(0.0, (last_bytes - first_bytes) / (last_s - first_s)) if last_s > first_s else 0.0

    def figures(self) -> str:
        """`12M of 40M  3.1M/s  9s left`, as much of it as is known."""
        if self.layers:
            return self.layers.figures()
        progress = self.progress
        if progress is None:
            return short.span(time.monotonic() - self.began_monotonic)
        text = short.size(progress.done_bytes)
        if progress.total_bytes:
            text += f" of {short.size(progress.total_bytes)}"
        speed = self.rate()
        if speed:
            text += f"  {short.rate(speed)}"
            if progress.total_bytes and progress.total_bytes > progress.done_bytes:
                text += f"  {short.span((progress.total_bytes - progress.done_bytes) / speed)} left"
        return text

    def step(self) -> str:
        """What it is busy with just now."""
        return safe_text(self.progress.status or self.progress.what) if self.progress else ""
