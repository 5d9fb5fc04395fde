"""Flags as docker's users know them.

`-itd`, `-m 64m`, `-m64m`, `-m=64m`, `--name x`, `--name=x`, `--rm`, `--rm=false`, `--` ends them.
A flag of docker's that is not built yet stands in the table with its reason and is refused with
it: nothing that a person asks for is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from core.errors import InvalidInput
from core.model.durations import parse_duration
from core.model.limits import parse_bytes, parse_cpus

REPEATED = ("list", "map", "filter", "mount", "network", "ulimit", "strings")
"""Kinds that may be given more than once and collect."""

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


class FlagError(InvalidInput):
    """A command line that docker's rules do not allow; shown with the command's usage."""


class Flag(msgspec.Struct, frozen=True):
    """One flag: its names, its kind as help shows it (`bool` shows nothing), what it is for."""

    name: str
    short: str
    kind: str
    text: str
    default: str = ""
    check: Callable[[str], object] | None = None
    """Called with each value; raises InvalidInput to refuse it."""
    refused: str = ""
    """Why this version can't do it; empty: it can."""
    allowed: tuple[str, ...] = ()
    """Values of a refused flag that ask for nothing more than what happens anyway."""
    hidden: bool = False

    @property
    def shown(self) -> str:
        """As error messages name it: `-m, --memory`."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


def flag(
    spelled: str,
    text: str,
    *,
    default: str = "",
    check: Callable[[str], object] | None = None,
    hidden: bool = False,
) -> Flag:
    """Define a flag from its line of help, such as `-m, --memory bytes`."""
    name, short, kind = _read_spelling(spelled)
    return Flag(name, short, kind, text, default, check, hidden=hidden)


def refused(spelled: str, why: str, *, allowed: tuple[str, ...] = ()) -> Flag:
    """Define a flag that docker has and this version refuses, with the reason."""
    name, short, kind = _read_spelling(spelled)
    return Flag(name, short, kind, "", refused=why, allowed=allowed)


def _read_spelling(spelled: str) -> tuple[str, str, str]:
    names, _, kind = spelled.partition(" --")
    if kind:
        short = names[1]
        name, _, kind = kind.partition(" ")
    else:
        short = ""
        name, _, kind = spelled[2:].partition(" ")
    return name, short, kind or "bool"


class Values:
    """The flags of one command line, defaults filled in."""

    def __init__(self, flags: Sequence[Flag]) -> None:
        self._flags = {flag.name: flag for flag in flags}
        self._given: dict[str, list[str]] = {}

    def put(self, flag: Flag, value: str) -> None:
        """Keep one value of a flag."""
        self._given.setdefault(flag.name, []).append(value)

    def given(self, name: str) -> bool:
        """Whether it stood on the command line."""
        return name in self._given

    def has(self, name: str) -> bool:
        """Whether the command knows such a flag."""
        return name in self._flags

    def text(self, name: str) -> str:
        """The last value, else the default."""
        return self._given[name][-1] if name in self._given else self._flags[name].default

    def truth(self, name: str) -> bool:
        """A boolean flag."""
        return self.text(name) in _TRUE

    def number(self, name: str) -> int:
        """A whole number; 0 where there is no default."""
        return int(self.text(name) or "0", 0)

    def size(self, name: str) -> int:
        """A number of bytes; 0 where there is no default."""
        return parse_bytes(self.text(name) or "0")

    def duration(self, name: str) -> int:
        """A length of time in nanoseconds; 0 where there is no default."""
        return parse_duration(self.text(name) or "0") or 0

    def many(self, name: str) -> tuple[str, ...]:
        """Every value of a repeatable flag, in order."""
        return tuple(self._given.get(name, ()))


def parse_flags(flags: Sequence[Flag], words: Sequence[str], *, interspersed: bool) -> tuple[Values, list[str], bool]:
    """Split a command line: the flags' values, the other words, and whether help was asked for.

    Args: interspersed: flags may follow other words; otherwise the first other word ends them.
    Raises: FlagError: with docker's wording.
    """
    by_name = {flag.name: flag for flag in flags}
    by_short = {flag.short: flag for flag in flags if flag.short}
    values = Values(flags)
    others: list[str] = []
    rest = list(reversed(words))
    while rest:
        word = rest.pop()
        if word == "--":
            others += reversed(rest)
            break
        if len(word) < 2 or word[0] != "-":
            others.append(word)
            if not interspersed:
                others += reversed(rest)
                break
            continue
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if name == "help":
                return values, others, True
            if not name or name[0] == "-":
                raise FlagError(f"bad flag syntax: {word}")
            flag = by_name.get(name)
            if flag is None:
                raise FlagError(f"unknown flag: --{name}")
            if not equals:
                if flag.kind == "bool":
                    value = "true"
                elif not rest:
                    raise FlagError(f"flag needs an argument: --{name}")
                else:
                    value = rest.pop()
            _put(values, flag, value)
            continue
        cluster = word[1:]
        while cluster:
            letter = cluster[0]
            flag = by_short.get(letter)
            if flag is None:
                if letter == "h":
                    return values, others, True
                raise FlagError(f"unknown shorthand flag: {letter!r} in -{cluster}")
            if len(cluster) > 2 and cluster[1] == "=":
                value, cluster = cluster[2:], ""
            elif flag.kind == "bool":
                value, cluster = "true", cluster[1:]
            elif len(cluster) > 1:
                value, cluster = cluster[1:], ""
            elif rest:
                value, cluster = rest.pop(), ""
            else:
                raise FlagError(f"flag needs an argument: {letter!r} in -{cluster}")
            _put(values, flag, value)
    return values, others, False


def _put(values: Values, flag: Flag, value: str) -> None:
    if flag.refused:
        if value not in flag.allowed:
            raise InvalidInput(f"--{flag.name} is not available yet: {flag.refused}")
        return
    try:
        if flag.kind == "bool":
            if value not in _TRUE and value not in _FALSE:
                raise InvalidInput(f'"{value}" is neither true nor false')
        elif flag.kind == "int":
            _check_whole(value)
        elif flag.kind == "bytes":
            parse_bytes(value)
        elif flag.kind == "duration":
            if parse_duration(value) is None:
                raise InvalidInput(f'time: invalid duration "{value}"')
        elif flag.kind == "decimal":
            parse_cpus(value)
        if flag.check is not None:
            flag.check(value)
    except InvalidInput as error:
        raise FlagError(f'invalid argument "{value}" for "{flag.shown}" flag: {error}') from None
    values.put(flag, value)


def _check_whole(value: str) -> None:
    try:
        int(value, 0)
    except ValueError:
        raise InvalidInput(f'"{value}" is not a whole number') from None
