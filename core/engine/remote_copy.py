"""Copying from registry to registry: blobs flow through memory, manifests go as they came, what they name first."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from core.engine.remote_images import RemoteDocument, check_size, read_document
from core.errors import Integrity, Unauthorized
from core.images import wire
from core.model.ids import short_id
from core.model.progress import Progress
from core.model.reference import ImageRef
from core.model.registry import Pushed
from core.registry.client import Session
from core.registry.crew import Crew
from core.registry.repository import Repository
from core.registry.transfer import send_blob

_MOST_NESTED = 4


class _RemoteSource:
    """A blob of another registry; after a break it goes on where the target has ended."""

    def __init__(self, repository: Repository, descriptor: wire.Descriptor) -> None:
        self._repository = repository
        self.digest = descriptor.digest
        self.size_bytes = descriptor.size

    def pieces(self, offset: int) -> Iterator[bytes]:
        answer, at = self._repository.open_blob(self.digest, offset=offset)
        try:
            for piece in answer.pieces():
                begin, at = at, at + len(piece)
                if at > self.size_bytes:
                    raise Integrity(
                        f"blob {self.digest} of {self._repository.name} has more bytes than its manifest says",
                        hint="the registry is broken or hostile; it was not copied",
                    )
                if at > offset:
                    yield piece[max(0, offset - begin) :]
        finally:
            answer.close()


class RemoteCopy:
    """One copy; its methods run in the crew's threads."""

    def __init__(self, session: Session, crew: Crew, source: Repository, target: Repository) -> None:
        self._session = session
        self._crew = crew
        self._source = source
        self._target = target
        self._what = ""

    def copy(self, source: ImageRef, target: ImageRef) -> Pushed:
        """All that a reference means."""
        self._what = f"{source.familiar} → {target.familiar}"
        found = read_document(self._source, source.digest or source.tag, source.familiar)
        self._below(found, 0)
        digest = self._target.put_manifest(target.tag, found.document.raw, found.media_type)
        return Pushed(reference=target.familiar, digest=digest, size_bytes=len(found.document.raw))

    def _below(self, found: RemoteDocument, depth: int) -> None:
        """What a document names, before it itself."""
        if isinstance(found.parsed, wire.Manifest):
            self._blobs(found.parsed)
            return
        if depth >= _MOST_NESTED:
            raise Integrity(f"{self._source.name}: indexes are nested too deeply", hint="it was not copied")
        for descriptor in found.parsed.manifests:
            name = f"{self._source.name}@{descriptor.digest}"
            inner = read_document(self._source, descriptor.digest, name)
            check_size(inner.document, descriptor)
            self._below(inner, depth + 1)
            self._target.put_manifest(descriptor.digest, inner.document.raw, inner.media_type)

    def _blobs(self, manifest: wire.Manifest) -> None:
        blobs = {descriptor.digest: descriptor for descriptor in (manifest.config, *manifest.layers)}
        works = [partial(self._blob, descriptor) for descriptor in blobs.values()]
        for task in self._crew.start_in_lanes(works, self._session.client.settings.uploads):
            self._crew.join(task)

    def _blob(self, descriptor: wire.Descriptor) -> None:
        part = short_id(descriptor.digest)
        with self._crew.turn(self._session.client.uploads, lambda: self._tell(part, "Waiting")):
            if self._target.blob_size(descriptor.digest) is not None:
                self._tell(part, "Layer already exists")
                return
            location = None
            if self._source.server is self._target.server and self._source.path != self._target.path:
                try:
                    location = self._target.begin_upload(digest=descriptor.digest, mounted_from=self._source.path)
                except Unauthorized:
                    location = self._target.begin_upload()
                if location is None:
                    self._tell(part, f"Mounted from {self._source.path}")
                    return
            send_blob(
                self._target,
                _RemoteSource(self._source, descriptor),
                lambda _status, sent: self._tell(part, "Copying", sent, descriptor.size),
                self._crew.stop,
                location=location,
            )
            self._tell(part, "Copied")

    def _tell(self, part: str, status: str, done: int = 0, total: int | None = None) -> None:
        self._crew.tell(Progress(what=self._what, part=part, status=status, done_bytes=done, total_bytes=total))
