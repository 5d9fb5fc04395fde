"""Untrusted bytes → text that is safe to show.

Everything that a container, an image, a registry or a file name says passes through here before
a face shows it. The result holds no control, no bidirectional override, no invisible character
and no lone surrogate: each is replaced by something one can see. A combining mark can't climb
onto our own text, nor pile up. What is safe is still *data*: a face must not read it as markup.

    C0, DEL      ESC → ␛   NUL → ␀   BEL → ␇  (Unicode's control pictures, one cell each)
    not UTF-8    byte ff → \\xff
    the rest     U+202E → ‹202E›
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from core.model.ink import PLAIN, Ink, apply_sgr

_UNSAFE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0"  # invisible letters and joiners
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # zero width, separators, bidirectional controls
    "\ufff0-\uffff\ufdd0-\ufdef"  # interlinear marks, non-characters
    "\ud800-\udfff"  # surrogates: bytes that were not UTF-8
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # layout of scripts and music
    "\U000e0000-\U000e0fff"  # tags, more variation selectors
    "]"
)
_PRESENTATION = re.compile("[\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]")
"""Variation selectors and skin tones: terminals disagree about their width, so they are dropped."""

_SGR = re.compile(rb"\x1b\[([0-9;:]*)m")
_MARKS_KEPT = 2
_WIDE = ("W", "F")
LOG_LINE_CELLS = 16_384
"""A longer log line is cut here for display; the log itself keeps it whole."""


class Span(NamedTuple):
    """A run of safe text in one ink."""

    text: str
    ink: Ink


def safe_text(value: str | bytes) -> str:
    """One line of safe text; a newline or tab inside becomes visible too."""
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
    if text.isascii() and text.isprintable():
        return text
    text = _PRESENTATION.sub("", text)
    text = _UNSAFE.sub(_visible, text)
    return text if text.isascii() else _tame_marks(text)


def safe_lines(value: str | bytes, *, tab_stops: int = 8) -> list[str]:
    """Several lines: split at newlines, tabs widened, everything else as in safe_text."""
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
    return [safe_text(line.removesuffix("\r").expandtabs(tab_stops)) for line in text.split("\n")]


def log_spans(data: bytes, *, start: Ink = PLAIN) -> tuple[list[Span], Ink]:
    """A log line as coloured runs, and the ink it ends in.

    Only SGR is acted on; every other control becomes visible. A final line ending is dropped,
    tabs widen, and text beyond LOG_LINE_CELLS characters is cut with a note of how much.
    """
    if data.endswith(b"\n"):
        data = data[:-1]
    if data.endswith(b"\r"):
        data = data[:-1]
    left_out = len(data) - LOG_LINE_CELLS
    if left_out > 0:
        data = data[:LOG_LINE_CELLS]
    ink, spans, position = start, [], 0
    for match in _SGR.finditer(data) if b"\x1b[" in data else ():
        if match.start() > position:
            spans.append(Span(_log_text(data[position : match.start()]), ink))
        ink = apply_sgr(ink, match[1].decode("ascii"))
        position = match.end()
    if position < len(data):
        spans.append(Span(_log_text(data[position:]), ink))
    if left_out > 0:
        spans.append(Span(f" … {left_out} bytes more", PLAIN))
    return spans, ink


def text_width(text: str) -> int:
    """Terminal cells that safe text takes."""
    return len(text) if text.isascii() else sum(map(char_width, text))


@lru_cache(maxsize=8192)
def char_width(character: str) -> int:
    """Cells of one character: 0 for marks that sit on the one before, 2 for wide ones, else 1."""
    if unicodedata.category(character) in ("Mn", "Me", "Mc") or "\u1160" <= character <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1


def clip(text: str, cells: int, *, mark: str = "…") -> str:
    """Safe text cut to at most so many cells, ending in `mark` where something was cut."""
    if text_width(text) <= cells:
        return text
    room = cells - text_width(mark)
    if room < 0:
        return ""
    used, kept = 0, 0
    for character in text:
        used += char_width(character)
        if used > room:
            break
        kept += 1
    return text[:kept] + mark


def _log_text(data: bytes) -> str:
    text = data.decode("utf-8", "surrogateescape")
    return safe_text(text.expandtabs(8) if "\t" in text else text)


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"‹{code:04X}›"


def _tame_marks(text: str) -> str:
    """Keep at most two marks on a letter, and give a leading one something of its own to sit on."""
    kept: list[str] = []
    run = 0
    for character in text:
        if character.isascii() or char_width(character):
            run = 0
        else:
            if not kept:
                kept.append("◌")
            run += 1
            if run > _MARKS_KEPT:
                continue
        kept.append(character)
    return "".join(kept)
