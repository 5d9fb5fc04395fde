"""Registries, as the seam offers them: what lies there, without a local copy."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from core.model.registry_settings import RegistrySettings

if TYPE_CHECKING:
    from core.registry.client import RegistryClient


class EngineRegistries:
    """core.backend.Registries; and what pulls and pushes share."""

    def __init__(self, settings: RegistrySettings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._client: RegistryClient | None = None

    @property
    def client(self) -> RegistryClient:
        """Made by the first who speaks to a registry: most commands never do."""
        from core.registry.client import RegistryClient

        with self._lock:
            if self._client is None:
                self._client = RegistryClient(self.settings)
            return self._client

    @client.setter
    def client(self, client: RegistryClient) -> None:
        self._client = client
