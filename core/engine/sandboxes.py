"""From a created container to the document its monitor starts it from."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from core.engine.isolation import isolation_fields
from core.errors import InvalidSpec, NotFound, wrapped
from core.linux import caps
from core.model import health
from core.model.container import Container, ContainerConfig
from core.model.durations import duration_text
from core.model.ids import short_id
from core.model.log_drivers import LogSubject, work_out
from core.model.merge import process_environment
from core.model.mounts import Mount
from core.model.sandbox import MASKED_PATHS, READ_ONLY_PATHS, SandboxHealth, SandboxMount, SandboxSpec, SandboxVolume
from core.model.security import ALL
from core.state.paths import Roots
from core.storage.overlay import ensure_init_layer, overlay_lowers

_HOSTS = (
    "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n"
    "ff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
)
_OWN_FILES = ("resolv.conf", "hostname", "hosts")


def group_path(roots: Roots, container: Container) -> str:
    """Where its control group is, below each hierarchy."""
    return f"{container.config.spec.cgroup_parent.strip('/') or roots.tag}/{container.id}"


def build_sandbox(roots: Roots, container: Container, find: Callable[[str], Container]) -> SandboxSpec:
    """Resolve everything a start needs.

    Args: find: gives another container by its key.
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
        env=process_environment(config.env, hostname=config.hostname, tty=spec.tty),
        cwd=config.working_dir or "/",
        user=config.user,
        hostname=config.hostname,
        tty=spec.tty,
        open_stdin=spec.open_stdin,
        stdin_once=spec.attach_stdin,
        own_network=spec.network != "host",
        lowers=tuple(str(path) for path in overlay_lowers(roots, config.layers)),
        upper=str(directory / "upper"),
        work=str(directory / "work"),
        read_only=spec.read_only,
        mounts=(*_own_mounts(directory), *(_sandbox_mount(roots, mount) for mount in config.mounts)),
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
        warnings=config.warnings,
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
        for name in _OWN_FILES
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


def write_own_files(directory: Path, hostname: str, network: str, *, names: Sequence[str] = _OWN_FILES) -> None:
    """The files that are bound over /etc/hostname, /etc/hosts and /etc/resolv.conf; none of them is there yet."""
    hosts, resolver = _HOSTS, _resolver_of_host()
    if network == "host":
        hosts = _read_text("/etc/hosts") or _HOSTS
        resolver = _read_text("/etc/resolv.conf")
    for name, text in (("hostname", f"{hostname}\n"), ("hosts", hosts), ("resolv.conf", resolver)):
        if name not in names:
            continue
        try:
            descriptor = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
        except OSError as error:
            raise wrapped(error, "write", directory / name) from error


def _resolver_of_host() -> str:
    """The host's resolv.conf without name servers that only the host's own loopback has."""
    lines = []
    for line in _read_text("/etc/resolv.conf").splitlines():
        words = line.split()
        if words[:1] == ["nameserver"] and len(words) > 1 and words[1].startswith(("127.", "::1")):
            continue
        lines.append(line)
    return "\n".join(lines) + "\n"


def _read_text(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""
