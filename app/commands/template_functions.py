"""The functions of templates: Go's own and docker's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from app.commands.go_values import NO_VALUE, Omitting, OpenMap, Record, go_quote, go_text


def go_json(value: object, *, for_html: bool = False) -> str:
    """A value as Go encodes it: no blanks; `for_html` also escapes < > and &."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=lambda _other: None)
    if for_html:
        for letter in "<>&":
            text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def row_json(row: dict[str, object]) -> str:
    """A list's row as docker encodes it: keys in order, safe inside HTML."""
    return go_json({name: row[name] for name in sorted(row)}, for_html=True)


def is_true(value: object) -> bool:
    """Go's idea of truth: not zero, not empty."""
    return value is not NO_VALUE and bool(value)


def _equal(first: object, *others: object) -> bool:
    if not others:
        raise ValueError("missing argument for comparison")
    for other in others:
        if first is not None and other is not None and _family(first) != _family(other):
            raise ValueError("incompatible types for comparison")
    return first in others


def _family(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


def _order(first: object, second: object) -> int:
    if isinstance(first, str) and isinstance(second, str):
        return (first > second) - (first < second)
    if isinstance(first, int | float) and isinstance(second, int | float):
        return (first > second) - (first < second)
    raise ValueError("incompatible types for comparison")


def _index(value: object, *keys: object) -> object:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, NO_VALUE if not isinstance(value, OpenMap) else "")
        elif isinstance(value, list | tuple | str):
            if not isinstance(key, int) or isinstance(key, bool):
                raise ValueError(f"cannot index slice/array with {go_text(key)}")
            if not 0 <= key < len(value):
                raise ValueError(f"index out of range: {key}")
            value = ord(value[key]) if isinstance(value, str) else value[key]
        else:
            raise ValueError(f"can't index {go_text(value)}")
    return value


def _slice(value: object, first: int = 0, last: int | None = None) -> object:
    if not isinstance(value, str | list | tuple):
        raise ValueError(f"can't slice {go_text(value)}")
    if not 0 <= first <= (len(value) if last is None else last) <= len(value):
        raise ValueError("index out of range")
    return value[first:last]


def _length(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, dict | list | tuple):
        return len(value)
    raise ValueError(f"len of {go_text(value)}")


_VERB = re.compile(r"%([-+# 0]*)(\d*)(?:\.(\d+))?([a-zA-Z%])")


def _printf(layout: str, *values: object) -> str:
    rest = list(values)

    def one(found: re.Match[str]) -> str:
        marks, width, precision, verb = found.groups()
        if verb == "%":
            return "%"
        if not rest:
            return f"%!{verb}(MISSING)"
        value = rest.pop(0)
        sizes = f"{marks}{width}" + (f".{precision}" if precision is not None else "")
        if verb in "vs":
            return f"%{sizes}s" % go_text(value)
        if verb == "q":
            return f"%{sizes}s" % go_quote(go_text(value))
        if verb == "t":
            return f"%{sizes}s" % go_text(value)
        if verb in "dxXoc" and isinstance(value, int):
            return f"%{sizes}{verb}" % value
        if verb in "xX" and isinstance(value, str):
            return value.encode("utf-8", "surrogateescape").hex()
        if verb in "feEgG" and isinstance(value, int | float):
            return f"%{sizes}{verb}" % value
        return f"%!{verb}({go_text(value)})"

    return _VERB.sub(one, layout)


def _print(*values: object) -> str:
    out = ""
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            out += " "
        out += go_text(value)
    return out


def _html(*values: object) -> str:
    from html import escape

    return escape(_print(*values)).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")


def _js(*values: object) -> str:
    named = {"\\": "\\\\", "'": "\\'", '"': '\\"'}
    return "".join(
        named.get(letter)
        or (
            f"\\u{ord(letter):04X}"
            if letter in "<>&=" or (not letter.isprintable() and ord(letter) < 0x10000)
            else letter
        )
        for letter in _print(*values)
    )


def _urlquery(*values: object) -> str:
    from urllib.parse import quote_plus

    return quote_plus(_print(*values))


def _json(value: object) -> str:
    if isinstance(value, Record) and not isinstance(value, Omitting):
        return row_json(value)
    if isinstance(value, list) and value and all(isinstance(item, Record) for item in value):
        return "[" + ",".join(map(_json, value)) + "]"
    return go_json(None if value is NO_VALUE else value)


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a string, got {go_text(value)}")
    return value


def _title(text: str) -> str:
    return re.sub(r"(?<!\w)\w", lambda found: found.group().upper(), _string(text))


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if text else text


FUNCTIONS: dict[str, Callable[..., object]] = {
    "not": lambda value: not is_true(value),
    "eq": _equal,
    "ne": lambda first, second: not _equal(first, second),
    "lt": lambda first, second: _order(first, second) < 0,
    "le": lambda first, second: _order(first, second) <= 0,
    "gt": lambda first, second: _order(first, second) > 0,
    "ge": lambda first, second: _order(first, second) >= 0,
    "index": _index,
    "slice": _slice,
    "len": _length,
    "print": _print,
    "println": lambda *values: " ".join(go_text(value) for value in values) + "\n",
    "printf": _printf,
    "html": _html,
    "js": _js,
    "urlquery": _urlquery,
    "json": _json,
    "split": lambda text, separator: _string(text).split(separator),
    "join": lambda items, separator: separator.join(go_text(item) for item in items),
    "title": _title,
    "lower": lambda text: _string(text).lower(),
    "upper": lambda text: _string(text).upper(),
    "pad": _pad,
    "truncate": lambda text, length: _string(text)[:length],
}

TITLE_FUNCTIONS = FUNCTIONS | {
    name: lambda title, *_arguments: title
    for name in ("json", "split", "join", "title", "lower", "upper", "pad", "truncate")
}
"""For a table's head: what would change a value leaves its title alone."""
