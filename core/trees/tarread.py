"""Reading tar headers: ustar, GNU (long names, base-256, old sparse) and PAX (with its three sparse forms).

Only headers are understood here; nothing touches a file system. Every length that a header claims
is checked against Limits before a byte is kept. Names are bytes, exactly as they came.

    for entry in TarReader(source, limits):     bodies that the caller leaves alone are skipped
        entry.…                                 reader.copy_body(…) / reader.read_body()
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from core.trees.faults import corrupt, over_limit, shown, unsafe
from core.trees.source import EndOfInput, Source

BLOCK = 512

FILE, HARDLINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO = (
    "file",
    "hardlink",
    "symlink",
    "char",
    "block",
    "dir",
    "fifo",
)

_KINDS = {
    b"0": FILE,
    b"\0": FILE,
    b"7": FILE,
    b"S": FILE,
    b"1": HARDLINK,
    b"2": SYMLINK,
    b"3": CHAR,
    b"4": BLOCK_DEVICE,
    b"5": DIRECTORY,
    b"D": DIRECTORY,
    b"6": FIFO,
}
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12x")
_ZERO = bytes(BLOCK)
_XATTR = b"SCHILY.xattr."


@dataclass(frozen=True)
class Limits:
    """What is accepted of one archive; a bomb meets one of these before it meets the disk or the memory."""

    total_bytes: int = 256 * 1024**3
    """Of all files together, holes counted."""
    entries: int = 1_000_000
    depth: int = 128
    """Components of a path."""
    path_bytes: int = 4096
    header_bytes: int = 1024**2
    """Of one extended header (PAX, long name, sparse map)."""
    ratio: int = 200
    """Of unpacked to packed bytes, once ratio_from_bytes were unpacked."""
    ratio_from_bytes: int = 128 * 1024**2


DEFAULT_LIMITS = Limits()


@dataclass(slots=True)
class Entry:
    """One member. `size` is the file's, holes included; `stored` what lies in the archive."""

    name: bytes
    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    stored: int
    mtime_ns: int
    link: bytes
    major: int = 0
    minor: int = 0
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    sparse: list[tuple[int, int]] | None = None
    """(offset, length) of the pieces that are stored, in order."""


def is_tar_header(block: bytes) -> bool:
    """Whether 512 bytes look like the first block of a tar (checksum right)."""
    try:
        return len(block) == BLOCK and block != _ZERO and _checksum_fits(block)
    except ValueError:
        return False


def _checksum_fits(block: bytes) -> bool:
    claimed = _number(block[148:156])
    unsigned = sum(block) - sum(block[148:156]) + 8 * 32
    if claimed == unsigned:
        return True
    signed = unsigned - 256 * sum(1 for i, c in enumerate(block) if c > 127 and not 148 <= i < 156)
    return claimed == signed


def _number(raw: bytes) -> int:
    """An octal or base-256 field. Raises: ValueError."""
    if raw[0] & 0x80:
        value = int.from_bytes(raw, "big") & ((1 << (8 * len(raw) - 1)) - 1)
        if raw[0] & 0x40:
            value -= 1 << (8 * len(raw) - 1)
        return value
    text = raw.partition(b"\0")[0].strip(b" ")
    if not text:
        return 0
    if text.strip(b"01234567"):
        raise ValueError(raw)
    return int(text, 8)


_repeated_number = lru_cache(1024)(_number)
"""The same for fields that have few values: modes, owners, times."""


def _until_nul(raw: bytes) -> bytes:
    return raw.partition(b"\0")[0]


class TarReader:
    """Iterates over the members of one archive.

    Args: strict_end: an archive that stops without its end mark is truncated.
    Raises (while iterating): TreeFault: corrupt, unsafe or over a limit.
    """

    def __init__(self, source: Source, limits: Limits = DEFAULT_LIMITS, *, strict_end: bool = False) -> None:
        self.source = source
        self._limits = limits
        self._strict_end = strict_end
        self._left = 0
        self._padding = 0
        self._entries = 0
        self._total = 0
        self._globals: dict[bytes, bytes] = {}

    def __iter__(self) -> Iterator[Entry]:
        try:
            while (entry := self._next()) is not None:
                self._count(entry)
                yield entry
        except EndOfInput:
            raise corrupt("the archive is truncated") from None

    def _count(self, entry: Entry) -> None:
        limits = self._limits
        self._entries += 1
        self._total += entry.size
        if self._entries > limits.entries:
            raise over_limit(f"the archive has more than {limits.entries} entries")
        if self._total > limits.total_bytes or entry.size > limits.total_bytes:
            raise over_limit(f"archive entry {shown(entry.name)}: more than {limits.total_bytes} bytes unpacked")
        if len(entry.name) > limits.path_bytes or len(entry.link) > limits.path_bytes:
            raise over_limit(f"archive entry {shown(entry.name)}: a name longer than {limits.path_bytes} bytes")
        if entry.name.count(b"/") >= limits.depth and len([p for p in entry.name.split(b"/") if p]) > limits.depth:
            raise over_limit(f"archive entry {shown(entry.name)}: deeper than {limits.depth} directories")

    def _next(self) -> Entry | None:
        """The next member's header, with the extensions in front of it."""
        self.skip_body()
        extended: dict[bytes, bytes] = {}
        long_name = long_link = None
        while True:
            block = self._block()
            if block is None:
                return None
            fields = _HEADER.unpack(block)
            kind = fields[7]
            try:
                if not _checksum_fits(block):
                    raise corrupt(
                        "not a tar archive: a header's checksum is wrong"
                        if not self._entries
                        else f"the archive is damaged after entry {self._entries}: a header's checksum is wrong"
                    )
                size = _number(fields[4])
            except ValueError:
                raise corrupt("not a tar archive: a header's number can't be read") from None
            if size < 0:
                raise corrupt("the archive is damaged: a negative size")
            if kind in b"xgLKX":
                if size > self._limits.header_bytes:
                    raise over_limit(
                        f"archive header of {size} bytes, at most {self._limits.header_bytes} are accepted"
                    )
                body = self.source.read_exact(size)
                self.source.skip(-size % BLOCK)
                if kind == b"L":
                    long_name = _until_nul(body)
                elif kind == b"K":
                    long_link = _until_nul(body)
                elif kind == b"g":
                    self._globals.update(_pax_records(body))
                else:
                    extended.update(_pax_records(body))
                continue
            try:
                entry = self._entry(fields, kind, size, {**self._globals, **extended}, long_name, long_link)
            except ValueError:
                raise corrupt(
                    f"the archive is damaged: entry {shown(long_name or _until_nul(fields[0]))} "
                    "has a field that can't be read"
                ) from None
            if entry is not None:
                return entry
            self.skip_body()
            extended, long_name, long_link = {}, None, None

    def _block(self) -> bytes | None:
        """The next header block; None at the end."""
        first = self.source.read_some(BLOCK)
        if not first:
            if self._strict_end:
                raise corrupt(
                    "the archive is truncated: its end mark is missing" if self._entries else "the archive is empty"
                )
            return None
        block = first if len(first) == BLOCK else first + self.source.read_exact(BLOCK - len(first))
        if block == _ZERO:
            return None
        return block

    def _entry(
        self,
        fields: tuple[bytes, ...],
        type_flag: bytes,
        size: int,
        pax: dict[bytes, bytes],
        long_name: bytes | None,
        long_link: bytes | None,
    ) -> Entry | None:
        """Make a member of a header; None for kinds that carry no file (volume labels, vendors' own)."""
        name, link = _until_nul(fields[0]), _until_nul(fields[8])
        is_gnu = fields[9] == b"ustar " or fields[10][:1] == b" "
        if fields[9] == b"ustar\0" and (prefix := _until_nul(fields[15])):
            name = prefix + b"/" + name
        name, link = long_name or name, long_link or link
        mtime_ns = _repeated_number(fields[5]) * 1_000_000_000
        uid, gid = _repeated_number(fields[2]), _repeated_number(fields[3])
        xattrs: dict[bytes, bytes] = {}
        if pax:
            name, link = pax.get(b"path", name), pax.get(b"linkpath", link)
            if b"size" in pax:
                size = _pax_number(pax[b"size"])
            if b"mtime" in pax:
                mtime_ns = _pax_time(pax[b"mtime"])
            uid = _pax_number(pax[b"uid"]) if b"uid" in pax else uid
            gid = _pax_number(pax[b"gid"]) if b"gid" in pax else gid
            xattrs = {key[len(_XATTR) :]: value for key, value in pax.items() if key.startswith(_XATTR)}
        kind = _KINDS.get(type_flag)
        stored = size if kind is FILE else 0
        if kind is None:
            stored = size
        elif kind is FILE and type_flag in b"0\0" and name.endswith(b"/"):
            kind = DIRECTORY  # V7 tars have no other way to say it
        if b"\0" in name or b"\0" in link:
            raise unsafe(name, "a name with a zero byte")
        if not 0 <= uid < 0xFFFFFFFF or not 0 <= gid < 0xFFFFFFFF:
            raise unsafe(name, f"owner {uid}:{gid} does not exist")
        entry = Entry(
            name=name,
            kind=kind or "",
            mode=_repeated_number(fields[1]) & 0o7777,
            uid=uid,
            gid=gid,
            size=stored,
            stored=stored,
            mtime_ns=max(-(2**62), min(mtime_ns, 2**62)),
            link=link if kind in (SYMLINK, HARDLINK) else b"",
            xattrs=xattrs,
        )
        if kind in (CHAR, BLOCK_DEVICE):
            entry.major, entry.minor = _number(fields[13]), _number(fields[14])
        self._left, self._padding = stored, -stored % BLOCK
        if kind is None:
            return None
        if kind is FILE:
            if type_flag == b"S" and is_gnu:
                self._read_gnu_sparse(entry, fields)
            elif b"GNU.sparse.major" in pax or b"GNU.sparse.size" in pax or b"GNU.sparse.map" in pax:
                self._read_pax_sparse(entry, pax)
        return entry

    def _read_gnu_sparse(self, entry: Entry, fields: tuple[bytes, ...]) -> None:
        """The old GNU form: four pieces in the header's tail, more in blocks that follow it."""
        tail = fields[15][41:]  # bytes 386 to 495 lie where ustar keeps its name prefix (345 to 500)
        pieces = _sparse_structs(tail[:96])
        more, real = tail[96:97] != b"\0", _number(tail[97:109])
        while more:
            block = self.source.read_exact(BLOCK)
            pieces += _sparse_structs(block[:504])
            more = block[504:505] != b"\0"
            if len(pieces) * 24 > self._limits.header_bytes:
                raise over_limit(f"archive entry {shown(entry.name)}: its sparse map is too long")
        self._set_sparse(entry, pieces, real)

    def _read_pax_sparse(self, entry: Entry, pax: dict[bytes, bytes]) -> None:
        entry.name = pax.get(b"GNU.sparse.name", entry.name)
        if b"GNU.sparse.map" in pax:  # 0.1
            numbers = [_pax_number(part) for part in pax[b"GNU.sparse.map"].split(b",") if part]
        elif b"GNU.sparse.major" in pax:  # 1.0: the map is the body's beginning
            numbers = self._read_sparse_body(entry)
        else:  # 0.0 repeats its records; _pax_records() has joined them
            numbers = [_pax_number(part) for part in pax.get(b"GNU.sparse.pieces", b"").split(b",") if part]
        real = _pax_number(pax.get(b"GNU.sparse.realsize", pax.get(b"GNU.sparse.size", b"0")))
        self._set_sparse(entry, list(zip(numbers[::2], numbers[1::2], strict=True)), real)

    def _read_sparse_body(self, entry: Entry) -> list[int]:
        text = b""
        count: int | None = None
        while True:
            if self._left < BLOCK or len(text) > self._limits.header_bytes:
                raise corrupt(f"archive entry {shown(entry.name)}: its sparse map has no end")
            text += self.source.read_exact(BLOCK)
            self._left -= BLOCK
            lines = text.split(b"\n")
            if count is None and len(lines) > 1:
                count = 1 + 2 * _pax_number(lines[0])
            if count is not None and len(lines) > count:
                entry.stored = self._left
                return [_pax_number(line) for line in lines[1:count]]

    def _set_sparse(self, entry: Entry, pieces: list[tuple[int, int]], real: int) -> None:
        """Check a sparse map: ordered, not overlapping, inside the file, and as long as what is stored."""
        at = 0
        for offset, length in pieces:
            if offset < at or length < 0:
                raise corrupt(f"archive entry {shown(entry.name)}: its sparse map is out of order")
            at = offset + length
        if at > real or sum(length for _, length in pieces) != entry.stored:
            raise corrupt(f"archive entry {shown(entry.name)}: its sparse map does not fit its size")
        entry.sparse, entry.size = pieces, real

    def skip_body(self) -> None:
        """Pass over what is left of the current member."""
        if self._left or self._padding:
            self.source.skip(self._left + self._padding)
            self._left = self._padding = 0

    def read_body(self) -> bytes:
        """The current member's stored bytes, which the caller knows to be few."""
        data = self.source.read_exact(self._left)
        self._left = 0
        return data

    def read_piece(self, most: int) -> bytes:
        """The next piece of the current member's stored bytes; b"" at its end."""
        data = self.source.read_some(min(most, self._left)) if self._left else b""
        if self._left and not data:
            raise corrupt("the archive is truncated")
        self._left -= len(data)
        return data

    def copy_body(self, target: int, size: int) -> None:
        """Write the next stored bytes to a descriptor at its position."""
        self.source.copy_to(target, size)
        self._left -= size


def _sparse_structs(raw: bytes) -> list[tuple[int, int]]:
    pieces = []
    for at in range(0, len(raw) - 23, 24):
        if raw[at] == 0:
            break
        offset, length = _number(raw[at : at + 12]), _number(raw[at + 12 : at + 24])
        pieces.append((offset, length))
    return [piece for piece in pieces if piece[1]]


def _pax_records(body: bytes) -> dict[bytes, bytes]:
    """`LENGTH KEY=VALUE\\n` records; sparse 0.0 pieces, which repeat their keys, are joined."""
    records: dict[bytes, bytes] = {}
    pieces: list[bytes] = []
    at = 0
    while at < len(body):
        space = body.find(b" ", at, at + 20)
        if body[at : at + 1] == b"\0":
            break
        digits = body[at:space]
        if space < 0 or not digits.isdigit():
            raise corrupt("the archive is damaged: an extended header can't be read")
        end = at + int(digits)
        key, equals, value = body[space + 1 : end - 1].partition(b"=")
        if end > len(body) or end <= space or body[end - 1 : end] != b"\n" or not equals:
            raise corrupt("the archive is damaged: an extended header can't be read")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            pieces.append(value)
        else:
            records[key] = value
        at = end
    if pieces:
        records[b"GNU.sparse.pieces"] = b",".join(pieces)
    return records


def _pax_number(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise ValueError(text)
    return int(text)


def _pax_time(text: bytes) -> int:
    """Decimal seconds, perhaps negative, to nanoseconds."""
    sign = -1 if text.startswith(b"-") else 1
    whole, _, fraction = text.lstrip(b"-").partition(b".")
    if not whole.isdigit() or len(whole) > 20 or (fraction and not fraction.isdigit()):
        raise ValueError(text)
    return sign * (int(whole) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0") or 0))
