"""A screen as an SVG that looks the same everywhere: no font from elsewhere, no blank to collapse.

Every word is put at its own place and stretched to its cells; blocks, shades and braille are
drawn as shapes, so that bars and graphs have no seams whatever the font.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import TerminalTheme

_CELL_WIDTH, _CELL_HEIGHT, _SIZE = 8.4, 17.0, 14
_MARGIN = 10
_FONT = "ui-monospace, 'DejaVu Sans Mono', 'Liberation Mono', Menlo, Consolas, monospace"

_RECTANGLES: dict[str, tuple[float, float, float, float]] = {
    **{chr(0x2580 + eighths): (0, 1 - eighths / 8, 1, eighths / 8) for eighths in range(1, 9)},
    **{chr(0x2590 - eighths): (0, 0, eighths / 8, 1) for eighths in range(1, 8)},
    "▀": (0, 0, 1, 0.5),
    "▐": (0.5, 0, 0.5, 1),
    "▔": (0, 0, 1, 0.125),
    "▕": (0.875, 0, 0.125, 1),
    "─": (0, 0.46, 1, 0.08),
    "│": (0.45, 0, 0.12, 1),
}
_SHADES = {"░": 0.3, "▒": 0.5, "▓": 0.75}
_DOTS = (
    (0x01, 0, 0),
    (0x02, 0, 1),
    (0x04, 0, 2),
    (0x40, 0, 3),
    (0x08, 1, 0),
    (0x10, 1, 1),
    (0x20, 1, 2),
    (0x80, 1, 3),
)


def screen_svg(rows: Sequence[Iterable[Segment]], columns: int, theme: TerminalTheme, ground: str) -> str:
    """The picture of a screen's rows. `theme` says what the terminal's own colours are."""
    width = columns * _CELL_WIDTH + 2 * _MARGIN
    height = len(rows) * _CELL_HEIGHT + 2 * _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"'
        f' font-family="{_FONT}" font-size="{_SIZE}">',
        f'<rect width="100%" height="100%" rx="8" fill="{ground}"/>',
    ]
    for number, row in enumerate(rows):
        top = _MARGIN + number * _CELL_HEIGHT
        column = 0
        grounds, marks = [], []
        for text, style, control in row:
            if control:
                continue
            cells = cell_len(text)
            front, back = _colours(style, theme, ground)
            if back != ground and cells:
                grounds.append(_rectangle(column, top, 0, 0, cells, 1, back))
            marks += _marks(text, column, top, style or Style(), front)
            column += cells
        parts += grounds + marks
    return "\n".join([*parts, "</svg>", ""])


def _colours(style: Style | None, theme: TerminalTheme, ground: str) -> tuple[str, str]:
    if style is None:
        return theme.foreground_color.hex, ground
    front = style.color.get_truecolor(theme).hex if style.color else theme.foreground_color.hex
    back = style.bgcolor.get_truecolor(theme, foreground=False).hex if style.bgcolor else ground
    return (back, front) if style.reverse else (front, back)


def _marks(text: str, column: int, top: float, style: Style, colour: str) -> list[str]:
    """Words as text, drawn characters as shapes."""
    marks: list[str] = []
    word, word_at, path = "", column, ""
    for character in text:
        cells = cell_len(character)
        drawn = _shape(character, column, top, colour)
        if character == " " or drawn is not None or 0x2800 <= ord(character) < 0x2900:
            marks += _word(word, word_at, column, top, style, colour)
            word = ""
            marks += [drawn] if drawn else []
            if 0x2800 < ord(character) < 0x2900:
                path += _dots(ord(character) - 0x2800, column, top)
        else:
            word_at = word_at if word else column
            word += character
        column += cells
    marks += _word(word, word_at, column, top, style, colour)
    if path:
        marks.append(f'<path fill="{colour}" d="{path}"/>')
    return marks


def _word(word: str, first: int, last: int, top: float, style: Style, colour: str) -> list[str]:
    if not word:
        return []
    x = _MARGIN + first * _CELL_WIDTH
    looks = ' font-weight="bold"' if style.bold else ""
    looks += ' text-decoration="underline"' if style.underline else ""
    return [
        f'<text x="{x:.1f}" y="{top + 13:.1f}" fill="{colour}"{looks}'
        f' textLength="{(last - first) * _CELL_WIDTH:.1f}" lengthAdjust="spacingAndGlyphs">{escape(word)}</text>'
    ]


def _shape(character: str, column: int, top: float, colour: str) -> str | None:
    if character in _SHADES:
        return _rectangle(column, top, 0, 0, 1, 1, colour, _SHADES[character])
    place = _RECTANGLES.get(character)
    return _rectangle(column, top, *place, colour) if place else None


def _rectangle(
    column: int, top: float, x: float, y: float, width: float, height: float, colour: str, opacity: float = 1
) -> str:
    """A rectangle given in cells from a cell's corner; a hair wider, so that neighbours touch."""
    faded = f' fill-opacity="{opacity}"' if opacity < 1 else ""
    hair = 0.3 if width >= 1 and opacity == 1 else 0
    return (
        f'<rect x="{_MARGIN + (column + x) * _CELL_WIDTH:.1f}" y="{top + y * _CELL_HEIGHT:.1f}"'
        f' width="{width * _CELL_WIDTH + hair:.1f}" height="{height * _CELL_HEIGHT + hair:.1f}"'
        f' fill="{colour}"{faded}/>'
    )


def _dots(bits: int, column: int, top: float) -> str:
    path = ""
    for bit, x, y in _DOTS:
        if bits & bit:
            left = _MARGIN + (column + 0.14 + x * 0.5) * _CELL_WIDTH
            path += f"M{left:.1f} {top + (y + 0.18) * _CELL_HEIGHT / 4:.1f}h2.2v2.2h-2.2z"
    return path
