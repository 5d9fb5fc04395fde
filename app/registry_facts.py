"""What both faces work out about registries: which ones a person has, and what goes when a manifest is deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from core.backend import Registries
from core.errors import EngineError, NotFound
from core.model.image import Image
from core.model.reference import parse_reference
from core.model.registry import DOCKER_HUB, Keyring, RemoteManifest

_AT_ONCE = 8
"""Questions that a registry is asked at the same time."""


class KnownServer(NamedTuple):
    """A registry that something here speaks of, and what does."""

    host: str
    because: tuple[str, ...]


def known_servers(
    keyring: Iterable[str], mirrors: Iterable[str], insecure: Iterable[str], images: Iterable[Image]
) -> list[KnownServer]:
    """Registries by host, Docker Hub first: from logins, daemon.json and the names of images here.

    Args: mirrors: URLs. insecure: hosts; networks among them are no registries.
    """
    found: dict[str, list[str]] = {DOCKER_HUB: []}
    for host in keyring:
        found.setdefault(host, []).append("login")
    for url in mirrors:
        found.setdefault(url.partition("://")[2].partition("/")[0] or url, []).append(f"mirror of {DOCKER_HUB}")
    for host in insecure:
        if "/" not in host:
            found.setdefault(host, []).append("insecure")
    repositories: dict[str, set[str]] = {}
    for name in (name for image in images for name in (*image.tags, *image.digests)):
        try:
            reference = parse_reference(name)
        except EngineError:
            continue  # a name of an older store: nobody can ask a registry for it
        repositories.setdefault(reference.host, set()).add(reference.path)
    for host, paths in repositories.items():
        found.setdefault(host, []).append(f"{len(paths)} name{'s' if len(paths) != 1 else ''} of images")
    names = [DOCKER_HUB, *sorted(found.keys() - {DOCKER_HUB})]
    return [KnownServer(name, tuple(found[name])) for name in names]


class TagFacts(NamedTuple):
    """A tag, and what it means or why that can't be told."""

    tag: str
    manifest: RemoteManifest | None
    problem: str = ""


def tag_facts(
    registries: Registries,
    repository: str,
    tags: Sequence[str],
    keyring: Keyring,
    came: Callable[[TagFacts], object] = lambda _facts: None,
) -> list[TagFacts]:
    """What each tag of a repository means, in their order; `came` is told of each as it comes, from any thread."""

    def look(tag: str) -> TagFacts:
        try:
            facts = TagFacts(tag, registries.manifest(f"{repository}:{tag}", keyring))
        except EngineError as error:
            facts = TagFacts(tag, None, error.message)
        came(facts)
        return facts

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="tags") as pool:
        return list(pool.map(look, tags))


def blobs_of(manifest: RemoteManifest) -> dict[str, int]:
    """Digest → packed bytes of every layer that it, or one of its images, needs."""
    blobs = {layer.digest: layer.size_bytes for layer in manifest.layers}
    for image in manifest.images:
        blobs |= blobs_of(image)
    return blobs


def platforms_of(manifest: RemoteManifest) -> str:
    """`linux/amd64, linux/arm64`; empty where nothing is told."""
    each = [image.platform for image in manifest.images] or [manifest.platform]
    return ", ".join(dict.fromkeys(platform for platform in each if platform and platform != "unknown/unknown"))


def speakable(prefix: str, names: Iterable[str]) -> list[str]:
    """Those of a registry's names that can be part of a reference: the others nobody can ask for.

    Args: prefix: what stands before them, `host/` or `host/path:`.
    """
    found = []
    for name in names:
        try:
            parse_reference(f"{prefix}{name}")
        except EngineError:
            continue
        found.append(name)
    return found


class Deletion(NamedTuple):
    """What goes with a manifest: other names of it, and layers that nothing in the repository needs any more."""

    digest: str
    tags: tuple[str, ...]
    freed_blobs: int
    freed_bytes: int


def plan_deletion(registries: Registries, reference: str, keyring: Keyring) -> Deletion:
    """Find out, before it is deleted, what a reference takes along.

    Layers are compared within the repository: a registry keeps one that another repository has as well.
    Raises: NotFound: there is no such manifest. EngineError: the registry does not answer.
    """
    named = parse_reference(reference)
    manifest = registries.manifest(named.canonical, keyring)
    repository = f"{named.host}/{named.path}"
    try:
        tags = registries.tags(repository, keyring)
    except NotFound:  # some registries forget a repository whose last tag went
        tags = ()
    facts = tag_facts(registries, repository, tags, keyring)
    going = tuple(one.tag for one in facts if one.manifest is not None and one.manifest.digest == manifest.digest)
    needed: set[str] = set()
    for one in facts:
        if one.manifest is not None and one.manifest.digest != manifest.digest:
            needed |= blobs_of(one.manifest).keys()
    freed = {digest: size for digest, size in blobs_of(manifest).items() if digest not in needed}
    return Deletion(manifest.digest, going, len(freed), sum(freed.values()))


def collection_note(deletion: Deletion, size: str) -> str:
    """What is still on the registry's disk, and how it goes. Args: size: the bytes, in the face's own units."""
    if not deletion.freed_blobs:
        return "Its layers are needed by other tags, so nothing is freed"
    layers = "layer, {}, stays" if deletion.freed_blobs == 1 else "layers, {}, stay"
    return (
        f"{deletion.freed_blobs} {layers.format(size)} on the registry's disk until it collects garbage, "
        "and longer where other repositories have them: registry garbage-collect CONFIG"
    )
