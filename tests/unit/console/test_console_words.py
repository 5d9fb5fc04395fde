"""Short numbers, states, problems, filters, jobs: the pure parts of the console."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import short
from app.console import inspection
from app.console.filtering import parse_filter
from app.console.jobs import Job
from app.console.problems import explain, find_problems
from app.console.standing import standing_of
from app.console.track import HostTrack, Track
from core.model.container import Created, Damaged, Exited, ProcessTable, Running
from core.model.limits import Limits
from core.model.progress import Progress
from core.model.stats import HostSample, StatsSample
from tests.tui.fake_backend import MIB, SECOND, make_container

NOW = 1_000_000 * SECOND


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0B"), (512, "512B"), (9.8 * 1024, "9.8K"), (212 * MIB, "212M"), (1.9 * 1024 * MIB, "1.9G"), (999, "999B")],
)
def test_sizes_are_short(count: float, shown: str) -> None:
    assert short.size(count) == shown


@given(st.floats(0, 1e18))
def test_sizes_never_need_more_than_five_cells(count: float) -> None:
    assert len(short.size(count)) <= 5


@pytest.mark.parametrize(("seconds", "shown"), [(-5, "0s"), (59, "59s"), (61, "1m"), (7200, "2h"), (9e5, "10d")])
def test_spans_are_short_and_never_negative(seconds: float, shown: str) -> None:
    assert short.span(seconds) == shown


STATES = [
    (Running(pid=1, start_ticks=1, boot_id="", started_ns=NOW - 3 * SECOND), "●", "up 3s"),
    (Running(pid=1, start_ticks=1, boot_id="", started_ns=NOW, paused=True), "‖", "paused"),
    (Exited(exit_code=0, started_ns=0, finished_ns=NOW - 60 * SECOND), "○", "done 1m"),
    (Exited(exit_code=3, started_ns=0, finished_ns=NOW), "✖", "exit 3 0s"),
    (Exited(exit_code=137, started_ns=0, finished_ns=NOW, oom_killed=True), "✖", "OOM 0s"),
    (Exited(exit_code=-1, started_ns=0, finished_ns=NOW), "✖", "ended ?"),
    (Created(), "◌", "created"),
    (Created(error="no such file", exit_code=127), "✖", "failed"),
    (Damaged(why="config.json is empty"), "✖", "damaged"),
]


@pytest.mark.parametrize(("state", "sign", "words"), STATES)
def test_states_have_a_shape_and_short_words(state: object, sign: str, words: str) -> None:
    standing = standing_of(make_container("x", state=state))
    assert short.glyph(standing)[0] == sign
    assert short.state(standing, NOW) == words
    assert len(words) <= 10


def test_A16_problems_name_the_oom_kill_first_and_hand_stops_not_at_all() -> None:
    containers = [
        make_container("stopped", state=Exited(exit_code=143, started_ns=0, finished_ns=NOW)),
        make_container("old", state=Exited(exit_code=1, started_ns=0, finished_ns=NOW - 7200 * SECOND)),
        make_container("near", limits=Limits(memory_bytes=100)),
        make_container(
            "cron",
            state=Exited(exit_code=137, started_ns=0, finished_ns=NOW, oom_killed=True),
            limits=Limits(memory_bytes=256 * MIB),
        ),
    ]
    track = Track()
    for second in range(2):
        track.add(StatsSample(at_ns=NOW + second, cpu_ns=0, memory_bytes=95, memory_limit_bytes=100, pids=1))
    found = find_problems(containers, {containers[2].id: track}, NOW)
    assert [problem.reason.sentence.split()[0] for problem in found] == ["cron", "near"]
    assert re.fullmatch(r"cron was OOM-killed at \d\d:\d\d:\d\d \(limit 256M\): it .*", found[0].reason.sentence)
    assert found[1].reason.sentence == "near uses 95% of its memory limit (100B)"


def test_ST10_problem_texts_are_safe() -> None:
    broken = make_container("bad", state=Created(error="\x1b[2J\nnope", exit_code=127))
    assert explain(broken) == "bad failed to start (127): ␛[2J␊nope"


ROW = {"name": "api-1", "image": "redis:7", "status": "running up 3d"}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("API", True),
        ("api redis", True),
        ("api nope", False),
        ("!nope", True),
        ("!api", False),
        ("image=redis", True),
        ("image=api", False),
        ("~a1", True),
        ("~1a", False),
        ("/^api-\\d$/", True),
        ("/[/", False),
        ("nokey=x", False),
    ],
)
def test_filters(text: str, fits: bool) -> None:
    test = parse_filter(text)
    assert test is not None
    assert test(ROW) is fits


@given(st.text(max_size=30))
def test_no_filter_text_raises(text: str) -> None:
    test = parse_filter(text)
    assert test is None or test(ROW) in (True, False)


def test_rates_come_from_counters_and_history_goes_before_what_was_seen() -> None:
    def sample(second: int, cpu_s: float) -> StatsSample:
        return StatsSample(
            at_ns=second * SECOND,
            cpu_ns=int(cpu_s * SECOND),
            memory_bytes=1,
            memory_limit_bytes=0,
            pids=1,
            write_bytes=second * 100,
        )

    track = Track()
    track.add(sample(10, 5.0))
    track.add(sample(11, 5.5))
    track.add(sample(11, 5.5))
    assert [round(point.cpu) for point in track.points] == [50]
    track.seed([sample(second, second / 4) for second in range(6, 11)])
    assert [round(point.cpu) for point in track.points] == [25, 25, 25, 25, 50]
    assert track.now is not None
    assert track.now.write_rate == 100
    track.add(sample(12, 0.0))  # restarted: the counter began anew
    track.add(sample(13, 1.0))
    assert round(track.points[-1].cpu) == 100


def test_host_share_is_of_all_cores() -> None:
    host = HostTrack()
    for second in (1, 2):
        host.add(
            HostSample(
                at_ns=second,
                cpu_count=4,
                cpu_busy_ns=second * 100,
                cpu_total_ns=second * 400,
                memory_total_bytes=100,
                memory_used_bytes=25,
            )
        )
    assert list(host.cpu) == [25.0]
    assert list(host.memory) == [25.0, 25.0]


def test_jobs_tell_bytes_share_and_step() -> None:
    job = Job("save x", "wharf save x")
    assert job.share() is None
    job.report(Progress(what="layer\x1b", done_bytes=10 * MIB, total_bytes=40 * MIB))
    assert job.share() == 0.25
    assert job.figures() == "10M of 40M"
    assert job.step() == "layer␛"
    job.report(Progress(what="layer\x1b", done_bytes=10 * MIB))
    assert job.share() is None


def test_documents_are_shown_whole_and_safe() -> None:
    lines = inspection.document_lines({"a": ["x\x1b", 1, True, None], "b": {}, "c": b"12"})
    text = "\n".join("".join(piece for piece, _tone in line) for line in lines)
    assert text == '{\n  "a": [\n    "x␛",\n    1,\n    true,\n    null\n  ],\n  "b": {},\n  "c": <2 bytes>\n}'


def test_process_tables_line_up() -> None:
    table = ProcessTable(("PID", "CMD"), (("1", "sh"), ("4711", "sleep \x07")))
    assert [line[0][0] for line in inspection.process_lines(table)] == ["PID   CMD", "1     sh", "4711  sleep ␇"]


def test_previews_choose_text_or_hex() -> None:
    assert not inspection.looks_binary(b"plain\ttext\r\n\x1b[31mred")
    assert inspection.looks_binary(b"\x7fELF\0")
    assert inspection.looks_binary(bytes(range(1, 9)) * 10)
    first = inspection.hex_lines(b"ABC\0" * 5, cut=True)[0]
    assert "".join(text for text, _tone in first).startswith("00000000  41 42 43 00 41")
    assert inspection.text_lines(b"", cut=False) == [[("    1  ", "faint"), ("", "text")]]
