"""The way to a container's port, in words for people: what both faces say of its steps."""

from __future__ import annotations

from collections.abc import Sequence

from core.model.container import Container, Running
from core.model.network import PathStep

SIGNS = {"ok": "✓", "failed": "✖", "unknown": "?", "skipped": "–"}
"""Verdict → its sign: shape says it without colour."""


def first_port(container: Container) -> str:
    """The port that is most likely meant: the first one published, else exposed; empty where there is neither."""
    state = container.state
    published = [f"{port.container_port}/{port.protocol}" for port in state.ports] if isinstance(state, Running) else []
    published += [f"{wish.container_port}/{wish.protocol}" for wish in container.config.spec.ports]
    for port in (*published, *container.config.exposed_ports):
        return port.removesuffix("/tcp")
    return ""


def verdict_sentence(steps: Sequence[PathStep]) -> str:
    """What the steps come to, in one sentence."""
    failed = next((step for step in steps if step.verdict == "failed"), None)
    if failed is not None:
        return f"It can't be reached: the step {failed.name} fails."
    if any(step.verdict == "unknown" for step in steps):
        return "Nothing found that stands in the way; not every step could be tried."
    return "It can be reached."
