"""Writing archives of images: an OCI layout that is a docker-archive as well, blobs unchanged.

    oci-layout  index.json  manifest.json  repositories  blobs/sha256/<hex> …

Blobs are copied inside the kernel where the sink allows it; a thread hashes them meanwhile, so
that a damaged store is never handed on as a whole archive. Times are zero: the same images make
the same archive.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import msgspec

from core.errors import DigestMismatch, EngineError, wrapped
from core.images import wire
from core.images.store import ImageRecord
from core.model.progress import CancelToken, Progress, Report
from core.model.reference import ImageRef
from core.trees import tarread, tarwrite
from core.trees.tarread import Entry

DOCKER_ARCHIVE, OCI_ARCHIVE = "docker-archive", "oci-archive"
_PIECE_BYTES = 4 * 1024 * 1024
_HASH_BYTES = 1024 * 1024
_NO_KERNEL_COPY = (errno.EINVAL, errno.EXDEV, errno.EBADF, errno.ENOSYS, errno.EOPNOTSUPP, errno.ESPIPE)


class SavedImage(msgspec.Struct, frozen=True, kw_only=True):
    """One image to write. `manifest` is the one it came with, as it came, or None: one is made."""

    record: ImageRecord
    references: tuple[ImageRef, ...]
    manifest: bytes | None = None


def make_manifest(record: ImageRecord) -> bytes:
    """An OCI manifest of an image that came without one."""
    return wire.encode(
        {
            "schemaVersion": 2,
            "mediaType": wire.OCI_MANIFEST,
            "config": {"mediaType": wire.OCI_CONFIG, "digest": record.id, "size": record.config_bytes},
            "layers": [
                {"mediaType": layer.media_type, "digest": layer.blob, "size": layer.blob_bytes}
                for layer in record.layers
            ],
        }
    )


class ArchiveWriter:
    """Writes one archive.

    Args: open_blob: gives a descriptor of stored content; this writer closes it.
    """

    def __init__(
        self,
        sink: BinaryIO,
        open_blob: Callable[[str], int],
        report: Report,
        cancel: CancelToken,
        what: str,
    ) -> None:
        self._sink = sink
        self._open_blob = open_blob
        self._report = report
        self._cancel = cancel
        self._what = what
        self._descriptor = _descriptor_of(sink)
        self._kernel_copy = self._descriptor >= 0
        self._done = 0
        self._total = 0

    def write(self, images: Sequence[SavedImage], *, format: str) -> None:
        """Write a whole archive.

        Raises: DigestMismatch: a blob of the store is damaged. NoSpace, Cancelled.
        """
        blobs: dict[str, int] = {}
        documents: dict[str, bytes] = {}
        rows: list[dict[str, Any]] = []
        descriptors: list[dict[str, Any]] = []
        repositories: dict[str, dict[str, str]] = {}
        for image in images:
            record = image.record
            manifest = image.manifest or make_manifest(record)
            manifest_id = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
            documents[_blob_path(manifest_id)] = manifest
            blobs[record.id] = record.config_bytes
            blobs.update((layer.blob, layer.blob_bytes) for layer in record.layers)
            descriptors += _descriptors(image, manifest, manifest_id)
            rows.append(
                {
                    "Config": _blob_path(record.id),
                    "RepoTags": [reference.familiar for reference in image.references] or None,
                    "Layers": [_blob_path(layer.blob) for layer in record.layers],
                }
            )
            for reference in image.references:
                top = record.layers[-1].blob if record.layers else record.id
                repositories.setdefault(reference.familiar_name, {})[reference.tag] = top.removeprefix("sha256:")
        index = {"schemaVersion": 2, "mediaType": wire.OCI_INDEX, "manifests": descriptors}
        head = {"oci-layout": wire.encode({"imageLayoutVersion": "1.0.0"}), "index.json": wire.encode(index)}
        if format == DOCKER_ARCHIVE:
            head["manifest.json"] = wire.encode_list(rows)
            if repositories:
                head["repositories"] = wire.encode(repositories)
        self._total = sum(blobs.values())
        for path, data in head.items():
            self._put_document(path, data)
        self._put_directory("blobs")
        self._put_directory("blobs/sha256")
        for path, data in sorted(documents.items()):
            if f"sha256:{path.rpartition('/')[2]}" not in blobs:
                self._put_document(path, data)
        for digest, size in blobs.items():
            self._put_blob(digest, size)
        self._put(tarwrite.END)

    def _put(self, data: bytes) -> None:
        try:
            if self._descriptor < 0:
                self._sink.write(data)
                return
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> EngineError:
        name = getattr(self._sink, "name", None)
        return wrapped(error, "write", name if isinstance(name, str) else "the archive")

    def _put_document(self, path: str, data: bytes) -> None:
        self._put(tarwrite.header(_entry(path, tarread.FILE, 0o644, len(data))) + data + tarwrite.padding(len(data)))

    def _put_directory(self, path: str) -> None:
        self._put(tarwrite.header(_entry(path, tarread.DIRECTORY, 0o755, 0)))

    def _put_blob(self, digest: str, size: int) -> None:
        blob = self._open_blob(digest)
        try:
            if os.fstat(blob).st_size != size:
                raise DigestMismatch(f"content {digest} in the store has another size", hint="load the image again")
            self._put(tarwrite.header(_entry(_blob_path(digest), tarread.FILE, 0o644, size)))
            check = _Check(blob)
            try:
                self._copy(blob, size)
            except BaseException:
                check.stop()
                raise
            if check.digest() != digest:
                raise DigestMismatch(f"content {digest} in the store is damaged", hint="load the image again")
            self._put(tarwrite.padding(size))
        finally:
            os.close(blob)

    def _copy(self, blob: int, size: int) -> None:
        at = 0
        while at < size:
            self._cancel.check()
            count = min(size - at, _PIECE_BYTES)
            copied = self._copy_in_kernel(blob, at, count) if self._kernel_copy else 0
            if not copied:
                piece = os.pread(blob, count, at)
                if not piece:
                    raise DigestMismatch("content in the store became shorter while it was read")
                self._put(piece)
                copied = len(piece)
            at += copied
            self._done += copied
            self._report(Progress(what=self._what, done_bytes=self._done, total_bytes=self._total))

    def _copy_in_kernel(self, blob: int, at: int, count: int) -> int:
        """Bytes that went from file to file (or pipe) without passing through us; 0: it can't be done."""
        try:
            return os.copy_file_range(blob, self._descriptor, count, offset_src=at)
        except OSError as error:
            if error.errno not in _NO_KERNEL_COPY:
                raise self._failed(error) from error
        try:
            return os.sendfile(self._descriptor, blob, at, count)
        except OSError as error:
            if error.errno not in _NO_KERNEL_COPY:
                raise self._failed(error) from error
        self._kernel_copy = False
        return 0


class _Check:
    """Hashes a file in a thread of its own; hashing lets other threads run."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._hash = hashlib.sha256()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="hash", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        at = 0
        while not self._stopped and (piece := os.pread(self._descriptor, _HASH_BYTES, at)):
            self._hash.update(piece)
            at += len(piece)

    def digest(self) -> str:
        self._thread.join()
        return f"sha256:{self._hash.hexdigest()}"

    def stop(self) -> None:
        self._stopped = True
        self._thread.join()


def _descriptor_of(sink: BinaryIO) -> int:
    """The sink's descriptor, its buffer flushed, so that all can be written there directly; -1: it has none."""
    try:
        sink.flush()
        return sink.fileno()
    except (OSError, AttributeError):
        return -1


def _descriptors(image: SavedImage, manifest: bytes, manifest_id: str) -> list[dict[str, Any]]:
    """The index's rows of an image: one for each name, or one without."""
    kind = wire.manifest_type(manifest)
    base: dict[str, Any] = {"mediaType": kind, "digest": manifest_id, "size": len(manifest)}
    if not image.references:
        return [base]
    return [
        {
            **base,
            "annotations": {
                "io.containerd.image.name": reference.canonical,
                "org.opencontainers.image.ref.name": reference.tag,
            },
        }
        for reference in image.references
    ]


def _blob_path(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _entry(path: str, kind: str, mode: int, size: int) -> Entry:
    return Entry(
        name=path.encode(), kind=kind, mode=mode, uid=0, gid=0, size=size, stored=size, mtime_ns=0, link=b"", xattrs={}
    )
