"""The engine: one data root's use cases, put together. No logic of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.engine import reconcile
from core.engine.containers import EngineContainers
from core.engine.images import EngineImages
from core.engine.networks import EngineNetworks
from core.engine.records import ContainerRecords
from core.engine.registries import EngineRegistries
from core.engine.system import EngineSystem
from core.engine.volumes import EngineVolumes
from core.host.settings import read_settings
from core.model.host_report import HostFeature
from core.model.log_drivers import LogConfig
from core.model.registry_settings import RegistrySettings
from core.state.paths import Roots, open_roots


class Engine:
    """core.backend.Backend over one data root; any number of them may be open at once."""

    def __init__(
        self,
        roots: Roots,
        *,
        log_defaults: LogConfig | None = None,
        firewall: str = "",
        registries: RegistrySettings | None = None,
    ) -> None:
        self.roots = roots
        records = ContainerRecords(roots)
        self.containers = EngineContainers(roots, records)
        self.registries = EngineRegistries(registries or RegistrySettings())
        self.images = EngineImages(roots, self.containers, self.registries)
        self.volumes = EngineVolumes(roots, self.containers)
        self.networks = EngineNetworks(roots, records, firewall)
        self.networks.tell = self.containers.tell
        self.containers.networks = self.networks
        self.containers.log_defaults = log_defaults or LogConfig()
        self.containers.images = self.images
        self.containers.volumes = self.volumes
        self.system = EngineSystem(roots, records, self.containers, self.images, self.volumes, self.networks)
        self.system.registries = self.registries.settings
        reconcile.after_boot(roots, records)

    def doctor(self) -> Sequence[HostFeature]:
        """What the host offers this data root and lacks."""
        from core.host.features import probe_host
        from core.storage.drivers import layer_feature

        return [*probe_host(self.roots.data), layer_feature(self.roots)]

    def close(self) -> None:
        """Nothing is kept open between calls."""


def open_engine(root: Path | None = None, run_root: Path | None = None) -> Engine:
    """Open the engine of a data root, making the root the first time.

    Raises: Denied, Unsupported, Conflict: see core.state.paths.open_roots. InvalidInput: a broken
        settings file.
    """
    settings = read_settings()
    roots = open_roots(root, run_root, configured_data=settings.data_root, configured_run=settings.exec_root)
    roots.storage_driver = settings.storage_driver
    return Engine(roots, log_defaults=settings.log, firewall=settings.firewall, registries=settings.registries)
