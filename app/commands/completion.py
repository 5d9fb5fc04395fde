"""What a half-typed word may become: for the console's `:` line, and for bash, zsh and fish."""

from __future__ import annotations

import os
import shlex

from app.commands import tree
from app.commands.definition import Command
from app.commands.flags import Flag
from app.commands.help import GLOBAL_OPTIONS, shown_flags
from core.about import NAME
from core.backend import Backend
from core.errors import EngineError

FLAG_VALUES = {
    "platform": (
        "linux/amd64",
        "linux/arm64",
        "linux/arm/v7",
        "linux/386",
        "linux/ppc64le",
        "linux/riscv64",
        "linux/s390x",
    ),
    "pull": ("always", "missing", "never"),
    "signal": ("HUP", "INT", "KILL", "QUIT", "TERM", "USR1", "USR2"),
    "stop-signal": ("HUP", "INT", "KILL", "QUIT", "TERM", "USR1", "USR2"),
    "type": ("container", "image", "network", "volume"),
}
_FILE_FLAGS = ("cidfile", "env-file", "input", "label-file", "output")


def candidates(text: str, backend: Backend) -> list[str]:
    """Whole words that the last word of a line may become, sorted; empty when there are none."""
    try:
        words = shlex.split(text)
    except ValueError:  # an open quote: nothing sensible to offer
        return []
    if not text or text[-1].isspace():
        words.append("")
    return complete_words(words, backend)


def complete_words(words: list[str], backend: Backend) -> list[str]:
    """The same for words that a shell has split already; the last one is being typed."""
    *before, typed = words
    path, command, rest = _walk(before)
    if command is None:
        found = _words_after(path, before)
        if typed.startswith("-") and not before:
            found = [name for names, _ in GLOBAL_OPTIONS for name in names.replace(",", " ").split()]
            found = [name for name in found if name.startswith("-")]
    else:
        found = _after_command(command, rest, typed, backend)
    return sorted({word for word in found if word.startswith(typed)})


def _walk(before: list[str]) -> tuple[str, Command | None, list[str]]:
    place = tree.top_words().get(before[0]) if before else None
    if place:
        return before[0], tree.find(place), before[1:]
    group = tree.GROUPS.get(before[0]) if before else None
    if group and len(before) > 1 and before[1] in group.words:
        return " ".join(before[:2]), tree.find(group.words[before[1]]), before[2:]
    return before[0] if group else "", None, before[1:]


def _words_after(path: str, before: list[str]) -> list[str]:
    if path:
        return list(tree.GROUPS[path].words) if len(before) == 1 else []
    return [] if before else [*tree.top_words(), *tree.GROUPS]


def _after_command(command: Command, rest: list[str], typed: str, backend: Backend) -> list[str]:
    waiting = _flag_waiting(command, rest)
    if waiting is not None:
        return _flag_values(waiting, typed, backend)
    if typed.startswith("--") and "=" in typed:
        name, _, value = typed[2:].partition("=")
        for flag in shown_flags(command):
            if flag.name == name:
                return [f"--{name}={choice}" for choice in _flag_values(flag, value, backend)]
        return []
    position = _position(command, rest)
    if typed.startswith("-") and (command.interspersed or position == 0):
        return [f"--{flag.name}" for flag in shown_flags(command)] + ["--help"]
    if command.most is not None and position >= command.most:
        return []
    if not command.completes:
        return []
    kind = command.completes[min(position, len(command.completes) - 1)]
    return _objects(kind, typed, backend)


def _flag_waiting(command: Command, rest: list[str]) -> Flag | None:
    """The flag whose value is being typed, if the last word was one that takes a value."""
    last = rest[-1] if rest else ""
    if not last.startswith("-") or "=" in last:
        return None
    for flag in command.flags:
        if flag.kind != "bool" and (last == f"--{flag.name}" or (flag.short and _ends_cluster(last, flag.short))):
            return flag
    return None


def _ends_cluster(word: str, short: str) -> bool:
    return not word.startswith("--") and word.endswith(short) and len(word) > 1


def _position(command: Command, rest: list[str]) -> int:
    """How many words that are no flags stand before the one being typed."""
    count, skip = 0, False
    for number, word in enumerate(rest):
        if skip:
            skip = False
        elif word.startswith("-") and len(word) > 1 and (command.interspersed or count == 0):
            skip = _flag_waiting(command, rest[: number + 1]) is not None
        else:
            count += 1
    return count


def _flag_values(flag: Flag, typed: str, backend: Backend) -> list[str]:
    if flag.kind == "network":
        names = [f"container:{name}" for name in _objects("container", typed, backend)]
        return _objects("network", typed, backend) + (names if typed.startswith("c") else [])
    if flag.name in FLAG_VALUES:
        return list(FLAG_VALUES[flag.name])
    return _files(typed) if flag.name in _FILE_FLAGS else []


def _files(typed: str) -> list[str]:
    directory, _, _ = typed.rpartition("/")
    where = (directory or "/") if typed.startswith("/") else (directory or ".")
    try:
        with os.scandir(where) as entries:
            return [
                (f"{directory}/" if "/" in typed else "") + entry.name + ("/" if entry.is_dir() else "")
                for entry in entries
            ]
    except OSError:
        return []


def _objects(kind: str, typed: str, backend: Backend) -> list[str]:
    from app.commands.ps import known_names

    try:
        match kind:
            case "container":
                return known_names(backend.containers)
            case "running":
                return known_names(backend.containers, running=True)
            case "stopped":
                return known_names(backend.containers, running=False)
            case "image":
                return [tag for image in backend.images.list() for tag in image.tags]
            case "repository":
                return [tag.rpartition(":")[0] for image in backend.images.list() for tag in image.tags]
            case "registry":
                from app.keyring import FileKeyring

                return FileKeyring().servers()
            case "network":
                return [network.name for network in backend.networks.list()]
            case "volume":
                return [volume.name for volume in backend.volumes.list()]
            case "object":
                kinds = ("container", "image", "network", "volume")
                return [name for each in kinds for name in _objects(each, typed, backend)]
            case "file":
                names = [f"{name}:" for name in known_names(backend.containers)]
                return _files(typed) + names
            case "shell":
                return ["bash", "fish", "zsh"]
    except EngineError:  # completion has nothing to say where the engine can't be opened
        return []
    return []


BASH = f"""\
# bash completion of {NAME}; to use it: source <({NAME} completion bash)
_{NAME}_complete() {{
    local line IFS=$'\\n'
    COMPREPLY=()
    local words=("${{COMP_WORDS[@]:1:COMP_CWORD}}")
    while read -r line; do
        COMPREPLY+=("$line")
    done < <({NAME} __complete -- "${{words[@]}}" 2>/dev/null)
    [[ ${{#COMPREPLY[@]}} -eq 1 && ${{COMPREPLY[0]}} == *[/:=] ]] && compopt -o nospace
}}
complete -o default -F _{NAME}_complete {NAME}
"""

ZSH = f"""\
#compdef {NAME}
# zsh completion of {NAME}; to use it: source <({NAME} completion zsh)
_{NAME}() {{
    local -a found
    found=("${{(@f)$({NAME} __complete -- "${{(@)words[2,$CURRENT]}}" 2>/dev/null)}}")
    if [[ -n "${{found[1]}}" ]]; then
        compadd -Q -a found
    else
        _files
    fi
}}
compdef _{NAME} {NAME}
"""

FISH = f"""\
# fish completion of {NAME}; to use it: {NAME} completion fish | source
function __{NAME}_complete
    set -l words (commandline -opc) (commandline -ct)
    {NAME} __complete -- $words[2..-1] 2>/dev/null
end
complete -c {NAME} -f -a '(__{NAME}_complete)'
"""

SCRIPTS = {"bash": BASH, "fish": FISH, "zsh": ZSH}
