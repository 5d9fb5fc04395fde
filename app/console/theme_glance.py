"""The chosen theme's colours at a glance, for the first frame: a few lines looked for, nothing judged.

Reading TOML properly, and checking it, costs as much as the whole frame; that is app.console's
settings and theme_file, which speak up about what is wrong a moment later. What is not found
here is left to the terminal's own colours.
"""

from __future__ import annotations

import os
import re

from core.about import NAME

DEFAULT_THEME = "harbour-night"
ANSI_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
SHIPPED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "themes")

_ENTRY = re.compile(r'^(\w+)[ \t]*=[ \t]*"([#\w.-]+)"[ \t]*(?:#.*)?$', re.MULTILINE)
_ANSI = re.compile(r"^ansi[ \t]*=[ \t]*true\b", re.MULTILINE)


def settings_path() -> str:
    """Where a person's own files are."""
    own = os.environ.get("XDG_CONFIG_HOME", "")
    return os.path.join(own if own.startswith("/") else os.path.expanduser("~/.config"), NAME)


def glance_colours() -> dict[str, str] | None:
    """Colours by meaning; None where this terminal should not, or can't, show them."""
    if "NO_COLOR" in os.environ:
        return None
    own = settings_path()
    wanted = dict(_ENTRY.findall(_text(os.path.join(own, "console.toml")))).get("theme", DEFAULT_THEME)
    truecolor = os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit")
    texts = _files(os.path.join(own, "themes")) + _files(SHIPPED)
    for name in (wanted, DEFAULT_THEME):
        for text in texts:
            entries = dict(_ENTRY.findall(text))
            if entries.get("name") == name:
                return entries if truecolor or _ANSI.search(text) else None
    return None


def _files(directory: str) -> list[str]:
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return []
    return [_text(os.path.join(directory, name)) for name in names if name.endswith(".toml")]


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(100_000)
    except OSError:
        return ""
