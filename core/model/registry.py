"""What is said of registries: who asks, what lies there, what a transfer came to. Wire formats: core.registry."""

from __future__ import annotations

from typing import Protocol

import msgspec

DOCKER_HUB = "docker.io"
"""The server that references without a host mean."""


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Who somebody is to one registry. Its text never shows a secret: it may end up in a log."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    """A refresh token that stands in for a password (OAuth 2)."""

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r})"


class Keyring(Protocol):
    """Where credentials are kept: a person's, so it belongs to the face, and the engine asks it."""

    def find(self, server: str) -> Credentials | None:
        """Of a server as references name it (`docker.io`, `localhost:5000`); None: ask without."""


class NoCredentials:
    """A keyring with nothing in it."""

    def find(self, server: str) -> Credentials | None:
        """Nobody is known anywhere."""
        return None


class LoginResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a registry said to somebody's credentials."""

    status: str
    """`Login Succeeded`, or what the registry says instead."""
    identity_token: str = ""
    """To be kept in place of the password, where the registry gives one."""


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """One reference that was pulled."""

    reference: str
    """Familiar, as it is named here now."""
    image_id: str
    digest: str
    """Of the manifest or index that the reference means there."""
    is_new: bool
    """False: the image that was here is the newest."""


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """One reference that was pushed."""

    reference: str
    digest: str
    size_bytes: int
    """Of the manifest."""


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """One repository that a search found."""

    name: str
    description: str = ""
    stars: int = 0
    is_official: bool = False
    is_automated: bool = False


class RemoteLayer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer as a manifest lists it."""

    digest: str
    size_bytes: int
    media_type: str


class RemoteManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a reference means in a registry: an image, or an index of images for several platforms."""

    reference: str
    digest: str
    media_type: str
    platform: str = ""
    """`linux/amd64`, `linux/arm/v7`; empty for an index, or where it is not told."""
    size_bytes: int = 0
    """Of all its blobs, packed."""
    created_ns: int = 0
    layers: tuple[RemoteLayer, ...] = ()
    images: tuple[RemoteManifest, ...] = ()
    """Of an index: one for each platform."""
    raw: bytes = b""
    """The document as the registry sent it."""
