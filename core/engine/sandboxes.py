"""From a created container to the document its monitor starts it from."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from core.engine.isolation import isolation_fields
from core.engine.name_files import OWN_FILES
from core.errors import InvalidSpec, NotFound, wrapped
from core.linux import caps
from core.model import health
from core.model.container import Container, ContainerConfig
from core.model.durations import duration_text
from core.model.ids import short_id
from core.model.isolation import joined_container
from core.model.log_drivers import LogSubject, work_out
from core.model.merge import process_environment
from core.model.mounts import Mount
from core.model.sandbox import (
    MASKED_PATHS,
    READ_ONLY_PATHS,
    SandboxHealth,
    SandboxMount,
    SandboxSpec,
    SandboxVolume,
)
from core.model.security import ALL
from core.state.paths import Roots
from core.storage.overlay import ensure_init_layer, overlay_lowers

if TYPE_CHECKING:
    from core.engine.memberships import Claimed


def group_path(roots: Roots, container: Container) -> str:
    """Where its control group is, below each hierarchy."""
    return f"{container.config.spec.cgroup_parent.strip('/') or roots.tag}/{container.id}"


def build_sandbox(
    roots: Roots,
    container: Container,
    find: Callable[[str], Container],
    claimed: Claimed | None = None,
) -> SandboxSpec:
    """Resolve everything a start needs.

    Args: find: gives another container by its key. claimed: of its networks, None for one on none.
    Raises: NotFound: a layer, a device or a bind's source is gone. NoSpace, Denied: the host refused a file.
        WrongState: a container whose namespace is shared does not run.
    """
    config, spec = container.config, container.config.spec
    directory = Path(container.directory)
    for chain_id in config.layers:
        if not roots.layer(chain_id).is_dir():
            raise NotFound(
                f"layer {short_id(chain_id)} of container {container.name} is missing",
                kind="layer",
                key=chain_id,
                hint=f"load the image {config.image_name} again",
            )
    ensure_init_layer(roots, config.layers)
    bounding = bounding_mask(spec.privileged, spec.cap_add, spec.cap_drop)
    env = (*claimed.variables, *config.env) if claimed else config.env
    joined = joined_container(spec.network)
    names_directory = Path(find(joined).directory) if joined else directory
    is_open = spec.privileged or spec.protection.system_paths_unconfined
    throttles = sorted(Path("/sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle"))
    return SandboxSpec(
        id=container.id,
        attributes={**config.labels, "image": config.image_name, "name": container.name},
        container_dir=container.directory,
        runtime_dir=str(roots.runtime(container.id)),
        journal_dir=str(roots.journal),
        trash_dir=str(roots.trash),
        name_link=str(roots.names / container.name),
        argv=config.argv,
        env=process_environment(env, hostname=config.hostname, tty=spec.tty),
        cwd=config.working_dir or "/",
        user=config.user,
        hostname=config.hostname,
        tty=spec.tty,
        open_stdin=spec.open_stdin,
        stdin_once=spec.attach_stdin,
        own_network=spec.network != "host" and not joined,
        network=claimed.network if claimed else None,
        lowers=tuple(str(path) for path in overlay_lowers(roots, config.layers)),
        upper=str(directory / "upper"),
        work=str(directory / "work"),
        read_only=spec.read_only,
        mounts=(*_own_mounts(names_directory), *(_sandbox_mount(roots, mount) for mount in config.mounts)),
        privileged=spec.privileged,
        bounding=bounding,
        masked_paths=() if is_open else (*MASKED_PATHS, *map(str, throttles)),
        read_only_paths=() if is_open else READ_ONLY_PATHS,
        cgroup=group_path(roots, container),
        limits=container.settings.limits,
        auto_remove=spec.auto_remove,
        volumes=tuple(
            SandboxVolume(name=mount.name, target=mount.target, read_only=mount.read_only)
            for mount in config.mounts
            if mount.kind == "volume"
        ),
        health=_sandbox_health(config),
        log=work_out(config.log, log_subject(container), container.directory),
        init=spec.init,
        anonymous_volumes=tuple(
            str(roots.volume(mount.name)) for mount in config.mounts if mount.kind == "volume" and mount.anonymous
        ),
        warnings=(*config.warnings, *(claimed.warnings if claimed else ())),
        restart=container.settings.restart,
        **isolation_fields(container, bounding, find),
    )


def bounding_mask(privileged: bool, add: tuple[str, ...], drop: tuple[str, ...]) -> int:
    """The capabilities a container may ever have, never more than we have ourselves.

    Docker's rule: with ALL added, everything but the dropped; else the default less the dropped
    (ALL: none of it) and the added on top.
    """
    everything = caps.read_mask("CapBnd")
    if privileged:
        return everything
    added, dropped = _mask(add), _mask(drop)
    if ALL in add:
        return everything & ~dropped
    kept = 0 if ALL in drop else caps.DEFAULT_MASK & ~dropped
    return (kept | added) & everything


def _mask(names: tuple[str, ...]) -> int:
    return sum(1 << caps.CAPABILITIES[name.removeprefix("CAP_")] for name in set(names) if name != ALL)


def _own_mounts(directory: Path) -> tuple[SandboxMount, ...]:
    return tuple(
        SandboxMount(kind="bind", source=str(directory / name), target=f"/etc/{name}", read_only=False, is_ours=True)
        for name in OWN_FILES
    )


def _sandbox_mount(roots: Roots, mount: Mount) -> SandboxMount:
    if mount.kind == "bind":
        _require_source(mount)
    if mount.device is not None or mount.kind == "image" or mount.propagation:
        from core.engine.special_mounts import special_mount

        return special_mount(roots, mount)
    return SandboxMount(
        kind="tmpfs" if mount.kind == "tmpfs" else "bind",
        source=mount.source,
        target=mount.target,
        read_only=mount.read_only,
        options=mount.options,
        propagation=mount.propagation,
        recursive=mount.recursive,
        is_ours=mount.kind == "volume",
        subpath=mount.subpath,
    )


def log_subject(container: Container) -> LogSubject:
    """Whose log it is."""
    config = container.config
    return LogSubject(
        id=container.id,
        name=container.name,
        image_id=config.image_id,
        image_name=config.image_name,
        argv=config.argv,
        labels=config.labels,
        env=config.env,
    )


def _sandbox_health(config: ContainerConfig) -> SandboxHealth | None:
    check = config.health
    if check is None or not check.is_on:
        return None
    timeout_ns = check.timeout_ns or health.DEFAULT_TIMEOUT_NS
    return SandboxHealth(
        argv=check.argv(config.health_shell),
        interval_ns=check.interval_ns or health.DEFAULT_INTERVAL_NS,
        timeout_ns=timeout_ns,
        timeout=duration_text(timeout_ns),
        start_period_ns=check.start_period_ns,
        start_interval_ns=check.start_interval_ns or health.DEFAULT_START_INTERVAL_NS,
        retries=check.retries or health.DEFAULT_RETRIES,
    )


def _require_source(mount: Mount) -> None:
    """A missing host directory is made for -v, and an error for --mount, as docker has it."""
    if os.path.lexists(mount.source):
        return
    if not mount.create_source:
        raise InvalidSpec(
            f'invalid mount config for type "bind": bind source path does not exist: {mount.source}',
            hint="make it first, or use -v, which makes it",
        )
    try:
        os.makedirs(mount.source, 0o755)
    except OSError as error:
        raise wrapped(error, "make bind source", mount.source) from error
