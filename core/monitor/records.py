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
