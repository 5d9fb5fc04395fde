"""Keys and mouse → the bytes that xterm would send to a program."""

from __future__ import annotations

_MODIFIERS = {"shift": 1, "alt": 2, "meta": 2, "ctrl": 4}

_LETTERS = {"up": "A", "down": "B", "right": "C", "left": "D", "home": "H", "end": "F"}
_TILDES = {
    "insert": 2,
    "delete": 3,
    "pageup": 5,
    "pagedown": 6,
    "f5": 15,
    "f6": 17,
    "f7": 18,
    "f8": 19,
    "f9": 20,
    "f10": 21,
    "f11": 23,
    "f12": 24,
}
_SS3 = {"f1": "P", "f2": "Q", "f3": "R", "f4": "S"}
_PLAIN = {
    "enter": "\r",
    "tab": "\t",
    "backspace": "\x7f",
    "escape": "\x1b",
    "space": " ",
    "shift+tab": "\x1b[Z",
    "ctrl+space": "\x00",
    "ctrl+at": "\x00",
    "ctrl+backslash": "\x1c",
    "ctrl+right_square_bracket": "\x1d",
    "ctrl+circumflex_accent": "\x1e",
    "ctrl+underscore": "\x1f",
    "ctrl+backspace": "\x08",
}


def encode_key(key: str, character: str | None, *, application_cursor: bool = False) -> bytes:
    """The bytes of one key press; empty for a key that terminals don't send.

    Args: key: the name with modifiers, such as `ctrl+shift+left`. character: what it types, if any.
    """
    if key in _PLAIN:
        return _PLAIN[key].encode()
    *held, name = key.split("+")
    modifiers = sum({_MODIFIERS.get(word, 0) for word in held})
    if name in _LETTERS:
        if modifiers:
            return f"\x1b[1;{modifiers + 1}{_LETTERS[name]}".encode()
        return f"\x1b{'O' if application_cursor else '['}{_LETTERS[name]}".encode()
    if name in _TILDES:
        suffix = f";{modifiers + 1}" if modifiers else ""
        return f"\x1b[{_TILDES[name]}{suffix}~".encode()
    if name in _SS3:
        return (f"\x1b[1;{modifiers + 1}" if modifiers else "\x1bO").encode() + _SS3[name].encode()
    escape = "\x1b" if modifiers & 2 else ""
    if modifiers & 4 and len(name) == 1 and name.isascii() and name.isalpha():
        return (escape + chr(ord(name.upper()) - 64)).encode()
    if modifiers & 2 and not character and (len(name) == 1 or name in _PLAIN):
        return (escape + _PLAIN.get(name, name)).encode()
    if character:
        return (escape + character).encode()
    return b""


def encode_mouse(button: int, column: int, row: int, *, released: bool, sgr: bool) -> bytes:
    """A mouse report. button: 0-2, 64 and 65 the wheel, plus 32 when moving; places from 0."""
    if sgr:
        return f"\x1b[<{button};{column + 1};{row + 1}{'m' if released else 'M'}".encode()
    if column > 222 or row > 222:
        return b""
    return b"\x1b[M" + bytes((32 + (3 if released else button), 33 + column, 33 + row))


def encode_paste(text: str, *, bracketed: bool) -> bytes:
    """Pasted text; its own end mark is taken out, so that it can't break out of the brackets."""
    text = text.replace("\r\n", "\r").replace("\n", "\r")
    if not bracketed:
        return text.encode("utf-8", "replace")
    return b"\x1b[200~" + text.replace("\x1b[201~", "").encode("utf-8", "replace") + b"\x1b[201~"
