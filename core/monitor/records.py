"""What a monitor leaves on disk: the state document and journal records.

The same formats as core.state.documents and core.state.journal, written without their imports;
tests keep both in step.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from core.linux.files import append_record, write_atomic


def write_state(container_dir: str, kind: str, fields: dict[str, Any]) -> None:
    """Replace state.json; `kind` is created, running or exited. Raises: OSError."""
    document = {"schema": 1, "kind": "container.state", "type": kind, **fields}
    write_atomic(f"{container_dir}/state.json", json.dumps(document).encode(), durable=kind != "running")


def append_event(journal_dir: str, action: str, container_id: str, attributes: dict[str, str]) -> None:
    """Append a container event. A full disk loses the event, never the container."""
    record = {
        "at_ns": time.time_ns(),
        "kind": "container",
        "action": action,
        "actor": container_id,
        "attributes": attributes,
    }
    numbers = [int(name[:-6]) for name in os.listdir(journal_dir) if name.endswith(".jsonl") and name[:-6].isdigit()]
    path = f"{journal_dir}/{max(numbers, default=1)}.jsonl"
    try:
        append_record(path, json.dumps(record, separators=(",", ":")).encode() + b"\n")
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


def has_event(journal_dir: str, action: str, container_id: str, since_ns: int) -> bool:
    """Whether an event of a container was noted at or after a moment, in the newest two segments."""
    numbers = sorted(int(name[:-6]) for name in os.listdir(journal_dir) if name[:-6].isdigit())
    for number in numbers[-2:]:
        with open(f"{journal_dir}/{number}.jsonl", "rb") as file:
            for line in file:
                if container_id.encode() not in line:
                    continue
                try:
                    event = json.loads(line)
                except ValueError:
                    continue  # torn
                if event["actor"] == container_id and event["action"] == action and event["at_ns"] >= since_ns:
                    return True
    return False
