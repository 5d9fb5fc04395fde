"""The key sequence that leaves a container running: Ctrl-P Ctrl-Q, or --detach-keys."""

from __future__ import annotations

from core.errors import InvalidInput

DEFAULT = "ctrl-p,ctrl-q"
_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse_detach_keys(text: str) -> bytes:
    """Read `ctrl-p,ctrl-q`: letters and `ctrl-` combinations, joined by commas.

    Raises: InvalidInput: a key that is neither.
    """
    keys = bytearray()
    for key in text.split(","):
        name = key.strip()
        if len(name) == 1 and name.isascii() and name.isprintable():
            keys.append(ord(name))
            continue
        letter = name.lower().removeprefix("ctrl-")
        if name.lower().startswith("ctrl-") and letter in _CONTROL:
            keys.append(_CONTROL[letter])
        elif name.lower().startswith("ctrl-") and len(letter) == 1 and "a" <= letter <= "z":
            keys.append(ord(letter) - ord("a") + 1)
        else:
            raise InvalidInput(f"unknown key '{name}'", hint="write letters or ctrl-x, joined by commas")
    return bytes(keys)


class DetachWatch:
    """Looks for the sequence in what is typed, and holds its beginning back until it is clear."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = 0

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """What to pass on, and whether the sequence is complete (what follows it is dropped)."""
        if not self._held and self._keys[:1] not in typed:
            return typed, False
        out = bytearray()
        for byte in typed:
            while self._held and byte != self._keys[self._held]:
                still = self._longest_begin(self._keys[1 : self._held])
                out += self._keys[: self._held - still]
                self._held = still
            if byte == self._keys[self._held]:
                self._held += 1
                if self._held == len(self._keys):
                    return bytes(out), True
            else:
                out.append(byte)
        return bytes(out), False

    def _longest_begin(self, rest: bytes) -> int:
        """How many of the held keys, the first let go, are the sequence's beginning again."""
        for length in range(len(rest), 0, -1):
            if rest[-length:] == self._keys[:length]:
                return length
        return 0
