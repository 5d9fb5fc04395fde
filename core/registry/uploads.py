"""A blob on its way to a registry (distribution-spec, "Pushing a blob in chunks").

POST uploads/ ─▶ Location ── PATCH, all that is left ─▶ Location ── PUT ?digest= ─▶ 201
                    ▲                    │ the connection breaks
                    └── GET: how much has arrived ◀┘
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Protocol
from urllib.parse import quote

from core.errors import EngineError, NotFound
from core.model.progress import CancelToken
from core.registry.patience import pause_before_retry
from core.registry.repository import Repository


class Source(Protocol):
    """What is sent. It can be read any number of times, always the same."""

    @property
    def size_bytes(self) -> int | None:
        """None while it is not known: before it was read once."""

    @property
    def digest(self) -> str:
        """Of all of it; known once it was read, at the latest."""

    def pieces(self, offset: int) -> Iterator[bytes]:
        """From an offset on, in small pieces: each of them must be sent within one timeout."""


class Upload:
    """One blob."""

    def __init__(
        self, repository: Repository, source: Source, location: str, told: Callable[[int], None], stop: CancelToken
    ) -> None:
        self._repository = repository
        self._source = source
        self._location = location
        self._told = told
        self._stop = stop

    def send(self) -> None:
        """All of it, however often the connection breaks. Raises: what the last try has raised."""
        client = self._repository.server.session.client
        attempts = client.settings.attempts
        offset = 0
        for attempt in range(1, attempts + 1):
            try:
                if attempt > 1:
                    offset = self._arrived()
                self._patch(offset)
                return
            except EngineError as error:
                pause_s = pause_before_retry(error, attempt, client.pace)
                if attempt == attempts or pause_s is None or self._stop.is_cancelled:
                    raise
                self._stop.wait(pause_s)

    def _patch(self, offset: int) -> None:
        size = self._source.size_bytes
        headers = {"Content-Type": "application/octet-stream"}
        if size is not None:
            headers["Content-Length"] = str(size - offset)
            if offset:
                headers["Content-Range"] = f"{offset}-{max(offset, size - 1)}"
        answer = self._repository.upload(
            "PATCH", self._location, expect=(202, 204), headers=headers, body=self._watched(offset)
        )
        answer.drain()
        if answer.header("Location"):
            self._location = self._repository.location(answer, self._location)

    def _watched(self, offset: int) -> Iterator[bytes]:
        sent = offset
        for piece in self._source.pieces(offset):
            self._stop.check()
            yield piece
            sent += len(piece)
            self._told(sent)

    def _arrived(self) -> int:
        """How much the registry has. One that has forgotten the upload is told of a new one."""
        try:
            answer = self._repository.upload("GET", self._location, expect=(204, 202, 200), headers={}, body=b"")
        except NotFound:
            location = self._repository.begin_upload()
            assert location is not None
            self._location = location
            return 0
        answer.drain()
        if answer.header("Location"):
            self._location = self._repository.location(answer, self._location)
        # `0-0` is nothing to docker's registry, and one byte to the specification: the first is far more likely
        end = re.fullmatch(r"(?:bytes=)?0-(\d{1,18})", answer.header("Range").strip())
        return int(end[1]) + 1 if end and int(end[1]) else 0

    def finish(self) -> None:
        """Have it kept under its digest. Raises: InvalidInput: it is not what arrived there."""
        joint = "&" if "?" in self._location else "?"
        url = f"{self._location}{joint}digest={quote(self._source.digest, safe='')}"
        answer = self._repository.upload("PUT", url, expect=(201, 204), headers={"Content-Length": "0"}, body=b"")
        answer.drain()

    def give_up(self) -> None:
        """Let the registry throw away what has arrived."""
        try:
            self._repository.upload("DELETE", self._location, expect=(200, 202, 204), headers={}, body=b"").drain()
        except EngineError:
            pass  # it forgets by itself
