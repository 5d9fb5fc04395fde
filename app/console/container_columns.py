"""The columns of the container list as shapes: titles and widths, and how a width is shared out.

The list itself and the first frame, which is painted before the list can be, agree by this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

EDGE_CELLS = 2
"""The cursor's mark and the tick before the first column."""


class Shape(NamedTuple):
    """One column's title and widths; `from_width` leaves it out of narrower lists."""

    key: str
    title: str
    cells: int
    align: str = "<"
    grows: bool = False
    from_width: int = 0


SHAPES = {
    shape.key: shape
    for shape in (
        Shape("sign", "", 1),
        Shape("name", "NAME", 12, grows=True),
        Shape("image", "IMAGE", 14, grows=True, from_width=84),
        Shape("status", "STATE", 10),
        Shape("cpu", "CPU%", 5, ">"),
        Shape("spark", "60s", 8, from_width=56),
        Shape("memory", "MEM", 5, ">"),
        Shape("limit", "LIMIT", 6, ">"),
        Shape("pressure", "PSI", 4, ">", from_width=64),
        Shape("pids", "PIDS", 4, ">", from_width=104),
    )
}


class Sized(Protocol):
    """What a width is shared among."""

    @property
    def cells(self) -> int:
        """Its least width."""

    @property
    def grows(self) -> bool:
        """Whether it takes what is left."""


def share_width(columns: Sequence[Sized], width: int) -> list[int]:
    """The width of each column in a list of so many cells, one blank after each."""
    spare = width - EDGE_CELLS - 1 - sum(column.cells + 1 for column in columns)
    growing = sum(column.grows for column in columns) or 1
    return [column.cells + (max(0, spare) // growing if column.grows else 0) for column in columns]
