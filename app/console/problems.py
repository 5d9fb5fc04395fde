"""What is wrong just now, in one sentence each: the why-line's words.

Pure: containers and their tracks in, sentences out, the most urgent first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from app.console import short
from app.console.track import Track
from core.model.container import Container, Created, Damaged, Exited, Running
from core.model.display import safe_text

_NEAR_LIMIT = 0.9
_RECENT_NS = 3600 * 1_000_000_000


class Problem(msgspec.Struct, frozen=True):
    """One sentence about one container. `key` stays the same while it is the same problem."""

    key: tuple[str, str, int]
    container_id: str
    text: str
    urgency: int
    """2 failed, 1 about to."""


def find_problems(containers: Iterable[Container], tracks: Mapping[str, Track], now_ns: int) -> list[Problem]:
    """Every problem worth a line, the most urgent and newest first."""
    found: list[Problem] = []
    for container in containers:
        problem = _of(container, tracks.get(container.id), now_ns)
        if problem is not None:
            found.append(problem)
    found.sort(key=lambda problem: (-problem.urgency, -problem.key[2]))
    return found


def explain(container: Container, now_ns: int) -> str:
    """Why a container is not running, as a sentence; empty for one that runs or ended well."""
    name = safe_text(container.name)
    match container.state:
        case Exited(oom_killed=True, finished_ns=finished):
            limit = container.settings.limits.memory_bytes
            room = f" (limit {short.size(limit)})" if limit else ""
            return f"{name} was OOM-killed at {short.clock(finished)}{room}"
        case Exited(exit_code=-1, error=error):
            return f"{name} ended unseen: {safe_text(error) or 'nobody was left to learn its exit code'}"
        case Exited(exit_code=code, finished_ns=finished, error=error) if code:
            reason = safe_text(error) or _EXIT_WORDS.get(code, "")
            return f"{name} exited {code} at {short.clock(finished)}" + (f": {reason}" if reason else "")
        case Created(error=error, exit_code=code) if error:
            return f"{name} failed to start ({code}): {safe_text(error)}"
        case Damaged(why=why):
            return f"{name} is damaged: {safe_text(why)}"
    return ""


_EXIT_WORDS = {
    125: "the engine could not run it",
    126: "its command can't be executed",
    127: "its command was not found",
    130: "interrupted (SIGINT)",
    137: "killed (SIGKILL)",
    139: "crashed (SIGSEGV)",
    143: "stopped (SIGTERM)",
}


def _of(container: Container, track: Track | None, now_ns: int) -> Problem | None:
    text = explain(container, now_ns)
    match container.state:
        case Exited(finished_ns=finished, oom_killed=oom, exit_code=code) if text:
            if now_ns - finished > _RECENT_NS or code in (130, 143) or (code == 137 and not oom):
                return None  # stopped by hand, or long ago: a state, not news
            return Problem((container.id, "ended", finished), container.id, text, 2)
        case Created() | Damaged() if text:
            return Problem((container.id, "broken", container.config.created_ns), container.id, text, 2)
        case Running(started_ns=started):
            point = track.now if track else None
            if point and point.limit_bytes and point.memory_bytes > _NEAR_LIMIT * point.limit_bytes:
                share = 100 * point.memory_bytes / point.limit_bytes
                text = (
                    f"{safe_text(container.name)} uses {share:.0f}% of its memory limit"
                    f" ({short.size(point.limit_bytes)})"
                )
                return Problem((container.id, "memory", started), container.id, text, 1)
    return None
