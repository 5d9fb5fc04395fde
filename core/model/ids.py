"""Identifiers: 64 hex digits, their 12-digit short form, and what a name may look like."""

from __future__ import annotations

import re

_HEX64 = re.compile(r"[0-9a-f]{64}")
_HEX_PREFIX = re.compile(r"[0-9a-f]{1,64}")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")

NAME_RULE = "[a-zA-Z0-9][a-zA-Z0-9_.-]"


def is_full_id(text: str) -> bool:
    """Whether the text is a whole container id (no `sha256:` in front)."""
    return _HEX64.fullmatch(text) is not None


def is_id_prefix(text: str) -> bool:
    """Whether the text could be the beginning of an id."""
    return _HEX_PREFIX.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Whether a container or volume may be called so (Docker's rule, two characters at least)."""
    return _NAME.fullmatch(text) is not None and len(text) <= 200


def short_id(full: str) -> str:
    """The first 12 digits, without an algorithm prefix."""
    return full.rpartition(":")[2][:12]
