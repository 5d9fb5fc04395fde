"""The journal of events: append-only files of one JSON record a line (core.monitor.journal owns the format).

Order is (segment, offset): each record is one O_APPEND write. Readers skip torn lines, and a
follower looks at a segment it has left for a while longer, for who was slow to write to it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from core.errors import wrapped
from core.model.events import Event
from core.model.progress import CancelToken
from core.monitor import journal
from core.state.documents import decoder

_POLL_S = 0.1
_LATE_S = 2.0
_READ_BYTES = journal.SEGMENT_BYTES * 2


def append(directory: Path, kind: str, action: str, actor: str, attributes: dict[str, str] | None = None) -> None:
    """Record that something happened, now."""
    try:
        journal.append(str(directory), kind, action, actor, attributes or {})
    except OSError as error:
        raise wrapped(error, "append to", directory) from error


def read(directory: Path, *, since_ns: int = 0, until_ns: int | None = None) -> Iterator[Event]:
    """Kept events of a window of time, in order."""
    for number in journal.segment_numbers(str(directory)):
        yield from _within(_Place(directory, number).events(), since_ns, until_ns)


def follow(
    directory: Path, cancel: CancelToken, *, since_ns: int | None = None, until_ns: int | None = None
) -> Iterator[Event]:
    """Kept events from since_ns on, then new ones as they come, up to until_ns.

    Args: since_ns: None gives no kept ones, unless there is an end: then all up to it, as docker has it.
    """
    if since_ns is None and until_ns is not None:
        since_ns = 0
    place = _first_place(directory, only_new=since_ns is None)
    left: list[tuple[float, _Place]] = []
    while not cancel.is_cancelled:
        over = until_ns is not None and time.time_ns() > until_ns
        left = [(until, old) for until, old in left if until > time.monotonic()]
        for _, old in left:
            yield from _within(old.events(), since_ns or 0, until_ns)
        yield from _within(place.events(), since_ns or 0, until_ns)
        later = [number for number in journal.segment_numbers(str(directory)) if number > place.number]
        if later:
            left.append((time.monotonic() + _LATE_S, place))
            place = _Place(directory, later[0])
        elif over:
            return
        else:
            cancel.wait(_POLL_S)


def _first_place(directory: Path, *, only_new: bool) -> _Place:
    numbers = journal.segment_numbers(str(directory)) or [1]
    if not only_new:
        return _Place(directory, numbers[0])
    place = _Place(directory, numbers[-1])
    place.skip_to_end()
    return place


class _Place:
    """How far a segment has been read."""

    def __init__(self, directory: Path, number: int) -> None:
        self.number = number
        self._path = journal.segment_path(str(directory), number)
        self._offset = 0

    def skip_to_end(self) -> None:
        try:
            self._offset = os.stat(self._path).st_size
        except FileNotFoundError:
            pass

    def events(self) -> Iterator[Event]:
        """What has come since the last look, whole lines only."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            data = os.pread(descriptor, _READ_BYTES, self._offset)
        finally:
            os.close(descriptor)
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        yield from _parse(whole)


def _parse(data: bytes) -> Iterator[Event]:
    for line in data.split(b"\n"):
        try:
            yield decoder(Event).decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # torn by a crash, or empty; its neighbours are whole


def _within(events: Iterator[Event], since_ns: int, until_ns: int | None) -> Iterator[Event]:
    return (e for e in events if e.at_ns >= since_ns and (until_ns is None or e.at_ns <= until_ns))
