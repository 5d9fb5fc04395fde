"""Braille graphs: two columns and four rows of dots a cell, newest at the right edge."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

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


def spread(values: Sequence[float], count: int) -> list[float]:
    """Fit more values than there is room for into `count`, keeping the peaks; fewer stay as they are."""
    if len(values) <= count:
        return list(values)
    edges = [index * len(values) // count for index in range(count + 1)]
    return [max(values[first:last]) for first, last in pairwise(edges)]


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
