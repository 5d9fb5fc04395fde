"""Every sign of the console in ASCII, for terminals that know nothing else: one cell each, shapes kept apart.

Asked for by `WHARF_CONSOLE_ASCII=on`, or by a locale that names a character set other than UTF-8.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from core.about import NAME

SWITCH = f"{NAME.upper()}_CONSOLE_ASCII"

_SIGNS = {
    "-": "▀─═–−—▔╤┬┴⎺⎻⎼⎽",
    "|": "│▌▐▎▏▍▋▊▉▕╵",
    "+": "┌┐└┘├┤┼╭╮╰╯",
    "#": "█▇▆▓",
    "=": "▅▄▒‖≠",
    ":": "▃░",
    "_": "▂▁␣⏎",
    "*": "●★◆▪",
    "o": "○",
    "~": "◐≈",
    ".": "…◌·⋯",
    "x": "✖×",
    "v": "✓▾↓",
    ">": "▸▶→›≥",
    "<": "◀←‹≤⌫",
    "^": "▴↑▲⇧",
    "@": "↻",
    "!": "⚠",
    '"': "“”",
    "'": "‘’",
    "?": "␀",
}
"""By what they become; eighths of a bar are told apart as far as ASCII goes."""
_TABLE = {ord(sign): plain for plain, signs in _SIGNS.items() for sign in signs}


def wants_ascii(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this terminal is to be sent ASCII alone."""
    asked = environment.get(SWITCH, "").lower()
    if asked:
        return asked in ("on", "1", "yes")
    locale = next((environment[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(name)), "")
    codeset = locale.partition(".")[2].partition("@")[0].lower().replace("-", "")
    return bool(codeset) and codeset != "utf8"


def in_ascii(text: str) -> str:
    """A text of as many cells, all of it ASCII; what has no sign of its own is a question mark a cell."""
    if text.isascii():
        return text
    text = text.translate(_TABLE)
    return text if text.isascii() else "".join(map(_plain, text))


def _plain(character: str) -> str:
    if character.isascii():
        return character
    import unicodedata  # not needed by the first frame, as a rule

    if unicodedata.combining(character):
        return ""
    return "??" if unicodedata.east_asian_width(character) in ("W", "F") else "?"
