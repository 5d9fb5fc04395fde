"""The first frame: real state in plain escape sequences, before anything but Python itself is loaded.

It shows the list as it will look, without what takes two samples to know; the real console
draws over it a moment later. Where it can't be painted (no terminal, an engine in trouble)
nothing is, and the console explains. Only what costs next to nothing may be imported here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

from app import short
from app.console.ascii_glyphs import in_ascii, wants_ascii
from app.console.container_columns import EDGE_CELLS, SHAPES, share_width
from app.console.places import TABS, tab_gap
from app.console.theme_glance import ANSI_NAMES, glance_colours
from core.about import NAME
from core.model.glance import Glance, Glimpse

_WIDE = 100
"""From here on the list shares the width with a side view, as in the real console."""
_SIDE_SHARE = 0.45
_NARROW_SIGNS = frozenset("●○◌✖‖▐▌–…")
"""What we draw ourselves and know to be one cell wide."""

Cell = tuple[str, str]
"""Text and the meaning of its colour."""


def paint(look: Callable[[int], Glance | None], fileno: int) -> None:
    """Write the frame to a terminal; what goes wrong is left to the real console to say."""
    try:
        columns, rows = os.get_terminal_size(fileno)
        seen = look(rows)
        if seen is None:
            return
        frame = compose(seen, columns, rows, Paint(glance_colours()))
        if wants_ascii():
            frame = in_ascii(frame)
        data = f"\x1b[?1049h\x1b[?25l\x1b[?7l{frame}\x1b[?7h".encode()
        while data:
            data = data[os.write(fileno, data) :]
    except OSError:
        pass  # the terminal has gone; the console will notice too


def compose(seen: Glance, columns: int, rows: int, paint: Paint) -> str:
    """All lines of the frame, each put in its place."""
    clear = paint("text", "background", "\x1b[2J")
    lines = [_header(columns, paint), _tabs(seen, columns, paint)]
    width = columns - int(columns * _SIDE_SHARE) if columns >= _WIDE else columns
    lines += _table(seen.containers[: max(0, rows - 5)], width, paint)
    placed = (f"\x1b[{number};1H{line}" for number, line in enumerate(lines[:rows], 1))
    return clear + "".join(placed) + "\x1b[0m"


def _header(columns: int, paint: Paint) -> str:
    host = _fit(_safe(os.uname().nodename), 40).rstrip()
    filler = " " * max(0, columns - len(NAME) - _width(host) - 4)
    mark = paint("background", "accent", f" {NAME} ", bold=True)
    return mark + paint("text", "raised", f" {host} ", bold=True) + paint("muted", "raised", filler)


def _tabs(seen: Glance, columns: int, paint: Paint) -> str:
    counts = {
        "containers": seen.container_count,
        "images": seen.image_count,
        "volumes": seen.volume_count,
        "networks": seen.network_count,
    }
    apart = tab_gap(counts, columns)
    text = ""
    for digit, place, title in TABS:
        tail = f" {counts[place]}" if place in counts else ""
        here = digit == "1"
        text += paint("accent", "background", "▐" if here else " ", bold=True)
        text += paint("accent" if here else "faint", "background", digit, bold=here)
        text += paint("text" if here else "muted", "background", f" {title}", bold=here)
        text += paint("accent" if here else "faint", "background", tail)
        text += paint("accent", "background", ("▌" if here else " ") + apart, bold=True)
    return text


def _table(containers: Sequence[Glimpse], width: int, paint: Paint) -> list[str]:
    shapes = [shape for shape in SHAPES.values() if width >= shape.from_width]
    widths = share_width(shapes, width)
    now_ns = time.time_ns()

    def line(cells: Sequence[Cell], *, bold: bool) -> str:
        drawn = paint("text", "background", " " * EDGE_CELLS)
        for shape, cell_width, (text, tone) in zip(shapes, widths, cells, strict=True):
            drawn += paint(tone, "background", _fit(text, cell_width, shape.align) + " ", bold=bold)
        return drawn

    lines = [line([(shape.title, "faint") for shape in shapes], bold=True)]
    for container in containers:
        cells = _cells(container, now_ns)
        lines.append(line([cells.get(shape.key, ("", "text")) for shape in shapes], bold=False))
    return lines


def _cells(container: Glimpse, now_ns: int) -> dict[str, Cell]:
    sign = short.glyph(container.standing)
    limit, memory, pids = container.memory_limit_bytes, container.memory_bytes, container.pids
    nothing = ("–", "faint")
    return {
        "sign": sign,
        "name": (_safe(container.name), "text"),
        "image": (_safe(container.image), "muted"),
        "status": (short.state(container.standing, now_ns), sign[1]),
        "cpu": nothing,
        "memory": nothing if memory is None else (short.size(memory), "text"),
        "limit": (short.size(limit), "muted") if limit else nothing,
        "pressure": nothing,
        "pids": nothing if pids is None else (str(pids), "muted"),
    }


def _safe(text: str) -> str:
    """Text of the engine's files made harmless; plain text is so already."""
    if text.isascii() and text.isprintable():
        return text
    from core.model.display import safe_text

    return safe_text(text)


def _width(text: str) -> int:
    if text.isascii() or all(one.isascii() or one in _NARROW_SIGNS for one in text):
        return len(text)
    from core.model.display import text_width

    return text_width(text)


def _fit(text: str, cells: int, align: str = "<") -> str:
    """Text in exactly so many cells, cut or filled."""
    if _width(text) > cells:
        if len(text) == _width(text):
            text = text[: max(0, cells - 1)] + "…"[:cells]
        else:
            from core.model.display import clip

            text = clip(text, cells)
    blanks = " " * (cells - _width(text))
    return blanks + text if align == ">" else text + blanks


class Paint:
    """Text in a colour by meaning on another, as this terminal can show it.

    Called in the order in which the frame is sent: only what differs from the text before is said.
    """

    def __init__(self, colours: dict[str, str] | None) -> None:
        self._colours = colours
        self._said = ("22", "", "")

    def __call__(self, tone: str, on: str, text: str, *, bold: bool = False) -> str:
        wanted = ("1" if bold else "22", "", "")
        if self._colours is not None:
            front = self._said[1] if text.isspace() else _code(self._colours.get(tone, ""), 38)
            wanted = (wanted[0], front, _code(self._colours.get(on, ""), 48))
        codes = [now for now, before in zip(wanted, self._said, strict=True) if now != before]
        self._said = wanted
        return f"\x1b[{';'.join(codes)}m{text}" if codes else text


def _code(colour: str, long_code: int) -> str:
    """A colour of a theme file as SGR; one that is none is the terminal's own."""
    base = long_code - 8
    try:
        if colour.startswith("#"):
            parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
            return f"{long_code};2;" + ";".join(map(str, parts))
        name = colour.removeprefix("ansi_")
        bright = name.startswith("bright_")
        return str(base + 60 * bright + ANSI_NAMES.index(name.removeprefix("bright_")))
    except ValueError:
        return str(base + 9)
