"""What a command is: one value from which parsing, help, completion and the manual are made."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from app.commands.flags import Flag, Values
from app.commands.io import Io
from core.backend import Backend


class Invocation(msgspec.Struct, frozen=True):
    """A command line, understood: what a command's function is called with."""

    path: str
    """The words that led here, `container ls`."""
    flags: Values
    arguments: list[str]
    backend: Backend
    io: Io


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command. Flags and text are docker's where docker has the command."""

    run: Callable[[Invocation], int]
    """Does it; the exit code. Raises EngineError."""
    summary: str
    usage: tuple[str, ...] = ("",)
    """What follows the command's words, `[OPTIONS]` left out; more than one line for `cp`."""
    description: str = ""
    """Longer than the summary, for help."""
    flags: tuple[Flag, ...] = ()
    least: int = 0
    most: int | None = 0
    """How many other words it takes; None: no end."""
    interspersed: bool = True
    """Whether flags may follow other words."""
    completes: tuple[str, ...] = ()
    """What each other word is, for completion; the last one repeats: container, running, stopped,
    image, repository, registry, network, volume, file, shell, word."""
    failure_code: int = 1
    """Exit code when the engine refuses."""
    runs_program: bool = False
    """Whether a program that can't be executed or found makes it 126 or 127."""
    points_to_help: bool = False
    """Whether a refusal ends with `Run '… --help' for more information`."""


def count_problem(command: Command, count: int) -> str:
    """Docker's sentence about a wrong number of words, or an empty text."""
    least, most = command.least, command.most
    if count >= least and (most is None or count <= most):
        return ""

    def counted(number: int) -> str:
        return f"{number} argument{'s' if number != 1 else ''}"

    if most == 0:
        return "accepts no arguments"
    if least == most:
        return f"requires {counted(least)}"
    if most is None:
        return f"requires at least {counted(least)}"
    if least == 0:
        return f"requires at most {counted(most)}"
    return f"requires at least {least} and at most {counted(most)}"
