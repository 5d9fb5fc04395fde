"""A person's own defaults for lists: docker's keys in a JSON file.

    $XDG_CONFIG_HOME/wharf/config.json, or else $DOCKER_CONFIG/config.json (~/.docker/config.json)
    {"psFormat": "table {{.Names}}\\t{{.Status}}", "imagesFormat": …, "networksFormat": …, "statsFormat": …,
     "volumesFormat": …}

Other keys in it belong to others. A broken file is named and left out: a list must still be shown.
"""

from __future__ import annotations

import os
from pathlib import Path

from app.commands.definition import Invocation
from core.about import NAME


def preferred_format(invocation: Invocation, key: str) -> str:
    """What --format says, or with neither --format nor -q what the person's file says."""
    flags = invocation.flags
    if flags.given("format") or (flags.has("quiet") and flags.truth("quiet")):
        return flags.text("format")
    for path in _places():
        try:
            text = path.read_text()
        except OSError:
            continue
        import json

        try:
            found = json.loads(text)[key]
        except KeyError:
            return ""
        except (ValueError, TypeError, RecursionError) as error:
            invocation.io.complain(f"WARNING: Error loading config file: {path}: {error}")
            return ""
        if not isinstance(found, str):
            invocation.io.complain(f"WARNING: Error loading config file: {path}: {key} is no text")
            return ""
        return found
    return ""


def _places() -> list[Path]:
    home = os.environ.get("HOME", "/")
    ours = os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    return [Path(ours, NAME, "config.json"), Path(os.environ.get("DOCKER_CONFIG") or f"{home}/.docker", "config.json")]
