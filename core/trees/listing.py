"""What lies in a layer's tar: its entries as rows, and parts of single files. Nothing is unpacked.

Names are cleaned as the unpacker cleans them, and marks are told from files: a `whiteout` hides the
name it stands for in the layers below, `opaque` all that they have in a directory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from core.trees import tarread
from core.trees.faults import INVALID, MISSING, TreeFault, shown
from core.trees.source import Source
from core.trees.tarread import Entry, Limits, TarReader
from core.trees.unpack import AUFS_OWN, OPAQUE_MARK, WHITEOUT, clean_name, is_kept_xattr

_ROWS_A_LOT = 1000
WHITEOUT_KIND, OPAQUE_KIND = "whiteout", "opaque"
_PIECE_BYTES = 1024 * 1024
_ZEROS = bytes(_PIECE_BYTES)
_SECOND = 1_000_000_000
_REPORT_EVERY_ENTRIES = 2000
_REPORT_EVERY_BYTES = 64 * 1024 * 1024

Row = list[Any]
"""path, kind, size, mode, uid, gid, mtime in seconds, link, digest, attributes, device: as LayerEntry has them."""


def rows(source: Source, limits: Limits, *, digests: bool, report: Callable[[int], None]) -> Iterator[Row]:
    """Every entry of a layer in the archive's order; the root itself is left out.

    Args: digests: read the files, too. report: told the bytes read, now and then.
    Raises: TreeFault.
    """
    reader = TarReader(source, limits)
    entries, next_report = 0, _REPORT_EVERY_BYTES
    for entry in reader:
        entries += 1
        if entries % _REPORT_EVERY_ENTRIES == 0 or source.position >= next_report:
            report(source.position)
            next_report = source.position + _REPORT_EVERY_BYTES
        kind, path = _meant(entry)
        if not kind or (not path and kind is not OPAQUE_KIND):
            continue
        digest = ""
        if digests and kind is tarread.FILE:
            digest = _digest(reader, entry)
        device = f"{entry.major}:{entry.minor}" if kind in (tarread.CHAR, tarread.BLOCK_DEVICE) else ""
        link = clean_name(entry.link) if kind is tarread.HARDLINK else entry.link
        yield [
            _text(path),
            kind,
            entry.size if kind is tarread.FILE else 0,
            entry.mode,
            entry.uid,
            entry.gid,
            entry.mtime_ns // _SECOND,
            _text(link),
            digest,
            _attributes(entry.xattrs) if entry.xattrs else "",
            device,
        ]
    source.drain()


def lots(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Rows, many at a time."""
    while lot := list(islice(rows, _ROWS_A_LOT)):
        yield lot


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _meant(entry: Entry) -> tuple[str, bytes]:
    """Kind and path of an entry, marks understood; an empty kind for what is nobody's."""
    path = clean_name(entry.name)
    if WHITEOUT not in path:
        return entry.kind, path
    directory, _, name = path.rpartition(b"/")
    if directory.startswith(AUFS_OWN):
        return "", b""  # aufs' own hard link store, meant for nobody else
    if not name.startswith(WHITEOUT):
        return entry.kind, path
    if name == OPAQUE_MARK:
        return OPAQUE_KIND, directory
    if name.startswith(AUFS_OWN):
        return "", b""
    hidden = name[len(WHITEOUT) :]
    return WHITEOUT_KIND, directory + b"/" + hidden if directory else hidden


def _attributes(xattrs: dict[bytes, bytes]) -> str:
    kept = sorted((name, value) for name, value in xattrs.items() if is_kept_xattr(name))
    if not kept:
        return ""
    return hashlib.sha256(b"".join(b"%d %b %d %b" % (len(n), n, len(v), v) for n, v in kept)).hexdigest()


def _digest(reader: TarReader, entry: Entry) -> str:
    found = hashlib.sha256()
    if entry.sparse is None:
        while piece := reader.read_piece(_PIECE_BYTES):
            found.update(piece)
        return f"sha256:{found.hexdigest()}"
    at = 0
    for offset, length in [*entry.sparse, (entry.size, 0)]:
        hole = offset - at
        while hole:
            found.update(_ZEROS[: min(hole, _PIECE_BYTES)])
            hole -= min(hole, _PIECE_BYTES)
        at = offset + length
        while length:
            piece = reader.read_piece(min(length, _PIECE_BYTES))
            found.update(piece)
            length -= len(piece)
    return f"sha256:{found.hexdigest()}"


def read_member(source: Source, limits: Limits, path: bytes, offset: int, length: int) -> bytes | str:
    """Part of a regular file of a layer; of several entries with one name the last counts.

    Returns: the bytes, or the path that holds them where the name is a hard link to another one.
    Raises: TreeFault: there is no such file in this layer, or it is none.
    """
    wanted = clean_name(path)
    found: bytes | str | None = None
    kind = ""
    reader = TarReader(source, limits)
    for entry in reader:
        meant, name = _meant(entry)
        if name != wanted:
            continue
        kind = meant
        if meant is tarread.FILE:
            found = _part(reader, entry, offset, length)
        elif meant is tarread.HARDLINK:
            found = _text(clean_name(entry.link))
        else:
            found = None
    if found is not None:
        return found
    if kind:
        raise TreeFault(INVALID, f"{shown(b'/' + wanted)} is no regular file in this layer but a {kind}")
    raise TreeFault(MISSING, f"{shown(b'/' + wanted)} is not in this layer")


def _part(reader: TarReader, entry: Entry, offset: int, length: int) -> bytes:
    """Bytes [offset, offset+length) of the member the reader stands at, holes as zeros."""
    end = min(offset + length, entry.size)
    if end <= offset:
        return b""
    result = bytearray(end - offset)
    for start, size in entry.sparse if entry.sparse is not None else [(0, entry.size)]:
        at = start
        while at < start + size and at < end:
            piece = reader.read_piece(min(start + size - at, _PIECE_BYTES))
            first, last = max(at, offset), min(at + len(piece), end)
            if first < last:
                result[first - offset : last - offset] = piece[first - at : last - at]
            at += len(piece)
    return bytes(result)
