"""Writing tars: ustar where it suffices, PAX records where it does not, in a reproducible way.

Numbers, names and times that fit are written in the plain header; long or non-ASCII names, large
numbers, fractions of a second and extended attributes go in front of it as PAX records.
"""

from __future__ import annotations

from core.trees import tarread
from core.trees.tarread import BLOCK, Entry

_TYPES = {
    tarread.FILE: b"0",
    tarread.HARDLINK: b"1",
    tarread.SYMLINK: b"2",
    tarread.CHAR: b"3",
    tarread.BLOCK_DEVICE: b"4",
    tarread.DIRECTORY: b"5",
    tarread.FIFO: b"6",
}
END = bytes(2 * BLOCK)
_SECOND = 1_000_000_000


def padding(size: int) -> bytes:
    """Zero bytes that fill a member's last block."""
    return bytes(-size % BLOCK)


def sparse_map(pieces: list[tuple[int, int]]) -> bytes:
    """What a sparse member's body begins with (GNU's PAX form 1.0): how many pieces, then offset and length of each."""
    numbers = [len(pieces), *(number for piece in pieces for number in piece)]
    text = b"".join(b"%d\n" % number for number in numbers)
    return text + padding(len(text))


def header(entry: Entry) -> bytes:
    """A member's header blocks. Directories are given without their trailing slash.

    A sparse member's `stored` counts its map, which the caller puts behind the header.
    """
    name = entry.name + b"/" if entry.kind is tarread.DIRECTORY else entry.name
    records: list[tuple[bytes, bytes]] = []
    prefix, short = _split_name(name)
    if short is None:
        records.append((b"path", name))
        short = _ascii(name)[:100]
    link = entry.link
    if len(link) > 100 or not link.isascii():
        records.append((b"linkpath", link))
        link = _ascii(link)[:100]
    seconds, fraction = divmod(entry.mtime_ns, _SECOND)
    if fraction or not 0 <= seconds < 1 << 33:
        records.append((b"mtime", _time(entry.mtime_ns)))
        seconds = max(0, min(seconds, (1 << 33) - 1))
    size, uid, gid = entry.stored, entry.uid, entry.gid
    if size >= 1 << 33:
        records.append((b"size", b"%d" % size))
        size = 0
    if uid >= 1 << 21:
        records.append((b"uid", b"%d" % uid))
        uid = 0
    if gid >= 1 << 21:
        records.append((b"gid", b"%d" % gid))
        gid = 0
    if entry.sparse is not None:
        records += [
            (b"GNU.sparse.major", b"1"),
            (b"GNU.sparse.minor", b"0"),
            (b"GNU.sparse.name", name),
            (b"GNU.sparse.realsize", b"%d" % entry.size),
        ]
    for key in sorted(entry.xattrs):
        records.append((b"SCHILY.xattr." + key, entry.xattrs[key]))
    block = _block(
        _TYPES[entry.kind], prefix, short, entry.mode, uid, gid, size, seconds, link, entry.major, entry.minor
    )
    if not records:
        return block
    body = b"".join(_record(key, value) for key, value in records)
    pax_name = b"PaxHeaders.0/" + _ascii(name.rstrip(b"/").rpartition(b"/")[2])[:80]
    return _block(b"x", b"", pax_name, 0o644, 0, 0, len(body), 0, b"", 0, 0) + body + padding(len(body)) + block


def _split_name(name: bytes) -> tuple[bytes, bytes | None]:
    """Prefix and name of a ustar header; None when it takes a PAX record."""
    if not name.isascii():
        return b"", None
    if len(name) <= 100:
        return b"", name
    cut = name.find(b"/", max(0, len(name) - 101), len(name) - 1)
    if cut <= 0 or cut > 155 or len(name) > 256:
        return b"", None
    return name[:cut], name[cut + 1 :]


def _ascii(name: bytes) -> bytes:
    return bytes(c if c < 128 else 0x3F for c in name)


def _time(mtime_ns: int) -> bytes:
    sign = b"-" if mtime_ns < 0 else b""
    seconds, fraction = divmod(abs(mtime_ns), _SECOND)
    text = b"%s%d.%09d" % (sign, seconds, fraction)
    return text.rstrip(b"0").rstrip(b".")


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE\\n`, the length counting itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) > len(str(rest)):
        length += 1
    return b"%d %s=%s\n" % (length, key, value)


def _block(
    kind: bytes,
    prefix: bytes,
    name: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    seconds: int,
    link: bytes,
    major: int,
    minor: int,
) -> bytes:
    raw = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0        %b%bustar\x0000%64b%07o\0%07o\0%b" % (
        name.ljust(100, b"\0"),
        mode,
        uid,
        gid,
        size,
        seconds,
        kind,
        link.ljust(100, b"\0"),
        bytes(64),
        major,
        minor,
        prefix.ljust(167, b"\0"),
    )
    return raw[:148] + b"%06o\0 " % sum(raw) + raw[156:]
