"""A container → where it stands, as lists and first frame say it in a sign and a word or two."""

from __future__ import annotations

from core.model.container import Container, Created, Exited, Restarting, Running
from core.model.glance import Standing

LIVE = ("running", "paused", "restarting")
"""Statuses of what can be stopped, and goes by force only."""


def standing_of(container: Container) -> Standing:
    """The few facts of a container's state that a list has room for."""
    match container.state:
        case Running(started_ns=started):
            return Standing(container.status, started, health=container.health_status)
        case (
            Exited(finished_ns=finished, exit_code=code, oom_killed=oom)
            | Restarting(finished_ns=finished, exit_code=code, oom_killed=oom)
        ):
            return Standing(container.status, finished, code, oom)
        case Created(error=error):
            return Standing(container.status, container.config.created_ns, failed=bool(error))
    return Standing(container.status)
