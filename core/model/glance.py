"""What can be told of containers at a glance: the facts that lists and the first picture have room for.

Made of the standard library alone, so that what is painted before anything else is loaded can
speak of containers in the same words as the lists do.
"""

from __future__ import annotations

from typing import NamedTuple


class Standing(NamedTuple):
    """A state without its details. `since_ns` is when it began, as far as that is known."""

    status: str
    """created, running, paused, restarting, exited, removing, dead; empty where only an engine could tell."""
    since_ns: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    failed: bool = False
    """Whether it never got as far as it was meant to: a start that failed."""
    health: str = "none"
    """none, starting, healthy or unhealthy, while it runs."""


class Glimpse(NamedTuple):
    """One container. Memory and pids are the newest sample's, None where there is none."""

    name: str
    image: str
    standing: Standing
    memory_limit_bytes: int = 0
    memory_bytes: int | None = None
    pids: int | None = None


class Glance(NamedTuple):
    """The newest containers, and how many there are of everything."""

    containers: tuple[Glimpse, ...]
    container_count: int
    image_count: int
    volume_count: int
    network_count: int
