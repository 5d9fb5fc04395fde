"""Two versions of a file as rows of two columns: old on the left, new on the right. Pure.

Text is compared line by line, everything else eight bytes a row. What is compared is bounded,
so that a file made to be slow is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from app.console.inspection import looks_binary
from core.model.display import safe_lines

COMPARED_BYTES = 262_144
"""Of each version; the rest is not looked at."""
_MOST_LINES = 3_000
_HEX_BYTES = 8

SAME, CHANGED, ADDED, REMOVED, NOTE = "=", "~", "+", "-", "…"


class Row(NamedTuple):
    """One row: a sign, and on each side a number and safe text; no number, no such line there."""

    sign: str
    old_number: int | None
    old: str
    new_number: int | None
    new: str


def compare_files(old: bytes | None, new: bytes | None, *, as_hex: bool | None = None) -> list[Row]:
    """Rows of both versions; None: there is no such version. as_hex None: bytes where either looks like it."""
    if as_hex is None:
        as_hex = any(looks_binary(data) for data in (old, new) if data)
    if as_hex:
        return _hex_rows(old or b"", new or b"")
    before, after = _lines(old), _lines(new)
    cut = len(before) > _MOST_LINES or len(after) > _MOST_LINES
    rows = list(_text_rows(before[:_MOST_LINES], after[:_MOST_LINES]))
    if cut or any(len(data or b"") >= COMPARED_BYTES for data in (old, new)):
        rows.append(Row(NOTE, None, "there is more of it", None, "there is more of it"))
    return rows


def next_change(rows: Sequence[Row], at: int, step: int) -> int | None:
    """The first row of the next run of changes after a row, or before it for step -1."""
    place = at + step
    while 0 <= place < len(rows):
        starts = rows[place].sign in (CHANGED, ADDED, REMOVED)
        if starts and (place == 0 or rows[place - 1].sign in (SAME, NOTE)):
            return place
        place += step
    return None


def counted(rows: Sequence[Row]) -> tuple[int, int]:
    """Rows that are new or changed, and rows that are gone or changed."""
    new = sum(row.sign in (CHANGED, ADDED) for row in rows)
    return new, sum(row.sign in (CHANGED, REMOVED) for row in rows)


def _lines(data: bytes | None) -> list[bytes]:
    if not data:
        return []
    lines = data.split(b"\n")
    if data.endswith(b"\n"):
        lines.pop()
    return lines


def _text_rows(old: Sequence[bytes], new: Sequence[bytes]) -> Iterator[Row]:
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1

    def row(sign: str, left: int | None, right: int | None) -> Row:
        return Row(
            sign,
            left + 1 if left is not None else None,
            safe_lines(old[left])[0] if left is not None else "",
            right + 1 if right is not None else None,
            safe_lines(new[right])[0] if right is not None else "",
        )

    for number in range(head):
        yield row(SAME, number, number)
    opcodes = SequenceMatcher(None, old[head : len(old) - tail], new[head : len(new) - tail]).get_opcodes()
    for kind, a, b, c, d in opcodes:
        for step in range(max(b - a, d - c)):
            left = head + a + step if a + step < b else None
            right = head + c + step if c + step < d else None
            sign = SAME if kind == "equal" else REMOVED if right is None else ADDED if left is None else CHANGED
            yield row(sign, left, right)
    for back in range(tail, 0, -1):
        yield row(SAME, len(old) - back, len(new) - back)


def _hex_rows(old: bytes, new: bytes) -> list[Row]:
    rows = []
    for offset in range(0, max(len(old), len(new)), _HEX_BYTES):
        left, right = old[offset : offset + _HEX_BYTES], new[offset : offset + _HEX_BYTES]
        sign = SAME if left == right else ADDED if not left else REMOVED if not right else CHANGED
        rows.append(Row(sign, offset if left else None, _hex(left), offset if right else None, _hex(right)))
    if max(len(old), len(new)) >= COMPARED_BYTES:
        rows.append(Row(NOTE, None, "there is more of it", None, "there is more of it"))
    return rows


def _hex(piece: bytes) -> str:
    digits = " ".join(piece[at : at + 4].hex() for at in range(0, len(piece), 4))
    shown = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in piece)
    return f"{digits:<18}{shown}" if piece else ""
