"""Sending images to registries.

        manifest as it came, if its blobs are here ─┐
        else made: layers as kept, plain ones packed ┴▶ for each blob: there? mounted? sent ─▶ config ─▶ manifest

A registry that has a blob in another repository lends it ("Mounted from"): which ones may have it is
remembered in origins/.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import msgspec

from core.errors import InvalidInput, NotFound, Unauthorized
from core.images import wire
from core.images.origins import Origin, read_origins, remember_origin
from core.images.store import ImageRecord, ImageStore, LayerRecord
from core.linux.checkpoints import checkpoint
from core.model.ids import short_id
from core.model.progress import CancelToken, Progress, Report
from core.model.reference import ImageRef, parse_reference
from core.model.registry import Keyring, Pushed
from core.registry.client import RegistryClient, Session
from core.registry.crew import Crew
from core.registry.repository import Repository
from core.registry.transfer import send_blob
from core.state import journal
from core.state.leases import Lease
from core.state.paths import Roots
from core.storage.blobs import read_blob
from core.storage.outgoing import BlobSource, BytesSource, PackedSource

DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


class _Sent(msgspec.Struct, frozen=True):
    """A layer as it lies in the registry now."""

    digest: str
    size_bytes: int
    media_type: str


def push(
    roots: Roots,
    store: ImageStore,
    client: RegistryClient,
    references: Sequence[ImageRef],
    keyring: Keyring,
    report: Report,
    cancel: CancelToken,
) -> list[Pushed]:
    """Send what some references of one repository mean."""
    with client.session(keyring) as session, Crew(report, cancel, session.transport.abort) as crew:
        session.cancel = crew.stop
        pusher = _Push(roots, store, session, crew)
        return crew.wait(crew.start(lambda: [pusher.one(reference) for reference in references]))[0]


def local_references(store: ImageStore, text: str, *, all_tags: bool) -> list[ImageRef]:
    """What a push means here. Raises: NotFound, InvalidInput: in docker's words."""
    reference = parse_reference(text)
    is_tagged = text.rpartition("/")[2].count(":") > 0
    if reference.digest:
        raise InvalidInput("cannot push a digest reference", hint="push a tag")
    if all_tags and is_tagged:
        raise InvalidInput("tag can't be used with --all-tags/-a", hint="name the repository alone")
    here = [parse_reference(canonical) for canonical in store.references()]
    tags = sorted(one for one in here if one.tag and one.familiar_name == reference.familiar_name)
    if not tags:
        raise NotFound(
            f"An image does not exist locally with the tag: {reference.familiar_name}",
            kind="image",
            key=reference.familiar_name,
            hint="give it that name with `tag`",
        )
    if all_tags:
        return tags
    if reference not in tags:
        raise NotFound(
            f"tag does not exist: {reference.familiar}",
            kind="image",
            key=reference.familiar,
            hint=f"it is here as {', '.join(one.tag for one in tags[:8])}",
        )
    return [reference]


class _Push:
    """One call's work; its methods run in the crew's threads."""

    def __init__(self, roots: Roots, store: ImageStore, session: Session, crew: Crew) -> None:
        self._roots = roots
        self._store = store
        self._session = session
        self._crew = crew
        self._what = ""

    def _tell(self, part: str, status: str, done: int = 0, total: int | None = None) -> None:
        self._crew.tell(Progress(what=self._what, part=part, status=status, done_bytes=done, total_bytes=total))

    def one(self, reference: ImageRef) -> Pushed:
        self._what = reference.familiar
        try:
            repository = self._session.origin(reference.host).repository(reference.path)
            with Lease(self._roots.leases) as lease:
                image_id = self._store.resolve(reference.familiar)
                lease.add(f"image {image_id}")
                record = self._store.get(image_id)
                lease.add(*(f"blob {layer.blob}" for layer in record.layers), f"blob {record.id}")
                pushed = self._push(repository, reference, record, lease)
        except Unauthorized as error:
            # docker says what it was that was refused when it pulls, and not when it pushes
            words = error.message.rpartition('": ')[2]
            raise Unauthorized(words, status=error.status, hint=error.hint) from None
        self._tell("", f"{reference.tag}: digest: {pushed.digest} size: {pushed.size_bytes}")
        journal.append(self._roots.journal, "image", "push", reference.familiar, {"name": reference.familiar_name})
        return pushed

    def _push(self, repository: Repository, reference: ImageRef, record: ImageRecord, lease: Lease) -> Pushed:
        raw, media_type = b"", ""
        types = {}
        if record.manifest:
            lease.add(f"blob {record.manifest}")
            raw = read_blob(self._roots, record.manifest, most=wire.LARGEST_DOCUMENT_BYTES)
            manifest = wire.parse_manifest(raw, f"the manifest of {reference.familiar}")
            assert isinstance(manifest, wire.Manifest)
            media_type = wire.manifest_type(raw)
            types = {layer.digest: layer.mediaType for layer in manifest.layers}
        layers = list(dict.fromkeys(reversed(record.layers)))  # the top one first, as docker does; each once
        for layer in layers:
            self._tell(short_id(layer.diff_id), "Preparing")
        lanes = self._session.client.settings.uploads
        for layer in layers[lanes:]:
            self._tell(short_id(layer.diff_id), "Waiting")
        works = [partial(self._layer, repository, reference, layer, types.get(layer.blob, "")) for layer in layers]
        tasks = self._crew.start_in_lanes(works, lanes)
        sent = {layer: self._crew.join(task) for layer, task in zip(layers, tasks, strict=True)}
        config = read_blob(self._roots, record.id, most=wire.LARGEST_DOCUMENT_BYTES)
        if repository.blob_size(record.id) is None:
            send_blob(repository, BytesSource(config, record.id), lambda _status, _sent: None, self._crew.stop)
        checkpoint("push:blobs")
        if not raw:
            raw, media_type = _made_manifest(record, len(config), [sent[layer] for layer in record.layers])
        digest = repository.put_manifest(reference.tag, raw, media_type)
        with suppress(NotFound):  # removed meanwhile: it is there all the same
            self._store.set_reference(ImageRef(reference.host, reference.path, "", digest), record.id)
        return Pushed(reference=reference.familiar, digest=digest, size_bytes=len(raw))

    def _layer(self, repository: Repository, reference: ImageRef, layer: LayerRecord, media_type: str) -> _Sent:
        """Have a layer there, by the cheapest way that works."""
        part = short_id(layer.diff_id)
        with self._crew.turn(self._session.client.uploads, lambda: self._tell(part, "Waiting")):
            is_as_kept = bool(media_type) or layer.media_type.endswith(("+gzip", "+zstd"))
            kept = _Sent(layer.blob, layer.blob_bytes, media_type or _docker_type(layer.media_type))
            origins = [origin for origin in read_origins(self._roots, layer.diff_id) if origin.host == reference.host]
            known = [_Sent(origin.blob, origin.blob_bytes, origin.media_type or kept.media_type) for origin in origins]
            for candidate in [kept] if is_as_kept else dict.fromkeys(known):
                if repository.blob_size(candidate.digest) is not None:
                    self._tell(part, "Layer already exists")
                    self._remember(reference, layer, candidate)
                    return candidate
            location = None
            for origin, there in zip(origins, known, strict=True):
                if origin.path == reference.path or (is_as_kept and there.digest != kept.digest):
                    continue
                if location := self._mounted(repository, origin):
                    break  # it lends nothing, and has begun an upload instead
                self._tell(part, f"Mounted from {origin.path}")
                self._remember(reference, layer, there)
                return there
            sent = self._send(repository, layer, kept if is_as_kept else None, location)
            self._tell(part, "Pushed")
            self._remember(reference, layer, sent)
            return sent

    def _mounted(self, repository: Repository, origin: Origin) -> str:
        """Where to upload to instead; empty where the blob is there now."""
        try:
            return repository.begin_upload(digest=origin.blob, mounted_from=origin.path) or ""
        except Unauthorized:  # we may not read there any more
            return repository.begin_upload() or ""

    def _send(self, repository: Repository, layer: LayerRecord, kept: _Sent | None, location: str | None) -> _Sent:
        part = short_id(layer.diff_id)
        total = layer.blob_bytes
        if kept is not None:
            send_blob(
                repository,
                BlobSource(self._roots, layer.blob, layer.blob_bytes),
                lambda status, sent: self._tell(part, status, sent, total),
                self._crew.stop,
                location=location,
            )
            return kept
        source = PackedSource(self._roots, layer.blob)
        send_blob(
            repository,
            source,
            lambda status, _sent: self._tell(part, status, source.read_bytes, total),
            self._crew.stop,
            location=location,
        )
        assert source.size_bytes is not None
        return _Sent(source.digest, source.size_bytes, DOCKER_LAYER)

    def _remember(self, reference: ImageRef, layer: LayerRecord, sent: _Sent) -> None:
        origin = Origin(
            host=reference.host,
            path=reference.path,
            blob=sent.digest,
            blob_bytes=sent.size_bytes,
            media_type=sent.media_type,
        )
        remember_origin(self._roots, layer.diff_id, origin)


def _docker_type(media_type: str) -> str:
    return DOCKER_LAYER if media_type.endswith("+gzip") else media_type


def _made_manifest(record: ImageRecord, config_bytes: int, layers: Sequence[_Sent]) -> tuple[bytes, str]:
    """A manifest and its type: Docker's, which everybody reads, unless it has no name for how a layer is packed."""
    is_docker = all(layer.media_type == DOCKER_LAYER for layer in layers)
    media_type = wire.DOCKER_MANIFEST if is_docker else wire.OCI_MANIFEST
    config_type = wire.DOCKER_CONFIG if is_docker else wire.OCI_CONFIG
    rows = [
        {
            "mediaType": layer.media_type
            if is_docker
            else layer.media_type.replace(DOCKER_LAYER, f"{wire.OCI_LAYER}+gzip"),
            "size": layer.size_bytes,
            "digest": layer.digest,
        }
        for layer in layers
    ]
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {"mediaType": config_type, "size": config_bytes, "digest": record.id},
        "layers": rows,
    }
    return wire.encode(document), media_type
