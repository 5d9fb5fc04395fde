"""Making a container: check the wish, merge it with the image, make its volumes and files, publish."""

from __future__ import annotations

import os
import time
from pathlib import Path

from core.backend import CreateResult
from core.engine.images import EngineImages
from core.engine.records import ContainerRecords
from core.engine.sandboxes import write_own_files
from core.engine.volumes import EngineVolumes
from core.errors import InvalidInput, InvalidSpec, Unsupported
from core.model.container import ContainerConfig, ContainerSettings, ContainerSpec
from core.model.health import check_health
from core.model.limits import Limits
from core.model.log_drivers import LogConfig, check_log
from core.model.merge import merge
from core.model.mounts import Mount, MountSpec
from core.model.security import parse_capability
from core.model.signals import parse_signal
from core.state import journal
from core.state.leases import Lease
from core.state.paths import Roots
from core.storage.overlay import prepare_upper

_LEAST_MEMORY_BYTES = 6 * 1024 * 1024
_LONGEST_HOSTNAME = 63


def create(
    roots: Roots,
    records: ContainerRecords,
    images: EngineImages,
    volumes: EngineVolumes,
    spec: ContainerSpec,
    log_defaults: LogConfig,
) -> CreateResult:
    """Make a container and leave it stopped; see core.backend.Containers.create."""
    warnings = _check(spec)
    log = _log_config(spec, log_defaults)
    name = records.choose_name(spec.name)
    image_id = images.resolve(spec.image)
    with Lease(roots.leases, f"image {image_id}") as lease:
        image = images.find(image_id)
        merged = merge(image.config, spec)
        container_id = os.urandom(32).hex()
        hostname = spec.hostname or (os.uname().nodename if spec.network == "host" else container_id[:12])
        made: list[str] = []
        try:
            with records.building(container_id) as hidden:
                mounts = tuple(_mount(roots, volumes, lease, mount, image.layers, made) for mount in merged.mounts)
                config = ContainerConfig(
                    id=container_id,
                    created_ns=time.time_ns(),
                    spec=spec,
                    image_id=image.id,
                    image_name=spec.image,
                    layers=image.layers,
                    entrypoint=merged.entrypoint,
                    command=merged.command,
                    env=merged.env,
                    working_dir=merged.working_dir,
                    user=merged.user,
                    hostname=hostname,
                    stop_signal=merged.stop_signal,
                    labels=merged.labels,
                    mounts=mounts,
                    exposed_ports=merged.exposed_ports,
                    warnings=warnings,
                    health=merged.health,
                    log=log,
                    health_shell=image.config.shell if merged.health else (),
                    settings=ContainerSettings(name=name, limits=spec.limits, restart=spec.restart),
                )
                prepare_upper(roots, image.layers, hidden)
                write_own_files(hidden, hostname, spec.network)
                records.publish(hidden, config, name)
        except BaseException:
            for volume in made:
                lease.drop(f"volume {volume}")
                volumes.remove_unused(volume)
            raise
    attributes = {**merged.labels, "image": spec.image, "name": name}
    journal.append(roots.journal, "container", "create", container_id, attributes)
    return CreateResult(id=container_id, warnings=warnings)


def _log_config(spec: ContainerSpec, defaults: LogConfig) -> LogConfig:
    """The wish over the engine's defaults: their options count for their driver only, as docker has it."""
    driver = spec.log_driver or defaults.driver
    inherited = defaults.options if driver == defaults.driver else {}
    config = LogConfig(driver=driver, options={**inherited, **spec.log_options})
    check_log(config)
    return config


def _mount(
    roots: Roots, volumes: EngineVolumes, lease: Lease, wish: MountSpec, layers: tuple[str, ...], made: list[str]
) -> Mount:
    """Look a wished mount up; volumes are made, and an empty one gets what the image has in its place."""
    if wish.kind != "volume":
        source = os.path.normpath(wish.source) if wish.source else ""
        return Mount(
            kind=wish.kind,
            source=source,
            target=wish.target,
            read_only=wish.read_only,
            propagation=wish.propagation,
            options=wish.options,
            create_source=wish.create_source,
        )
    existed = bool(wish.source) and volumes.exists(wish.source)
    volume = volumes.create(wish.source, lease=lease)
    if not existed:
        made.append(volume.name)
    if not wish.no_copy:
        volumes.copy_up(layers, wish.target, volume.name)
    return Mount(
        kind="volume",
        name=volume.name,
        source=str(roots.volume(volume.name) / "_data"),
        target=wish.target,
        read_only=wish.read_only,
        anonymous=not wish.source,
        no_copy=wish.no_copy,
    )


def _check(spec: ContainerSpec) -> tuple[str, ...]:
    """Refuse what can't work, with docker's words where it has some; what can't be honoured is a warning."""
    if spec.network not in ("none", "host"):
        raise Unsupported(
            f"network {spec.network} is not available: this version has the networks none and host only",
            hint="leave --network out for none, or use --network host",
        )
    hostname = spec.hostname
    if len(hostname) > _LONGEST_HOSTNAME or any(not (c.isalnum() or c in "-._") for c in hostname):
        raise InvalidSpec(f"invalid hostname: {hostname!r}", hint="letters, digits, dots and dashes, at most 63")
    for entry in spec.env:
        if not entry or entry.startswith("=") or "\0" in entry:
            raise InvalidInput(f"invalid environment variable: {entry!r}", hint="write NAME=value")
    if any("\0" in word for word in (*spec.command, *(spec.entrypoint or ()))):
        raise InvalidInput("a command can't contain a NUL character")
    for capability in (*spec.cap_add, *spec.cap_drop):
        parse_capability(capability)
    if spec.stop_signal:
        parse_signal(spec.stop_signal)
    if spec.health:
        check_health(spec.health)
    for mount in spec.mounts:
        _check_mount(mount)
    return _check_limits(spec.limits)


def _check_mount(mount: MountSpec) -> None:
    if not mount.target.startswith("/"):
        raise InvalidSpec(
            f"invalid mount path: '{mount.target}' mount path must be absolute", hint="begin the target with /"
        )
    if os.path.normpath(mount.target) == "/":
        raise InvalidSpec("invalid specification: destination can't be '/'", hint="name a directory below it")
    if mount.kind == "bind" and not mount.source.startswith("/"):
        raise InvalidSpec(f"invalid bind source: {mount.source!r} is not an absolute path", hint="begin it with /")


def _check_limits(limits: Limits) -> tuple[str, ...]:
    cpus = os.cpu_count() or 1
    if limits.memory_bytes and limits.memory_bytes < _LEAST_MEMORY_BYTES:
        raise InvalidSpec("Minimum memory limit allowed is 6MB", hint="give it 6m or more")
    if limits.memory_swap_bytes > 0 and not limits.memory_bytes:
        raise InvalidSpec(
            "You should always set the Memory limit when using Memoryswap limit, see usage", hint="add -m"
        )
    if 0 < limits.memory_swap_bytes < limits.memory_bytes:
        raise InvalidSpec(
            "Minimum memoryswap limit should be larger than memory limit, see usage",
            hint="--memory-swap counts memory and swap together",
        )
    if limits.nano_cpus < 0 or limits.nano_cpus > cpus * 10**9:
        raise InvalidSpec(
            f"range of CPUs is from 0.01 to {cpus:.2f}, as there are only {cpus} CPUs available",
            hint=f"give it {cpus} or less",
        )
    if limits.cpu_shares < 0:
        raise InvalidSpec("invalid CPU shares: they can't be negative", hint="1024 is normal, 2 the least")
    _check_cpuset(limits.cpuset_cpus)
    return ()


def _check_cpuset(text: str) -> None:
    if not text:
        return
    try:
        available = _parse_cpus(Path("/sys/devices/system/cpu/online").read_text().strip())
    except (OSError, ValueError):
        available = set(range(os.cpu_count() or 1))
    try:
        wanted = _parse_cpus(text)
    except ValueError:
        raise InvalidSpec(
            f"invalid cpuset.cpus: {text!r}", hint="write numbers and ranges, for example 0-2,4"
        ) from None
    if not wanted <= available:
        raise InvalidSpec(
            f"Requested CPUs are not available - requested {text}, available: {','.join(map(str, sorted(available)))}",
            hint="choose among the available ones",
        )


def _parse_cpus(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        low, high = int(first), int(last) if dash else int(first)
        if low > high or high > 8191:
            raise ValueError(text)
        found.update(range(low, high + 1))
    return found
