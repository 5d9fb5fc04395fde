"""How far a long operation has come."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec

from core.errors import Cancelled


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """`done` of `total` bytes of `what`; total None while unknown."""

    what: str
    done_bytes: int
    total_bytes: int | None = None
    part: str = ""
    """Which of several things that go on at once this is of: a layer's short id, while pulling or pushing."""
    status: str = ""
    """What is being done to the part, in docker's words: `Downloading`, `Pull complete` …

    Without a part it is a line of its own, which ends a block of layers: `latest: Pulling from library/ubuntu`
    before an image's layers, `Digest: sha256:…` after them; `latest: digest: sha256:… size: 527` after a push.
    """


Report = Callable[[Progress], None]


def silent(_progress: Progress) -> None:
    """Report to nobody."""


class CancelToken:
    """Asked between chunks of long work; set from any thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Take the request back."""
        self._event.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether the request was taken back."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise Cancelled if the request was taken back."""
        if self._event.is_set():
            raise Cancelled("cancelled")

    def wait(self, seconds: float) -> bool:
        """Sleep, or return True as soon as it is cancelled."""
        return self._event.wait(seconds)
