"""Theme files: what they must say, and reading them. Knows colours by name, draws nothing.

Apart from app.console.theme, which knows the libraries that draw.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec

from app.console.theme_glance import ANSI_NAMES, SHIPPED
from core.errors import InvalidInput

_COLOUR = re.compile(rf"#[0-9a-fA-F]{{6}}|ansi_(?:default|(?:bright_)?(?:{'|'.join(ANSI_NAMES)}))")


class Colours(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every theme must name: `#rrggbb`, or `ansi_…` for the terminal's own sixteen."""

    background: str
    surface: str
    raised: str
    selected: str
    line: str
    text: str
    muted: str
    faint: str
    accent: str
    ok: str
    warn: str
    fail: str
    cpu: str
    memory: str
    io: str
    series: tuple[str, ...]
    """One colour a container in the shared charts; used in turn."""


class ThemeFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One theme as its file says it."""

    name: str
    dark: bool = True
    ansi: bool = False
    colors: Colours


def read_theme(path: Path) -> ThemeFile:
    """One theme file.

    Raises: InvalidInput: it can't be read, is not TOML, or names a colour wrongly; says where.
    """
    try:
        theme = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), ThemeFile)
        for name in Colours.__struct_fields__:
            value = getattr(theme.colors, name)
            for text in value if isinstance(value, tuple) else (value,):
                if not _COLOUR.fullmatch(text):
                    raise ValueError(f"{name}: {text!r} is neither #rrggbb nor ansi_…")
        if not theme.colors.series:
            raise ValueError("series is empty")
    except (OSError, ValueError, msgspec.ValidationError, RecursionError) as error:
        raise InvalidInput(f"theme {path.name}: {error}", hint="compare it with a file in themes/") from error
    return theme


def load_themes(own: Path) -> tuple[dict[str, ThemeFile], list[str]]:
    """All themes by name, a person's own winning over ours, and what was wrong with the rest."""
    themes: dict[str, ThemeFile] = {}
    complaints: list[str] = []
    for directory in (Path(SHIPPED), own):
        for path in sorted(directory.glob("*.toml")) if directory.is_dir() else ():
            try:
                theme = read_theme(path)
            except InvalidInput as error:
                complaints.append(error.message)
            else:
                themes[theme.name] = theme
    return themes, complaints
