"""Braille graphs: two columns and four rows of dots a cell, newest at the right edge."""

from __future__ import annotations

from collections.abc import Sequence

_LEFT = (0x40, 0x04, 0x02, 0x01)
_RIGHT = (0x80, 0x20, 0x10, 0x08)
_EMPTY = 0x2800


def braille(values: Sequence[float], cells: int, rows: int, top: float) -> list[str]:
    """Draw the newest 2·cells values as an area in rows of braille, the first row being the highest.

    Args: top: the value at the upper edge. A value that is there at all shows at least one dot.
    """
    dots = rows * 4
    recent = list(values[-cells * 2 :])
    column = cells * 2 - len(recent)
    grid = [[0] * cells for _ in range(rows)]
    for value in recent:
        height = max(1, min(dots, round(value / top * dots))) if top > 0 else 1
        bits = _RIGHT if column % 2 else _LEFT
        for dot in range(height):
            grid[rows - 1 - dot // 4][column // 2] |= bits[dot % 4]
        column += 1
    return ["".join(chr(_EMPTY + cell) for cell in row) for row in grid]


def buckets(values: Sequence[float], count: int, total: int, step: int = 0) -> list[float]:
    """Fit values into at most `count`, keeping the peaks; fewer stay as they are.

    Args: total: how many values there have ever been, the older ones forgotten. Buckets begin at
    multiples of their size counted from the very first, so that a new value changes the last
    bucket only and the picture stands still until a bucket is full: over a slow link a graph
    costs next to nothing. step: a bucket's size, else the smallest that fits.
    """
    step = step or max(1, -(-len(values) // count))
    first = total - len(values)
    peaks: list[float] = []
    at = 0
    while at < len(values):
        end = min(len(values), at + step - (first + at) % step)
        peaks.append(max(values[at:end]))
        at = end
    return peaks[-count:]


def nice_top(highest: float, least: float) -> float:
    """A round number at or above the highest value, for the upper edge of a graph."""
    top = max(highest, least)
    step = 1.0
    while step * 10 <= top:
        step *= 10
    for factor in (1, 2, 2.5, 5, 10):
        if step * factor >= top:
            return step * factor
    return top
