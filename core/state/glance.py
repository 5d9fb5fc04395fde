"""What a data root's lists begin with, read before any engine is loaded: in milliseconds, for a first picture.

The standard library alone, and nothing is made, locked for long or mended. A root that is not
there, or not of our schema, gives nothing; a document that can't be read is left out; what only
an engine can judge (a container whose monitor has gone) is left open. The engine's own lists
follow a moment later and are the truth.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any

from core import about
from core.linux.files import is_locked
from core.model.glance import Glance, Glimpse, Standing
from core.monitor.ring import HEADER, RECORD

_SCHEMA = 1
_ALWAYS_THERE = {"bridge", "host", "none"}
"""Networks that lists show before anything has needed them."""


def glance(data: str, run: str, most: int) -> Glance | None:
    """Look at a data root.

    Args: data: empty: the one that is configured, or the default. run: its run root, empty where
        it follows the data root. most: containers to read.
    Returns: None where there is nothing that can be told at a glance.
    """
    try:
        if not data:
            data, run = _configured(run)
        root = _read(f"{data}/format.json")
        if root.get("schema") != _SCHEMA:
            return None
        if not run:
            own = data == about.DATA_ROOT
            run = about.RUN_ROOT if own else f"{about.RUN_ROOT}-{str(root['uuid'])[:8]}"
        ids = [name for name in os.listdir(f"{data}/containers") if len(name) == 64]
        images, volumes = os.listdir(f"{data}/images"), os.listdir(f"{data}/volumes")
        networks = _names_of_networks(f"{data}/networks/names")
    except (OSError, ValueError, KeyError):
        return None
    newest = sorted(ids, key=lambda name: _made_ns(f"{data}/containers/{name}"), reverse=True)
    found = (_glimpse(f"{data}/containers/{name}", f"{run}/c/{name[:16]}/alive.lock") for name in newest[:most])
    return Glance(
        tuple(one for one in found if one is not None),
        len(ids),
        sum(name.endswith(".json") for name in images),
        sum(not name.startswith(".") for name in volumes),
        len(networks | _ALWAYS_THERE),
    )


def _names_of_networks(directory: str) -> set[str]:
    """A root of an earlier version has none yet."""
    try:
        return {name for name in os.listdir(directory) if not name.startswith(".")}
    except FileNotFoundError:
        return set()


def _configured(run: str) -> tuple[str, str]:
    path = f"{about.SETTINGS_DIR}/daemon.json"
    if not os.path.exists(path):
        return about.DATA_ROOT, run
    settings = _read(path)
    return str(settings.get("data-root", about.DATA_ROOT)), run or str(settings.get("exec-root", ""))


def _read(path: str) -> dict[str, Any]:
    with open(path, "rb") as file:
        document = json.loads(file.read())
    if not isinstance(document, dict):
        raise ValueError(path)
    return document


def _read_or(path: str, unwritten: Any) -> dict[str, Any]:
    """A document that is only there once something has changed."""
    try:
        return _read(path)
    except FileNotFoundError:
        return dict(unwritten)


def _made_ns(directory: str) -> int:
    """When it was created: its first document is written then, and never again."""
    try:
        return os.stat(f"{directory}/config.json").st_mtime_ns
    except OSError:
        return 0


def _glimpse(directory: str, alive_lock: str) -> Glimpse | None:
    try:
        config = _read(f"{directory}/config.json")
        settings = _read_or(f"{directory}/settings.json", config.get("settings"))
        state = _read_or(f"{directory}/state.json", {"type": "created"})
        standing = _standing(config, state, alive_lock)
        memory, pids = _newest_sample(directory) if standing.status in ("running", "paused") else (None, None)
        limit = int(settings.get("limits", {}).get("memory_bytes", 0))
        return Glimpse(str(settings["name"]), str(config.get("image_name", "")), standing, limit, memory, pids)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _standing(config: dict[str, Any], state: dict[str, Any], alive_lock: str) -> Standing:
    kind = state.get("type", "")
    if kind == "running":
        status = ("paused" if state.get("paused") else "running") if is_locked(alive_lock) else ""
        return Standing(status, int(state["started_ns"]))
    if kind in ("exited", "restarting"):
        if kind == "restarting" and not is_locked(alive_lock):
            return Standing("", int(state["finished_ns"]))
        code, ended_ns = int(state["exit_code"]), int(state["finished_ns"])
        return Standing(kind, ended_ns, code, bool(state.get("oom_killed")))
    if kind == "created":
        return Standing("created", int(config.get("created_ns", 0)), failed=bool(state.get("error")))
    return Standing(str(kind))


def _newest_sample(directory: str) -> tuple[int | None, int | None]:
    """Memory and pids of the ring's last record."""
    try:
        descriptor = os.open(f"{directory}/stats.ring", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None, None
    try:
        _magic, size, capacity, written = HEADER.unpack(os.pread(descriptor, HEADER.size, 0))
        if not written or size != RECORD.size:
            return None, None
        fields = RECORD.unpack(os.pread(descriptor, size, HEADER.size + (written - 1) % capacity * size))
        return int(fields[3]), int(fields[5])
    except struct.error:
        return None, None
    finally:
        os.close(descriptor)
