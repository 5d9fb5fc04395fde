"""A person's own console settings: `$XDG_CONFIG_HOME/wharf/console.toml`, all of it optional.

theme = "harbour-day"      # a name from themes/ here or in the product
cpu = "host"               # or "core": what CPU shares are of
preset = "k9s"             # or "lazydocker"
[keys]
stop = "ctrl+s"            # in every place that has it
"images.run" = "R"         # in one place
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from app.console.theme_glance import settings_path
from core.errors import InvalidInput


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file may say; everything has a default."""

    theme: str = ""
    cpu: str = "core"
    preset: str = ""
    keys: dict[str, str] = {}


def settings_dir() -> Path:
    """Where a person's own files are."""
    return Path(settings_path())


def read_settings(directory: Path) -> Settings:
    """The settings, or the defaults where there is no file.

    Raises: InvalidInput: the file can't be read or says something unknown; names it and the place.
    """
    path = directory / "console.toml"
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Settings)
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError, msgspec.ValidationError, RecursionError) as error:
        raise InvalidInput(f"{path.name}: {error}", hint=f"mend or remove {path}") from error
