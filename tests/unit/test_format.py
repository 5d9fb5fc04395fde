"""Docker's words for numbers and moments."""

import pytest

from app.format import (
    ago,
    binary_size,
    human_duration,
    human_size,
    parse_moment,
    rfc3339_fixed,
    rfc3339_nano,
)
from core.model.durations import parse_duration

MINUTE, HOUR, DAY = 60, 3600, 86400
NOW_NS = 1_795_235_806_274_879_097  # 2026-11-21T04:36:46.274879097Z


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.9, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (59 * MINUTE, "59 minutes"),
        (HOUR, "About an hour"),
        (89 * MINUTE, "About an hour"),
        (90 * MINUTE, "2 hours"),
        (47 * HOUR, "47 hours"),
        (48 * HOUR, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
    ],
)
def test_B1_durations_are_worded_as_docker_words_them(seconds, text):
    assert human_duration(seconds) == text


def test_a_moment_in_the_future_is_now():
    assert ago(NOW_NS + 10**12, NOW_NS) == "Less than a second ago"


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (3, "3B"), (1911, "1.91kB"), (1984162, "1.98MB"), (165_000_000, "165MB")]
)
def test_B2_sizes_are_decimal(size, text):
    assert human_size(size) == text


def test_B8_stats_sizes_are_binary():
    assert binary_size(64 * 1024**2) == "64MiB"
    assert binary_size(249856) == "244KiB"
    assert human_size(1991, 4) == "1.991kB"


def test_B3_stamps():
    assert rfc3339_nano(NOW_NS) == "2026-11-21T04:36:46.274879097Z"
    assert rfc3339_nano(NOW_NS // 10**9 * 10**9) == "2026-11-21T04:36:46Z"
    assert rfc3339_nano(0) == "0001-01-01T00:00:00Z"


def test_B4_log_stamps_are_thirty_long():
    assert rfc3339_fixed(NOW_NS // 10**9 * 10**9) == "2026-11-21T04:36:46.000000000Z"


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("42m", 42 * 60 * 10**9), ("1h30m", 5400 * 10**9), ("1.5s", 1_500_000_000), ("-1s", -(10**9)), ("10ms", 10**7)],
)
def test_durations_are_read(text, nanoseconds):
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "5", "m", "1h x", "ten"])
def test_what_is_no_duration(text):
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("text", "at_ns"),
    [
        ("10s", NOW_NS - 10 * 10**9),
        ("1795235806", 1_795_235_806 * 10**9),
        ("1795235806.5", 1_795_235_806_500_000_000),
        ("2026-11-21T04:36:46Z", 1_795_235_806 * 10**9),
        ("2026-11-21T04:36:46.274879097Z", NOW_NS),
        ("2026-11-21T05:36:46.274879097+01:00", NOW_NS),
        ("2026-11-21-02:00", 1_795_226_400 * 10**9),
        ("2026-11-21+01:00", 1_795_215_600 * 10**9),
        ("2026-11-21Z", 1_795_219_200 * 10**9),
    ],
)
def test_B4_moments_are_read(text, at_ns):
    assert parse_moment(text, NOW_NS) == at_ns


@pytest.mark.parametrize("text", ["xx", "2026-13-01", "99999999999999999999Z", "1.2.3"])
def test_what_is_no_moment(text):
    assert parse_moment(text, NOW_NS) is None
