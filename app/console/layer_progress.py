"""How far each layer of a pull or push is, and what they come to together."""

from __future__ import annotations

import time
from collections import deque

from app import short
from core.model.progress import Progress

_RATE_WINDOW_S = 5.0
_MARK_EVERY_S = 0.1
_LAST_WORDS = ("Pull complete", "Already exists", "Pushed", "Layer already exists", "Mounted from", "Copied")
_WORDS_BEFORE = ("Waiting", "Preparing", "Pulling fs layer")


class LayerProgress:
    """One layer: what is being done to it, how much of that is done, how fast. Written by worker threads."""

    def __init__(self, part: str) -> None:
        self.part = part
        self.status = ""
        self.done_bytes = 0
        self.total_bytes = 0
        self._marks: deque[tuple[float, int]] = deque(maxlen=64)

    def take(self, progress: Progress) -> None:
        """Take a report; a new status begins anew, but a size once known stays known."""
        now = time.monotonic()
        if progress.status != self.status:
            self._marks.clear()
        self.status, self.done_bytes = progress.status, progress.done_bytes
        self.total_bytes = progress.total_bytes or self.total_bytes
        if not self._marks or now - self._marks[-1][0] > _MARK_EVERY_S:
            self._marks.append((now, progress.done_bytes))

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be done to it."""
        return self.status.startswith(_LAST_WORDS)

    def share(self) -> float | None:
        """How much of what is being done is done, 0 to 1; None while nobody knows."""
        if self.is_over:
            return 1.0
        if self.status.startswith(_WORDS_BEFORE):
            return 0.0
        if self.status == "Download complete":
            return 1.0
        return min(1.0, self.done_bytes / self.total_bytes) if self.total_bytes else None

    def rate(self) -> float:
        """Bytes a second over the last seconds."""
        marks = list(self._marks)
        recent = [mark for mark in marks if marks[-1][0] - mark[0] <= _RATE_WINDOW_S]
        if len(recent) < 2 or recent[-1][0] <= recent[0][0]:
            return 0.0
        return max(0.0, (recent[-1][1] - recent[0][1]) / (recent[-1][0] - recent[0][0]))

    def figures(self) -> str:
        """`12M of 40M  3.1M/s  9s left`, as much of it as is known and matters."""
        if not self.total_bytes:
            return short.size(self.done_bytes) if self.done_bytes else ""
        if self.is_over or not self.done_bytes:
            return short.size(self.total_bytes)
        text = f"{short.size(self.done_bytes)} of {short.size(self.total_bytes)}"
        speed = self.rate()
        if speed and self.total_bytes > self.done_bytes:
            text += f"  {short.rate(speed)}  {short.span((self.total_bytes - self.done_bytes) / speed)} left"
        return text


class LayersTogether:
    """All layers of one piece of work, in the order they were first spoken of."""

    def __init__(self) -> None:
        self._layers: dict[str, LayerProgress] = {}

    def take(self, progress: Progress) -> None:
        """Take the report of one layer."""
        layer = self._layers.get(progress.part)
        if layer is None:
            layer = self._layers[progress.part] = LayerProgress(progress.part)
        layer.take(progress)

    def __bool__(self) -> bool:
        return bool(self._layers)

    def each(self) -> list[LayerProgress]:
        """The layers."""
        return list(self._layers.values())

    def figures(self) -> str:
        """`3 of 7 layers  12M of 40M  3.1M/s  9s left`: of all layers, as much of it as is known."""
        layers = self.each()
        over = sum(layer.is_over for layer in layers)
        text = f"{over} of {len(layers)} layer{'s' if len(layers) != 1 else ''}"
        done, total = self.bytes_done()
        if total:
            text += f"  {short.size(done)} of {short.size(total)}"
        speed = sum(layer.rate() for layer in layers if not layer.is_over)
        if speed:
            text += f"  {short.rate(speed)}"
            if total > done:
                text += f"  {short.span((total - done) / speed)} left"
        return text

    def bytes_done(self) -> tuple[int, int]:
        """Done and total bytes of all layers whose size is known."""
        done = total = 0
        for layer in self.each():
            total += layer.total_bytes
            done += round((layer.share() or 0.0) * layer.total_bytes)
        return done, total

    def share(self) -> float | None:
        """How much is done, by bytes where sizes are known, else by layers."""
        layers = self.each()
        done, total = self.bytes_done()
        if total:
            return done / total
        return sum(layer.is_over for layer in layers) / len(layers) if layers else None
