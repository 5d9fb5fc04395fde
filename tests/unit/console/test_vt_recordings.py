"""Real programs, recorded once: the emulator's screen must be tmux's, cell for cell, ink for ink.

A `.raw` file is what a program wrote to an 80x24 terminal, a `.screen` file what tmux 3.3 showed
of those very bytes (`capture-pane -p -e -N`).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.console.vt.terminal import Terminal
from core.model.ink import PLAIN, REVERSE, STRIKE, UNDERLINE, Ink, apply_sgr

RECORDINGS = Path(__file__).parent / "recordings"
PROGRAMS = ("vim", "less", "top", "htop", "busybox-vi", "shell")
GRAPHICS = str.maketrans("lqkmjx", "┌─┐└┘│")
TOKEN = re.compile("\x1b\\[([0-9;:]*)m|(\x0e)|(\x0f)|(.)", re.DOTALL)
SHOWN_IN_BLANKS = REVERSE | UNDERLINE | STRIKE


def replay(program: str) -> Terminal:
    terminal = Terminal(80, 24)
    data = (RECORDINGS / f"{program}.raw").read_bytes()
    for at in range(0, len(data), 1000):
        terminal.feed(data[at : at + 1000])
    return terminal


def captured(program: str) -> list[list[tuple[str, Ink]]]:
    """The cells of tmux's capture; colours go on from line to line."""
    ink, rows, graphics = PLAIN, [], False
    text = (RECORDINGS / f"{program}.screen").read_text(encoding="utf-8")
    for line in text.split("\n")[:24]:
        row: list[tuple[str, Ink]] = []
        for match in TOKEN.finditer(line):
            if match[1] is not None:
                ink = apply_sgr(ink, match[1])
            elif match[4]:
                row.append((match[4].translate(GRAPHICS) if graphics else match[4], ink))
            else:
                graphics = match[2] is not None
        rows.append(row)
    return rows


def seen(cells: list[tuple[str, Ink]]) -> list[tuple[str, Ink]]:
    """What a person sees of cells: a blank has only a background, and none where a capture leaves it out."""
    shown = [
        (char, Ink(-1, ink.background) if char == " " and not ink.attributes & SHOWN_IN_BLANKS else ink)
        for char, ink in cells
    ]
    while shown and shown[-1][0] == " ":
        shown.pop()
    return shown


@pytest.mark.parametrize("program", PROGRAMS)
def test_screen_is_what_tmux_shows(program: str) -> None:
    terminal = replay(program)
    for number, (row, expected) in enumerate(zip(terminal.grid.lines, captured(program), strict=True)):
        cells = [(char, ink) for char, ink in zip(row.chars, row.inks, strict=True) if char]
        assert seen(cells) == seen(expected), f"{program} row {number}: {row.text()!r}"
