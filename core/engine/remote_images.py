"""What a registry's documents mean: an image, or an index of them, and which of its images is ours."""

from __future__ import annotations

import os

import msgspec

from core.errors import Integrity, LimitExceeded, NotFound, Unsupported
from core.images import wire
from core.model.display import clip, safe_text
from core.model.platform import Platform, fitness, machine_platform, parse_platform
from core.registry.repository import Document, Repository
from core.storage.layers import MOST_LAYERS

_INDEXES = (wire.OCI_INDEX, wire.DOCKER_LIST)
_MANIFESTS = (wire.OCI_MANIFEST, wire.DOCKER_MANIFEST)
_SAYS_NOTHING = ("", "application/json", "application/octet-stream", "text/plain")
"""What servers of plain files call everything."""
_CONFIGS = ("", wire.OCI_CONFIG, wire.DOCKER_CONFIG, "application/octet-stream", "application/json")
_LAYERS = (".tar", ".tar.gzip", ".tar+gzip", ".tar.zstd", ".tar+zstd")
_MOST_NESTED = 4
_BROKEN = "the registry is broken or hostile; nothing of it was kept"


class RemoteDocument(msgspec.Struct, frozen=True):
    """A document, and what it says."""

    document: Document
    parsed: wire.Manifest | wire.Index

    @property
    def media_type(self) -> str:
        """As it calls itself, else as the server calls it, else what it must be."""
        if self.parsed.mediaType:
            return self.parsed.mediaType
        if self.document.media_type in (*_INDEXES, *_MANIFESTS):
            return self.document.media_type
        return wire.OCI_INDEX if isinstance(self.parsed, wire.Index) else wire.OCI_MANIFEST


class RemoteImage(msgspec.Struct, frozen=True):
    """One image: what the reference means, and the manifest that it leads to."""

    top: Document
    manifest: Document
    parsed: wire.Manifest


def wanted_platform(text: str) -> Platform:
    """What `--platform` asks for; empty: what this machine runs."""
    machine = os.uname().machine
    return parse_platform(text, machine) if text else machine_platform(machine)


def read_document(repository: Repository, key: str, what: str) -> RemoteDocument:
    """What a tag or digest means.

    Raises: NotFound; Integrity: it contradicts itself or its digest; Unsupported: the first schema.
    """
    document = repository.manifest(key, what=f"manifest for {what}")
    if ".distribution.manifest.v1+" in document.media_type or _is_first_schema(document.raw):
        raise Unsupported(
            f"{what} is an image of manifest version 2, schema 1, which is not supported any more",
            hint="push it again with docker 1.10 or newer, or copy it with skopeo",
        )
    parsed = wire.parse_manifest(document.raw, f"the manifest for {what}")
    said = document.media_type
    expected = _INDEXES if isinstance(parsed, wire.Index) else _MANIFESTS
    if said not in (*expected, *_SAYS_NOTHING) or (parsed.mediaType and parsed.mediaType not in expected):
        raise Integrity(
            f"the manifest for {what} is sent as {shown(said) or 'nothing'} and calls itself "
            f"{shown(parsed.mediaType) or 'nothing'}, but is none such",
            hint=_BROKEN,
        )
    if parsed.mediaType and said in expected and said != parsed.mediaType:
        raise Integrity(
            f"the manifest for {what} calls itself {parsed.mediaType}, the registry calls it {said}", hint=_BROKEN
        )
    return RemoteDocument(document, parsed)


def _is_first_schema(raw: bytes) -> bool:
    try:
        return wire.parse(raw, _Version, "a manifest").schemaVersion == 1
    except Integrity:
        return False  # it will be said what is wrong with it


class _Version(msgspec.Struct):
    schemaVersion: int = 2


def find_image(repository: Repository, key: str, what: str, platform: Platform) -> RemoteImage:
    """The image of a platform that a tag or digest means.

    Raises: NotFound: there is none for it. Integrity, Unsupported: as read_document().
    """
    top = found = read_document(repository, key, what)
    for _ in range(_MOST_NESTED):
        if isinstance(found.parsed, wire.Manifest):
            check_manifest(found.parsed, what)
            return RemoteImage(top.document, found.document, found.parsed)
        chosen = best_of(found.parsed, platform)
        if chosen is None:
            raise NotFound(
                f"no matching manifest for {platform} in the manifest list entries",
                kind="manifest",
                key=what,
                hint=f"{what} is there for {', '.join(platforms_of(found.parsed)) or 'nothing'}",
            )
        found = read_document(repository, chosen.digest, f"{repository.name}@{chosen.digest}")
        check_size(found.document, chosen)
    raise Integrity(f"the manifest for {what} leads from index to index, and to no image", hint=_BROKEN)


def check_size(document: Document, descriptor: wire.Descriptor) -> None:
    """Whether a document is as long as who names it says. Raises: Integrity."""
    if descriptor.size and descriptor.size != len(document.raw):
        raise Integrity(
            f"{descriptor.digest} has {len(document.raw)} bytes, its index says {descriptor.size}", hint=_BROKEN
        )


def best_of(index: wire.Index, platform: Platform) -> wire.Descriptor | None:
    """The first of those that fit best; one that tells no platform fits when nothing else does."""
    best: tuple[int, wire.Descriptor] | None = None
    for descriptor in index.manifests:
        if descriptor.platform is None:
            fit: int | None = 1000
        else:
            offered = descriptor.platform
            fit = fitness(platform, Platform(offered.os, offered.architecture, offered.variant or ""))
        if fit is not None and (best is None or fit < best[0]):
            best = fit, descriptor
    return best[1] if best else None


def platforms_of(index: wire.Index) -> list[str]:
    """Whom an index has images for, as people write it; attestations are none."""
    found = []
    for descriptor in index.manifests:
        offered = descriptor.platform
        if offered is not None and offered.os != "unknown":
            found.append(shown(str(Platform(offered.os, offered.architecture, offered.variant or ""))))
    return found


def check_manifest(manifest: wire.Manifest, what: str) -> None:
    """Whether it is an image that could be mounted. Raises: Unsupported, LimitExceeded, Integrity."""
    if manifest.config.mediaType not in _CONFIGS:
        raise Unsupported(f"{what} is no image: its config is {shown(manifest.config.mediaType)}")
    for layer in manifest.layers:
        if layer.mediaType and not layer.mediaType.endswith(_LAYERS):
            raise Unsupported(f"{what} has a layer of type {shown(layer.mediaType)}, which can't be unpacked")
    if len(manifest.layers) > MOST_LAYERS:
        raise LimitExceeded(
            f"max depth exceeded: {what} has {len(manifest.layers)} layers, {MOST_LAYERS} can be mounted"
        )
    if any(descriptor.size < 0 for descriptor in (manifest.config, *manifest.layers)):
        raise Integrity(f"the manifest for {what} has a negative size", hint=_BROKEN)
    if manifest.config.size > wire.LARGEST_DOCUMENT_BYTES:
        raise LimitExceeded(f"the config of {what} would have {manifest.config.size} bytes")


def shown(text: str) -> str:
    """A text of a registry's, for people."""
    return clip(safe_text(text), 120)
