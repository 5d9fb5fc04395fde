"""What an archive of images holds: docker-archive (old and new) and OCI layouts.

    manifest.json                docker-archive: [{Config, RepoTags, Layers}], paths inside the archive
    index.json, blobs/sha256/…   OCI layout; docker since 25 writes both into one archive
    <id>/layer.tar, <id>.json    docker until 24

Members come in any order, so everything is kept aside first (by the caller, hashed on the way) and
understood afterwards. Nothing here trusts a digest that was not computed.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from core.errors import DigestMismatch, Integrity, InvalidReference, UnsafeArchive, Unsupported
from core.images import wire
from core.model.reference import ImageRef, parse_reference
from core.trees import tarread
from core.trees.faults import TreeFault, shown
from core.trees.launch import to_engine_error
from core.trees.source import Source
from core.trees.tarread import Limits, TarReader

LIMITS = Limits(entries=100_000, depth=16)
_PIECE_BYTES = 1024 * 1024
_MOST_LINKS = 16
_MOST_NESTED = 4
_INDEX_NAME = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"


class Kept(msgspec.Struct, frozen=True):
    """A member that was kept aside."""

    digest: str
    size: int


class Spool(Protocol):
    """Where members are kept until it is known which are needed."""

    def keep(self, pieces: Iterator[bytes]) -> Kept:
        """Take a member's bytes."""

    def read(self, digest: str) -> bytes:
        """A kept document's bytes. Raises: LimitExceeded: it is no document, by its size."""


class PlannedLayer(msgspec.Struct, frozen=True):
    """One layer to come: its archive as kept, and the diff id its config promises."""

    archive: Kept
    diff_id: str


class PlannedImage(msgspec.Struct, frozen=True, kw_only=True):
    """One image to come."""

    config: Kept
    layers: tuple[PlannedLayer, ...]
    references: tuple[ImageRef, ...]
    manifest: Kept | None = None


class Members:
    """The files of an archive by their cleaned paths."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._files: dict[str, Kept] = {}
        self._links: dict[str, str] = {}

    def read_all(self, read: Callable[[int], bytes], limits: Limits = LIMITS) -> None:
        """Keep every file of a plain tar.

        Raises: UnsafeArchive, Integrity, LimitExceeded: naming the entry.
        """
        reader = TarReader(Source(read), limits, strict_end=True)
        try:
            for entry in reader:
                path = _clean(entry.name)
                if entry.kind is tarread.FILE:
                    if entry.sparse is not None:
                        raise UnsafeArchive(f"unsafe archive entry {shown(entry.name)}: a sparse file")
                    self._files[path] = self._keep(path, reader)
                    self._links.pop(path, None)
                elif entry.kind in (tarread.SYMLINK, tarread.HARDLINK):
                    base = posixpath.dirname(path) if entry.kind is tarread.SYMLINK else ""
                    self._links[path] = _clean(posixpath.join(base, entry.link.decode("utf-8", "surrogateescape")))
        except TreeFault as fault:
            raise to_engine_error(fault, "") from None

    def _keep(self, path: str, reader: TarReader) -> Kept:
        kept = self._spool.keep(iter(lambda: reader.read_piece(_PIECE_BYTES), b""))
        if path.startswith("blobs/sha256/") and kept.digest != f"sha256:{path.removeprefix('blobs/sha256/')}":
            raise DigestMismatch(f"{path} in the archive hashes to {kept.digest}", hint="fetch or make it again")
        return kept

    def find(self, path: str) -> Kept:
        """A file, links followed inside the archive. Raises: Integrity: it is missing."""
        current = _clean(path)
        for _ in range(_MOST_LINKS):
            if current in self._files:
                return self._files[current]
            if current not in self._links:
                break
            current = self._links[current]
        raise Integrity(f"the archive lacks {path[:200]!r}, which it promises", hint="fetch or make it again")

    def has(self, path: str) -> bool:
        """Whether a file of that path is there."""
        return path in self._files

    def document(self, path: str) -> bytes:
        """A document's bytes."""
        return self._spool.read(self.find(path).digest)

    def content(self, kept: Kept) -> bytes:
        """A found document's bytes."""
        return self._spool.read(kept.digest)

    def blob(self, digest: str) -> Kept:
        """A file of an OCI layout."""
        return self.find(f"blobs/sha256/{digest.removeprefix('sha256:')}")


def _clean(name: bytes | str) -> str:
    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
    parts = [part for part in text.split("/") if part not in ("", ".")]
    resolved: list[str] = []
    for part in parts:
        if part == "..":
            if not resolved:
                raise UnsafeArchive(
                    f"unsafe archive entry {shown(text.encode('utf-8', 'surrogateescape'))}: "
                    "its path climbs out with ..",
                    hint="the archive is hostile or broken; nothing of it was kept",
                )
            resolved.pop()
        else:
            resolved.append(part)
    return "/".join(resolved)


def plan_images(members: Members) -> list[PlannedImage]:
    """Understand an archive.

    Raises: Integrity: it contradicts itself, or is no archive of images. Unsupported: for another system.
    """
    manifests = _oci_images(members) if members.has("index.json") else []
    if members.has("manifest.json"):
        return _docker_images(members, manifests)
    if manifests:
        return [_oci_image(members, manifest, references) for manifest, references in manifests]
    if members.has("index.json"):
        raise Integrity("the archive's index.json names no image for this machine")
    raise Integrity(
        "the archive has neither a manifest.json nor an index.json: it holds no image",
        hint="a tar of a root file system becomes an image with `import`",
    )


def _docker_images(members: Members, manifests: list[tuple[Kept, tuple[ImageRef, ...]]]) -> list[PlannedImage]:
    rows = wire.parse(members.document("manifest.json"), list[wire.ArchiveEntry], "manifest.json")
    if not rows:
        raise Integrity("the archive's manifest.json names no image")
    by_config: dict[str, Kept] = {}
    for kept, _ in manifests:
        found = wire.parse_manifest(members.content(kept), "a manifest")
        if isinstance(found, wire.Manifest):
            by_config[found.config.digest] = kept
    planned = []
    for row in rows:
        config = members.find(row.Config)
        archives = [members.find(path) for path in row.Layers or ()]
        references = tuple(_reference(name) for name in row.RepoTags or ())
        planned.append(_planned(members, config, archives, references, by_config.get(config.digest), row.Config))
    return planned


def _planned(
    members: Members,
    config: Kept,
    archives: list[Kept],
    references: tuple[ImageRef, ...],
    manifest: Kept | None,
    where: str,
) -> PlannedImage:
    document = wire.parse_config(members.content(config), f"the config {where[:80]!r}")
    if document.os not in ("", "linux"):
        raise Unsupported(f"the image is for {document.os[:40]!r}, not for linux")
    diff_ids = (document.rootfs and document.rootfs.diff_ids) or []
    if len(diff_ids) != len(archives):
        raise Integrity(
            f"invalid manifest, layers length mismatch: expected {len(diff_ids)}, got {len(archives)}",
            hint="fetch or make the archive again",
        )
    return PlannedImage(
        config=config,
        layers=tuple(PlannedLayer(archive, diff_id) for archive, diff_id in zip(archives, diff_ids, strict=True)),
        references=references,
        manifest=manifest,
    )


def _oci_image(members: Members, kept: Kept, references: tuple[ImageRef, ...]) -> PlannedImage:
    manifest = wire.parse_manifest(members.content(kept), f"the manifest {kept.digest}")
    assert isinstance(manifest, wire.Manifest)
    config = members.blob(manifest.config.digest)
    archives = [members.blob(layer.digest) for layer in manifest.layers]
    for descriptor, archive in zip([manifest.config, *manifest.layers], [config, *archives], strict=True):
        if descriptor.size and descriptor.size != archive.size:
            raise Integrity(f"{descriptor.digest} has {archive.size} bytes, its manifest says {descriptor.size}")
    return _planned(members, config, archives, references, kept, manifest.config.digest)


def _oci_images(members: Members) -> list[tuple[Kept, tuple[ImageRef, ...]]]:
    """Manifests for this machine with all the names the index gives them, in the index's order."""
    index = wire.parse_manifest(members.document("index.json"), "index.json")
    if not isinstance(index, wire.Index):
        raise Integrity("the archive's index.json is no index")
    found: dict[str, tuple[Kept, list[ImageRef]]] = {}
    for descriptor in index.manifests:
        if descriptor.platform is not None and descriptor.platform.os == "unknown":
            continue  # an attestation
        kept = _manifest_for_us(members, descriptor, depth=0)
        if kept is None:
            continue
        names = found.setdefault(kept.digest, (kept, []))[1]
        reference = _annotated_reference(descriptor.annotations or {})
        if reference is not None and reference not in names:
            names.append(reference)
    return [(kept, tuple(names)) for kept, names in found.values()]


def _manifest_for_us(members: Members, descriptor: wire.Descriptor, *, depth: int) -> Kept | None:
    """The manifest behind a descriptor; of an index, the first one made for this machine."""
    if depth > _MOST_NESTED:
        raise Integrity("the archive's indexes are nested too deeply")
    try:
        kept = members.blob(descriptor.digest)
    except Integrity:
        if descriptor.platform is not None and depth:
            return None  # images for other machines may be left out of an archive
        raise
    found = wire.parse_manifest(members.content(kept), f"the manifest {kept.digest}")
    if isinstance(found, wire.Manifest):
        return kept
    for inner in found.manifests:
        platform = inner.platform
        if platform is not None and (platform.os, platform.architecture) != ("linux", wire.architecture()):
            continue
        if (chosen := _manifest_for_us(members, inner, depth=depth + 1)) is not None:
            return chosen
    return None


def _annotated_reference(annotations: dict[str, str]) -> ImageRef | None:
    full = annotations.get(_CONTAINERD_NAME)
    if full:
        return _reference(full)
    name = annotations.get(_INDEX_NAME, "")
    if "/" in name or ":" in name:
        return _reference(name)
    return None  # a bare tag names nothing


def _reference(name: str) -> ImageRef:
    try:
        return parse_reference(name)
    except InvalidReference as error:
        raise Integrity(f"the archive names an image {name[:100]!r}: {error.message}") from None
