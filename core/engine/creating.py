"""Making a container: check the wish, merge it with the image, make its volumes and files, publish."""

from __future__ import annotations

import os
import time

from core.backend import CreateResult
from core.engine.checking import checked
from core.engine.images import EngineImages
from core.engine.name_files import write_own_files
from core.engine.networks import EngineNetworks
from core.engine.records import ContainerRecords
from core.engine.volumes import EngineVolumes
from core.model.container import ContainerConfig, ContainerSettings, ContainerSpec
from core.model.isolation import joined_container
from core.model.log_drivers import LogConfig, check_log
from core.model.merge import merge
from core.model.mounts import Mount, MountSpec
from core.model.volume_options import read_volume_device
from core.state import journal
from core.state.leases import Lease
from core.state.paths import Roots
from core.storage.overlay import prepare_upper


def create(
    roots: Roots,
    records: ContainerRecords,
    images: EngineImages,
    volumes: EngineVolumes,
    networks: EngineNetworks,
    spec: ContainerSpec,
    log_defaults: LogConfig,
) -> CreateResult:
    """Make a container and leave it stopped; see core.backend.Containers.create."""
    spec, warnings = checked(spec, records.get)
    spec = networks.settled(spec)
    log = _log_config(spec, log_defaults)
    if spec.restart.name != "no":
        from core.engine.restoring import missing_unit

        warnings = (*warnings, *filter(None, [missing_unit(roots, spec.restart)]))
    name = records.choose_name(spec.name)
    image_id = images.resolve(spec.image)
    with Lease(roots.leases, f"image {image_id}") as lease:
        image = images.find(image_id)
        merged = merge(image.config, spec)
        container_id = os.urandom(32).hex()
        shares_name = spec.network == "host" or spec.namespaces.uts == "host"
        hostname = spec.hostname or (os.uname().nodename if shares_name else container_id[:12])
        if key := joined_container(spec.network):
            hostname = records.get(key).config.hostname
        made: list[str] = []
        try:
            with records.building(container_id) as hidden:
                mounts = tuple(
                    _image_mount(images, lease, mount)
                    if mount.kind == "image"
                    else _mount(roots, volumes, lease, mount, image.layers, made)
                    for mount in merged.mounts
                )
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
                write_own_files(hidden, hostname, spec.network, dns=spec.dns, extra_hosts=spec.extra_hosts)
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
            recursive=wish.recursive,
        )
    existed = bool(wish.source) and volumes.exists(wish.source)
    volume = volumes.create(wish.source, labels=wish.labels, options=wish.volume_options, lease=lease)
    if not existed:
        made.append(volume.name)
    if not wish.no_copy and not wish.subpath:
        volumes.copy_up(layers, wish.target, volume.name)
    return Mount(
        kind="volume",
        name=volume.name,
        source=str(roots.volume(volume.name) / "_data"),
        target=wish.target,
        read_only=wish.read_only,
        anonymous=not wish.source,
        no_copy=wish.no_copy,
        subpath=wish.subpath,
        device=read_volume_device(volume.options),
    )


def _image_mount(images: EngineImages, lease: Lease, wish: MountSpec) -> Mount:
    """Another image, to be read at its target."""
    image_id = images.resolve(wish.source)
    lease.add(f"image {image_id}")
    return Mount(
        kind="image",
        name=wish.source,
        source=image_id,
        target=wish.target,
        read_only=True,
        subpath=wish.subpath,
        layers=images.find(image_id).layers,
    )
