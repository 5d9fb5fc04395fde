"""Blobs that outlive broken connections: fetched into a sink that remembers, sent from a source that can begin anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from core.errors import DigestMismatch, EngineError, Unreachable
from core.model.progress import CancelToken
from core.registry.answers import Interrupted
from core.registry.patience import pause_before_retry
from core.registry.repository import Repository
from core.registry.uploads import Source, Upload

_HEADWAY_BYTES = 64 * 1024


class Sink(Protocol):
    """Where a blob is put together."""

    @property
    def size(self) -> int:
        """Bytes that are there."""

    def write(self, data: bytes) -> None:
        """Append."""

    def restart(self) -> None:
        """Throw away what is there."""


class Told(Protocol):
    """Who wants to know how it goes."""

    def __call__(self, status: str, done_bytes: int) -> None:
        """A status in docker's words, and how many bytes are there."""


def fetch_blob(
    repository: Repository, digest: str, size: int, sink: Sink, told: Callable[[str, int], None], stop: CancelToken
) -> None:
    """Fill a sink up to a blob's size, beginning with what it has already.

    Raises: DigestMismatch: the server has more or less than its manifest says. What the last try
        raised, when `attempts` are used up; the sink keeps what came.
    """
    client = repository.server.session.client
    failures = 0
    while sink.size < size:
        before = sink.size
        try:
            _fetch_once(repository, digest, size, sink, told, stop)
        except EngineError as error:
            # whoever makes headway has not failed
            failures = 1 if sink.size - before >= _HEADWAY_BYTES else failures + 1
            pause_s = _pause(error, failures, repository)
            is_over = stop.is_cancelled or repository.server.session.transport.is_aborted
            if pause_s is None or failures >= client.settings.attempts or is_over:
                raise
            told(f"Retrying in {max(1, round(pause_s))} second{'s' if round(pause_s) > 1 else ''}", sink.size)
            if stop.wait(pause_s):
                raise


def _pause(error: EngineError, failures: int, repository: Repository) -> float | None:
    pace = repository.server.session.client.pace
    if type(error) is Unreachable:  # it was there a moment ago: it may be starting anew
        return min(pace.pause_s * 2.0 ** (failures - 1), pace.longest_pause_s)
    return pause_before_retry(error, failures, pace)


def _fetch_once(
    repository: Repository, digest: str, size: int, sink: Sink, told: Callable[[str, int], None], stop: CancelToken
) -> None:
    answer, begin = repository.open_blob(digest, offset=sink.size)
    try:
        length = answer.length
        if length is not None and begin + length != size:
            raise DigestMismatch(
                f"blob {digest} of {repository.name} has {begin + length} bytes, its manifest says {size}",
                hint="the registry is broken or hostile; nothing of it was kept",
            )
        if begin < sink.size:
            sink.restart()
        for piece in answer.pieces():
            stop.check()
            if sink.size + len(piece) > size:
                sink.restart()
                raise DigestMismatch(
                    f"blob {digest} of {repository.name} has more than {size} bytes, which its manifest says",
                    hint="the registry is broken or hostile; nothing of it was kept",
                )
            sink.write(piece)
            told("Downloading", sink.size)
    finally:
        answer.close()
    if sink.size < size and length is None:
        raise Interrupted(
            f"blob {digest} of {repository.name} ends after {sink.size} of {size} bytes", hint="try again"
        )


def send_blob(
    repository: Repository,
    source: Source,
    told: Callable[[str, int], None],
    stop: CancelToken,
    *,
    location: str | None = None,
) -> None:
    """Send a blob and have it kept.

    Args: location: of an upload that has been begun.
    Raises: what the last try raised; what had arrived is thrown away.
    """
    if location is None:
        location = repository.begin_upload()
        assert location is not None
    upload = Upload(repository, source, location, lambda sent: told("Pushing", sent), stop)
    try:
        upload.send()
        upload.finish()
    except EngineError:
        if not repository.server.session.transport.is_aborted:
            upload.give_up()
        raise
