"""The first frame: real state in plain escape sequences, before Textual is even imported.

It shows the list as it will look, without what takes two samples to know; the real console
draws over it a moment later. Where it can't be painted (no terminal, an engine in trouble)
nothing is, and the console explains.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from app.console import short
from app.console.container_columns import EDGE_CELLS, SHAPES, share_width
from app.console.settings import read_settings, settings_dir
from app.console.theme_file import ANSI_NAMES, DEFAULT_THEME, Colours, load_themes
from core.about import NAME
from core.backend import Backend
from core.errors import EngineError, InvalidInput
from core.model.container import Container
from core.model.display import clip, safe_text, text_width
from core.model.stats import StatsSample

_WIDE = 100
"""From here on the list shares the width with a side view, as in the real console."""
_SIDE_SHARE = 0.45


def paint(backend: Backend, fileno: int) -> None:
    """Write the frame to a terminal; what goes wrong is left to the real console to say."""
    try:
        columns, rows = os.get_terminal_size(fileno)
        containers = backend.containers.list(all=True)
        samples = backend.containers.stats()
        counts = {"Containers": len(containers), "Images": len(backend.images.list())}
        counts["Volumes"] = len(backend.volumes.list())
    except (EngineError, OSError):
        return
    frame = compose(containers, samples, counts, columns, rows, _Paint(_colours()))
    data = f"\x1b[?1049h\x1b[?25l\x1b[?7l{frame}\x1b[?7h".encode()
    try:
        while data:
            data = data[os.write(fileno, data) :]
    except OSError:
        pass  # the terminal has gone; the console will notice too


def compose(
    containers: Sequence[Container],
    samples: dict[str, StatsSample],
    counts: dict[str, int],
    columns: int,
    rows: int,
    paint: _Paint,
) -> str:
    """All lines of the frame, each put in its place."""
    clear = paint("text", "background", "\x1b[2J")
    lines = [_header(columns, paint), _tabs(counts, paint)]
    width = columns - int(columns * _SIDE_SHARE) if columns >= _WIDE else columns
    lines += _table(containers, samples, width, max(0, rows - 4), paint)
    placed = (f"\x1b[{number};1H{line}" for number, line in enumerate(lines[:rows], 1))
    return clear + "".join(placed) + "\x1b[0m"


def _header(columns: int, paint: _Paint) -> str:
    host = clip(safe_text(os.uname().nodename), 40)
    filler = " " * max(0, columns - len(NAME) - text_width(host) - 4)
    mark = paint("background", "accent", f" {NAME} ", bold=True)
    return mark + paint("text", "raised", f" {host} ", bold=True) + paint("muted", "raised", filler)


def _tabs(counts: dict[str, int], paint: _Paint) -> str:
    text = ""
    for number, (title, count) in enumerate([*counts.items(), ("Host", None)], 1):
        tail = f" {count}" if count is not None else ""
        here = number == 1
        text += paint("accent", "background", "▐" if here else " ", bold=True)
        text += paint("accent" if here else "faint", "background", str(number), bold=here)
        text += paint("text" if here else "muted", "background", f" {title}", bold=here)
        text += paint("accent" if here else "faint", "background", tail)
        text += paint("accent", "background", "▌ " if here else "  ", bold=True)
    return text


def _table(
    containers: Sequence[Container],
    samples: dict[str, StatsSample],
    width: int,
    most: int,
    paint: _Paint,
) -> list[str]:
    shapes = [shape for shape in SHAPES.values() if width >= shape.from_width]
    widths = share_width(shapes, width)
    now_ns = time.time_ns()

    def line(cells: Sequence[tuple[str, str]], *, bold: bool) -> str:
        drawn = paint("text", "background", " " * EDGE_CELLS)
        for shape, cell_width, (text, tone) in zip(shapes, widths, cells, strict=True):
            text = clip(text, cell_width)
            blanks = " " * (cell_width - text_width(text))
            text = blanks + text if shape.align == ">" else text + blanks
            drawn += paint(tone, "background", text + " ", bold=bold)
        return drawn

    lines = [line([(shape.title, "faint") for shape in shapes], bold=True)]
    for container in containers[: most - 1]:
        cells = _cells(container, samples.get(container.id), now_ns)
        lines.append(line([cells.get(shape.key, ("", "text")) for shape in shapes], bold=False))
    return lines


def _cells(container: Container, sample: StatsSample | None, now_ns: int) -> dict[str, tuple[str, str]]:
    sign = short.glyph(container)
    limit = container.settings.limits.memory_bytes
    return {
        "sign": sign,
        "name": (safe_text(container.name), "text"),
        "image": (safe_text(container.config.image_name), "muted"),
        "status": (short.state(container, now_ns), sign[1]),
        "cpu": ("–", "faint"),
        "memory": (short.size(sample.memory_bytes), "text") if sample else ("–", "faint"),
        "limit": (short.size(limit), "muted") if limit else ("–", "faint"),
        "pressure": ("–", "faint"),
        "pids": (str(sample.pids), "muted") if sample else ("–", "faint"),
    }


class _Paint:
    """Text in a colour by meaning on another, as this terminal can show it.

    Called in the order in which the frame is sent: only what differs from the text before is said.
    """

    def __init__(self, colours: Colours | None) -> None:
        self._colours = colours
        self._said = ("22", "", "")

    def __call__(self, tone: str, on: str, text: str, *, bold: bool = False) -> str:
        wanted = ("1" if bold else "22", "", "")
        if self._colours is not None:
            front = self._said[1] if text.isspace() else _code(getattr(self._colours, tone), 38)
            wanted = (wanted[0], front, _code(getattr(self._colours, on), 48))
        codes = [now for now, before in zip(wanted, self._said, strict=True) if now != before]
        self._said = wanted
        return f"\x1b[{';'.join(codes)}m{text}" if codes else text


def _code(colour: str, long_code: int) -> str:
    base = long_code - 8
    if colour.startswith("#"):
        parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
        return f"{long_code};2;" + ";".join(map(str, parts))
    name = colour.removeprefix("ansi_")
    if name == "default":
        return str(base + 9)
    bright = name.startswith("bright_")
    return str(base + 60 * bright + ANSI_NAMES.index(name.removeprefix("bright_")))


def _colours() -> Colours | None:
    """The chosen theme's colours; None where this terminal should not, or can't, show them."""
    if "NO_COLOR" in os.environ:
        return None
    directory = settings_dir()
    try:
        wanted = read_settings(directory).theme or DEFAULT_THEME
    except InvalidInput:
        wanted = DEFAULT_THEME
    themes, _complaints = load_themes(directory / "themes")
    theme = themes.get(wanted) or themes.get(DEFAULT_THEME)
    if theme is None:
        return None
    truecolor = os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit")
    return theme.colors if theme.ansi or truecolor else None
