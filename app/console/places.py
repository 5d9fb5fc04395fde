"""The places of the console in the order of their digits: what the tabs show."""

from __future__ import annotations

from collections.abc import Mapping

TABS = (
    ("1", "containers", "Containers"),
    ("2", "images", "Images"),
    ("3", "volumes", "Volumes"),
    ("4", "networks", "Networks"),
    ("5", "events", "Events"),
    ("6", "host", "Host"),
)
"""Digit, place and title."""


def tab_gap(counts: Mapping[str, int], width: int) -> str:
    """What parts two tabs: a blank, or nothing where a line of so many cells has no room for blanks."""
    used = sum(len(title) + 5 + (len(str(counts[place])) + 1 if place in counts else 0) for _, place, title in TABS)
    return " " if used <= width else ""
