"""The values: a reason, what speaks for it, and what can be done about it."""

from __future__ import annotations

import shlex

import msgspec

from core.about import NAME
from core.model.container import Container
from core.model.display import safe_text

FAILED = 3
"""It is not what it should be."""
NEAR = 2
"""It will not be for long, or not as well as it could be."""
STATE = 1
"""Somebody's doing, or simply so."""


class Step(msgspec.Struct, frozen=True):
    """Something to do next: words for a button, and the command lines it stands for, the program left out."""

    words: str
    commands: tuple[tuple[str, ...], ...]

    @property
    def text(self) -> str:
        """The commands as one would type them in a shell."""
        return " && ".join(shlex.join((NAME, *command)) for command in self.commands)


class Evidence(msgspec.Struct, frozen=True):
    """One thing that speaks for the reason; safe text. A log has a line each."""

    title: str
    lines: tuple[str, ...]


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence about one container. `kind` and `since_ns` stay the same while it is the same reason."""

    kind: str
    since_ns: int
    urgency: int
    sentence: str
    evidence: tuple[Evidence, ...] = ()
    steps: tuple[Step, ...] = ()


def step(words: str, *commands: tuple[str, ...]) -> Step:
    """A step of one or more commands."""
    return Step(words, commands)


def seen(title: str, *lines: str) -> Evidence:
    """A piece of evidence; its lines are made safe here."""
    return Evidence(title, tuple(safe_text(line) for line in lines if line))


def name_of(container: Container) -> str:
    """A container's name as it is shown."""
    return safe_text(container.name)


def logs_step(container: Container) -> Step:
    """Looking at what it has written."""
    return step("read its log", ("logs", "--tail", "100", container.name))


def shell_step(container: Container) -> Step:
    """Looking around in a fresh container of the same image."""
    image = container.config.image_name or container.config.image_id
    return step("look around in its image", ("run", "--rm", "-it", "--entrypoint", "sh", image))
