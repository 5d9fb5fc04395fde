"""WWW-Authenticate: what a server wants to know (RFC 9110, 11.6.1; distribution-spec's token authentication)."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

LONGEST_BYTES = 8192
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PART = re.compile(
    rf"""[\s,]*(?:
        (?P<name>{_TOKEN})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>{_TOKEN}))(?=[\s,]|$)
      | (?P<scheme>{_TOKEN})(?=[\s,]|$)
    )""",
    re.VERBOSE,
)


class Challenge(msgspec.Struct, frozen=True):
    """One way to say who one is."""

    scheme: str
    """In lower case: basic, bearer …"""
    parameters: dict[str, str]
    """Names in lower case: realm, service, scope, error."""


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """All challenges of all headers, in their order. What can't be understood ends a header, and is no error."""
    found: list[Challenge] = []
    for header in headers:
        position = 0
        text = header[:LONGEST_BYTES]
        current: Challenge | None = None
        while (part := _PART.match(text, position)) is not None:
            position = part.end()
            if (scheme := part["scheme"]) is not None:
                current = Challenge(scheme.lower(), {})
                found.append(current)
            elif current is not None:
                value = part["plain"]
                if value is None:
                    value = re.sub(r"\\(.)", r"\1", part["quoted"])
                current.parameters.setdefault(part["name"].lower(), value)
    return found
