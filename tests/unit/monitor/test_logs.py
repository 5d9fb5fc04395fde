"""Logs on disk: rotated and compressed without a byte lost, read across all of it, and passed on exactly once."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import random
import shutil
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.logs.reader import read_log
from core.logs.view import FileLogView
from core.model.logs import LogQuery
from core.model.progress import CancelToken
from core.monitor.journald import Journald
from core.monitor.json_file import JsonFile, encode
from core.monitor.log import LogWriter, Rotation
from core.monitor.loop import Loop
from core.monitor.segments import MEMBER_BYTES, Segment, segment_numbers
from core.monitor.shipping import PIECE_BYTES, LogShipper
from core.monitor.syslog import Syslog


class Turns:
    """What a loop does later, done when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []

    def after(self, _seconds: float, callback: Any) -> None:
        self.waiting.append(callback)

    def take(self, most: int = 1_000_000) -> None:
        for _ in range(most):
            if not self.waiting:
                return
            self.waiting.pop(0)()


def kept(directory: Path, **query: Any) -> bytes:
    return b"".join(line.data for line in read_log(directory, LogQuery(**query), CancelToken(), lambda: True))


def numbered(count: int) -> bytes:
    return b"".join(b"line %06d\n" % number for number in range(count))


def fill(writer: LogWriter, data: bytes, piece: int = 1000) -> None:
    for start in range(0, len(data), piece):
        assert writer.write(1, data[start : start + piece]) == len(data[start : start + piece])


@pytest.mark.parametrize("compress", [False, True])
def test_rotation_keeps_every_byte_in_order(tmp_path: Path, compress: bool) -> None:
    turns, data = Turns(), numbered(40_000)
    writer = LogWriter(str(tmp_path), Rotation(100_000, 0, compress), turns.after)
    fill(writer, data)
    turns.take()
    assert kept(tmp_path) == data
    numbers = segment_numbers(tmp_path)
    assert len(numbers) >= 4
    for number in numbers[:-1]:
        packed = tmp_path / f"{number:06d}.log.gz"
        raw = gzip.decompress(packed.read_bytes()) if compress else (tmp_path / f"{number:06d}.log").read_bytes()
        assert packed.exists() is compress
        assert raw.endswith(b"\n")  # a segment ends with a line where there is one
        assert 100_000 <= len(raw) < 100_000 + 4096 + 1000
    assert kept(tmp_path, tail=7) == b"".join(data.splitlines(keepends=True)[-7:])
    assert kept(tmp_path, tail=39_990) == b"".join(data.splitlines(keepends=True)[-39_990:])
    assert b"".join(piece for _, piece in writer.replay([1, 0])) == data
    assert b"".join(piece for _, piece in writer.replay([2, 5])) in data
    writer.close()


@pytest.mark.parametrize("most", [2, 3, 4, 6])
def test_rotation_drops_the_oldest_and_nothing_else(tmp_path: Path, most: int) -> None:
    turns, data = Turns(), numbered(60_000)
    writer = LogWriter(str(tmp_path), Rotation(100_000, most, True), turns.after)
    fill(writer, data)
    turns.take()
    found = kept(tmp_path)
    assert data.endswith(found)
    assert found.startswith(b"line ")
    assert 100_000 * (most - 1) <= len(found) <= 110_000 * most
    assert len(segment_numbers(tmp_path)) == most
    names = {name.name for name in tmp_path.iterdir()}
    assert len([name for name in names if name.endswith(".log.gz")]) == most - 1
    assert not [name for name in names if name.endswith(".part")]
    writer.close()


def test_rotation_of_one_file_begins_anew(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path), Rotation(50_000, 1, False), Turns().after)
    data = numbered(20_000)
    fill(writer, data)
    assert len(segment_numbers(tmp_path)) == 1
    assert data.endswith(kept(tmp_path))
    writer.close()


def test_rotation_within_a_line_that_never_ends(tmp_path: Path) -> None:
    turns, data = Turns(), random.Random(1).randbytes(600_000).replace(b"\n", b"x") + b"\nend\n"
    writer = LogWriter(str(tmp_path), Rotation(100_000, 0, True), turns.after)
    fill(writer, data, 50_000)
    turns.take()
    assert len(segment_numbers(tmp_path)) >= 3
    assert kept(tmp_path) == data
    view = FileLogView(tmp_path)
    assert view.line_count() == 2
    assert [line.data for line in view.lines(1, 5)] == [b"end\n"]
    assert view.lines(0, 1)[0].data == data[: 64 * 1024]
    view.close()
    writer.close()


@pytest.mark.parametrize("step", range(12))
def test_a_writer_killed_while_it_compresses_is_gone_on_with(tmp_path: Path, step: int) -> None:
    turns, data = Turns(), numbered(90_000)
    writer = LogWriter(str(tmp_path), Rotation(400_000, 0, True), turns.after)
    fill(writer, data)
    turns.take(step)
    copy = tmp_path / "after"
    shutil.copytree(tmp_path, copy, ignore=shutil.ignore_patterns("after"))
    writer.close()
    assert kept(copy) == data
    again = Turns()
    successor = LogWriter(str(copy), Rotation(400_000, 0, True), again.after)
    fill(successor, b"after\n")
    again.take()
    assert kept(copy) == data + b"after\n"
    names = [path.name for path in copy.iterdir()]
    assert not [name for name in names if name.endswith(".part")]
    assert len([name for name in names if name.endswith(".log")]) == 1
    successor.close()


def test_raw_and_compressed_of_one_segment_together_are_one(tmp_path: Path) -> None:
    """Killed between the rename and the unlink."""
    turns, data = Turns(), numbered(30_000)
    writer = LogWriter(str(tmp_path), Rotation(100_000, 0, True), turns.after)
    fill(writer, data)
    turns.take()
    first = gzip.decompress((tmp_path / "000001.log.gz").read_bytes())
    (tmp_path / "000001.log").write_bytes(first)
    writer.close()
    assert kept(tmp_path) == data
    LogWriter(str(tmp_path), Rotation(100_000, 0, True), Turns().after).close()
    assert not (tmp_path / "000001.log").exists()
    assert kept(tmp_path) == data


def test_any_part_of_a_compressed_segment_can_be_read(tmp_path: Path) -> None:
    turns, data = Turns(), random.Random(2).randbytes(3 * MEMBER_BYTES + 777).replace(b"\n", b".") + b"\n"
    writer = LogWriter(str(tmp_path), Rotation(len(data), 0, True), turns.after)
    fill(writer, data, 65536)
    fill(writer, b"next\n")
    turns.take()
    segment = Segment(tmp_path, 1)
    places = (0, 1, MEMBER_BYTES - 1, MEMBER_BYTES, len(data) - 3)
    for offset, length in itertools.product(places, (1, 2, MEMBER_BYTES)):
        assert segment.bytes(offset, length) == data[offset : offset + length]
    segment.close()
    writer.close()
    packed = tmp_path / "000001.log.gz"
    raw = bytearray(packed.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    packed.write_bytes(raw)
    with pytest.raises(Exception, match=r"the compressed log is damaged|read the log in"):
        kept(tmp_path)


def test_following_goes_across_rotations(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path), Rotation(20_000, 0, False), Turns().after)
    fill(writer, b"first\n")
    over = threading.Event()
    got: list[bytes] = []

    def follow() -> None:
        lines = read_log(tmp_path, LogQuery(follow=True), CancelToken(), over.is_set)
        got.extend(line.data for line in lines)

    reader = threading.Thread(target=follow)
    reader.start()
    data = numbered(30_000)
    fill(writer, data, 977)
    over.set()
    reader.join(60)
    assert b"".join(got) == b"first\n" + data
    writer.close()


def test_a_view_keeps_its_line_numbers_while_the_log_is_rotated(tmp_path: Path) -> None:
    turns = Turns()
    writer = LogWriter(str(tmp_path), Rotation(20_000, 2, True), turns.after)
    fill(writer, numbered(3_000))
    view = FileLogView(tmp_path)
    base = view.line_count()
    number = int(view.lines(base - 1, 1)[0].data.split()[1])
    for _ in range(12):
        fill(writer, numbered(3_000))
        turns.take()
        view.line_count()
    assert int(view.lines(base + 4, 1)[0].data.split()[1] if b"line" in view.lines(base + 4, 1)[0].data else 4) == 4
    assert view.line_count() == base + 36_000
    assert view.lines(base + 35_999, 5)[0].data == b"line 002999\n"
    assert number == 2999
    assert view.lines(0, 1)[0].data in (b"(rotated away)\n", b"line 000000\n")
    assert len(os.listdir(f"/proc/{os.getpid()}/fd")) < 200
    view.close()
    writer.close()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40) | st.just(b"ab\n"))),
    st.integers(100, 400),
    st.booleans(),
)
def test_rotated_logs_read_like_unrotated_ones(
    tmp_path_factory: pytest.TempPathFactory, batches: list[tuple[int, bytes]], limit: int, compress: bool
) -> None:
    plain, rotated = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("rotated")
    turns = Turns()
    writers = [LogWriter(str(plain)), LogWriter(str(rotated), Rotation(limit, 0, compress), turns.after)]
    for stream, data in batches:
        for writer in writers:
            writer.write(stream, data)
    turns.take()
    both = [
        [(line.stream, line.data) for line in read_log(place, LogQuery(), CancelToken(), lambda: True)]
        for place in (plain, rotated)
    ]
    assert both[0] == both[1]
    views = [FileLogView(place) for place in (plain, rotated)]
    count = views[0].line_count()
    assert views[1].line_count() == count
    for first in range(0, count + 2, max(1, count // 5)):
        assert [one.data for one in views[0].lines(first, 3)] == [one.data for one in views[1].lines(first, 3)]
    for closing in (*views, *writers):
        closing.close()
    shutil.rmtree(plain)
    shutil.rmtree(rotated)


# ── json-file ──────────────────────────────────────────────────────────────────────────────────


def json_file(path: Path, after: Any = None, **wish: Any) -> JsonFile:
    wanted: dict[str, Any] = {"most_bytes": 0, "most_files": 1, "compress": False, "attributes": {}, **wish}
    return JsonFile(str(path), after=after or Turns().after, **wanted)


def test_json_lines_are_dockers_to_the_byte() -> None:
    line = b'utf \xff <&> \x1b[1m \xe2\x80\xa8 \x00 \t \\ "'
    middle = b'","stream":"stdout","attrs":{"X":"1"}'
    assert encode(line, middle, 1795247105911274477) == (
        rb'{"log":"utf \ufffd \u003c\u0026\u003e \u001b[1m \u2028 \u0000 \u0009 \\ \"'
        rb'","stream":"stdout","attrs":{"X":"1"},"time":"2026-11-21T07:45:05.911274477Z"}' + b"\n"
    )
    two = encode(b"a\r\nb\n", b'","stream":"stderr"', 1795247105900000000)
    assert two == (
        rb'{"log":"a\r\n","stream":"stderr","time":"2026-11-21T07:45:05.9Z"}' + b"\n"
        rb'{"log":"b\n","stream":"stderr","time":"2026-11-21T07:45:05.9Z"}' + b"\n"
    )


@given(st.binary(max_size=200))
def test_json_lines_hold_what_was_said(data: bytes) -> None:
    whole = data + b"\n"
    records = [json.loads(line) for line in encode(whole, b'","stream":"stdout"', 1).splitlines()]
    said = "".join(record["log"] for record in records)
    expected = whole.decode("utf-8", "surrogateescape")
    assert said == "".join("\ufffd" if "\udc80" <= c <= "\udcff" else c for c in expected)
    assert all(record["log"].endswith("\n") and record["log"].count("\n") == 1 for record in records)


def test_json_file_is_rotated_as_docker_rotates(tmp_path: Path) -> None:
    turns, path = Turns(), tmp_path / "x-json.log"
    sink = json_file(path, turns.after, most_bytes=10_000, most_files=3, compress=True)
    for number in range(0, 1000, 10):
        lines = b"".join(b"line %04d\n" % n for n in range(number, number + 10))
        assert sink.put(1, 1, lines) == len(lines)
    turns.take()
    sink.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x-json.log", "x-json.log.1.gz", "x-json.log.2.gz"]
    parts = [gzip.decompress((tmp_path / f"x-json.log.{n}.gz").read_bytes()) for n in (2, 1)] + [path.read_bytes()]
    said = [json.loads(line)["log"] for part in parts for line in part.splitlines()]
    assert said == [f"line {n:04d}\n" for n in range(1000 - len(said), 1000)]
    for part in parts[:2]:
        assert 10_000 <= len(part) < 10_000 + len(part.splitlines()[-1]) + 1


# ── passing on ─────────────────────────────────────────────────────────────────────────────────


class Sink:
    """Takes lines, or does not."""

    def __init__(self) -> None:
        self.got: list[tuple[int, bytes]] = []
        self.is_away = False
        self.marks: list[bytes] = []

    def put(self, stream: int, _at_ns: int, lines: bytes) -> int:
        if self.is_away:
            raise ConnectionRefusedError(111, "away")
        self.got.append((stream, lines))
        return len(lines)

    def mark(self) -> bytes:
        return b"%d" % len(self.got)

    def go_on(self, mark: bytes) -> None:
        self.marks.append(mark.rstrip(b"\0"))

    def close(self) -> None:
        pass

    def said(self, stream: int) -> bytes:
        return b"".join(lines for one, lines in self.got if one == stream)


def shipped(directory: Path, sink: Any, turns: Any, rotation: Rotation | None = None, **wish: Any) -> LogWriter:
    writer = LogWriter(str(directory), rotation, turns.after)
    writer.shipper = LogShipper(turns, str(directory), sink, wish.get("most_behind_bytes"))
    return writer


def test_lines_are_passed_on_whole_and_long_ones_in_pieces(tmp_path: Path) -> None:
    sink = Sink()
    writer = shipped(tmp_path, sink, Turns())
    for stream, data in (
        (1, b"a\nbe"),
        (2, b"err"),
        (1, b"gun\n"),
        (2, b"or\n"),
        (1, b"x" * 20_000),
        (1, b"y" * 15_000),
    ):
        writer.write(stream, data)
    writer.write(1, b"\nlast")
    writer.close()
    assert sink.got == [
        (1, b"a\n"),
        (1, b"begun\n"),
        (2, b"error\n"),
        (1, b"x" * PIECE_BYTES),
        (1, b"x" * (20_000 - PIECE_BYTES) + b"y" * (2 * PIECE_BYTES - 20_000)),
        (1, b"y" * (35_000 - 2 * PIECE_BYTES) + b"\n"),
        (1, b"last"),
    ]


def test_nothing_is_lost_or_doubled_when_a_sink_goes_away_for_a_while(tmp_path: Path) -> None:
    sink, turns = Sink(), Turns()
    writer = shipped(tmp_path, sink, turns, Rotation(50_000, 0, True))
    data = numbered(20_000)
    for start in range(0, len(data), 5_000):
        sink.is_away = (start // 5_000) % 4 in (1, 2)
        writer.write(1, data[start : start + 5_000])
        turns.take(2)
    sink.is_away = False
    turns.take()
    writer.close()
    assert sink.said(1) == data


@pytest.mark.parametrize("seed", range(8))
def test_a_killed_monitor_passes_each_line_on_once(tmp_path: Path, seed: int) -> None:
    """Its successor begins where the notes say; nothing is closed in between."""
    chance = random.Random(seed)
    streams = {1: b"", 2: b""}
    got: dict[int, bytes] = {1: b"", 2: b""}
    for _ in range(6):
        sink, turns = Sink(), Turns()
        writer = shipped(tmp_path, sink, turns, Rotation(3_000, 0, True))
        for _ in range(chance.randrange(1, 30)):
            stream = chance.choice((1, 2))
            data = bytes(chance.choice(b"abc\n") for _ in range(chance.randrange(1, 400)))
            streams[stream] += data
            assert writer.write(stream, data) == len(data)
            turns.take(chance.randrange(3))
        for stream in got:
            got[stream] += sink.said(stream)
    sink = Sink()
    shipped(tmp_path, sink, Turns(), Rotation(3_000, 0, True)).close()
    for stream in got:
        assert got[stream] + sink.said(stream) == streams[stream]


def test_blocking_makes_the_container_wait_before_anything_unsent_is_dropped(tmp_path: Path) -> None:
    sink, turns = Sink(), Turns()
    writer = shipped(tmp_path, sink, turns, Rotation(20_000, 2, False))
    sink.is_away = True
    data = numbered(20_000)
    taken = writer.write(1, data)
    assert 40_000 <= taken < 60_000
    assert writer.write(1, data[taken:]) == 0
    sink.is_away = False
    while taken < len(data):
        turns.take()
        taken += writer.write(1, data[taken:])
    turns.take()
    writer.close()
    assert sink.said(1) == data


def test_non_blocking_leaves_the_oldest_out_and_says_how_much(tmp_path: Path) -> None:
    sink, turns = Sink(), Turns()
    writer = shipped(tmp_path, sink, turns, Rotation(20_000, 2, False), most_behind_bytes=10_000)
    writer.write(1, b"before\n")
    sink.is_away = True
    data = numbered(20_000)
    for start in range(0, len(data), 1000):
        assert writer.write(1, data[start : start + 1000]) == 1000
    sink.is_away = False
    turns.take()
    writer.write(1, b"after\n")
    writer.close()
    assert sink.said(1).startswith(b"before\n")
    assert sink.said(1).endswith(b"after\n")
    note = sink.said(2)
    assert b"are left out here: the log driver did not keep up" in note
    assert int(note.split()[0].lstrip(b"[")) + len(sink.said(1)) >= len(data)


def test_json_file_of_a_killed_monitor_holds_each_line_once(tmp_path: Path) -> None:
    path, turns = tmp_path / "x-json.log", Turns()
    writer = shipped(tmp_path / "logs", json_file(path), turns)
    writer.write(1, b"one\ntwo\n")
    noted = (tmp_path / "logs" / "shipped").read_bytes()
    writer.write(1, b"three\n")
    (tmp_path / "logs" / "shipped").write_bytes(noted)  # killed between the line and the note
    shipped(tmp_path / "logs", json_file(path), turns).close()
    assert [json.loads(line)["log"] for line in path.read_bytes().splitlines()] == ["one\n", "two\n", "three\n"]


# ── syslog and the journal ─────────────────────────────────────────────────────────────────────


@pytest.fixture
def udp() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        yield server


@pytest.mark.parametrize(
    ("format", "pattern"),
    [
        ("", r"<{p}>\w{{3}} [ \d]\d \d\d:\d\d:\d\d tag/x\[{pid}\]: {text}\n"),
        ("rfc3164", r"<{p}>\w{{3}} [ \d]\d \d\d:\d\d:\d\d {host} tag/x\[{pid}\]: {text}\n"),
        ("rfc5424", r"<{p}>1 \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d) {host} tag/x {pid} tag/x - {text}\n"),
        ("rfc5424micro", r"<{p}>1 \S{{19}}\.\d{{6}}(Z|[+-]\d\d:\d\d) {host} tag/x {pid} tag/x - {text}\n"),
    ],
)
def test_B5_syslog_formats(udp: socket.socket, format: str, pattern: str) -> None:
    import re

    address = f"udp://127.0.0.1:{udp.getsockname()[1]}"
    sink = Syslog(address, facility=16, tag="tag/x", format=format, must_answer=True)
    assert sink.put(1, 1795247105911274477, b"out\nmore\n") == 9
    assert sink.put(2, 1795247105911274477, b"err\n") == 4
    for priority, text in ((134, "out"), (134, "more"), (131, "err")):
        message = udp.recv(4096).decode()
        wanted = pattern.format(p=priority, pid=os.getpid(), host=re.escape(os.uname().nodename), text=text)
        assert re.fullmatch(wanted, message), message
    sink.close()


def test_B5_syslog_over_tcp_goes_on_with_the_next_server(tmp_path: Path) -> None:
    def listen(port: int = 0) -> socket.socket:
        server = socket.create_server(("127.0.0.1", port))
        server.settimeout(10)
        return server

    loop = Loop()
    server = listen()
    port = server.getsockname()[1]
    sink = Syslog(f"tcp://127.0.0.1:{port}", facility=3, tag="t", format="", must_answer=True)
    writer = LogWriter(str(tmp_path))
    writer.shipper = LogShipper(loop, str(tmp_path), sink, None)
    first, _ = server.accept()
    first.settimeout(10)
    writer.write(1, b"one\n")
    assert b": one\n" in first.recv(4096)
    first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    first.close()
    server.close()
    deadline = 0
    while sink._socket is not None:  # until the reset has been noticed
        writer.write(1, b"lost with the old connection or sent with the next\n")
        deadline += 1
        assert deadline < 1000
    for number in range(100):
        writer.write(1, b"kept %d\n" % number)
    server = listen(port)
    loop.after(2.5, loop.stop)
    loop.run()
    writer.close()
    second, _ = server.accept()
    second.settimeout(10)
    data = b""
    while piece := second.recv(65536):
        data += piece
    said = [line.rpartition(b": ")[2] for line in data.splitlines()]
    assert [line for line in said if line.startswith(b"kept")] == [b"kept %d" % number for number in range(100)]
    second.close()
    server.close()


def test_B5_syslog_on_a_local_socket_and_one_that_nobody_listens_to(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        server.settimeout(10)
        sink = Syslog(f"unixgram://{path}", facility=3, tag="t", format="", must_answer=True)
        sink.put(1, 1, b"hello\n")
        assert server.recv(4096).endswith(b"t[%d]: hello\n" % os.getpid())
        sink.close()
    for address in (f"unix://{tmp_path}/none", "tcp://127.0.0.1:1", f"unixgram://{path}"):
        with pytest.raises(OSError, match=r"refused|No such file"):
            Syslog(address, facility=3, tag="t", format="", must_answer=True)


def test_B5_the_journal_gets_fields_as_systemd_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        server.settimeout(10)
        sink = Journald({"CONTAINER_NAME": "box", "ODD": "two\nlines"}, must_answer=True, path=str(path))
        assert sink.put(2, 1, b"hello = there\npart") == 18
        fields = _journal_fields(server.recv(65536))
        assert fields == {
            "MESSAGE": "hello = there",
            "PRIORITY": "3",
            "CONTAINER_NAME": "box",
            "ODD": "two\nlines",
        }
        assert _journal_fields(server.recv(65536))["CONTAINER_PARTIAL_MESSAGE"] == "true"
        sink.close()
    with pytest.raises(OSError, match="No such file"):
        Journald({}, must_answer=True, path=str(tmp_path / "none"))


def _journal_fields(entry: bytes) -> dict[str, str]:
    """The native protocol, read by its description."""
    fields = {}
    while entry:
        line, _, rest = entry.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + length], rest[8 + length + 1 :]
        fields[name.decode()] = value.decode()
        entry = rest
    return fields
