"""`--help`: the same layout as docker's, from the same definitions that parse."""

from __future__ import annotations

from textwrap import wrap

from app.commands import tree
from app.commands.definition import Command
from app.commands.flags import Flag
from app.commands.language import usage
from core.about import NAME, ROOT_VARIABLE, RUN_ROOT_VARIABLE

GLOBAL_OPTIONS = (
    ("    --debug", "Show tracebacks of unexpected failures"),
    ("    --help", "Print usage"),
    ("    --root string", f"Where {NAME} keeps its data (also ${ROOT_VARIABLE})"),
    ("    --run-root string", f"Where {NAME} keeps what lasts until the next boot (also ${RUN_ROOT_VARIABLE})"),
    ("-v, --version", "Print version information and quit"),
)


def group_help(noun: str, columns: int) -> str:
    """Help for a noun, or with no noun for everything."""
    if noun:
        group = tree.GROUPS[noun]
        shown = {place: word for word, place in reversed(group.words.items())}
        commands = sorted((word, place) for place, word in shown.items())
        return (
            f"Usage:  {NAME} {noun} COMMAND\n\n{group.summary}\n\nCommands:\n"
            + _command_rows(commands)
            + f"\nRun '{NAME} {noun} COMMAND --help' for more information on a command.\n"
        )
    groups = [(noun, group.summary) for noun, group in sorted(tree.GROUPS.items())]
    return (
        f"Usage:  {NAME} [OPTIONS] [COMMAND]\n\n"
        "A terminal workstation for containers; without a command, the console\n\n"
        "Common Commands:\n"
        + _command_rows(list(tree.COMMON.items()))
        + "\nManagement Commands:\n"
        + _rows(groups, columns)
        + "\nCommands:\n"
        + _command_rows(list(tree.MORE.items()))
        + "\nGlobal Options:\n"
        + _rows(list(GLOBAL_OPTIONS), columns)
        + f"\nRun '{NAME} COMMAND --help' for more information on a command.\n"
    )


def command_help(path: str, command: Command, columns: int) -> str:
    """Help for one command."""
    parts = [usage(path, command), command.description or command.summary]
    places = {tree.top_words().get(path), *_group_places(path)}
    paths = [spelled for place in places if place for spelled in tree.paths_of(place)]
    if len(paths) > 1:
        parts.append("Aliases:\n  " + ", ".join(f"{NAME} {spelled}" for spelled in paths))
    rows = [(_spelled(flag), _described(flag)) for flag in shown_flags(command)]
    if rows:
        parts.append("Options:\n" + _rows(rows, columns).rstrip("\n"))
    refused = [f"--{flag.name}" for flag in command.flags if flag.refused]
    if refused:
        lines = wrap(", ".join(refused), max(columns, 40) - 4, break_on_hyphens=False)
        parts.append("Not available yet:\n  " + "\n  ".join(lines))
    return "\n\n".join(parts) + "\n"


def shown_flags(command: Command) -> list[Flag]:
    """The flags that work, by name."""
    return sorted((flag for flag in command.flags if not flag.refused and not flag.hidden), key=lambda flag: flag.name)


def _group_places(path: str) -> list[str]:
    noun, _, verb = path.partition(" ")
    group = tree.GROUPS.get(noun)
    return [group.words[verb]] if group and verb in group.words else []


def _spelled(flag: Flag) -> str:
    names = f"-{flag.short}, --{flag.name}" if flag.short else f"    --{flag.name}"
    return names if flag.kind == "bool" else f"{names} {flag.kind}"


def _described(flag: Flag) -> str:
    if not flag.default or flag.default == "false":
        return flag.text
    quoted = flag.default if flag.kind in ("bool", "int") else f'"{flag.default}"'
    return f"{flag.text} (default {quoted})"


def _command_rows(commands: list[tuple[str, str]]) -> str:
    width = max(len(word) for word, _ in commands)
    return "".join(f"  {word:<{width}}   {tree.find(place).summary}\n" for word, place in commands)


def _rows(rows: list[tuple[str, str]], columns: int) -> str:
    width = max(len(left) for left, _ in rows)
    text_width = max(24, columns - width - 6)
    lines = []
    for left, right in rows:
        for number, piece in enumerate(wrap(right, text_width, break_on_hyphens=False) or [""]):
            lines.append(f"  {left if number == 0 else '':<{width}}   {piece}".rstrip() + "\n")
    return "".join(lines)
