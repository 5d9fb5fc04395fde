"""Progress of a pull or push in docker's lines: one a layer, redrawn in place; plain where nobody looks.

    on a terminal                                                      piped
    a1b2c3d4e5f6: Downloading [=======>            ]  12.3MB/30.01MB   a1b2c3d4e5f6: Pulling fs layer
    0f1e2d3c4b5a: Pull complete                                        0f1e2d3c4b5a: Pull complete

Reports come from several threads at once. One without a part is a line of its own, and ends a block of
layers: what is drawn after it belongs to the next image.
"""

from __future__ import annotations

import shutil
import threading
import time
from typing import BinaryIO

from app.format import human_size
from core.model.display import clip, safe_text
from core.model.progress import Progress

_EVERY_S = 0.1
_MOVING = ("Downloading", "Extracting", "Pushing", "Copying")
"""Statuses that have bytes; piped they are left out, as docker does."""
_MOST_BAR = 50


class LayerLines:
    """Takes reports and writes lines; a context, so that an unfinished line never stays under the cursor."""

    def __init__(self, out: BinaryIO, *, on_terminal: bool, columns: int = 80, rows: int = 0, quiet: bool = False):
        self._out = out
        self._on_terminal = on_terminal
        self._columns = max(20, columns)
        self._rows = rows or shutil.get_terminal_size().lines
        self._quiet = quiet
        self._lock = threading.Lock()
        self._block: dict[str, str] = {}
        """Layer → status of those that are drawn below each other, in the order they came."""
        self._drawn_at: dict[str, float] = {}
        self._said: set[tuple[str, str]] = set()

    def report(self, progress: Progress) -> None:
        """Take one report, from any thread."""
        if self._quiet or not progress.status:
            return
        with self._lock:
            if not progress.part:
                self._end_block()
                self._write(f"{safe_text(progress.status)}\n")
            elif self._on_terminal:
                self._draw(progress)
            elif progress.status not in _MOVING and (progress.part, progress.status) not in self._said:
                self._said.add((progress.part, progress.status))
                self._write(f"{progress.part}: {progress.status}\n")

    def __enter__(self) -> LayerLines:
        return self

    def __exit__(self, *_raised: object) -> None:
        with self._lock:
            self._end_block()

    def _end_block(self) -> None:
        """What was drawn stays where it is."""
        self._block.clear()
        self._drawn_at.clear()
        self._said.clear()

    def _draw(self, progress: Progress) -> None:
        part, now = progress.part, time.monotonic()
        is_new = part not in self._block
        if self._block.get(part) == progress.status and now - self._drawn_at[part] < _EVERY_S:
            finished = progress.total_bytes is not None and progress.done_bytes >= progress.total_bytes
            if not finished:
                return
        self._block[part], self._drawn_at[part] = progress.status, now
        line = self._line(progress)
        if is_new:
            self._write(f"{line}\n")
            return
        up = len(self._block) - list(self._block).index(part)
        if up < self._rows:  # else it has scrolled away, and can't be reached any more
            self._write(f"\x1b[{up}A\x1b[2K\r{line}\r\x1b[{up}B")

    def _line(self, progress: Progress) -> str:
        head = f"{progress.part}: {progress.status} "
        if progress.status in _MOVING and progress.done_bytes:
            head += self._measure(progress, self._columns - 1 - len(head))
        return clip(safe_text(head), self._columns - 1)

    @staticmethod
    def _measure(progress: Progress, room: int) -> str:
        """`[=====>    ]  12.3MB/30.01MB`, the bar as long as there is room for it."""
        done, total = human_size(progress.done_bytes, 4), progress.total_bytes
        if not total:
            return f" {done}"
        figures = f" {done:>8}/{human_size(total, 4)}"
        cells = min(_MOST_BAR, room - len(figures) - 4)
        if cells < 5:
            return f"{done}/{human_size(total, 4)}"
        filled = min(cells, cells * progress.done_bytes // total)
        return f"[{'=' * filled + '>':<{cells + 1}}] {figures}"

    def _write(self, text: str) -> None:
        self._out.write(text.encode("utf-8", "replace"))
        self._out.flush()
