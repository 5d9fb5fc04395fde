"""`completion` and `man`: what is made of the definitions for other programs to read."""

from __future__ import annotations

from app.commands import tree
from app.commands.completion import SCRIPTS
from app.commands.definition import Command, Invocation
from app.commands.help import GLOBAL_OPTIONS, shown_flags
from core.about import DATA_ROOT, NAME, ROOT_VARIABLE, RUN_ROOT, RUN_ROOT_VARIABLE, VERSION
from core.errors import InvalidInput


def _completion(invocation: Invocation) -> int:
    shell = invocation.arguments[0]
    if shell not in SCRIPTS:
        raise InvalidInput(f"no completion for {shell}", hint=f"there is one for {', '.join(sorted(SCRIPTS))}")
    invocation.io.text(SCRIPTS[shell])
    return 0


def _man(invocation: Invocation) -> int:
    invocation.io.text(manual_page())
    return 0


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line[:1] in (".", "'") else line for line in escaped.split("\n"))


def manual_page() -> str:
    """The whole manual page, in roff."""
    parts = [
        f'.TH {NAME.upper()} 1 "" "{NAME} {VERSION}" "User Commands"',
        f".SH NAME\n{NAME} \\- a terminal workstation for containers",
        f".SH SYNOPSIS\n.B {NAME}\n[\\fIOPTIONS\\fR] [\\fICOMMAND\\fR [\\fIARGUMENTS\\fR]]",
        ".SH DESCRIPTION\nWithout a command the full\\-screen console opens. With one, it is done as docker would do\n"
        "it, by an engine inside this program; there is no daemon. Running containers need nobody:\n"
        "they go on when the program that started them ends.",
        ".SH OPTIONS\n" + "\n".join(f".TP\n{_roff(names.strip())}\n{_roff(text)}" for names, text in GLOBAL_OPTIONS),
        ".SH COMMANDS",
    ]
    for path, command in tree.all_commands():
        parts.append(_command_section(path, command))
    parts += [
        ".SH EXIT STATUS\nThat of the process for run, exec, attach and start \\-a; 125 if a container can't be\n"
        "started or a flag is wrong, 126 if its program can't be executed, 127 if it is not there, 128+n\n"
        "if signal n ended it; 1 for any other refusal.",
        f".SH ENVIRONMENT\n.TP\n{ROOT_VARIABLE}\nWhere data is kept, as \\-\\-root.\n"
        f".TP\n{RUN_ROOT_VARIABLE}\nWhere what lasts until the next boot is kept, as \\-\\-run\\-root.",
        f".SH FILES\n.TP\n{DATA_ROOT}\nImages, containers, volumes and logs.\n"
        f".TP\n{RUN_ROOT}\nSockets and locks of what is running.",
    ]
    return "\n".join(parts) + "\n"


def _command_section(path: str, command: Command) -> str:
    lines = [f".SS {NAME} {_roff(path)}"]
    options = " [OPTIONS]" if command.flags else ""
    for rest in command.usage:
        lines.append(f".B {NAME} {_roff(path)}{options} {_roff(rest)}\n.br")
    lines.append(".P\n" + _roff(command.description or command.summary))
    aliases = [spelled for place in _places_of(path) for spelled in tree.paths_of(place) if spelled != path]
    if aliases:
        lines.append(".P\nAlso: " + _roff(", ".join(aliases)))
    for flag in shown_flags(command):
        kind = "" if flag.kind == "bool" else f" {flag.kind}"
        lines.append(f".TP\n{_roff(flag.shown)}{kind}\n{_roff(flag.text)}")
    return "\n".join(lines)


def _places_of(path: str) -> list[str]:
    noun, _, verb = path.partition(" ")
    return [tree.GROUPS[noun].words[verb]] if verb else [tree.top_words()[path]]


COMPLETION = Command(
    run=_completion,
    summary="Generate the autocompletion script for bash, zsh or fish",
    usage=("bash|fish|zsh",),
    least=1,
    most=1,
    completes=("shell",),
)
MAN = Command(run=_man, summary=f"Print the manual page (read it with: {NAME} man | man -l -)")
