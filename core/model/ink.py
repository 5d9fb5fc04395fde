"""Colours and attributes of text on a terminal, as SGR sequences set them (ECMA-48 8.3.117).

Here because both a coloured log line and the console's terminal emulator speak SGR. Values
only; what a colour looks like is a theme's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import msgspec

BOLD, DIM, ITALIC, UNDERLINE, BLINK, REVERSE, CONCEAL, STRIKE = (1 << bit for bit in range(8))

_RGB = 1 << 24
"""Marks a colour that is 0xRRGGBB rather than a place in the 256-colour palette."""

DEFAULT_COLOUR = -1

_SET = {
    1: BOLD,
    2: DIM,
    3: ITALIC,
    4: UNDERLINE,
    5: BLINK,
    6: BLINK,
    7: REVERSE,
    8: CONCEAL,
    9: STRIKE,
    21: UNDERLINE,
}
_CLEAR = {
    22: BOLD | DIM,
    23: ITALIC,
    24: UNDERLINE,
    25: BLINK,
    27: REVERSE,
    28: CONCEAL,
    29: STRIKE,
}


class Ink(msgspec.Struct, frozen=True):
    """One way of drawing a cell: -1 default, 0-255 the palette, `rgb()` values for the rest."""

    foreground: int = DEFAULT_COLOUR
    background: int = DEFAULT_COLOUR
    attributes: int = 0


PLAIN = Ink()


def rgb(red: int, green: int, blue: int) -> int:
    """A direct colour as an Ink keeps it."""
    return _RGB | red << 16 | green << 8 | blue


def as_rgb(colour: int) -> tuple[int, int, int] | None:
    """The parts of a direct colour; None for the default and for palette places."""
    if colour < _RGB:
        return None
    return colour >> 16 & 255, colour >> 8 & 255, colour & 255


@lru_cache(maxsize=4096)
def apply_sgr(ink: Ink, parameters: str) -> Ink:
    """The ink after `CSI parameters m`; what is unknown or malformed changes nothing.

    Both spellings of long colours are read: `38;2;r;g;b` and `38:2::r:g:b`.
    """
    if parameters in ("", "0"):
        return PLAIN
    foreground, background, attributes = ink.foreground, ink.background, ink.attributes
    codes = iter(parameters.split(";"))
    for text in codes:
        if ":" in text:
            code, *rest = text.split(":")
            if code == "4":
                attributes = attributes & ~UNDERLINE if rest[:1] == ["0"] else attributes | UNDERLINE
                continue
            if rest[:1] == ["2"] and len(rest) >= 5:
                del rest[1]  # the colour space, which nobody uses
            colour = _long_colour(iter(rest))
            number = _number(code)
        else:
            number = _number(text)
            colour = _long_colour(codes) if number in (38, 48, 58) else None
        if number == 0:
            foreground, background, attributes = DEFAULT_COLOUR, DEFAULT_COLOUR, 0
        elif number in _SET:
            attributes |= _SET[number]
        elif number in _CLEAR:
            attributes &= ~_CLEAR[number]
        elif 30 <= number <= 37:
            foreground = number - 30
        elif 40 <= number <= 47:
            background = number - 40
        elif 90 <= number <= 97:
            foreground = number - 82
        elif 100 <= number <= 107:
            background = number - 92
        elif number == 39:
            foreground = DEFAULT_COLOUR
        elif number == 49:
            background = DEFAULT_COLOUR
        elif number == 38 and colour is not None:
            foreground = colour
        elif number == 48 and colour is not None:
            background = colour
    return Ink(foreground, background, attributes)


def _number(text: str) -> int:
    if not text:
        return 0
    return int(text) if len(text) < 6 and text.isascii() and text.isdigit() else -1


def _long_colour(codes: Iterator[str]) -> int | None:
    kind = next(codes, "")
    if kind == "5":
        place = _number(next(codes, ""))
        return place if 0 <= place <= 255 else None
    if kind == "2":
        parts = [_number(next(codes, "")) for _ in range(3)]
        return rgb(*parts) if all(0 <= part <= 255 for part in parts) else None
    return None
