"""Whether this host has a way to other networks, from a glance at its routes. What is told is a hint, no verdict."""

from __future__ import annotations

from pathlib import Path

_ROUTES = Path("/proc/net/route")
_ROUTES_6 = Path("/proc/net/ipv6_route")
_ANYWHERE_6 = "0" * 32


def no_way_out(routes: Path = _ROUTES, routes_6: Path = _ROUTES_6) -> str:
    """Why no registry of the world can be reached; empty where there is a way, or nobody knows."""
    try:
        lines = [line.split() for line in routes.read_text(encoding="ascii").splitlines()[1:]]
        if any(len(words) > 7 and words[1] == words[7] == "00000000" for words in lines):
            return ""
        lines = (
            [line.split() for line in routes_6.read_text(encoding="ascii").splitlines()] if routes_6.exists() else []
        )
        if any(words[0] == _ANYWHERE_6 and words[1] == "00" and words[-1] != "lo" for words in lines if len(words) > 9):
            return ""
    except (OSError, ValueError):
        return ""
    return "network: no route out of this host"
