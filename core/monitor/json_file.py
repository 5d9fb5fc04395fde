"""The json-file driver: Docker's lines, exactly, in a file that log shippers can follow.

    <id>-json.log      {"log":"…\n","stream":"stdout","attrs":{…},"time":"2026-11-21T07:45:05.887943755Z"}
    <id>-json.log.1    what it was before it was full; .2 …; .1.gz when compressed

What is no UTF-8 becomes U+FFFD byte by byte, and control characters, <, > and & are escaped, as
Docker's own encoder does. A line's time is that of the batch it was read in.
"""

from __future__ import annotations

import errno
import json
import os
import re
import struct
import time

from core.monitor.packing import After, Packing

_MARK = struct.Struct("<QQ")
_HEAD = b'{"log":"'
_NAMES = {1: b"stdout", 2: b"stderr"}
_SAFE = bytes(code for code in range(0x20, 0x80) if code not in b'"\\<>&') + b"\n"
_BROKEN = re.compile("[\udc80-\udcff]")


class JsonFile:
    """core.monitor.shipping.Sink over a file.

    Args: most_bytes: 0 is no limit. attributes: labels, variables and tag that every line carries.
    """

    def __init__(
        self,
        path: str,
        *,
        most_bytes: int,
        most_files: int,
        compress: bool,
        attributes: dict[str, str],
        after: After,
    ) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._most_files = most_files
        self._packing = Packing(after) if compress else None
        self._middle = {stream: b'","stream":"' + name + b'"' for stream, name in _NAMES.items()}
        if attributes:
            pairs = [f"{json.dumps(key)}:{json.dumps(value)}" for key, value in sorted(attributes.items())]
            text = ",".join(pairs)
            for letter in "<>&":
                text = text.replace(letter, f"\\u{ord(letter):04x}")
            attrs = b',"attrs":{' + text.encode() + b"}"
            self._middle = {stream: middle + attrs for stream, middle in self._middle.items()}
        self._open()

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(self._path, flags, 0o640)
        found = os.fstat(self._file)
        self._size, self._inode = found.st_size, found.st_ino

    def put(self, stream: int, at_ns: int, lines: bytes) -> int:
        """Write whole lines, or one piece of a line; how many bytes of them. Raises: OSError: nothing was written."""
        taken = 0
        data = encode(lines, self._middle[stream], at_ns)
        while data:
            if self._most_bytes and self._size >= self._most_bytes:
                self._rotate()
            now, data = self._that_fits(data)
            try:
                self._append(now)
            except OSError:
                if not taken:
                    raise
                return taken
            taken = len(lines) if not data else _end_of_line(lines, taken, now.count(b"\n"))
        return taken

    def _that_fits(self, data: bytes) -> tuple[bytes, bytes]:
        """As many lines as the file takes, one at least and the one that fills it, and the rest."""
        room = self._most_bytes - self._size
        if not self._most_bytes or len(data) <= room:
            return data, b""
        end = data.index(b"\n", max(0, room - 1)) + 1
        return data[:end], data[end:]

    def _append(self, data: bytes) -> None:
        try:
            if os.write(self._file, data) < len(data):
                raise OSError(errno.ENOSPC, "no room for a whole line", self._path)
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def _rotate(self) -> None:
        if self._most_files <= 1:
            os.ftruncate(self._file, 0)
            self._size = 0
            return
        if self._packing:
            self._packing.finish()
        for number in range(self._most_files - 1, 1, -1):
            for ending in ("", ".gz"):
                _rename(f"{self._path}.{number - 1}{ending}", f"{self._path}.{number}{ending}")
        _rename(self._path, f"{self._path}.1")
        os.close(self._file)
        self._open()
        if self._packing:
            self._packing.add(f"{self._path}.1", f"{self._path}.1.gz")

    def mark(self) -> bytes:
        """Which file, and how long it is."""
        return _MARK.pack(self._inode, self._size)

    def go_on(self, mark: bytes) -> None:
        """Cut what a killed monitor wrote and could not note: it comes again, byte for byte."""
        inode, size = _MARK.unpack(mark)
        if inode == self._inode and size < self._size:
            os.ftruncate(self._file, size)
            self._size = size

    def close(self) -> None:
        """Let go."""
        os.close(self._file)


def encode(lines: bytes, middle: bytes, at_ns: int) -> bytes:
    """Lines as Docker writes them; a last one without an end is a piece of a longer one.

    Args: middle: what stands between a line and its time.
    """
    seconds, rest = divmod(at_ns, 10**9)
    decimals = f".{rest:09d}".rstrip("0").rstrip(".")
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + decimals + "Z"
    end = middle + b',"time":"' + stamp.encode() + b'"}\n'
    between = b"\\n" + end + _HEAD
    text = _escaped(lines)
    if text.endswith(b"\n"):
        return _HEAD + text[:-1].replace(b"\n", between) + b"\\n" + end
    return _HEAD + text.replace(b"\n", between) + end


def _escaped(lines: bytes) -> bytes:
    """What may not stand in a JSON string, escaped; newlines are left."""
    special = sorted(set(lines.translate(None, _SAFE)), key=lambda code: (code != 0x5C, code))
    for code in special:
        if code < 0x80:
            lines = lines.replace(bytes((code,)), _escape(code))
    if any(code >= 0x80 for code in special):
        lines = lines.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
        try:
            lines.decode("utf-8")
        except UnicodeDecodeError:
            text = lines.decode("utf-8", "surrogateescape")
            lines = _BROKEN.sub(r"\\ufffd", text).encode("utf-8")
    return lines


def _escape(code: int) -> bytes:
    short = {0x22: b'\\"', 0x5C: b"\\\\", 0x0D: b"\\r"}
    return short.get(code) or b"\\u%04x" % code


def _rename(old: str, new: str) -> None:
    try:
        os.rename(old, new)
    except FileNotFoundError:
        pass


def _end_of_line(lines: bytes, start: int, count: int) -> int:
    """Where the count-th line from `start` on ends."""
    for _ in range(count):
        start = lines.index(b"\n", start) + 1
    return start
