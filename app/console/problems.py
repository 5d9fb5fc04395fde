"""What is wrong just now: the most urgent reason of each container, for the problem line.

Pure: containers and their tracks in, reasons out. Looked for every second, so that containers
with which nothing can be wrong are passed over before any sentence is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from app.console.track import Track
from app.why.endings import ending
from app.why.find import find_reasons
from app.why.reason import NEAR, Reason
from app.why.signs import MINUTE_S, Signs, Use
from core.model.container import Container, Exited, Running

_RECENT_NS = 3600 * 1_000_000_000
_STRAINED = 0.9
"""Share of a limit from which a second look is worth its while."""


class Problem(msgspec.Struct, frozen=True):
    """One container's reason to be looked at."""

    container_id: str
    reason: Reason

    @property
    def key(self) -> tuple[str, str, int]:
        """The same while it is the same problem."""
        return self.container_id, self.reason.kind, self.reason.since_ns


def find_problems(containers: Iterable[Container], tracks: Mapping[str, Track], now_ns: int) -> list[Problem]:
    """Every problem worth a line, the most urgent and newest first."""
    found: list[Problem] = []
    for container in containers:
        track = tracks.get(container.id)
        if not _may_matter(container, track, now_ns):
            continue
        reasons = find_reasons(container, Signs(use=use_of_track(track)), now_ns)
        if reasons and reasons[0].urgency >= NEAR:
            found.append(Problem(container.id, reasons[0]))
    found.sort(key=lambda problem: (-problem.reason.urgency, -problem.reason.since_ns))
    return found


def explain(container: Container) -> str:
    """Why a container does not run, as a sentence; empty for one that does, or that ended well."""
    if isinstance(container.state, Exited) and container.state.exit_code == 0:
        return ""
    reason = ending(container, Signs())
    return reason.sentence if reason else ""


def use_of_track(track: Track | None) -> Use | None:
    """The use that a track tells of."""
    if track is None or track.now is None:
        return None
    now = track.now
    recent = [track.points[at] for at in range(-min(MINUTE_S, len(track.points)), 0)]
    return Use(
        over_s=float(len(recent)),
        cpu_percent=sum(point.cpu for point in recent) / len(recent),
        throttled_percent=sum(point.throttled for point in recent) / len(recent),
        memory_bytes=now.memory_bytes,
        limit_bytes=now.limit_bytes,
        peak_bytes=max(point.memory_bytes for point in track.points),
        pids=now.pids,
        oom_kills=now.oom_kills,
    )


def _may_matter(container: Container, track: Track | None, now_ns: int) -> bool:
    """Whether there may be anything to say; cheap, and never wrong about what is fine."""
    match container.state:
        case Exited(exit_code=code, finished_ns=finished):
            return code != 0 and now_ns - finished <= _RECENT_NS
        case Running():
            if container.health_status == "unhealthy" or container.restart_count:
                return True
            point = track.now if track else None
            if point is None:
                return False
            limits = container.settings.limits
            return bool(
                point.throttled
                or point.oom_kills
                or (point.limit_bytes and point.memory_bytes > _STRAINED * point.limit_bytes)
                or (limits.pids_limit > 0 and point.pids > _STRAINED * limits.pids_limit)
            )
    return True
