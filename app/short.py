"""Numbers and times in as few cells as a column can spare.

Wide texts (`About a minute ago`) are the commands' business; here 212M, 3d, 12.1 and a
clock time have to line up in columns of four to eight cells.
"""

from __future__ import annotations

import time

from core.model.glance import Standing

_UNITS = "BKMGTP"


def size(count: float) -> str:
    """Bytes in at most five cells, binary units: 0B 512B 9.8K 212M 1.9G."""
    for unit in _UNITS:
        if count < 999.5 or unit == _UNITS[-1]:
            if unit == "B" or count >= 9.95:
                return f"{count:.0f}{unit}"
            return f"{count:.1f}{unit}"
        count /= 1024
    return ""


def rate(bytes_a_second: float) -> str:
    """Bytes a second: 1.2M/s."""
    return f"{size(bytes_a_second)}/s"


def percent(value: float) -> str:
    """A share in at most five cells: 0.0, 12.1, 101, 1600."""
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def span(seconds: float) -> str:
    """A length of time in at most three cells: 4s 12m 3h 9d 2y."""
    seconds = max(0.0, seconds)
    for limit, divisor, unit in (
        (60, 1, "s"),
        (3600, 60, "m"),
        (86_400, 3600, "h"),
        (86_400 * 365, 86_400, "d"),
    ):
        if seconds < limit:
            return f"{seconds // divisor:.0f}{unit}"
    return f"{seconds // (86_400 * 365):.0f}y"


def ago(at_ns: int, now_ns: int) -> str:
    """How long ago a moment was; the future counts as now."""
    return span((now_ns - at_ns) / 1e9)


def clock(at_ns: int, *, millis: bool = False) -> str:
    """The local time of a moment: 02:30:11 or 02:30:11.102."""
    seconds, rest = divmod(at_ns, 1_000_000_000)
    try:
        text = time.strftime("%H:%M:%S", time.localtime(seconds))
    except (OverflowError, OSError, ValueError):
        return "--:--:--"
    return f"{text}.{rest // 1_000_000:03d}" if millis else text


def glyph(standing: Standing) -> tuple[str, str]:
    """The sign of a container's state and the meaning of its colour; shape says it without colour."""
    match standing.status:
        case "running" if standing.health == "unhealthy":
            return "✖", "fail"
        case "running" if standing.health == "starting":
            return "◐", "warn"
        case "running":
            return "●", "ok"
        case "restarting":
            return "↻", "warn"
        case "paused":
            return "‖", "warn"
        case "exited" if standing.exit_code == 0:
            return "○", "muted"
        case "created" if standing.failed:
            return "✖", "fail"
        case "created" | "removing" | "":
            return "◌", "muted"
    return "✖", "fail"


def state(standing: Standing, now_ns: int) -> str:
    """A container's state in at most ten cells: `up 3d`, `exit 137`, `OOM 3m`."""
    since = ago(standing.since_ns, now_ns)
    match standing.status:
        case "running":
            return {"unhealthy": "unhealthy", "starting": "starting"}.get(standing.health, f"up {since}")
        case "restarting":
            return f"retry {standing.exit_code}"
        case "exited":
            return _ended(standing, since)
        case "created":
            return "failed" if standing.failed else "created"
        case "dead":
            return "damaged"
    return standing.status or "…"


def _ended(standing: Standing, since: str) -> str:
    code = standing.exit_code
    if standing.oom_killed:
        return f"OOM {since}"
    if code == -1:
        return "ended ?"
    if code == 0:
        return f"done {since}"
    return f"exit {code}" if code > 99 else f"exit {code} {since}"
