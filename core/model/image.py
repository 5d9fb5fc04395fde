"""Images as people see them; the wire types (OCI, Docker) live with the parts that read them."""

from __future__ import annotations

import msgspec

from core.model.health import HealthCheck


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The run-time half of an image's config: what a container is merged with."""

    user: str = ""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: dict[str, str] = {}
    stop_signal: str = ""
    exposed_ports: tuple[str, ...] = ()
    health: HealthCheck | None = None
    shell: tuple[str, ...] = ()
    """SHELL: what command lines without a list are given to; empty: /bin/sh -c."""


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One step of an image's making, newest first in lists; `image_id` empty means <missing>."""

    image_id: str
    created_ns: int
    created_by: str
    comment: str
    size_bytes: int
    tags: tuple[str, ...] = ()
    empty: bool = False


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image of the store. `raw_config` is the config document's bytes, exactly as they came; lists leave it out."""

    id: str
    """sha256:… of the config document."""
    tags: tuple[str, ...]
    """Familiar references, sorted; empty: dangling."""
    digests: tuple[str, ...] = ()
    created_ns: int
    size_bytes: int
    """Unpacked bytes of all layers."""
    author: str = ""
    architecture: str = ""
    os: str = ""
    parent_id: str = ""
    comment: str = ""
    config: ImageConfig
    layers: tuple[str, ...]
    """Chain ids, lowest first: what a container mounts."""
    layer_directories: tuple[str, ...] = ()
    """Where they lie on the engine's host, top first; for people to read; known to inspect alone."""
    diff_ids: tuple[str, ...]
    labels: dict[str, str] = {}
    used_by: tuple[str, ...] = ()
    """Ids of containers made from it."""
    raw_config: bytes = b""


class ImageLayer(msgspec.Struct, frozen=True, kw_only=True):
    """One layer of an image, with what made it."""

    chain_id: str
    diff_id: str
    blob: str
    """Digest of its archive as it came."""
    blob_bytes: int
    media_type: str
    size_bytes: int
    """Of its files, unpacked."""
    created_by: str = ""
    created_ns: int = 0
    shared_by: int = 1
    """How many images here have it, this one included."""


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """Software that a package database of an image lists."""

    name: str
    version: str
    manager: str
    """dpkg, apk, rpm, pip or npm."""
    architecture: str = ""
    license: str = ""
    origin: str = ""
    """The source package, where another one."""
    path: str = ""
    """Where in the image it is listed."""


class Removed(msgspec.Struct, frozen=True):
    """One line of `rmi`: either a reference that was untagged or an image/layer that was deleted."""

    untagged: str = ""
    deleted: str = ""


class Loaded(msgspec.Struct, frozen=True):
    """One result of `load`: a reference, or a bare image id where the archive named none."""

    reference: str = ""
    image_id: str = ""
