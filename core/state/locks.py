"""Locks that die with their holder: flock(2) on files that nobody ever deletes under a holder.

Order, asserted at run time: store < lease < image reference < container (by id) < volume < network < journal.
A lock file's content names its holder for display and is never trusted for anything else.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from pathlib import Path

from core.errors import Busy, wrapped


class Rank(IntEnum):
    """The order in which one thread may take locks."""

    STORE = 1
    LEASE = 2
    REFERENCE = 3
    CONTAINER = 4
    VOLUME = 5
    NETWORK = 6
    JOURNAL = 7


_held = threading.local()


@contextmanager
def locked(
    path: Path, rank: Rank, *, shared: bool = False, what: str, purpose: str = "", wait_s: float = 10.0
) -> Iterator[int]:
    """Hold a lock file for the length of a block; yields its descriptor.

    Args: what: the object, for the error ("container web"). purpose: what we do, shown to others.
    Raises: Busy: somebody else held it for all of wait_s; the message names them.
        FileNotFoundError: the object's directory is gone.
    """
    stack: list[tuple[Rank, str]] = _held.__dict__.setdefault("stack", [])
    mine = (rank, str(path))
    assert not stack or stack[-1] < mine, f"lock order: {mine} asked for while holding {stack[-1]}"
    descriptor = _acquire(path, shared=shared, what=what, wait_s=wait_s)
    stack.append(mine)
    try:
        if not shared:
            with suppress(OSError):  # for display only; a full disk must not keep anybody from removing things
                os.pwrite(descriptor, f"{os.getpid()} {purpose}\n".encode()[:200].ljust(200), 0)
        yield descriptor
    finally:
        stack.remove(mine)
        os.close(descriptor)


def _acquire(path: Path, *, shared: bool, what: str, wait_s: float) -> int:
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    deadline = time.monotonic() + wait_s
    pause_s = 0.001
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise wrapped(error, "lock", path) from error
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            os.close(descriptor)
            if time.monotonic() > deadline:
                raise Busy(f"{what} is busy: process {holder}", hint="try again when it has finished") from None
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.05)
            continue
        if _is_same_file(descriptor, path):
            return descriptor
        os.close(descriptor)  # renamed away (removed) while we waited: look again


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


@contextmanager
def attempted(path: Path) -> Iterator[bool]:
    """Hold a lock file for the length of a block if it is free just now; yields whether it was.

    It never waits, so it may be tried in any order.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        yield False  # the object is gone, or about to be
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = _is_same_file(descriptor, path)
    except BlockingIOError:
        is_ours = False
    try:
        yield is_ours
    finally:
        os.close(descriptor)
