"""Appending to the journal of events, as monitors and engines do it alike.

    journal/<n>.jsonl    one record a line, one O_APPEND write each

Nobody takes a lock: two who find a segment full both begin the same next one, and a record that
comes late into an old segment is still found there by readers (core.state.journal).
"""

from __future__ import annotations

import json
import os
import time

from core.linux.files import append_record

SEGMENT_BYTES = 4 * 1024 * 1024
KEPT_SEGMENTS = 4
_ENDING = ".jsonl"


def append(directory: str, kind: str, action: str, actor: str, attributes: dict[str, str]) -> None:
    """Record that something happened to an object, now. Raises: OSError."""
    record = {"at_ns": time.time_ns(), "kind": kind, "action": action, "actor": actor, "attributes": attributes}
    numbers = segment_numbers(directory)
    newest = numbers[-1] if numbers else 1
    # a name or word that was no UTF-8 has surrogates in it, which JSON can not carry
    line = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    if append_record(segment_path(directory, newest), line) > SEGMENT_BYTES:
        _rotate(directory, newest)


def segment_path(directory: str, number: int) -> str:
    """Where a segment lies."""
    return f"{directory}/{number}{_ENDING}"


def segment_numbers(directory: str) -> list[int]:
    """Numbers of the segments there are, oldest first."""
    names = (name.removesuffix(_ENDING) for name in os.listdir(directory) if name.endswith(_ENDING))
    return sorted(int(name) for name in names if name.isdigit())


def _rotate(directory: str, full: int) -> None:
    """Begin the next segment and drop the oldest; harmless when two processes do it at once."""
    os.close(os.open(segment_path(directory, full + 1), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    for number in segment_numbers(directory)[:-KEPT_SEGMENTS]:
        try:
            os.unlink(segment_path(directory, number))
        except FileNotFoundError:
            pass  # the other one was faster
