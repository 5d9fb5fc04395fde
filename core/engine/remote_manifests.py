"""A manifest in a registry, told without fetching what it names."""

from __future__ import annotations

from functools import partial

import msgspec

from core.engine.remote_images import RemoteDocument, read_document, shown
from core.errors import EngineError, NotFound
from core.images import wire
from core.model.platform import Platform
from core.model.reference import ImageRef
from core.model.registry import RemoteLayer, RemoteManifest
from core.registry.crew import Crew
from core.registry.repository import Repository

_LANES = 5


def describe(repository: Repository, reference: ImageRef, crew: Crew) -> RemoteManifest:
    """What a tag or digest means; of an index, its images too."""
    found = read_document(repository, reference.digest or reference.tag, reference.familiar)
    if isinstance(found.parsed, wire.Manifest):
        return _with_config(repository, _image(found, reference.familiar, None), found.parsed)
    works = [partial(_part, repository, descriptor) for descriptor in found.parsed.manifests]
    images = [crew.join(task) for task in crew.start_in_lanes(works, _LANES)]
    return RemoteManifest(
        reference=reference.familiar,
        digest=found.document.digest,
        media_type=found.media_type,
        size_bytes=sum(image.size_bytes for image in images),
        images=tuple(images),
        raw=found.document.raw,
    )


def _part(repository: Repository, descriptor: wire.Descriptor) -> RemoteManifest:
    name = f"{repository.name}@{descriptor.digest}"
    try:
        found = read_document(repository, descriptor.digest, name)
    except NotFound:  # an index may name more than a registry keeps
        return RemoteManifest(
            reference=name,
            digest=descriptor.digest,
            media_type=shown(descriptor.mediaType),
            platform=_platform(descriptor.platform),
        )
    return _image(found, name, descriptor.platform)


def _image(found: RemoteDocument, name: str, platform: wire.Platform | None) -> RemoteManifest:
    """One image, or an index within an index, which is not looked into."""
    layers: list[wire.Descriptor] = []
    size_bytes = 0
    if isinstance(found.parsed, wire.Manifest):
        layers = found.parsed.layers
        size_bytes = found.parsed.config.size + sum(layer.size for layer in layers)
    return RemoteManifest(
        reference=name,
        digest=found.document.digest,
        media_type=found.media_type,
        platform=_platform(platform),
        size_bytes=size_bytes,
        layers=tuple(
            RemoteLayer(digest=layer.digest, size_bytes=layer.size, media_type=shown(layer.mediaType))
            for layer in layers
        ),
        raw=found.document.raw,
    )


def _with_config(repository: Repository, image: RemoteManifest, manifest: wire.Manifest) -> RemoteManifest:
    """With what its config tells: whom it is for, and since when it is there. Other things than images tell nothing."""
    try:
        raw = repository.read_blob(manifest.config.digest, most=wire.LARGEST_DOCUMENT_BYTES, what="the image's config")
        config = wire.parse_config(raw, "the image's config")
    except EngineError:
        return image
    platform = _platform(wire.Platform(config.architecture, config.os)) if config.architecture else ""
    return msgspec.structs.replace(image, platform=platform, created_ns=wire.parse_stamp(config.created))


def _platform(platform: wire.Platform | None) -> str:
    if platform is None:
        return ""
    return shown(str(Platform(platform.os, platform.architecture, platform.variant or "")))
