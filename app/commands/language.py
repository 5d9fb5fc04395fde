"""A line of the command language → what it does → an exit code.

    words ─ find_command ─▶ Command ─ parse_flags ─▶ Invocation ─ command.run ─▶ exit code
                                                                  │ EngineError
                                                                  ▼
                                              one line that names the object, one that helps

Exit codes: the process's own for run, exec, start -a and attach; 125 for a flag that is not
understood or a run that the engine refuses, 126 and 127 for a program that can't be executed or
found, 1 for other refusals.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.commands import tree
from app.commands.definition import Command, Invocation, count_problem
from app.commands.flags import FlagError, parse_flags
from app.commands.io import Io
from core.about import NAME
from core.backend import Backend
from core.errors import EngineError, SandboxFailed

FLAG_PROBLEM = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127


class UnknownCommand(Exception):
    """No command has these words; the message says so."""


def execute(argv: Sequence[str], backend: Backend, io: Io) -> int:
    """Run one command line, its program name left out; everything that goes wrong is explained on io.err.

    Returns: the exit code.
    """
    try:
        path, command, rest = find_command(argv)
    except UnknownCommand as error:
        io.complain(f"{NAME}: {error}")
        return 1
    if command is None:
        from app.commands.help import group_help

        io.text(group_help(path, io.columns))
        return 0
    return execute_command(path, command, rest, backend, io)


def find_command(argv: Sequence[str]) -> tuple[str, Command | None, list[str]]:
    """The command that the first words name, and the words after it.

    Returns: path, definition, rest; the definition is None for a bare noun, which shows its help.
    Raises: UnknownCommand: with the whole message.
    """
    word = argv[0] if argv else ""
    place = tree.top_words().get(word)
    if place is not None:
        return word, tree.find(place), list(argv[1:])
    group = tree.GROUPS.get(word)
    if group is not None:
        verbs = [verb for verb in argv[1:] if verb not in ("--help", "-h")]
        if not verbs:
            return word, None, []
        place = group.words.get(verbs[0])
        if place is not None:
            rest = list(argv[1:])
            rest.remove(verbs[0])
            return f"{word} {verbs[0]}", tree.find(place), rest
        raise UnknownCommand(_unknown(f"{word} {verbs[0]}", word, verbs[0], list(group.words)))
    if not word or word in ("--help", "-h", "help"):
        if len(argv) > 1 and word == "help":
            return find_command([*argv[1:], "--help"])
        return "", None, []
    if word in tree.NOT_YET:
        raise UnknownCommand(f"{word} is not available yet: {tree.NOT_YET[word]}")
    raise UnknownCommand(_unknown(word, "", word, [*tree.top_words(), *tree.GROUPS]))


def _unknown(path: str, noun: str, word: str, known: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, known, 1)
    suggestion = f"\n\nDid you mean '{near[0]}'?" if near else ""
    where = f"{NAME} {noun}" if noun else NAME
    return f"unknown command: {NAME} {path}{suggestion}\n\nRun '{where} --help' for more information"


def execute_command(path: str, command: Command, words: Sequence[str], backend: Backend, io: Io) -> int:
    """Parse what follows a command's words and run it; the exit code."""
    more_help = f"Run '{NAME} {path} --help' for more information"
    try:
        flags, others, wants_help = parse_flags(command.flags, words, interspersed=command.interspersed)
        if wants_help:
            from app.commands.help import command_help

            io.text(command_help(path, command, io.columns))
            return 0
        problem = count_problem(command, len(others))
        if problem:
            io.complain(f"{NAME}: '{NAME} {path}' {problem}\n\n{usage(path, command)}\n\n{more_help}")
            return 1
        return command.run(Invocation(path, flags, others, backend, io))
    except FlagError as error:
        io.complain(f"{NAME}: {error}\n\n{usage(path, command)}\n\n{more_help}")
        return FLAG_PROBLEM
    except EngineError as error:
        explain(error, io)
        if command.points_to_help:
            io.complain(f"\n{more_help}")
        return (command.runs_program and program_code(error)) or command.failure_code


def program_code(error: EngineError) -> int:
    """127 for a program that is not there, 126 for one that can't be executed, else 0."""
    if isinstance(error, SandboxFailed) and error.exit_code in (NOT_EXECUTABLE, NOT_FOUND):
        return error.exit_code
    return 0


def usage(path: str, command: Command) -> str:
    """The usage lines, without the trailing newline."""
    options = " [OPTIONS]" if command.flags else ""
    lines = [f"{NAME} {path}{options}{' ' if rest else ''}{rest}" for rest in command.usage]
    return "Usage:  " + "\n\t".join(lines)


def explain(error: EngineError, io: Io) -> None:
    """Write what went wrong: the message, then what to do about it."""
    io.complain(f"{NAME}: {error.message}")
    if error.hint:
        io.complain(error.hint)


def complete(text: str, backend: Backend) -> list[str]:
    """What the last word of a half-typed line may become; whole words, sorted."""
    from app.commands.completion import candidates

    return candidates(text, backend)
