"""`system df`: sizes of everything, put together."""

from __future__ import annotations

from collections import Counter

from core.engine.containers import EngineContainers
from core.engine.images import EngineImages
from core.engine.volumes import EngineVolumes
from core.model.usage import DiskUsage, ImageUsage
from core.state.paths import Roots
from core.storage.layers import layer_size


def measure(roots: Roots, containers: EngineContainers, images: EngineImages, volumes: EngineVolumes) -> DiskUsage:
    """Walk what containers and volumes hold; layers say their size themselves."""
    found = images.list()
    users = Counter(chain for image in found for chain in image.layers)
    sizes = {chain: layer_size(roots, chain) for chain in users}
    return DiskUsage(
        images=tuple(
            ImageUsage(image=image, shared_bytes=sum(sizes[chain] for chain in image.layers if users[chain] > 1))
            for image in found
        ),
        layers_bytes=sum(sizes.values()),
        containers=tuple(containers.list(all=True, size=True)),
        volumes=tuple(volumes.list(sizes=True)),
    )
