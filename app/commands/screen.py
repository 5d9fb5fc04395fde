"""What a container prints, made fit for a person's terminal.

Colours (SGR), newlines, carriage returns, tabs and backspaces pass; every other control is shown
instead of obeyed. Only a process that was given a terminal of its own with -t writes through
untouched: that is what -t asks for.
"""

from __future__ import annotations

import codecs
import re

_PIECE = re.compile(r"(\x1b\[[0-9;:]*m|[\n\r\t\b]+)")
_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;:]{0,60})?\Z")


class ScreenFilter:
    """Cleans one stream; an escape sequence may be cut in two by a read."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._held = ""

    def clean(self, data: bytes) -> bytes:
        """The next bytes, made harmless."""
        from core.model.display import safe_text

        text = self._held + self._decoder.decode(data)
        unfinished = _UNFINISHED.search(text)
        self._held = unfinished.group() if unfinished else ""
        text = text[: len(text) - len(self._held)]
        pieces = _PIECE.split(text)
        pieces[::2] = [safe_text(piece) for piece in pieces[::2]]
        return "".join(pieces).encode()
