"""The journal: whole records in order, torn ones skipped, live ones followed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from core.model.progress import CancelToken
from core.monitor import journal as segments
from core.monitor import records
from core.state import journal


def test_B6_engines_and_monitors_write_the_same_records(tmp_path: Path) -> None:
    journal.append(tmp_path, "container", "create", "a" * 64, {"name": "x"})
    records.append_event(str(tmp_path), "start", "a" * 64, {"name": "x"})
    found = list(journal.read(tmp_path))
    assert [(event.kind, event.action, event.actor, event.attributes) for event in found] == [
        ("container", "create", "a" * 64, {"name": "x"}),
        ("container", "start", "a" * 64, {"name": "x"}),
    ]


def test_torn_lines_are_skipped(tmp_path: Path) -> None:
    journal.append(tmp_path, "image", "tag", "one")
    with (tmp_path / "1.jsonl").open("ab") as file:
        file.write(b'{"at_ns":1,"kind":"ima\n\xff\xfe\n')
    journal.append(tmp_path, "image", "tag", "two")
    assert [event.actor for event in journal.read(tmp_path)] == ["one", "two"]


def test_window_of_time(tmp_path: Path) -> None:
    journal.append(tmp_path, "image", "tag", "one")
    first = next(journal.read(tmp_path))
    assert list(journal.read(tmp_path, since_ns=first.at_ns + 1)) == []
    assert [event.actor for event in journal.read(tmp_path, until_ns=first.at_ns)] == ["one"]


def test_old_segments_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 200)
    for number in range(40):
        journal.append(tmp_path, "image", "tag", str(number))
    assert len(list(tmp_path.iterdir())) <= segments.KEPT_SEGMENTS
    assert [event.actor for event in journal.read(tmp_path)][-1] == "39"


def test_following_crosses_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 300)
    cancel = CancelToken()
    seen: list[str] = []

    def follow() -> None:
        for event in journal.follow(tmp_path, cancel, since_ns=0):
            seen.append(event.actor)
            if len(seen) == 8:
                cancel.cancel()

    reader = threading.Thread(target=follow)
    reader.start()
    for number in range(8):
        journal.append(tmp_path, "image", "tag", str(number))
        cancel.wait(0.15)
    reader.join(20)
    cancel.cancel()
    assert seen == [str(number) for number in range(8)]
