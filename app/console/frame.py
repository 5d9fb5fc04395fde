"""Only what has changed goes to the terminal: a shadow of its cells between compositor and driver.

Textual sends every strip that a refresh touched, whole and with its colours spelt out anew. Here
each frame is compared with what the terminal already shows: runs of changed cells are sent, with
the shortest cursor move and only the colours that differ. Over a slow link that is the
difference between a live console and a slide show.

This replaces `render_segments` of two private classes of Textual, which is pinned for it; a
console without a differ, and `WHARF_CONSOLE_DIFF=off`, get the stock one. The shadow is thrown
away whenever the terminal may show something else: resize, resume, a repaint by hand.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from rich.cells import cell_len
from rich.console import Console as RichConsole
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.strip import Strip

from app.console.ascii_glyphs import in_ascii, wants_ascii
from app.console.terminal_facts import erases_in_colour

OFF_SWITCH = "WHARF_CONSOLE_DIFF"
_BRIDGE = 4
"""Unchanged cells between two changed ones that are sent again rather than jumped over."""
_LONG_BLANK = 12
_BLANKS = re.compile(f" {{{_LONG_BLANK},}}")

_ATTRIBUTES = (
    ("bold", "1"),
    ("dim", "2"),
    ("italic", "3"),
    ("underline", "4"),
    ("blink", "5"),
    ("blink2", "6"),
    ("reverse", "7"),
    ("conceal", "8"),
    ("strike", "9"),
    ("underline2", "21"),
    ("frame", "51"),
    ("encircle", "52"),
    ("overline", "53"),
)


class Pen(NamedTuple):
    """How a cell is drawn, in the terminal's own codes."""

    attributes: tuple[str, ...]
    foreground: str
    background: str
    link: str


_BARE = Pen((), "39", "49", "")

Cell = tuple[str, Pen] | None
"""What a cell shows; "" is the right half of a wide character, None is unknown."""


class FrameDiffer:
    """The shadow of one terminal."""

    def __init__(self, console: RichConsole, *, erases: bool = False) -> None:
        self._colour_system = console._color_system
        self._ascii = wants_ascii()
        self._erases = erases
        """Whether erasing paints the background: then long blanks are erased, not sent."""
        self.ground: Style | None = None
        """What most of the screen is made of: blanks of it need not be sent once all has been erased so."""
        self._rows: dict[int, list[Cell]] = {}
        self._unknown: Cell = None
        """What cells show that nothing has been sent to yet."""
        self._pens: dict[Style, Pen] = {}

    def forget(self) -> None:
        """The terminal may show anything: send everything next time."""
        self._rows.clear()
        self._unknown = None

    def frame(self, pieces: Iterable[tuple[int, int, Iterable[Segment]]]) -> str:
        """What to send for pieces of (column, row, segments), in order; an unknown screen is erased first."""
        out: list[str] = []
        pen = self._erase(out) if not self._rows and self._erases and self.ground else _BARE
        at: tuple[int, int] | None = None
        for column, row, segments in pieces:
            cells = self._cells(segments)
            shadow = self._rows.setdefault(row, [])
            if len(shadow) < column + len(cells):
                shadow += [self._unknown] * (column + len(cells) - len(shadow))
            old = shadow[column : column + len(cells)]
            if old == cells:
                continue
            for first, last in _changed_runs(old, cells):
                out.append(_move(at, column + first, row))
                pen = self._write(out, cells[first:last], pen)
                at = (column + last, row)
            self._store(shadow, column, cells)
        if pen != _BARE:
            out.append("\x1b[0m" if not pen.link else "\x1b]8;;\x1b\\\x1b[0m")
        return "".join(out)

    def _erase(self, out: list[str]) -> Pen:
        """Fill the screen with its ground, and know that it is so; the pen at the end."""
        pen = self._pen(self.ground)
        out.append(_change_pen(_BARE, pen) + "\x1b[2J")
        self._unknown = (" ", pen)
        return pen

    def _store(self, shadow: list[Cell], column: int, cells: list[Cell]) -> None:
        """Note what is there now; halves of wide characters that were cut become blanks, as terminals do."""
        end = column + len(cells)
        before = shadow[column - 1] if column else None
        if column and before and shadow[column] is not None and shadow[column] == ("", before[1]):
            shadow[column - 1] = (" ", before[1])
        if end < len(shadow):
            after = shadow[end]
            if after is not None and after[0] == "":
                shadow[end] = (" ", after[1])
        shadow[column:end] = cells

    def _cells(self, segments: Iterable[Segment]) -> list[Cell]:
        cells: list[Cell] = []
        for text, style, control in segments:
            if control:
                continue
            pen = self._pen(style)
            if text.isascii():
                cells += [(character, pen) for character in text]
                continue
            for character in text:
                width = cell_len(character)
                if width:
                    cells.append((character, pen))
                    if width == 2:
                        cells.append(("", pen))
                elif cells:
                    at = -2 if cells[-1] is not None and cells[-1][0] == "" and len(cells) > 1 else -1
                    base = cells[at]
                    assert base is not None
                    cells[at] = (base[0] + character, base[1])
        return cells

    def _pen(self, style: Style | None) -> Pen:
        if style is None:
            return _BARE
        pen = self._pens.get(style)
        if pen is None:
            if len(self._pens) > 10_000:
                self._pens.clear()
            pen = self._pens[style] = self._make_pen(style)
        return pen

    def _make_pen(self, style: Style) -> Pen:
        if self._colour_system is None:
            return Pen((), "39", "49", style.link or "")
        attributes = tuple(code for name, code in _ATTRIBUTES if getattr(style, name))

        def codes(colour: Any, *, foreground: bool, default: str) -> str:
            if colour is None or colour.is_default:
                return default
            return ";".join(colour.downgrade(self._colour_system).get_ansi_codes(foreground))

        return Pen(
            attributes,
            codes(style.color, foreground=True, default="39"),
            codes(style.bgcolor, foreground=False, default="49"),
            style.link or "",
        )

    def _write(self, out: list[str], cells: Sequence[Cell], pen: Pen) -> Pen:
        """Send cells in a row, changing the pen where it has to change; the pen at the end."""
        start, count = 0, len(cells)
        while start < count:
            cell = cells[start]
            assert cell is not None
            wanted = cell[1]
            end = start + 1
            while end < count and cells[end][1] is wanted:  # type: ignore[index]
                end += 1
            if wanted != pen:
                out.append(_change_pen(pen, wanted))
                pen = wanted
            text = "".join([one[0] for one in cells[start:end] if one is not None])
            if self._ascii:
                text = in_ascii(text)
            if self._erases and not wanted.attributes and len(text) >= _LONG_BLANK:
                text = _BLANKS.sub(_erased, text)
            out.append(text)
            start = end
        return pen


def _erased(blanks: re.Match[str]) -> str:
    count = blanks.end() - blanks.start()
    return f"\x1b[{count}X\x1b[{count}C"


def _changed_runs(old: Sequence[Cell], new: Sequence[Cell]) -> list[tuple[int, int]]:
    """Where cells differ, as [first, last) runs; near ones are joined, wide characters are kept whole."""
    runs: list[list[int]] = []
    for at, cell in enumerate(new):
        if cell != old[at] and not _look_alike(cell, old[at]):
            if runs and at - runs[-1][1] <= _BRIDGE:
                runs[-1][1] = at + 1
            else:
                runs.append([at, at + 1])
    for run in runs:
        first, last = new[run[0]], run[1]
        if first is not None and first[0] == "" and run[0]:
            run[0] -= 1
        if last < len(new):
            following = new[last]
            if following is not None and following[0] == "":
                run[1] += 1
    return [(first, last) for first, last in runs]


def _look_alike(one: Cell, other: Cell) -> bool:
    """Whether both are blanks on one background: their foreground is not seen."""
    return (
        one is not None
        and other is not None
        and one[0] == other[0] == " "
        and one[1].background == other[1].background
        and not (one[1].attributes or other[1].attributes or one[1].link or other[1].link)
    )


def _move(at: tuple[int, int] | None, column: int, row: int) -> str:
    """The shortest way for the cursor."""
    if at is not None and at[1] == row and column >= at[0]:
        forward = column - at[0]
        if forward == 0:
            return ""
        return "\x1b[C" if forward == 1 else f"\x1b[{forward}C"
    if at is not None and column == 0 and row == at[1] + 1:
        return "\r\n"
    return f"\x1b[{row + 1};{column + 1}H" if column else f"\x1b[{row + 1}H"


def _change_pen(old: Pen, new: Pen) -> str:
    """The shortest SGR from one pen to another."""
    link = f"\x1b]8;;{new.link}\x1b\\" if new.link != old.link else ""
    codes: list[str] = []
    if set(old.attributes) <= set(new.attributes):
        codes += [code for code in new.attributes if code not in old.attributes]
        if new.foreground != old.foreground:
            codes.append(new.foreground)
        if new.background != old.background:
            codes.append(new.background)
    else:
        codes = ["0", *new.attributes]
        codes += [new.foreground] if new.foreground != "39" else []
        codes += [new.background] if new.background != "49" else []
    return (f"\x1b[{';'.join(codes)}m" if codes else "") + link


# ---------------------------------------------------------------------- in Textual's place

_differs: WeakKeyDictionary[RichConsole, FrameDiffer] = WeakKeyDictionary()
_stock_layout = LayoutUpdate.render_segments
_stock_chops = ChopsUpdate.render_segments


def install(console: RichConsole) -> FrameDiffer | None:
    """Give a console a differ; None when the off switch is set."""
    if os.environ.get(OFF_SWITCH, "").lower() in ("off", "0", "no"):
        return None
    LayoutUpdate.render_segments = _render_layout  # type: ignore[assignment]
    ChopsUpdate.render_segments = _render_chops  # type: ignore[assignment]
    differ = _differs[console] = FrameDiffer(console, erases=erases_in_colour())
    return differ


def _render_layout(update: LayoutUpdate, console: RichConsole) -> str:
    differ = _differs.get(console)
    if differ is None:
        return _stock_layout(update, console)
    left = update.region.x
    return differ.frame(
        (left, row, (segment for strip in line for segment in strip))
        for row, line in enumerate(update.strips, update.region.y)
    )


def _render_chops(update: ChopsUpdate, console: RichConsole) -> str:
    differ = _differs.get(console)
    if differ is None:
        return _stock_chops(update, console)
    return differ.frame(_chop_pieces(update))


def _chop_pieces(update: ChopsUpdate) -> Iterable[tuple[int, int, Strip]]:
    """The same strips that Textual would send, cropped as it crops them."""
    for row, first, last in update.spans:
        for end, (column, strip) in zip(update.chop_ends[row], update.chops[row].items(), strict=False):
            if strip is None or column > last or end <= first:
                continue
            whole = last > column >= first and end <= last
            yield column, row, strip if whole else strip.crop(0, min(end, last) - column)
