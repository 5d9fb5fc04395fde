"""Events → cells: when, what kind of thing, what happened to which, and the rest in a few words."""

from __future__ import annotations

import re
import time

from app import short
from core.model.display import safe_text
from core.model.events import Event
from core.model.ids import short_id

_TONES = {
    "create": "ok",
    "connect": "ok",
    "disconnect": "muted",
    "start": "ok",
    "unpause": "ok",
    "load": "ok",
    "import": "ok",
    "commit": "ok",
    "die": "muted",
    "stop": "warn",
    "kill": "warn",
    "pause": "warn",
    "restart": "warn",
    "oom": "fail",
    "destroy": "muted",
    "delete": "muted",
    "untag": "muted",
}
_DAY_S = 86_400


def moment(event: Event, now_ns: int) -> str:
    """`02:30:11`, with the day in front where it is not today's."""
    at_s, now_s = event.at_ns // 10**9, now_ns // 10**9
    try:
        there, here = time.localtime(at_s), time.localtime(now_s)
    except (OverflowError, OSError, ValueError):
        return "--:--:--"
    today = abs(now_s - at_s) < _DAY_S and there.tm_yday == here.tm_yday
    return short.clock(event.at_ns) if today else time.strftime("%d %b %H:%M", there)


def action(event: Event) -> tuple[str, str]:
    """What happened, in a word, and the meaning of its colour."""
    word, _colon, rest = event.action.partition(":")
    if word == "health_status":
        return safe_text(f"health {rest.strip()}"), {"healthy": "ok", "unhealthy": "fail"}.get(rest.strip(), "warn")
    if word == "die" and event.attributes.get("exitCode", "0") != "0":
        return "die", "fail"
    tone = "muted" if word.startswith(("exec_", "top", "attach", "resize")) else _TONES.get(word, "text")
    return safe_text(word), tone


def name(event: Event) -> str:
    """Who it happened to: its name, else what is left of its id."""
    found = event.attributes.get("name", "") or event.actor
    return short_id(found) if found.startswith("sha256:") else safe_text(found[:64])


def details(event: Event) -> str:
    """What was run, and all attributes but the name; labels last."""
    _word, colon, rest = event.action.partition(":")
    told = [rest.strip()] if colon and not event.action.startswith("health_status") else []
    pairs = sorted(event.attributes.items(), key=lambda pair: (pair[0] not in _FIRST, pair[0]))
    told += [f"{key}={_brief(value)}" for key, value in pairs if key != "name"]
    return safe_text("  ".join(told))


def _brief(value: str) -> str:
    """An id is told by its beginning: no column has room for the whole."""
    return value[:12] if _ID.fullmatch(value) else value


_ID = re.compile("[0-9a-f]{64}")
_FIRST = ("exitCode", "signal", "oldName", "image", "container", "destination")
