"""What a monitor leaves on disk: the state document and journal records.

The same format as core.state.documents, written without its imports; tests keep both in step.
"""

from __future__ import annotations

import json
from typing import Any

from core.linux.files import write_atomic
from core.monitor import journal


def write_state(container_dir: str, kind: str, fields: dict[str, Any]) -> None:
    """Replace state.json; `kind` is created, running, restarting or exited. Raises: OSError."""
    document = {"schema": 1, "kind": "container.state", "type": kind, **fields}
    write_atomic(f"{container_dir}/state.json", json.dumps(document).encode(), durable=kind != "running")


def append_event(
    journal_dir: str, action: str, actor: str, attributes: dict[str, str], *, kind: str = "container"
) -> None:
    """Append an event. A full disk loses the event, never the container."""
    try:
        journal.append(journal_dir, kind, action, actor, attributes)
    except OSError:
        pass


def read_state(container_dir: str) -> dict[str, Any]:
    """The state document; empty when there is none that could be read."""
    try:
        with open(f"{container_dir}/state.json", "rb") as file:
            document = json.load(file)
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def has_event(journal_dir: str, action: str, actor: str, since_ns: int) -> bool:
    """Whether something was noted of an object at or after a moment, in the newest two segments."""
    for number in journal.segment_numbers(journal_dir)[-2:]:
        with open(journal.segment_path(journal_dir, number), "rb") as file:
            for line in file:
                if actor.encode() not in line:
                    continue
                try:
                    event = json.loads(line)
                except ValueError:
                    continue  # torn
                if event["actor"] == actor and event["action"] == action and event["at_ns"] >= since_ns:
                    return True
    return False


def volumes_mounted(spec: dict[str, Any]) -> None:
    """Tell that a container's volumes are in use from now on; the last events before its start's."""
    for volume in spec.get("volumes", ()):
        attributes = {
            "container": spec["id"],
            "destination": volume["target"],
            "driver": "local",
            "propagation": volume["propagation"],
            "read/write": "false" if volume["read_only"] else "true",
        }
        append_event(spec["journal_dir"], "mount", volume["name"], attributes, kind="volume")


def volumes_unmounted(spec: dict[str, Any]) -> None:
    """Tell that a container that has ended has let go of its volumes."""
    for volume in spec.get("volumes", ()):
        attributes = {"container": spec["id"], "driver": "local"}
        append_event(spec["journal_dir"], "unmount", volume["name"], attributes, kind="volume")
