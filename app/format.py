"""Numbers and moments in docker's words: `About a minute`, `1.98MB`, `64MiB`, RFC 3339 stamps."""

from __future__ import annotations

import time

from core.model.durations import SECOND_NS, parse_duration

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")


def human_duration(seconds: float) -> str:
    """A length of time, roughly: docker's wording, its rounding too."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    minutes = whole // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{int(seconds / 3600) // 24 // 365} years"


def ago(at_ns: int, now_ns: int) -> str:
    """`5 minutes ago`; a moment in the future counts as now."""
    return human_duration(max(0, now_ns - at_ns) / SECOND_NS) + " ago"


def human_size(size_bytes: float, precision: int = 3) -> str:
    """A size in decimal units, `1.98MB`."""
    return _scaled(size_bytes, 1000.0, _DECIMAL, precision)


def binary_size(size_bytes: float, precision: int = 4) -> str:
    """A size in binary units, `64MiB`."""
    return _scaled(size_bytes, 1024.0, _BINARY, precision)


def _scaled(size: float, base: float, units: tuple[str, ...], precision: int) -> str:
    step = 0
    while size >= base and step < len(units) - 1:
        size /= base
        step += 1
    return f"{size:.{precision}g}{units[step]}"


def rfc3339_nano(at_ns: int) -> str:
    """A moment in UTC with as many decimals as it has; 0 is docker's "never", year 1."""
    if at_ns == 0:
        return "0001-01-01T00:00:00Z"
    seconds, rest = divmod(at_ns, SECOND_NS)
    decimals = f".{rest:09d}".rstrip("0").rstrip(".")
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + decimals + "Z"


def rfc3339_fixed(at_ns: int, *, local: bool = False) -> str:
    """A moment with all nine decimals, as `logs -t` (UTC) and `events` (local) print it."""
    seconds, rest = divmod(at_ns, SECOND_NS)
    broken_down = time.localtime(seconds) if local else time.gmtime(seconds)
    offset = broken_down.tm_gmtoff or 0
    zone = "Z"
    if offset:
        sign = "+" if offset > 0 else "-"
        zone = f"{sign}{abs(offset) // 3600:02d}:{abs(offset) // 60 % 60:02d}"
    return time.strftime("%Y-%m-%dT%H:%M:%S", broken_down) + f".{rest:09d}{zone}"


def rfc3339_seconds(at_ns: int) -> str:
    """A moment in local time to the second, as `history --human=false` prints it."""
    stamp = rfc3339_fixed(at_ns, local=True)
    return stamp[:19] + stamp[29:]


def local_stamp(at_ns: int) -> str:
    """A moment as `ps --format '{{.CreatedAt}}'` prints it: `2026-11-21 04:36:46 +0000 UTC`."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(at_ns // SECOND_NS))


def utc_stamp(at_ns: int) -> str:
    """A moment as `network ls --format '{{.CreatedAt}}'` prints it: `2026-11-21 04:36:46.6766 +0000 UTC`."""
    seconds, rest = divmod(at_ns, SECOND_NS)
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    return time.strftime(f"%Y-%m-%d %H:%M:%S{fraction} +0000 UTC", time.gmtime(seconds))


def parse_moment(text: str, now_ns: int) -> int | None:
    """Read a moment as --since takes it, in nanoseconds since 1970; None if it is none.

    A length of time counts back from now; a date may leave off its time and its zone (then it
    is local); a bare number is seconds since 1970.
    """
    duration = parse_duration(text)
    if duration is not None:
        return now_ns - duration
    seconds, dot, decimals = text.partition(".")
    if seconds.isdigit() and seconds.isascii() and (not dot or (decimals.isdigit() and decimals.isascii())):
        return int(seconds) * SECOND_NS + int(decimals.ljust(9, "0")[:9] or "0")
    from datetime import datetime

    if text[10:11] in ("+", "-", "Z"):  # a date with a zone: datetime would read +01:00 as an hour
        text = f"{text[:10]}T00:00:00{text[10:]}"
    head, dot, tail = text.partition(".")
    decimals = ""
    if dot:  # datetime knows microseconds only: the decimals are read here
        decimals = tail[: len(tail) - len(tail.lstrip("0123456789"))]
        tail = tail[len(decimals) :]
    try:
        moment = datetime.fromisoformat((head + tail).replace("Z", "+00:00"))
        at_s = int(moment.timestamp())
    except (ValueError, OverflowError):
        return None
    return at_s * SECOND_NS + int(decimals.ljust(9, "0")[:9] or "0")
