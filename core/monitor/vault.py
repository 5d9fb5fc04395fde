"""What monitors have left: held by the spawner, and by the keeper behind it.

<run root>/c/<id16>/ended-<pid>    how a process ended whose monitor was killed: its wait status,
                                   written by whoever became its parent and reaped it
"""

from __future__ import annotations

import os
from typing import Any

from core.linux.files import write_atomic


class KeptProcess:
    """One process of a container, and duplicates of its monitor's descriptors by name."""

    def __init__(self, facts: dict[str, Any], descriptors: dict[str, int]) -> None:
        self.facts = facts
        self.descriptors = descriptors

    def close(self) -> None:
        """Let go of the duplicates."""
        for descriptor in self.descriptors.values():
            os.close(descriptor)
        self.descriptors = {}


class Kept:
    """All that is kept of one container."""

    def __init__(self, places: dict[str, str]) -> None:
        self.places = places
        self.spec = -1
        """The document it was started from, as a file in memory; -1 when it is known from disk only."""
        self.processes: dict[str, KeptProcess] = {}

    def was_attended(self, process: str) -> bool:
        """Whether somebody was attached to a process, as far as its monitor has said."""
        return process in self.processes and bool(self.processes[process].facts.get("attended"))

    def close(self) -> None:
        """Let go of everything."""
        for process in self.processes.values():
            process.close()
        self.processes = {}
        if self.spec >= 0:
            os.close(self.spec)
        self.spec = -1


class Vault:
    """Containers with a living monitor, or one that will have a successor, by id."""

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}

    def take(self, message: dict[str, Any], descriptors: list[int]) -> None:
        """Act on a monitor's message; descriptors that are not wanted are closed."""
        places = message["places"]
        match message["op"]:
            case "begin" if len(descriptors) == 1:
                self.forget(places["id"])
                self._of(places).spec = descriptors.pop()
            case "keep":
                process = str(message["process"])
                kept = self._of(places)
                if before := kept.processes.pop(process, None):
                    before.close()
                if len(descriptors) == len(message["names"]):  # fewer: no descriptors are left to this process
                    named = dict(zip(message["names"], descriptors, strict=True))
                    kept.processes[process] = KeptProcess(message["facts"], named)
                    descriptors = []
            case "release":
                if process_kept := self._of(places).processes.pop(str(message["process"]), None):
                    process_kept.close()
            case "monitor":
                kept = self._of(places)
                for gone in kept.processes.keys() - set(message["processes"]):
                    kept.processes.pop(gone).close()
            case "forget":
                self.forget(places["id"])
        for descriptor in descriptors:
            os.close(descriptor)

    def _of(self, places: dict[str, str]) -> Kept:
        return self.kept.setdefault(places["id"], Kept(places))

    def forget(self, container_id: str) -> None:
        """Close all that is kept of a container."""
        if kept := self.kept.pop(container_id, None):
            kept.close()

    def close_but(self, container_id: str) -> None:
        """In a fork: close what is not this container's."""
        for other in list(self.kept):
            if other != container_id:
                self.forget(other)

    def owner_of(self, pid: int) -> Kept | None:
        """The container that a process belongs to."""
        for kept in self.kept.values():
            if any(process.facts["pid"] == pid for process in kept.processes.values()):
                return kept
        return None

    def note_end(self, pid: int, status: int) -> None:
        """We have reaped a child: if it is a container's, tell its next monitor."""
        if kept := self.owner_of(pid):
            try:
                write_atomic(f"{kept.places['runtime_dir']}/ended-{pid}", str(status).encode(), durable=False)
            except OSError:
                pass  # the container's directory is gone: nobody will ask
