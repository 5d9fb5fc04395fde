"""Which of the things that nobody uses a prune may take."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class PruneFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing set: all of them. Labels are `key` or `key=value`."""

    until_ns: int | None = None
    """Only what was made before this moment."""
    labels: tuple[str, ...] = ()
    """Only what has all of these."""
    without_labels: tuple[str, ...] = ()
    """Not what has all of these."""

    def admits(self, labels: dict[str, str], created_ns: int) -> bool:
        """Whether a thing with these labels, made then, may go."""
        if self.until_ns is not None and created_ns > self.until_ns:
            return False
        if not has_labels(labels, self.labels):
            return False
        return not (self.without_labels and has_labels(labels, self.without_labels))


def has_labels(labels: dict[str, str], wanted: Sequence[str]) -> bool:
    """Whether every `key` is there, and every `key=value` with that value."""
    for text in wanted:
        key, equals, value = text.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True


EVERYTHING = PruneFilter()
