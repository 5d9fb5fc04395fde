"""Compressing a file that is full, a piece at a time between other work: a monitor has one thread.

The compressed file appears whole, by a rename, before the raw one goes.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from core.monitor.segments import MEMBER_BYTES, pack_member

After = Callable[[float, Callable[[], None]], None]
_UNFINISHED = ".part"


class Packing:
    """The files that wait to be compressed, one after the other.

    Args: after: calls back a little later.
    """

    def __init__(self, after: After) -> None:
        self._after = after
        self._waiting: list[tuple[str, str]] = []
        self._source = self._target = -1
        self._offset = 0
        self._is_scheduled = False

    @property
    def behind(self) -> int:
        """How many files wait, the one at work counted."""
        return len(self._waiting)

    def add(self, source: str, target: str) -> None:
        """Compress a file that is written no more."""
        self._waiting.append((source, target))
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._after(0.0, self._turn)

    def _turn(self) -> None:
        self._is_scheduled = False
        if self.step():
            self._schedule()

    def finish(self) -> None:
        """Compress what waits, now."""
        while self.step():
            pass

    def step(self) -> bool:
        """One piece; False when nothing waits."""
        if not self._waiting:
            return False
        source, target = self._waiting[0]
        try:
            if self._source < 0:
                self._source = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
                mode = os.fstat(self._source).st_mode & 0o777
                self._target = os.open(target + _UNFINISHED, flags, mode)
                self._offset = 0
            raw = os.pread(self._source, MEMBER_BYTES, self._offset)
            if raw:
                _write_all(self._target, pack_member(raw))
                self._offset += len(raw)
                return True
            os.fsync(self._target)
            os.rename(target + _UNFINISHED, target)
            os.unlink(source)
        except OSError:
            _forget(target + _UNFINISHED)  # a full disk, or the file is gone: it stays as it is
        self._let_go()
        return bool(self._waiting)

    def _let_go(self) -> None:
        self._waiting.pop(0)
        for descriptor in (self._source, self._target):
            if descriptor >= 0:
                os.close(descriptor)
        self._source = self._target = -1

    def forget(self, source: str) -> None:
        """A file is dropped that may still wait."""
        if self._waiting and self._waiting[0][0] == source and self._source >= 0:
            _forget(self._waiting[0][1] + _UNFINISHED)
            self._let_go()
        self._waiting = [pair for pair in self._waiting if pair[0] != source]


def clear_unfinished(directory: str) -> None:
    """Take away what a killed monitor left half compressed."""
    for name in os.listdir(directory):
        if name.endswith(_UNFINISHED):
            _forget(f"{directory}/{name}")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _forget(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
