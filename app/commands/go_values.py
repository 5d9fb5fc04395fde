"""Values as Go's templates and fmt know them: maps, records, nothing, and how they print."""

from __future__ import annotations

from collections.abc import Mapping


class OpenMap(dict[str, object]):
    """A map whose keys are the user's own, such as labels: a missing one has no value."""


class Record(dict[str, object]):
    """A map with fields that templates can ask for though JSON does not show them.

    Such as `{{.Label "x"}}`, a function, or a mount's empty name, which docker's JSON leaves out.
    """

    def __init__(self, fields: Mapping[str, object], hidden: Mapping[str, object] | None = None) -> None:
        super().__init__(fields)
        self.hidden: dict[str, object] = dict(hidden or {})


class Omitting(Record):
    """A record whose JSON has its fields in the order they are given, without those that are empty there."""


class Struct(dict[str, object]):
    """What Go has as a struct and prints as its values alone, in their order."""


class NoValue:
    """What Go calls the zero reflect.Value."""


NO_VALUE = NoValue()


class Nil:
    """A field that Go has as a pointer to nothing: `<nil>` in text, null in JSON, false in a condition."""

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return "<nil>"


NIL = Nil()


def go_text(value: object) -> str:
    """A value as Go's fmt prints it with %v."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or value is NO_VALUE:
        return "<no value>"
    if isinstance(value, Struct | Omitting):
        return "{" + " ".join(_nested(item) for item in value.values()) + "}"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_nested(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(_nested(item) for item in value) + "]"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value)


def _nested(value: object) -> str:
    return "<nil>" if value is None else go_text(value)


def go_quote(text: str) -> str:
    """A string as Go's %q prints it: quotes, and no control character left as it is."""
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b"}
    named |= {"\f": "\\f", "\v": "\\v"}
    out = []
    for letter in text:
        if letter in named:
            out.append(named[letter])
        elif letter.isprintable():
            out.append(letter)
        elif "\udc80" <= letter <= "\udcff":
            out.append(f"\\x{ord(letter) - 0xDC00:02x}")
        elif ord(letter) < 0x80:
            out.append(f"\\x{ord(letter):02x}")
        else:
            out.append(f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}")
    return '"' + "".join(out) + '"'
