"""The engine and its host, as the seam offers them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from core import about
from core.backend import EngineInfo
from core.cgroups import driver
from core.engine.containers import EngineContainers
from core.engine.images import EngineImages
from core.engine.networks import EngineNetworks
from core.engine.records import ContainerRecords
from core.engine.volumes import EngineVolumes
from core.errors import EngineError, wrapped
from core.model.events import Event
from core.model.findings import Finding
from core.model.log_drivers import OPTIONS
from core.model.progress import CancelToken
from core.model.registry_settings import LOOPBACK, RegistrySettings
from core.model.restart import Restored
from core.model.stats import HostSample
from core.model.usage import DiskUsage
from core.state import journal
from core.state.locks import Rank, locked
from core.state.paths import Roots


class EngineSystem:
    """core.backend.System over one data root."""

    def __init__(
        self,
        roots: Roots,
        records: ContainerRecords,
        containers: EngineContainers,
        images: EngineImages,
        volumes: EngineVolumes,
        networks: EngineNetworks,
    ) -> None:
        self._roots = roots
        self._records = records
        self._volumes = volumes
        self._networks = networks
        self._containers = containers
        self._images = images
        self.registries = RegistrySettings()

    def info(self) -> EngineInfo:
        """What this engine is and where it runs."""
        import platform

        from core.storage.drivers import driver_of

        states = [container.status for container in self._containers.all()]
        hierarchies = driver.find_hierarchies()
        return EngineInfo(
            version=about.VERSION,
            data_root=str(self._roots.data),
            run_root=str(self._roots.run),
            kernel=platform.release(),
            operating_system=_operating_system(),
            architecture=platform.machine(),
            hostname=platform.node(),
            cpu_count=os.cpu_count() or 1,
            memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            cgroup_version=hierarchies.version,
            storage_driver=driver_of(self._roots),
            containers_running=states.count("running"),
            containers_paused=states.count("paused"),
            containers_stopped=len(states) - states.count("running") - states.count("paused"),
            images=len(self._images.list()),
            security_options=("name=seccomp,profile=builtin", "name=cgroupns"),
            warnings=_warnings(hierarchies),
            logging_driver=self._containers.log_defaults.driver,
            log_drivers=tuple(sorted(OPTIONS)),
            identity=self._roots.identity,
            storage_status=_storage_status(self._roots),
            limits=driver.limits_of(hierarchies),
            forwards_ipv4=_reads("/proc/sys/net/ipv4/ip_forward") == "1",
            firewall=self._networks.firewall_name,
            registry_mirrors=self.registries.mirrors,
            insecure_registries=(*self.registries.insecure, *LOOPBACK),
        )

    def host(self) -> HostSample:
        """The machine just now."""
        from core.stats.host import sample_host

        return sample_host(self._roots.data)

    def events(
        self, *, since_ns: int | None = None, until_ns: int | None = None, cancel: CancelToken
    ) -> Iterator[Event]:
        """Kept events, then live ones."""
        return journal.follow(self._roots.journal, cancel, since_ns=since_ns, until_ns=until_ns)

    def disk_usage(self) -> DiskUsage:
        """What everything takes of the disk."""
        from core.engine.usage import measure

        return measure(self._roots, self._containers, self._images, self._volumes)

    def fsck(self, *, repair: bool = False, deep: bool = False, cancel: CancelToken | None = None) -> Sequence[Finding]:
        """Check all that is stored; mend it where that is asked for."""
        from core.engine.fsck.check import StoreCheck

        check = StoreCheck(self._roots, self._records, self._volumes, self._networks.firewall)
        return check.run(repair=repair, deep=deep, cancel=cancel or CancelToken())

    def restore(self) -> Sequence[Restored]:
        """After a boot: start the containers that their policy wants to run, oldest first."""
        from core.engine import restoring

        return restoring.restore(self._containers)

    def stop_all(self) -> Sequence[Restored]:
        """The host shuts down: stop everything that runs, so that its policy still counts after the boot."""
        from core.engine import restoring

        return restoring.stop_all(self._containers)

    def restore_unit(self, program: str) -> tuple[str, str]:
        """A systemd unit that has restore() done at boot: its file's name and its text."""
        from core.engine import restoring

        return restoring.unit(self._roots, program)

    def reset(self) -> None:
        """Stop and remove everything this data root holds, the roots themselves too."""
        import shutil

        from core.monitor import proto

        for container in self._containers.all():
            self._containers.remove(container.id, force=True)
        self._networks.remove_all()
        try:
            connection = proto.connect(self._roots.spawner_socket)
            proto.send(connection, {"op": "quit", "protocol": proto.PROTOCOL})
            proto.receive(connection)
            connection.close()
        except OSError:
            pass  # none runs
        with locked(self._roots.store_lock, Rank.STORE, what="the store", purpose="reset"):
            if self._containers.all():
                raise EngineError("a container was created during the reset", hint="run it again")
            for path in (self._roots.data, self._roots.run):
                try:
                    shutil.rmtree(path)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise wrapped(error, "remove", path) from error
        hierarchies = driver.find_hierarchies()
        for name in ("spawner", ""):
            driver.choose(hierarchies, f"{self._roots.tag}/{name}".rstrip("/")).remove()


def _operating_system() -> str:
    import platform

    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()


def _storage_status(roots: Roots) -> tuple[tuple[str, str], ...]:
    from core.host.mount_table import mount_of
    from core.storage.drivers import can_mount

    fstype = mount_of(roots.data).fstype
    tried = can_mount(roots)
    return (
        ("Backing Filesystem", "extfs" if fstype in ("ext2", "ext3", "ext4") else fstype),
        ("Supports d_type", "true"),
        ("Native Overlay Diff", "true"),
        ("userxattr", "false"),
        ("Mounts Tars", "true" if tried.works else f"false: {tried.why}"),
    )


def _reads(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _warnings(hierarchies: driver.Hierarchies) -> tuple[str, ...]:
    """What this host lacks that containers would notice."""
    from core.linux import caps

    found = []
    if not caps.read_mask("CapEff") >> caps.CAPABILITIES["SYS_RESOURCE"] & 1:
        found.append("no CAP_SYS_RESOURCE: hard limits can't be raised, negative oom scores can't be set")
    if hierarchies.version != "2":
        missing = [name for name in ("cpu", "memory", "pids", "devices", "freezer") if name not in hierarchies.v1]
        found += [f"no {name} cgroup: its limits have no effect" for name in missing]
    return tuple(found)
