"""A finding together with the deed that mends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from core.model.findings import Finding


class Trouble(NamedTuple):
    """What a check yields. Mending raises EngineError or OSError where it does not work."""

    finding: Finding
    mend: Callable[[], object] | None = None


def damage(kind: str, key: str, problem: str, repair: str, mend: Callable[[], object]) -> Trouble:
    """Something is wrong and can be mended."""
    return Trouble(Finding(kind=kind, key=key, problem=problem, repair=repair), mend)


def loss(kind: str, key: str, problem: str, hint: str) -> Trouble:
    """Something is wrong and a person must act."""
    return Trouble(Finding(kind=kind, key=key, problem=problem, hint=hint))


def leftover(kind: str, key: str, problem: str, mend: Callable[[], object], repair: str = "delete it") -> Trouble:
    """Something is there that nobody needs: a dead operation's work."""
    return Trouble(Finding(kind=kind, key=key, problem=problem, repair=repair, is_leftover=True), mend)
