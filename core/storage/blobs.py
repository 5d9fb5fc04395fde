"""The content store: bytes by their sha256, immutable, as they came.

    ingest/<uuid>  ── write, hash, fsync ──▶  blobs/sha256/ab/<hex>   0444

A BlobWriter's file is invisible until publish(), which adds the digest to the caller's lease first;
the lease is held until something durable (an image's record) refers to it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

import msgspec

from core.errors import DigestMismatch, EngineError, NotFound, wrapped
from core.linux.files import sync_directory, write_all
from core.linux.writeback import STEP_BYTES, start_writeback
from core.model.progress import CancelToken
from core.state.leases import Lease
from core.state.locks import Rank, locked
from core.state.paths import Roots
from core.storage.digest import digest_of

CHUNK_BYTES = 1024 * 1024


class Blob(msgspec.Struct, frozen=True):
    """Stored content."""

    digest: str
    size: int


class BlobWriter:
    """Takes bytes, hashes them, and keeps them apart until they are published or thrown away."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self.path = roots.ingest / os.urandom(16).hex()
        import hashlib  # loads OpenSSL, and most commands write no blob

        self._hash = hashlib.sha256()
        self.size = 0
        self._published = False
        self._flushed = 0
        try:
            self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise wrapped(error, "write", self.path) from error

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def write(self, data: bytes) -> None:
        """Append. Raises: NoSpace."""
        self._hash.update(data)
        try:
            write_all(self.descriptor, data)
        except OSError as error:
            raise wrapped(error, "write", self._roots.ingest) from error
        self.size += len(data)
        if self.size - self._flushed >= STEP_BYTES:
            start_writeback(self.descriptor, self._flushed, self.size - self._flushed)
            self._flushed = self.size

    @property
    def digest(self) -> str:
        """Of what was written so far."""
        return f"sha256:{self._hash.hexdigest()}"

    def publish(self, lease: Lease, expected: str | None = None) -> Blob:
        """Make it visible under its digest, held by the lease.

        Raises: DigestMismatch: it is not what was expected; nothing is published then.
        """
        digest = self.digest
        if expected is not None and digest != expected:
            raise DigestMismatch(f"content is {digest}, expected {expected}", hint="fetch or make it again")
        target = self._roots.blob(digest)
        lease.add(f"blob {digest}")
        if self._published or has_blob(self._roots, digest):
            return Blob(digest, self.size)
        try:
            if self.descriptor < 0:
                self.descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            os.fchmod(self.descriptor, 0o444)
            os.fsync(self.descriptor)
            with locked(self._roots.store_lock, Rank.STORE, shared=True, what="the store"):
                target.parent.mkdir(mode=0o700, exist_ok=True)
                os.rename(self.path, target)
                self._published = True
            sync_directory(target.parent)
        except OSError as error:
            raise wrapped(error, "write", target) from error
        return Blob(digest, self.size)

    def set_aside(self) -> None:
        """Close the file, which is whole, for now: an archive may have more members than we may have open."""
        os.close(self.descriptor)
        self.descriptor = -1

    def discard(self) -> None:
        """Let go; what was not published is deleted."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        if not self._published:
            self._published = True
            self.path.unlink(missing_ok=True)


def ingest(
    roots: Roots,
    lease: Lease,
    chunks: Iterable[bytes],
    *,
    expected: str | None = None,
    cancel: CancelToken | None = None,
) -> Blob:
    """Store a stream of bytes. Raises: DigestMismatch, NoSpace, Cancelled."""
    with BlobWriter(roots) as writer:
        for chunk in chunks:
            if cancel is not None:
                cancel.check()
            writer.write(chunk)
        return writer.publish(lease, expected)


def open_blob(roots: Roots, digest: str) -> int:
    """A descriptor to read content by. Raises: NotFound, DigestMismatch: something else lies in its place."""
    path = roots.blob(digest)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        raise OSError(errno.ELOOP, "no plain file")
    except FileNotFoundError:
        raise NotFound(
            f"content {digest} is missing from the store", kind="blob", key=digest, hint="load the image again"
        ) from None
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link, a directory, a fifo
            raise DigestMismatch(f"{path} is damaged: it is no plain file", hint="load the image again") from None
        raise wrapped(error, "read", path) from error


def read_blob(roots: Roots, digest: str, *, most: int) -> bytes:
    """Small content whole, its digest checked. Raises: NotFound, DigestMismatch, EngineError: it is too large."""
    descriptor = open_blob(roots, digest)
    try:
        size = os.fstat(descriptor).st_size
        if size > most:
            raise EngineError(f"content {digest} has {size} bytes, at most {most} are read whole")
        data = b""
        while len(data) < size and (piece := os.read(descriptor, size - len(data))):
            data += piece
    finally:
        os.close(descriptor)
    found = digest_of(data)
    if found != digest:
        raise DigestMismatch(f"{roots.blob(digest)} is damaged: it hashes to {found}", hint="load the image again")
    return data


def has_blob(roots: Roots, digest: str) -> bool:
    """Whether content is there; it stays if a lease held it before this was asked (a sweep may be under way)."""
    with locked(roots.store_lock, Rank.STORE, shared=True, what="the store"):
        return roots.blob(digest).exists()


def all_blobs(roots: Roots) -> Iterator[tuple[str, Path]]:
    """Digest and path of everything stored."""
    for first in os.scandir(roots.blobs):
        if first.is_dir(follow_symlinks=False):
            for entry in os.scandir(first.path):
                yield f"sha256:{entry.name}", Path(entry.path)
