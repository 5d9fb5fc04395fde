"""The places of the console in the order of their digits: what the tabs show."""

from __future__ import annotations

TABS = (
    ("1", "containers", "Containers"),
    ("2", "images", "Images"),
    ("3", "volumes", "Volumes"),
    ("4", "events", "Events"),
    ("5", "host", "Host"),
)
"""Digit, place and title."""
