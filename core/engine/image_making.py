"""Making images: of a tar, of a container, of this host. Each ends in a record and a reference.

Order of steps: lease → layer's archive into the content store → unpacked layer → config → record →
reference. Every step before the record is garbage that nobody sees when it is the last one.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from core import about
from core.images import starter, wire
from core.images.changes import apply_changes
from core.images.store import ImageRecord, ImageStore, LayerRecord
from core.model.progress import CancelToken, Progress, Report
from core.model.reference import ImageRef, parse_new_name
from core.state import journal
from core.state.leases import Lease
from core.state.paths import Roots
from core.storage.blobs import Blob, BlobWriter, ingest, open_blob
from core.storage.compression import HEAD_BYTES, compression_of
from core.storage.gc import INGEST
from core.storage.layers import Layer, chain_id, has_layer, read_layer
from core.storage.unpacking import unpack_layer


def store_layer(
    roots: Roots,
    lease: Lease,
    archive: Iterable[bytes],
    *,
    parent: str,
    what: str,
    report: Report,
    cancel: CancelToken,
    strict_end: bool = False,
) -> LayerRecord:
    """Keep a plain tar as a layer on top of `parent` (a chain id, or empty)."""
    with BlobWriter(roots) as writer:
        for chunk in archive:
            cancel.check()
            writer.write(chunk)
            report(Progress(what=what, done_bytes=writer.size))
        blob = writer.publish(lease)
    return unpack_stored(
        roots, lease, blob, parent=parent, what=what, report=report, cancel=cancel, strict_end=strict_end
    )


def unpack_stored(
    roots: Roots,
    lease: Lease,
    blob: Blob,
    *,
    parent: str,
    what: str,
    report: Report,
    cancel: CancelToken,
    strict_end: bool = False,
) -> LayerRecord:
    """Make a layer of a plain tar that is in the content store, unless it is there already."""
    chain = chain_id(parent, blob.digest)
    lease.add(f"layer {chain}")
    if has_layer(roots, chain):
        layer = read_layer(roots, chain)
    else:
        layer = unpack_layer(
            roots,
            lease,
            blob=blob.digest,
            chunks=None,
            parent=parent,
            expected_diff_id=None,
            what=what,
            strict_end=strict_end,
            report=lambda done: report(Progress(what=what, done_bytes=done, total_bytes=blob.size)),
            cancel=cancel,
        )
    return LayerRecord(
        diff_id=layer.diff_id,
        chain_id=layer.chain_id,
        blob=blob.digest,
        blob_bytes=blob.size,
        media_type=wire.OCI_LAYER,
        size_bytes=layer.size_bytes,
    )


def put_image(
    roots: Roots,
    store: ImageStore,
    lease: Lease,
    document: dict[str, Any],
    layers: Sequence[LayerRecord],
    *,
    reference: ImageRef | None,
    parent_id: str = "",
) -> str:
    """Keep config and record, then let the reference mean it: the commit point. The image's id."""
    config = wire.encode(document)
    image_id = f"sha256:{hashlib.sha256(config).hexdigest()}"
    lease.add(f"image {image_id}")
    ingest(roots, lease, [config], expected=image_id)
    store.put(
        ImageRecord(
            id=image_id,
            config_bytes=len(config),
            layers=tuple(layers),
            parent_id=parent_id,
            stored_ns=time.time_ns(),
        ),
        [reference] if reference is not None else [],
    )
    return image_id


def import_tar(
    roots: Roots,
    store: ImageStore,
    archive: Callable[[], Iterator[bytes]],
    reference: str,
    report: Report,
    cancel: CancelToken,
    *,
    message: str,
    changes: Sequence[str],
    config: dict[str, Any] | None = None,
    created_by: str = "",
    strict_end: bool = True,
) -> str:
    """Make an image of one layer."""
    name = parse_new_name(reference) if reference else None
    run_config = apply_changes(config or {}, changes)
    with Lease(roots.leases, INGEST) as lease:
        layer = store_layer(
            roots,
            lease,
            archive(),
            parent="",
            what=reference or "archive",
            report=report,
            cancel=cancel,
            strict_end=strict_end,
        )
        now = wire.format_stamp(time.time_ns())
        row = {"created": now, **({"created_by": created_by} if created_by else {}), "comment": message}
        document = {
            "architecture": wire.architecture(),
            "comment": message,
            "config": run_config,
            "created": now,
            "history": [row],
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        }
        image_id = put_image(roots, store, lease, document, [layer], reference=name)
        if name:
            journal.append(roots.journal, "image", "tag", image_id, {"name": name.familiar})
        journal.append(roots.journal, "image", "import", image_id, {"name": image_id})
    return image_id


def layer_record(roots: Roots, layer: Layer) -> LayerRecord:
    """What an image's record says of a stored layer."""
    blob = open_blob(roots, layer.blob)
    try:
        packing = compression_of(os.pread(blob, HEAD_BYTES, 0))
        size = os.fstat(blob).st_size
    finally:
        os.close(blob)
    return LayerRecord(
        diff_id=layer.diff_id,
        chain_id=layer.chain_id,
        blob=layer.blob,
        blob_bytes=size,
        media_type=wire.OCI_LAYER + (f"+{packing}" if packing else ""),
        size_bytes=layer.size_bytes,
    )


def make_starter(roots: Roots, store: ImageStore, reference: str, report: Report, cancel: CancelToken) -> str:
    """Make an image of this host's own tools."""
    return import_tar(
        roots,
        store,
        starter.archive,
        reference or about.STARTER_IMAGE,
        report,
        cancel,
        message="made of this host's own tools",
        changes=(),
        config=starter.run_config(),
        created_by=f"{about.NAME} starter",
    )
