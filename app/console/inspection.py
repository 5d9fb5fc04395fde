"""Values → lines for a pager: documents as coloured JSON, process tables, changes, file previews.

Pure. All text of containers and images goes through core.model.display on the way.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from app import short
from core.model.container import Change, ProcessTable
from core.model.display import safe_lines, safe_text
from core.model.volume import FileEntry

Lines = list[Sequence[tuple[str, str]]]

_CHANGES = {"A": ("+", "ok"), "C": ("~", "warn"), "D": ("-", "fail")}
_HEX_WIDTH = 16


def document_lines(value: object) -> Lines:
    """A value as JSON, keys and kinds of values in colours."""
    lines: Lines = []
    _document(msgspec.to_builtins(value, builtin_types=(bytes,)), "", [], lines, "")
    return lines


def _document(value: Any, indent: str, start: list[tuple[str, str]], lines: Lines, end: str) -> None:
    head: list[tuple[str, str]] = [(indent, "text"), *start]
    if isinstance(value, dict) and value:
        lines.append([*head, ("{", "muted")])
        for number, (key, inner) in enumerate(value.items(), 1):
            name = [(f'"{safe_text(str(key))}"', "accent"), (": ", "muted")]
            _document(inner, indent + "  ", name, lines, "," * (number < len(value)))
        lines.append([(indent, "text"), ("}" + end, "muted")])
    elif isinstance(value, (list, tuple)) and value:
        lines.append([*head, ("[", "muted")])
        for number, inner in enumerate(value, 1):
            _document(inner, indent + "  ", [], lines, "," * (number < len(value)))
        lines.append([(indent, "text"), ("]" + end, "muted")])
    else:
        lines.append([*head, _scalar(value), (end, "muted")])


def _scalar(value: Any) -> tuple[str, str]:
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>", "muted"
    if isinstance(value, str):
        return f'"{safe_text(value)}"', "ok"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value], "memory"
    if isinstance(value, (int, float)):
        return str(value), "warn"
    return "{}" if isinstance(value, dict) else "[]", "muted"


def process_lines(table: ProcessTable) -> Lines:
    """Columns as wide as their widest cell, the last one as it comes; the first line is the titles."""
    rows = [table.titles, *table.rows]
    count = len(table.titles)
    widths = [max(len(safe_text(row[at])) for row in rows if at < len(row)) for at in range(count)]
    lines: Lines = []
    for number, row in enumerate(rows):
        tone = "muted" if number == 0 else "text"
        cells = [safe_text(cell).ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append([("  ".join(cells).rstrip(), tone)])
    return lines


def change_lines(changes: Iterable[Change]) -> Lines:
    """`+ /path`, `~ /path`, `- /path`: added, changed, deleted; shape says it without colour."""
    lines: Lines = []
    for change in changes:
        sign, tone = _CHANGES.get(change.kind, ("?", "muted"))
        lines.append([(f" {sign} ", tone), (safe_text(change.path), "text" if sign != "~" else "muted")])
    if not lines:
        return [[("nothing differs from the image", "muted")]]
    counts = {kind: sum(one.kind == kind for one in changes) for kind in _CHANGES}
    lines.append([])
    words = f"{counts['A']} added, {counts['C']} changed, {counts['D']} deleted"
    lines.append([(words, "muted")])
    return lines


def file_row(entry: FileEntry, now_ns: int) -> dict[str, tuple[str, str]]:
    """One entry of a directory as columns."""
    mark = {"dir": "/", "link": "@", "fifo": "|", "socket": "="}.get(entry.kind, "")
    tone = {"dir": "accent", "link": "io", "char": "warn", "block": "warn"}.get(entry.kind, "text")
    if not mark and entry.mode & 0o111 and entry.kind == "file":
        mark, tone = "*", "ok"
    arrow = f" → {safe_text(entry.link)}" if entry.link else ""
    return {
        "name": (safe_text(entry.name) + mark + arrow, tone),
        "size": (short.size(entry.size_bytes) if entry.kind == "file" else "–", "muted"),
        "mode": (stat.filemode(entry.mode | _KINDS.get(entry.kind, 0)), "muted"),
        "owner": (f"{entry.uid}:{entry.gid}", "faint"),
        "age": (short.ago(entry.mtime_ns, now_ns), "faint"),
    }


_KINDS = {
    "dir": stat.S_IFDIR,
    "link": stat.S_IFLNK,
    "file": stat.S_IFREG,
    "char": stat.S_IFCHR,
    "block": stat.S_IFBLK,
    "fifo": stat.S_IFIFO,
    "socket": stat.S_IFSOCK,
}


def looks_binary(data: bytes) -> bool:
    """Whether a preview is better shown as hex: NULs, or much that is not UTF-8 text."""
    if b"\0" in data:
        return True
    odd = sum(1 for byte in data[:4096] if byte < 9 or (13 < byte < 32 and byte != 27))
    return odd * 20 > min(len(data), 4096)


def text_lines(data: bytes, *, cut: bool) -> Lines:
    """A file's beginning as numbered lines."""
    lines: Lines = [[(f"{number:>5}  ", "faint"), (line, "text")] for number, line in enumerate(safe_lines(data), 1)]
    if data.endswith(b"\n"):
        lines.pop()
    if cut:
        lines.append([("  …    there is more of it", "muted")])
    return lines or [[("empty", "muted")]]


def hex_lines(data: bytes, *, cut: bool) -> Lines:
    """A file's beginning as offset, bytes and what is printable of them."""
    lines: Lines = []
    for offset in range(0, len(data), _HEX_WIDTH):
        piece = data[offset : offset + _HEX_WIDTH]
        digits = " ".join(f"{byte:02x}" for byte in piece).ljust(_HEX_WIDTH * 3)
        shown = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in piece)
        lines.append([(f"{offset:08x}  ", "faint"), (digits, "text"), (f" {shown}", "ok")])
    if cut:
        lines.append([("…", "muted")])
    return lines or [[("empty", "muted")]]


def moment(at_ns: int) -> str:
    """A date and time for people."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_ns / 1e9))
    except (OverflowError, OSError, ValueError):
        return "long ago"
