"""Leases: marks of "in use" that the kernel releases when their holder dies.

An operation that builds something step by step (load, commit, create) holds a lease that lists
what must not be collected meanwhile: names such as `blob sha256:…`, `layer sha256:…`,
`image sha256:…`, `container <id>`. An unlocked lease file belongs to a dead operation.
"""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from types import TracebackType

from core.errors import EngineError, wrapped
from core.linux.files import is_locked


class Lease:
    """A context manager; add() may be called at any time while it is held, from any thread."""

    def __init__(self, directory: Path, *holds: str) -> None:
        self.id = os.urandom(16).hex()
        self._path = directory / self.id
        self._holds = list(holds)
        self._descriptor = -1
        self._lock = threading.Lock()

    def __enter__(self) -> Lease:
        # locked before it is visible: a sweep must never meet it unlocked
        hidden = self._path.with_name(f".{self.id}")
        try:
            self._descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            self._write()
            os.rename(hidden, self._path)
        except OSError as error:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                hidden.unlink(missing_ok=True)
            raise wrapped(error, "make lease", self._path) from error
        return self

    def add(self, *holds: str) -> None:
        """Protect more, from now on."""
        with self._lock:
            self._holds.extend(holds)
            self._write()

    def drop(self, *holds: str) -> None:
        """Protect these no longer."""
        with self._lock:
            self._holds = [hold for hold in self._holds if hold not in holds]
            self._write()

    def _write(self) -> None:
        if self._descriptor < 0:
            raise EngineError("the operation is over")
        data = "".join(f"{hold}\n" for hold in self._holds).encode()
        os.pwrite(self._descriptor, data, 0)
        os.ftruncate(self._descriptor, len(data))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:  # a thread that comes late must not write to what has this number next
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


def survey_leases(directory: Path) -> tuple[set[str], list[Path]]:
    """Everything that living leases protect, and the files of dead ones. Changes nothing."""
    holds: set[str] = set()
    dead: list[Path] = []
    for entry in os.scandir(directory):
        if entry.name.startswith("."):
            continue  # being made: not locked yet, perhaps
        path = Path(entry.path)
        if is_locked(path):
            try:
                holds.update(path.read_text().split("\n"))
            except FileNotFoundError:
                continue
        else:
            dead.append(path)
    holds.discard("")
    return holds, dead


def live_holds(directory: Path) -> set[str]:
    """Everything that living leases protect; files of dead ones are removed on the way."""
    holds, dead = survey_leases(directory)
    for path in dead:
        path.unlink(missing_ok=True)
    return holds


def is_live(directory: Path, lease_id: str) -> bool:
    """Whether the operation that took this lease still runs."""
    return is_locked(directory / lease_id)
