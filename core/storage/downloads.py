"""Content on its way from somewhere else, under the digest it will have; it outlives who fetches it.

    ingest/download-<hex>   ── append, flock held ──▶ whole, hashed ── link ──▶ blobs/sha256/ab/<hex>

One process or thread at a time appends, which is who holds the file's lock: others who want the same
content wait for that lock, and find the content or go on where it ended. A killed one leaves what
came, and the next goes on there; once whole, the file is a second name of the blob until the image it
was fetched for is there (let_go), so that a sweep in between takes nothing that was paid for already.
What nobody has touched for a day is thrown away, and by `prune` at once.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from core.errors import DigestMismatch, wrapped
from core.linux.checkpoints import checkpoint
from core.linux.files import is_locked, sync_directory, write_all
from core.linux.writeback import STEP_BYTES, start_writeback
from core.state.leases import Lease
from core.state.locks import Rank, locked
from core.state.paths import Roots
from core.storage.blobs import CHUNK_BYTES, Blob, has_blob

PREFIX = "download-"
_KEPT_S = 24 * 3600.0


class Download:
    """Content that is being fetched. Made by claim(); a context manager that leaves what came."""

    def __init__(self, roots: Roots, digest: str, descriptor: int) -> None:
        self._roots = roots
        self._digest = digest
        self._descriptor = descriptor
        self._path = path_of(roots, digest)
        self._size = os.fstat(descriptor).st_size
        self._hash = _sha256()
        self._hashed = 0
        self._flushed = self._size

    def __enter__(self) -> Download:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self._size

    def write(self, data: bytes) -> None:
        """Append. Raises: NoSpace; what could be written counts."""
        self._catch_up()
        try:
            write_all(self._descriptor, data)
            checkpoint("download:written")
        except OSError as error:
            self._size = os.fstat(self._descriptor).st_size
            raise wrapped(error, "write", self._roots.ingest) from error
        self._hash.update(data)
        self._size += len(data)
        self._hashed = self._size
        if self._size - self._flushed >= STEP_BYTES:
            start_writeback(self._descriptor, self._flushed, self._size - self._flushed)
            self._flushed = self._size

    def _catch_up(self) -> None:
        """Hash what was there before."""
        while self._hashed < self._size:
            piece = os.pread(self._descriptor, min(CHUNK_BYTES, self._size - self._hashed), self._hashed)
            if not piece:
                break
            self._hash.update(piece)
            self._hashed += len(piece)
        os.lseek(self._descriptor, self._size, os.SEEK_SET)

    @property
    def is_shared(self) -> bool:
        """Whether it has other names (a blob, a layer that is mounted from it): its bytes are not ours to change."""
        return os.fstat(self._descriptor).st_nlink > 1

    def restart(self) -> None:
        """Throw away what is there. Raises: NoSpace."""
        try:
            if self.is_shared:
                descriptor = _replaced(self._path)
                os.close(self._descriptor)
                self._descriptor = descriptor
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        except OSError as error:
            raise wrapped(error, "write", self._path) from error
        self._hash = _sha256()
        self._size = self._hashed = self._flushed = 0

    def publish(self, lease: Lease, size: int) -> Blob:
        """Make it visible under its digest, held by the lease.

        Args: size: how many bytes it must have.
        Raises: DigestMismatch: it is something else; it is thrown away then.
        """
        self._catch_up()
        found = f"sha256:{self._hash.hexdigest()}"
        if found != self._digest or self._size != size:
            came = self._size
            self.restart()
            raise DigestMismatch(
                f"what came as {self._digest} ({size} bytes) is {found} ({came} bytes)",
                hint="the registry is broken or hostile; nothing of it was kept",
            )
        target = self._roots.blob(self._digest)
        lease.add(f"blob {self._digest}")
        if not has_blob(self._roots, self._digest):
            try:
                os.fchmod(self._descriptor, 0o444)
                os.fsync(self._descriptor)
                checkpoint("download:whole")
                with locked(self._roots.store_lock, Rank.STORE, shared=True, what="the store"):
                    target.parent.mkdir(mode=0o700, exist_ok=True)
                    try:
                        os.link(self._path, target)
                    except FileExistsError:
                        pass
                sync_directory(target.parent)
                checkpoint("download:published")
            except OSError as error:
                raise wrapped(error, "write", target) from error
        return Blob(self._digest, self._size)


def _sha256() -> Any:
    import hashlib  # loads OpenSSL; most commands look at downloads only to leave them alone

    return hashlib.sha256()


def path_of(roots: Roots, digest: str) -> Path:
    """Where what came of some content lies."""
    return roots.ingest / f"{PREFIX}{digest.removeprefix('sha256:')}"


def claim(roots: Roots, digest: str) -> Download | None:
    """Begin to fetch content, or go on with it; None while somebody else is at it. Raises: NoSpace."""
    path = path_of(roots, digest)
    while True:
        try:
            # not for writing only: what is there is hashed; a whole one is 0444, which root may open
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            if error.errno == errno.ELOOP:
                path.unlink(missing_ok=True)
                continue
            raise wrapped(error, "write", path) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if _is_at(descriptor, path):
            return Download(roots, digest, descriptor)
        os.close(descriptor)  # thrown away between the two: look again


def _replaced(path: Path) -> int:
    """An empty file in the place of another one, locked before anybody can find it."""
    new = path.with_name(os.urandom(16).hex())
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.rename(new, path)
    return descriptor


def arrived_bytes(roots: Roots, digest: str) -> int:
    """How much has come of what somebody else fetches."""
    try:
        return path_of(roots, digest).stat().st_size
    except FileNotFoundError:
        return 0


def let_go(roots: Roots, digests: Iterable[str]) -> None:
    """What these were fetched for is there: their second names go. Whoever is at one of them keeps it."""
    for digest in digests:
        _throw_away(path_of(roots, digest))


def forget_downloads(roots: Roots) -> int:
    """Throw away what came of content that nobody is fetching just now; bytes freed."""
    freed = 0
    for entry in os.scandir(roots.ingest):
        if entry.name.startswith(PREFIX):
            there = entry.stat(follow_symlinks=False)
            if _throw_away(Path(entry.path)) and there.st_nlink == 1:
                freed += there.st_size
    return freed


def is_kept(path: str, name: str) -> bool:
    """Whether something in ingest/ is a download that is not to be thrown away yet."""
    if not name.startswith(PREFIX):
        return False
    try:
        age_s = time.time() - os.stat(path, follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return True
    return abs(age_s) < _KEPT_S or is_locked(path)  # the clock may have been set


def _throw_away(path: Path) -> bool:
    """Delete a download, unless somebody is at it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(descriptor, path):
            return False
        path.unlink(missing_ok=True)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False
