"""rpm's database in SQLite: a table `Packages` of header blobs, each a list of tags.

    blob    int32 count of tags · int32 bytes of data · (tag, type, offset, count)… · data      big endian

The file is read into memory, with what its write-ahead log holds put in place, for SQLite would
want to write beside it. Source: rpm's docs/manual/format_header.md; sqlite.org/fileformat2.html (§4, the WAL).
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator

from core.trees.faults import corrupt

_INDEX = struct.Struct(">IIII")
_WAL_MAGICS = (0x377F0682, 0x377F0683)
_FRAME_HEADER = struct.Struct(">II8s8s")
_MOST_TAGS = 65_536
_STEP, _MOST_STEPS = 100_000, 100
"""SQLite's own steps between two looks, and looks: a database can hold a question that has no end."""
_INT32, _STRING, _I18N_STRING = 4, 6, 9
_NAME, _VERSION, _RELEASE, _EPOCH, _LICENSE, _ARCH, _SOURCE = 1000, 1001, 1002, 1003, 1014, 1022, 1044
_WANTED = (_NAME, _VERSION, _RELEASE, _EPOCH, _LICENSE, _ARCH, _SOURCE)


def installed(database: bytes, log: bytes) -> Iterator[dict[str, str]]:
    """name, version, architecture, license and origin of every package; keys that were imported are left out.

    Args: log: the `-wal` file beside it, or nothing. Raises: TreeFault: it is damaged.
    """
    data = bytearray(database)
    if log:
        _put_log(data, log)
    data[18:20] = b"\1\1"  # one in memory has no log
    connection = sqlite3.connect(":memory:")
    try:
        connection.deserialize(bytes(data))
        connection.execute("PRAGMA trusted_schema=OFF")
        patience = iter(range(_MOST_STEPS))
        connection.set_progress_handler(lambda: next(patience, None) is None, _STEP)
        for (blob,) in connection.execute("SELECT blob FROM Packages"):
            if isinstance(blob, bytes) and (package := _package(_tags(blob))):
                yield package
    except (sqlite3.Error, struct.error) as error:
        raise corrupt(f"its rpm database is damaged: {error}") from None
    finally:
        connection.close()


def _put_log(data: bytearray, log: bytes) -> None:
    """Write the pages of all transactions that were finished where they belong."""
    if len(log) < 32:
        return
    magic, _, page_bytes = struct.unpack(">III", log[:12])
    salt = log[16:24]
    if magic not in _WAL_MAGICS or not 512 <= page_bytes <= 65536:
        return
    pages: dict[int, bytes] = {}
    at = 32
    while at + _FRAME_HEADER.size + page_bytes <= len(log):
        number, committed, frame_salt, _ = _FRAME_HEADER.unpack_from(log, at)
        if frame_salt != salt:
            return  # the rest is of a log before this one
        at += _FRAME_HEADER.size
        pages[number] = log[at : at + page_bytes]
        at += page_bytes
        if committed:
            if len(data) < committed * page_bytes <= len(data) + len(log):
                data.extend(bytes(committed * page_bytes - len(data)))
            for page, content in pages.items():
                if 0 < page <= len(data) // page_bytes:
                    data[(page - 1) * page_bytes : page * page_bytes] = content
            pages = {}


def _tags(blob: bytes) -> dict[int, str]:
    count, size = struct.unpack_from(">II", blob)
    if count > _MOST_TAGS:
        raise corrupt(f"its rpm database is damaged: a package with {count} tags")
    start = 8 + count * _INDEX.size
    found: dict[int, str] = {}
    for number in range(count):
        tag, kind, offset, _ = _INDEX.unpack_from(blob, 8 + number * _INDEX.size)
        if tag not in _WANTED or offset >= size:
            continue
        if kind in (_STRING, _I18N_STRING):
            end = blob.find(b"\0", start + offset)
            found[tag] = blob[start + offset : end if end >= 0 else len(blob)].decode("utf-8", "replace")
        elif kind == _INT32:
            found[tag] = str(struct.unpack_from(">I", blob, start + offset)[0])
    return found


def _package(tags: dict[int, str]) -> dict[str, str]:
    name = tags.get(_NAME, "")
    if not name or name == "gpg-pubkey":
        return {}
    version = f"{tags.get(_VERSION, '')}-{tags.get(_RELEASE, '')}"
    if _EPOCH in tags:
        version = f"{tags[_EPOCH]}:{version}"
    source = tags.get(_SOURCE, "").removesuffix(".src.rpm").removesuffix(".nosrc.rpm")
    return {
        "name": name,
        "version": version,
        "architecture": tags.get(_ARCH, ""),
        "license": tags.get(_LICENSE, ""),
        "origin": source.rsplit("-", 2)[0] if source.count("-") > 1 else source,
    }
