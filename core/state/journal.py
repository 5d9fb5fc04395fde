"""The journal of events: append-only files of one JSON record a line.

Order is (segment, offset): each record is one O_APPEND write. Readers skip torn lines. Monitors
append to the same files through core.linux.files; the record's shape is theirs as well:
{"at_ns": …, "kind": "container", "action": "start", "actor": "<id>", "attributes": {…}}.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from core.errors import wrapped
from core.linux.files import append_record
from core.model.events import Event
from core.model.progress import CancelToken

SEGMENT_BYTES = 4 * 1024 * 1024
KEPT_SEGMENTS = 4
_POLL_S = 0.1


def append(directory: Path, kind: str, action: str, actor: str, attributes: dict[str, str] | None = None) -> None:
    """Record that something happened, now."""
    event = Event(at_ns=time.time_ns(), kind=kind, action=action, actor=actor, attributes=attributes or {})
    path = _newest(directory) or directory / "1.jsonl"
    try:
        size = append_record(path, msgspec.json.encode(event) + b"\n")
        if size > SEGMENT_BYTES:
            _rotate(directory, path)
    except OSError as error:
        raise wrapped(error, "append to", path) from error


def _rotate(directory: Path, full: Path) -> None:
    """Begin the next segment and drop the oldest; harmless when two processes do it at once."""
    (directory / f"{int(full.stem) + 1}.jsonl").touch(mode=0o600)
    for old in _segments(directory)[:-KEPT_SEGMENTS]:
        old.unlink(missing_ok=True)


def _segments(directory: Path) -> list[Path]:
    return sorted((path for path in directory.glob("*.jsonl") if path.stem.isdigit()), key=lambda path: int(path.stem))


def _newest(directory: Path) -> Path | None:
    segments = _segments(directory)
    return segments[-1] if segments else None


def read(directory: Path, *, since_ns: int = 0, until_ns: int | None = None) -> Iterator[Event]:
    """Kept events of a window of time, in order."""
    for path in _segments(directory):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        yield from _within(_parse(data), since_ns, until_ns)


def follow(
    directory: Path, cancel: CancelToken, *, since_ns: int | None = None, until_ns: int | None = None
) -> Iterator[Event]:
    """Kept events from since_ns on (None: none), then new ones as they come."""
    path = _newest(directory)
    offset = 0
    if since_ns is None and path is not None:
        offset = path.stat().st_size
    elif since_ns is not None:
        segments = _segments(directory)
        path = segments[0] if segments else None
    while not cancel.is_cancelled:
        path = path or _newest(directory)
        if path is not None:
            data = _read_from(path, offset)
            whole = data[: data.rfind(b"\n") + 1]
            offset += len(whole)
            yield from _within(_parse(whole), since_ns or 0, until_ns)
            if not whole and (later := [other for other in _segments(directory) if int(other.stem) > int(path.stem)]):
                path, offset = later[0], 0
                continue
        if until_ns is not None and time.time_ns() > until_ns:
            return
        cancel.wait(_POLL_S)


def _read_from(path: Path, offset: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        return os.pread(descriptor, SEGMENT_BYTES * 2, offset)
    finally:
        os.close(descriptor)


def _parse(data: bytes) -> Iterator[Event]:
    for line in data.splitlines():
        try:
            yield msgspec.json.decode(line, type=Event)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # torn by a crash; its neighbours are whole


def _within(events: Iterator[Event], since_ns: int, until_ns: int | None) -> Iterator[Event]:
    return (e for e in events if e.at_ns >= since_ns and (until_ns is None or e.at_ns <= until_ns))
