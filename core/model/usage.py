"""What the store takes of the disk, and what of that could be had back."""

from __future__ import annotations

import msgspec

from core.model.container import Container
from core.model.image import Image
from core.model.volume import Volume


class ImageUsage(msgspec.Struct, frozen=True, kw_only=True):
    """One image; shared and unique bytes make up its size."""

    image: Image
    shared_bytes: int
    """Of layers that another image has as well."""

    @property
    def unique_bytes(self) -> int:
        """Of layers that it alone has."""
        return self.image.size_bytes - self.shared_bytes


class DiskUsage(msgspec.Struct, frozen=True, kw_only=True):
    """All images, containers and volumes with their sizes. Bytes are those of files, not of blocks."""

    images: tuple[ImageUsage, ...]
    layers_bytes: int
    """Of all images together, a shared layer counted once."""
    containers: tuple[Container, ...]
    """All of them, sized."""
    volumes: tuple[Volume, ...]
    """All of them, sized."""
