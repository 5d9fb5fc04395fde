"""From a stored archive to a published layer, through a worker of its own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator

from core.errors import DigestMismatch
from core.model.progress import CancelToken
from core.state.leases import Lease
from core.state.paths import Roots
from core.storage.blobs import open_blob
from core.storage.compression import HEAD_BYTES, compression_of, plain_pieces
from core.storage.layers import Layer, NewLayer
from core.trees.launch import Worker, limits_argument
from core.trees.tarread import DEFAULT_LIMITS, Limits


def unpack_layer(
    roots: Roots,
    lease: Lease,
    *,
    blob: str,
    chunks: Callable[[], Iterator[bytes]] | None,
    parent: str,
    expected_diff_id: str | None,
    what: str,
    diff_id: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    strict_end: bool = False,
    report: Callable[[int], None] | None = None,
    cancel: CancelToken | None = None,
) -> Layer:
    """Make a layer of a stored archive.

    Args: chunks: gives the plain tar where the blob is compressed; None reads the blob itself,
        whose digest is then the diff id. expected_diff_id: what the image's config promises.
        what: how errors name it.
    Raises: UnsafeArchive, Integrity, LimitExceeded, NoSpace, Cancelled: nothing is left behind.
    """
    if chunks is None:
        diff_id = blob
        if expected_diff_id is not None and expected_diff_id != diff_id:
            raise DigestMismatch(
                f"{what} is not {expected_diff_id}, which the image's config promises",
                hint="fetch or make the archive again",
            )
    new = NewLayer(roots, parent)
    try:
        root = os.open(new.diff, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        source = open_blob(roots, blob)
        try:
            arguments = {
                "root": root,
                "limits": limits_argument(limits),
                "whiteouts": True,
                "strict_end": strict_end,
                "input": "pipe" if chunks else "file",
            }
            with Worker("unpack", arguments, descriptors=(root,), stdin="pipe" if chunks else source) as worker:
                if chunks is not None:
                    diff_id = _feed(worker, chunks(), cancel)
                result = worker.finish(what=what, cancel=cancel, report=report)
        finally:
            os.close(source)
            os.close(root)
        assert diff_id is not None
        if expected_diff_id is not None and expected_diff_id != diff_id:
            raise DigestMismatch(
                f"{what} unpacks to {diff_id}, the image's config promises {expected_diff_id}",
                hint="fetch or make the archive again",
            )
        return new.publish(lease, diff_id=diff_id, blob=blob, size_bytes=result["size"], entries=result["entries"])
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


def _feed(worker: Worker, chunks: Iterator[bytes], cancel: CancelToken | None) -> str:
    """Hand a plain tar to a worker and hash it on the way; its diff id."""
    digest = hashlib.sha256()
    for chunk in chunks:
        if cancel is not None:
            cancel.check()
        digest.update(chunk)
        if not worker.feed(chunk):
            break
    worker.end_input()
    return f"sha256:{digest.hexdigest()}"
