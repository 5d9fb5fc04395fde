"""Log lines on their way up, and what a person may ask of a log."""

from __future__ import annotations

import msgspec


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a log: the last `tail` lines (None: all), a time window, and whether to follow."""

    tail: int | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    follow: bool = False
    details: bool = False
    """Whether lines carry the attributes that their driver was told to keep."""


class LogLine(msgspec.Struct, frozen=True):
    """One line as it was written, raw bytes with their newline, or without one if it ended so.

    `stream` is 1 (stdout) or 2 (stderr); `at_ns` the moment its batch was read.
    """

    at_ns: int
    stream: int
    data: bytes
    attributes: dict[str, str] = {}
