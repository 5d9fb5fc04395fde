"""Who uses images: containers, as far as images need to know of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from core.engine.tree import Tree
from core.model.container import Container


class HeldContainer(msgspec.Struct, frozen=True):
    """A container whose lock is held (and which is frozen, if that was asked for and it runs)."""

    container: Container
    tree: Tree


class ContainerView(Protocol):
    """What images need to know of containers."""

    def all(self) -> Sequence[Container]:
        """Every container. Called under the store lock: takes no lock of its own."""

    def held(self, key: str, *, pause: bool) -> AbstractContextManager[HeldContainer]:
        """Resolve a container and hold its lock; with pause, a running one is frozen meanwhile."""


def users_by_image(containers: ContainerView) -> dict[str, list[Container]]:
    """Containers by the id of the images they were made from, or mount."""
    users: dict[str, list[Container]] = {}
    for container in containers.all():
        mounted = {mount.source for mount in container.config.mounts if mount.kind == "image"}
        for image_id in {container.config.image_id} | mounted:
            users.setdefault(image_id, []).append(container)
    return users
