"""The log: written by real monitors, read back to the byte."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from core.logs.reader import read_log
from core.logs.view import FileLogView
from core.model.logs import LogQuery
from core.model.progress import CancelToken
from core.monitor.json_file import JsonFile
from core.monitor.log import RECORD, LogWriter
from tests.conftest import Runner
from tests.faults.test_kills import wait_for


def lines(directory: Path, **query: object) -> list[bytes]:
    return [line.data for line in read_log(directory, LogQuery(**query), CancelToken(), lambda: True)]  # type: ignore[arg-type]


def test_B4_every_byte_of_a_flood_is_kept(run: Runner) -> None:
    script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; printf 'no newline'"
    result = run.sh(script)
    container = run.engine.containers.list(all=True)[0].id
    kept = b"".join(line.data for line in run.engine.containers.logs(container, LogQuery()))
    assert kept.decode() == result.out
    assert kept.endswith(b"no newline")
    raw = (run.engine.roots.container(container) / "logs" / "000001.log").read_bytes()
    assert hashlib.sha256(raw).digest() == hashlib.sha256(kept).digest()


def test_B4_streams_keep_apart_and_partial_lines_are_joined(run: Runner) -> None:
    run.sh("printf one; sleep 0.05; printf err >&2; sleep 0.05; echo ' two'; echo more >&2")
    container = run.engine.containers.list(all=True)[0].id
    found = [(line.stream, line.data) for line in run.engine.containers.logs(container, LogQuery())]
    assert found == [(1, b"one two\n"), (2, b"errmore\n")]


def test_B4_tail_since_and_follow(run: Runner) -> None:
    container = run.background(
        "sh", "-c", "for i in 1 2 3 4 5; do echo $i; done; while [ ! -e /go ]; do sleep 0.01; done; echo 6"
    )
    logs = run.engine.containers.logs
    wait_for(lambda: len(list(logs(container, LogQuery()))) == 5, "five lines")
    assert [line.data for line in logs(container, LogQuery(tail=2))] == [b"4\n", b"5\n"]
    assert list(logs(container, LogQuery(tail=0))) == []
    last = list(logs(container, LogQuery()))[-1]
    assert list(logs(container, LogQuery(since_ns=last.at_ns + 1))) == []
    following = logs(container, LogQuery(tail=1, follow=True))
    assert next(following).data == b"5\n"
    run.exec(container, "touch", "/go")
    assert [line.data for line in following] == [b"6\n"]


def test_a_killed_writer_owes_a_record_and_the_next_one_pays(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path))
    writer.write(1, b"a\nb\n")
    writer.close()
    with (tmp_path / "000001.log").open("ab") as data:
        data.write(b"c\nd")  # bytes without a record: killed between the two writes
    with (tmp_path / "000001.idx").open("ab") as index:
        index.write(b"torn")
    assert lines(tmp_path) == [b"a\n", b"b\n"]
    LogWriter(str(tmp_path)).close()
    assert lines(tmp_path) == [b"a\n", b"b\n", b"c\n", b"d"]
    assert (tmp_path / "000001.idx").stat().st_size % RECORD.size == 0


def test_a_full_disk_makes_the_writer_say_how_far_it_came(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "x", str(tmp_path)], check=True)
    try:
        writer = LogWriter(str(tmp_path))
        written = writer.write(1, b"x" * (1 << 20))
        assert 0 < written < 1 << 20
        writer.close()
        with (tmp_path / "000001.log").open("r+b") as data:
            data.truncate(written - 65536)  # somebody makes room
        LogWriter(str(tmp_path)).close()
        kept = b"".join(lines(tmp_path))
        assert kept == b"x" * (written - 65536)
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_json_file_on_a_full_disk_takes_whole_lines_or_none(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "x", str(tmp_path)], check=True)
    try:
        sink = JsonFile(
            str(tmp_path / "x"), most_bytes=0, most_files=1, compress=False, attributes={}, after=lambda _s, _c: None
        )
        with pytest.raises(OSError, match=r"No space left|no room"):
            list(iter(lambda: sink.put(1, 1, b"line\n" * 100), None))
        kept = (tmp_path / "x").read_bytes().splitlines()
        assert len(kept) % 100 == 0
        assert all(json.loads(line)["log"] == "line\n" for line in kept)
        sink.close()
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


@pytest.mark.parametrize("count", [0, 1, 10, 5000])
def test_view_gives_any_window_by_line_number(tmp_path: Path, count: int) -> None:
    writer = LogWriter(str(tmp_path))
    for start in range(0, count, 7):
        writer.write(1, b"".join(b"line %d\n" % n for n in range(start, min(start + 7, count))))
    view = FileLogView(tmp_path)
    assert view.line_count() == count
    for first in {0, 1, 6, 7, 8, count // 2, max(0, count - 3), count, count + 5}:
        found = [line.data for line in view.lines(first, 10)]
        assert found == [b"line %d\n" % n for n in range(first, min(first + 10, count))]
    if count == 5000:
        find = {"first": 0, "backwards": False, "ignore_case": False, "cancel": CancelToken()}
        assert view.search(b"line 4321$", **find) == 4321
        assert view.search(b"LINE 12$", **{**find, "ignore_case": True}) == 12
        assert view.search(b"line 9$", **{**find, "first": 5000, "backwards": True}) == 9
        assert view.search(b"absent", **find) is None
    view.close()
    writer.close()
