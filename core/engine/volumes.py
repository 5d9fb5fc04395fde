"""Volumes: arrive with the next merge."""

from __future__ import annotations

from typing import Any

from core.model.volume import Volume
from core.state.paths import Roots


class EngineVolumes:
    """core.backend.Volumes over one data root."""

    def __init__(self, roots: Roots, containers: Any) -> None:
        self._roots = roots

    def exists(self, name: str) -> bool:
        """Whether there is one."""
        raise NotImplementedError

    def create(self, name: str = "") -> Volume:
        """Make one."""
        raise NotImplementedError

    def copy_up(self, layers: tuple[str, ...], target: str, name: str) -> None:
        """Fill it."""
        raise NotImplementedError

    def remove_unused(self, name: str) -> None:
        """Remove it."""
        raise NotImplementedError
