"""From a stored archive to a published layer: indexed to be mounted as it lies, or unpacked, by a worker of its own."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator

from core.errors import DigestMismatch, EngineError, wrapped
from core.linux.checkpoints import checkpoint
from core.linux.files import write_all
from core.linux.writeback import STEP_BYTES, start_writeback
from core.model.progress import CancelToken
from core.state.leases import Lease
from core.state.locks import Rank, locked
from core.state.paths import Roots
from core.storage.blobs import open_blob
from core.storage.compression import HEAD_BYTES, compression_of, plain_pieces
from core.storage.drivers import driver_of
from core.storage.gc import INGEST
from core.storage.indexing import Indexed, Root, index_tar, opened_pair
from core.storage.layers import MOUNTED, Index, Layer, NewLayer, remove_directory, root_of
from core.trees.launch import Worker, limits_argument
from core.trees.tarread import DEFAULT_LIMITS, Limits

Chunks = Callable[[], Iterator[bytes]]


def unpack_layer(
    roots: Roots,
    lease: Lease,
    *,
    blob: str,
    chunks: Chunks | None,
    parent: str,
    expected_diff_id: str | None,
    what: str,
    limits: Limits = DEFAULT_LIMITS,
    strict_end: bool = False,
    report: Callable[[int], None] | None = None,
    cancel: CancelToken | None = None,
) -> Layer:
    """Make a layer of a stored archive, the way this host's layers are kept.

    Args: chunks: gives the plain tar where the blob is compressed; None reads the blob itself,
        whose digest is then the diff id. expected_diff_id: what the image's config promises.
        what: how errors name it.
    Raises: UnsafeArchive, Integrity, LimitExceeded, NoSpace, Cancelled: nothing is left behind.
    """
    making = _Making(roots, blob, chunks, expected_diff_id, what, limits, strict_end, report, cancel)
    new = NewLayer(roots, parent)
    try:
        index, why = None, ""
        if driver_of(roots) == MOUNTED:
            root = _root_above(roots, parent)
            made = making.index(new, root)
            index, why = Index(root, made.tree_bytes, made.tar_bytes), made.why
        if index is None or why:
            index, made = None, making.unpack(new)
        return new.publish(
            lease,
            diff_id=making.diff_id,
            blob=blob,
            size_bytes=made.size_bytes,
            entries=made.entries,
            index=index,
            why=why,
        )
    finally:
        new.discard()


def unpack_blob(
    roots: Roots,
    lease: Lease,
    *,
    blob: str,
    parent: str,
    diff_id: str,
    report: Callable[[int], None] | None = None,
    cancel: CancelToken | None = None,
) -> Layer:
    """Make the layer `diff_id` of a stored archive, compressed or not. Raises: as unpack_layer()."""
    what = f"layer {diff_id[7:19]}"
    descriptor = open_blob(roots, blob)
    try:
        packed = bool(compression_of(os.pread(descriptor, HEAD_BYTES, 0)))
        return unpack_layer(
            roots,
            lease,
            blob=blob,
            chunks=(lambda: plain_pieces(lambda size: os.read(descriptor, size), what=what)) if packed else None,
            parent=parent,
            expected_diff_id=diff_id,
            what=what,
            report=report,
            cancel=cancel,
        )
    finally:
        os.close(descriptor)


def unpack_again(roots: Roots, layer: Layer) -> Layer:
    """Make a layer anew, of its archive, the way this host's layers are kept. Raises: as unpack_layer()."""
    with Lease(roots.leases, INGEST, f"blob {layer.blob}", f"layer {layer.chain_id}") as lease:
        os.close(open_blob(roots, layer.blob))  # what there is goes only if it can be made again
        discarded = roots.trash / os.urandom(16).hex()
        with locked(roots.store_lock, Rank.STORE, what="the store", purpose="unpacks a layer"):
            os.rename(roots.layer(layer.chain_id), discarded)
        try:
            made = unpack_blob(roots, lease, blob=layer.blob, parent=layer.parent, diff_id=layer.diff_id)
        except EngineError:
            os.rename(discarded, roots.layer(layer.chain_id))
            raise
        remove_directory(discarded)
        return made


def _root_above(roots: Roots, parent: str) -> Root:
    """What a layer's root is like where its archive does not say: as its parent's."""
    if not parent:
        return 0o755, 0, 0, time.time_ns()
    there = root_of(roots, parent)
    return there.mode & 0o7777, there.uid, there.gid, there.mtime_ns


class _Making:
    """One archive on its way to a layer."""

    def __init__(
        self,
        roots: Roots,
        blob: str,
        chunks: Chunks | None,
        expected_diff_id: str | None,
        what: str,
        limits: Limits,
        strict_end: bool,
        report: Callable[[int], None] | None,
        cancel: CancelToken | None,
    ) -> None:
        self._roots = roots
        self._blob = blob
        self._chunks = chunks
        self._expected = expected_diff_id
        self._what = what
        self._limits = limits
        self._strict_end = strict_end
        self._report = report
        self._cancel = cancel
        self.diff_id = blob if chunks is None else ""
        if chunks is None and expected_diff_id not in (None, blob):
            raise DigestMismatch(
                f"{what} is not {expected_diff_id}, which the image's config promises",
                hint="fetch or make the archive again",
            )

    # ── to be mounted ──────────────────────────────────────────────────────────────────────────

    def index(self, new: NewLayer, root: Root) -> Indexed:
        """Put the plain tar into the layer's directory and write its index; or why that can't be."""
        if self._chunks is None:
            if why := self._link_blob(new):
                return Indexed(why=why)
        else:
            self._keep_plain(new, self._chunks())
        checkpoint("layer:tar")
        with opened_pair(new.directory) as (tar, output):
            made = index_tar(
                tar,
                output,
                root=root,
                what=self._what,
                limits=self._limits,
                strict_end=self._strict_end,
                report=self._report,
                cancel=self._cancel,
            )
        checkpoint("layer:indexed")
        return made

    def _link_blob(self, new: NewLayer) -> str:
        """The blob under another name: nothing is copied, and it stays as long as either needs it."""
        source = open_blob(self._roots, self._blob)
        try:
            os.link(self._roots.blob(self._blob), new.tar, follow_symlinks=False)
            if not os.path.samestat(os.fstat(source), os.lstat(new.tar)):
                return "its archive was replaced meanwhile"
        except OSError as error:  # blobs lie on another file system, or it has too many names already
            return f"its archive can't have another name: {(error.strerror or str(error)).lower()}"
        finally:
            os.close(source)
        return ""

    def _keep_plain(self, new: NewLayer, chunks: Iterator[bytes]) -> None:
        """Write the plain tar, hashed on the way. Raises: DigestMismatch: it is not what was promised."""
        digest = hashlib.sha256()
        size = flushed = 0
        try:
            target = os.open(new.tar, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
            try:
                for chunk in chunks:
                    if self._cancel is not None:
                        self._cancel.check()
                    digest.update(chunk)
                    write_all(target, chunk)
                    size += len(chunk)
                    if size - flushed >= STEP_BYTES:
                        start_writeback(target, flushed, size - flushed)
                        flushed = size
                self._settle(digest.hexdigest())
                os.fsync(target)
            finally:
                os.close(target)
        except OSError as error:
            raise wrapped(error, "write", new.tar) from error

    # ── to be unpacked ─────────────────────────────────────────────────────────────────────────

    def unpack(self, new: NewLayer) -> Indexed:
        """Unpack it into the layer's directory."""
        root = os.open(new.make_diff(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        source = -1
        chunks = self._chunks
        try:
            if chunks is not None and self.diff_id:
                source, chunks = os.open(new.tar, os.O_RDONLY | os.O_CLOEXEC), None  # it is there, plain, already
            else:
                source = open_blob(self._roots, self._blob)
            arguments = {
                "root": root,
                "limits": limits_argument(self._limits),
                "whiteouts": True,
                "strict_end": self._strict_end,
                "input": "pipe" if chunks else "file",
            }
            with Worker("unpack", arguments, descriptors=(root,), stdin="pipe" if chunks else source) as worker:
                if chunks is not None:
                    digest = self._feed(worker, chunks())
                result = worker.finish(what=self._what, cancel=self._cancel, report=self._report)
            if chunks is not None:
                self._settle(digest)
            for path in (new.tree, new.tar):
                path.unlink(missing_ok=True)
            return Indexed(entries=result["entries"], size_bytes=result["size"])
        except OSError as error:
            raise wrapped(error, "unpack", self._what) from error
        finally:
            os.close(root)
            if source >= 0:
                os.close(source)

    def _feed(self, worker: Worker, chunks: Iterator[bytes]) -> str:
        """Hand the plain tar to a worker and hash it on the way; 64 hex digits."""
        digest = hashlib.sha256()
        for chunk in chunks:
            if self._cancel is not None:
                self._cancel.check()
            digest.update(chunk)
            if not worker.feed(chunk):
                break
        worker.end_input()
        return digest.hexdigest()

    def _settle(self, digest: str) -> None:
        """The plain tar has come through. Raises: DigestMismatch: it is not what was promised."""
        self.diff_id = f"sha256:{digest}"
        if self._expected not in (None, self.diff_id):
            raise DigestMismatch(
                f"{self._what} unpacks to {self.diff_id}, the image's config promises {self._expected}",
                hint="fetch or make the archive again",
            )
