"""Images in and out as archives: load and save."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import BinaryIO

from core.engine.image_making import layer_record
from core.errors import EngineError, InvalidInput, LimitExceeded, wrapped
from core.images import wire
from core.images.archive_read import Kept, Members, PlannedImage, PlannedLayer, plan_images
from core.images.archive_write import DOCKER_ARCHIVE, OCI_ARCHIVE, ArchiveWriter, SavedImage
from core.images.store import ImageRecord, ImageStore, LayerRecord
from core.model.image import Loaded
from core.model.progress import CancelToken, Progress, Report
from core.model.reference import ImageRef, parse_reference
from core.state import journal
from core.state.leases import Lease
from core.state.paths import Roots
from core.storage.blobs import BlobWriter, has_blob, open_blob, read_blob
from core.storage.compression import plain_pieces
from core.storage.gc import INGEST
from core.storage.layers import MOST_LAYERS, chain_id, has_layer, read_layer
from core.storage.unpacking import unpack_blob


class _Spool:
    """Members of an archive that is being read, as unpublished blobs; what is left at the end is thrown away."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._writers: dict[str, BlobWriter] = {}

    def __enter__(self) -> _Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.discard()

    def keep(self, pieces: Iterator[bytes]) -> Kept:
        writer = BlobWriter(self._roots)
        try:
            for piece in pieces:
                writer.write(piece)
            digest = writer.digest
        except BaseException:
            writer.discard()
            raise
        if digest in self._writers:
            writer.discard()
        else:
            writer.set_aside()
            self._writers[digest] = writer
        return Kept(digest, self._writers[digest].size)

    def read(self, digest: str) -> bytes:
        writer = self._writers[digest]
        if writer.size > wire.LARGEST_DOCUMENT_BYTES:
            raise LimitExceeded(
                f"a document of {writer.size} bytes in the archive, at most {wire.LARGEST_DOCUMENT_BYTES} are accepted"
            )
        return writer.path.read_bytes()

    def publish(self, digest: str, lease: Lease) -> None:
        if digest in self._writers:
            self._writers[digest].publish(lease)


class _Plain:
    """A read function over pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, _most: int) -> bytes:
        return next(self._pieces, b"")


def load(roots: Roots, store: ImageStore, source: BinaryIO, report: Report, cancel: CancelToken) -> list[Loaded]:
    """Take in all images of an archive, or none."""
    total = _size_of(source)
    done = 0

    def read(size: int) -> bytes:
        nonlocal done
        cancel.check()
        try:
            data = source.read(size)
        except OSError as error:
            raise wrapped(error, "read", "the archive") from error
        done += len(data)
        report(Progress(what="reading the archive", done_bytes=done, total_bytes=total))
        return data

    with Lease(roots.leases, INGEST) as lease, _Spool(roots) as spool:
        members = Members(spool)
        plain = _Plain(plain_pieces(read, what="the archive"))
        members.read_all(plain.read)
        planned = plan_images(members)
        records = [_take(roots, lease, spool, image, report, cancel) for image in planned]
        loaded: list[Loaded] = []
        for image, record in zip(planned, records, strict=True):
            lease.add(f"image {record.id}")
            store.put(record, image.references)
            for reference in image.references:
                loaded.append(Loaded(reference=reference.familiar, image_id=record.id))
            if not image.references:
                loaded.append(Loaded(image_id=record.id))
            journal.append(roots.journal, "image", "load", record.id, {"name": record.id})
        return loaded


def _size_of(source: BinaryIO) -> int | None:
    try:
        return os.fstat(source.fileno()).st_size or None
    except (OSError, AttributeError):
        return None


def _take(
    roots: Roots, lease: Lease, spool: _Spool, image: PlannedImage, report: Report, cancel: CancelToken
) -> ImageRecord:
    """Publish an image's content and layers; its record, not yet written."""
    if len(image.layers) > MOST_LAYERS:
        raise LimitExceeded(
            f"max depth exceeded: the image has {len(image.layers)} layers, {MOST_LAYERS} can be mounted"
        )
    spool.publish(image.config.digest, lease)
    layers: list[LayerRecord] = []
    for planned in image.layers:
        layers.append(_take_layer(roots, lease, spool, planned, layers, report, cancel))
    manifest = ""
    if image.manifest is not None and [layer.blob for layer in layers] == [p.archive.digest for p in image.layers]:
        spool.publish(image.manifest.digest, lease)
        manifest = image.manifest.digest
    return ImageRecord(
        id=image.config.digest,
        config_bytes=image.config.size,
        layers=tuple(layers),
        manifest=manifest,
        stored_ns=time.time_ns(),
    )


def _take_layer(
    roots: Roots,
    lease: Lease,
    spool: _Spool,
    planned: PlannedLayer,
    below: Sequence[LayerRecord],
    report: Report,
    cancel: CancelToken,
) -> LayerRecord:
    parent = below[-1].chain_id if below else ""
    chain = chain_id(parent, planned.diff_id)
    lease.add(f"layer {chain}")
    if has_layer(roots, chain):
        layer = read_layer(roots, chain)
        lease.add(f"blob {layer.blob}")
        if has_blob(roots, layer.blob):
            # its archive was checked against the diff id once; the one that came now may be anything
            return layer_record(roots, layer)
    spool.publish(planned.archive.digest, lease)
    layer = unpack_blob(
        roots,
        lease,
        blob=planned.archive.digest,
        parent=parent,
        diff_id=planned.diff_id,
        report=lambda done: report(Progress(what=f"unpacking layer {planned.diff_id[7:19]}", done_bytes=done)),
        cancel=cancel,
    )
    return layer_record(roots, layer)


def save(
    roots: Roots,
    store: ImageStore,
    keys: Sequence[str],
    sink: BinaryIO,
    report: Report,
    cancel: CancelToken,
    *,
    format: str,
) -> None:
    """Write images, each with the names it was asked by."""
    if format not in (DOCKER_ARCHIVE, OCI_ARCHIVE):
        raise InvalidInput(f"unknown archive format {format!r}", hint=f"{DOCKER_ARCHIVE} or {OCI_ARCHIVE}")
    if not keys:
        raise InvalidInput("no image was named", hint="name one or more images")
    wanted: dict[str, list[ImageRef]] = {}
    for key in keys:
        for image_id, reference in _select(store, key):
            names = wanted.setdefault(image_id, [])
            if reference is not None and reference not in names:
                names.append(reference)
    with Lease(roots.leases) as lease:
        images: list[SavedImage] = []
        for image_id, references in wanted.items():
            lease.add(f"image {image_id}")
            record = store.get(image_id)
            lease.add(*(f"blob {layer.blob}" for layer in record.layers), f"blob {record.id}")
            manifest = None
            if record.manifest:
                lease.add(f"blob {record.manifest}")
                manifest = read_blob(roots, record.manifest, most=wire.LARGEST_DOCUMENT_BYTES)
            images.append(SavedImage(record=record, references=tuple(references), manifest=manifest))
        writer = ArchiveWriter(sink, lambda digest: open_blob(roots, digest), report, cancel, "saving")
        writer.write(images, format=format)
    for image in images:
        journal.append(roots.journal, "image", "save", image.record.id, {"name": image.record.id})


def _select(store: ImageStore, key: str) -> list[tuple[str, ImageRef | None]]:
    """Images a key asks for: a name without tag stands for all its tags, an id for the image without names."""
    image_id: str | None = None
    missing: EngineError | None = None
    try:
        image_id = store.resolve(key)
    except EngineError as error:
        missing = error
    if image_id is not None and image_id.removeprefix("sha256:").startswith(key.removeprefix("sha256:")):
        return [(image_id, None)]
    try:
        named = parse_reference(key)
    except EngineError:
        named = None
    if named is not None and not named.digest and key.rpartition("/")[2].count(":") == 0:
        tags = [
            (found, reference)
            for canonical, found in sorted(store.references().items())
            if (reference := parse_reference(canonical)).tag and reference.familiar_name == named.familiar_name
        ]
        if tags:
            return [*tags]
    if image_id is None:
        assert missing is not None
        raise missing
    return [(image_id, named if named is not None and not named.digest else None)]
