"""What a picture file says of itself, read from its first bytes: PNG, JPEG, GIF, WebP, BMP. Pure.

Sources: the W3C's PNG specification, ITU T.81, GIF89a, Google's WebP container specification.
"""

from __future__ import annotations

import struct

_SIZED = frozenset((0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF))
"""JPEG's frame headers, which have the size."""
_PNG_COLOURS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}


def picture_facts(data: bytes) -> list[tuple[str, str]]:
    """Title and value of each fact; empty if the bytes are no picture that is known here."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return _png(data)
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        if data[:6] in (b"GIF87a", b"GIF89a"):
            width, height = struct.unpack_from("<HH", data, 6)
            return [("format", data[:6].decode()), _size(width, height), ("colours", str(2 << (data[10] & 7)))]
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
        if data[:2] == b"BM":
            width, height, _planes, bits = struct.unpack_from("<iiHH", data, 18)
            return [("format", "BMP"), _size(width, abs(height)), ("depth", f"{bits} bits a pixel")]
    except (struct.error, IndexError):
        return []  # it only begins like one
    return []


def _size(width: int, height: int) -> tuple[str, str]:
    return "size", f"{width} × {height}"


def _png(data: bytes) -> list[tuple[str, str]]:
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    facts = [("format", "PNG"), _size(width, height)]
    facts.append(("colours", f"{_PNG_COLOURS.get(colour, 'unknown')}, {depth} bits a channel"))
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if kind == b"tEXt" and b"\0" in body:
            key, _, value = body.partition(b"\0")
            facts.append((key.decode("latin-1")[:20], value.decode("latin-1")[:200]))
        elif kind == b"pHYs" and len(body) == 9 and body[8] == 1:
            facts.append(("resolution", f"{round(struct.unpack('>I', body[:4])[0] * 0.0254)} dots an inch"))
        elif kind in (b"IDAT", b"IEND"):
            break
        at += 12 + length
    return facts


def _jpeg(data: bytes) -> list[tuple[str, str]]:
    facts = [("format", "JPEG")]
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in _SIZED:
            depth, height, width, channels = struct.unpack_from(">BHHB", data, at + 4)
            facts.append(_size(width, height))
            facts.append(("colours", f"{'grey' if channels == 1 else f'{channels} channels'}, {depth} bits each"))
            break
        if marker == 0xE1 and data[at + 4 : at + 8] == b"Exif":
            facts.append(("Exif", f"{length - 8} bytes"))
        at += 2 + max(2, length)
    return facts


def _webp(data: bytes) -> list[tuple[str, str]]:
    facts = [("format", "WebP")]
    match data[12:16]:
        case b"VP8X":
            width = int.from_bytes(data[24:27], "little") + 1
            height = int.from_bytes(data[27:30], "little") + 1
            facts.append(_size(width, height))
            if data[20] & 2:
                facts.append(("animated", "yes"))
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            facts.append(_size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", data, 26)
            facts.append(_size(width & 0x3FFF, height & 0x3FFF))
    return facts
