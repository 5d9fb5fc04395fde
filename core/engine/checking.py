"""Before a container is made: refuse what can't work, warn of what can't be honoured to the letter."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from core.errors import InvalidInput, InvalidSpec, NotFound
from core.model.container import Container, ContainerSpec
from core.model.health import check_health
from core.model.isolation import check_namespaces, joined_container
from core.model.limits import Limits, check_limits, limit_warnings, parse_cpuset
from core.model.mounts import Mount, MountSpec, clean_subpath
from core.model.networking import (
    check_networking,
    parse_dns_option,
    parse_dns_search,
    parse_dns_server,
    parse_extra_host,
)
from core.model.protection import Protection, read_protection
from core.model.security import parse_capability
from core.model.signals import parse_signal
from core.model.sysctls import check_sysctls
from core.model.volume_options import read_volume_device

Find = Callable[[str], Container]
_LONGEST_HOSTNAME = 63
_LONGEST_DOMAINNAME = 64


def checked(spec: ContainerSpec, find: Find) -> tuple[ContainerSpec, tuple[str, ...]]:
    """The wish with what it takes from other containers written out, and warnings.

    Args: find: gives another container by its key.
    Raises: InvalidSpec, InvalidInput, NotFound: with docker's words where it has some.
    """
    network_warnings = check_networking(spec)
    _check_names(spec)
    _check_lines(spec)
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
    warnings = (*network_warnings, *check_host_limits(spec.limits), *_check_protection(spec))
    return _settled(spec, find), warnings


def _check_names(spec: ContainerSpec) -> None:
    hostname = spec.hostname
    if len(hostname) > _LONGEST_HOSTNAME or any(not (c.isalnum() or c in "-._") for c in hostname):
        raise InvalidSpec(f"invalid hostname: {hostname!r}", hint="letters, digits, dots and dashes, at most 63")
    domain = spec.domainname
    if (
        len(domain) > _LONGEST_DOMAINNAME
        or not domain.isascii()
        or any(not (c.isalnum() or c in "-._") for c in domain)
    ):
        raise InvalidSpec(f"invalid domainname: {domain!r}", hint="letters, digits, dots and dashes, at most 64")
    parent = spec.cgroup_parent
    if parent and (".." in parent.split("/") or "\0" in parent or not parent.strip("/")):
        raise InvalidSpec(f"invalid cgroup parent: {parent!r}", hint="write a path such as /mine, without ..")


def _check_lines(spec: ContainerSpec) -> None:
    """What becomes rows of /etc/hosts and /etc/resolv.conf: one row each. Who reads flags has done so already."""
    for values, parse in (
        (spec.extra_hosts, parse_extra_host),
        (spec.dns.servers, parse_dns_server),
        (spec.dns.search, parse_dns_search),
        (spec.dns.options, parse_dns_option),
    ):
        for value in values:
            parse(value)


def _check_mount(mount: MountSpec) -> None:
    if not mount.target.startswith("/"):
        raise InvalidSpec(
            f"invalid mount path: '{mount.target}' mount path must be absolute", hint="begin the target with /"
        )
    if os.path.normpath(mount.target) == "/":
        raise InvalidSpec("invalid specification: destination can't be '/'", hint="name a directory below it")
    clean_subpath(mount.subpath)
    read_volume_device(mount.volume_options)
    if mount.kind == "image" and not mount.source:
        raise InvalidSpec('invalid mount config for type "image": field Source must not be empty', hint="name an image")
    if mount.kind == "bind" and not mount.source.startswith("/"):
        raise InvalidSpec(f"invalid bind source: {mount.source!r} is not an absolute path", hint="begin it with /")


def check_host_limits(limits: Limits) -> tuple[str, ...]:
    """Refuse limits that this host can't give; what a person should know of others."""
    check_limits(limits)
    cpus = os.cpu_count() or 1
    if limits.nano_cpus < 0 or limits.nano_cpus > cpus * 10**9:
        raise InvalidSpec(
            f"Range of CPUs is from 0.01 to {cpus:.2f}, as there are only {cpus} CPUs available",
            hint=f"give it {cpus} or less",
        )
    _check_online(limits.cpuset_cpus, "CPUs", "/sys/devices/system/cpu/online", frozenset(range(cpus)))
    _check_online(limits.cpuset_mems, "memory nodes", "/sys/devices/system/node/online", frozenset({0}))
    _check_disks(limits)
    return limit_warnings(limits)


def _check_disks(limits: Limits) -> None:
    """Refuse a rate of a disk that is not there, with docker's words."""
    rates = (limits.device_read_bps, limits.device_write_bps, limits.device_read_iops, limits.device_write_iops)
    for rate in (each for kind in (*rates, limits.blkio_weight_devices) for each in kind):
        if not os.path.exists(rate.path):
            raise NotFound(
                f"stat {rate.path}: no such file or directory",
                kind="device",
                key=rate.path,
                hint="name a disk, for example /dev/sda",
            )


def _check_online(text: str, what: str, path: str, otherwise: frozenset[int]) -> None:
    if not text:
        return
    wanted = parse_cpuset(text)
    try:
        available = parse_cpuset(Path(path).read_text().strip())
    except (OSError, InvalidInput):
        available = otherwise
    if not wanted <= available:
        raise InvalidSpec(
            f"Requested {what} are not available - requested {text}, "
            f"available: {','.join(map(str, sorted(available)))}",
            hint="choose among the available ones",
        )


def _check_protection(spec: ContainerSpec) -> tuple[str, ...]:
    """What only this host can answer: a profile's JSON, and security modules that it lacks."""
    if not -1000 <= spec.oom_score_adj <= 1000:
        raise InvalidInput(f"Invalid value {spec.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    check_namespaces(
        spec.namespaces,
        privileged=spec.privileged,
        network=spec.network,
        hostname=spec.hostname,
        domainname=spec.domainname,
    )
    check_sysctls(spec.sysctls, spec.namespaces, network=spec.network)
    protection = read_protection(spec.protection.words)
    if protection != spec.protection:
        raise InvalidSpec("the security options disagree with their words", hint="build them by read_protection()")
    if protection == Protection():
        return ()
    from core.engine.isolation import check_seccomp

    check_seccomp(protection)
    warnings = []
    if protection.apparmor not in ("", "unconfined") and not _has_apparmor():
        warnings.append(f"apparmor={protection.apparmor} has no effect: this host's kernel has no AppArmor")
    if protection.writable_cgroups and not os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        warnings.append(
            "writable-cgroups has no effect: on cgroup version 1 a group's files also say which devices it may use"
        )
    if any(label != "disable" for label in protection.labels) and not os.path.isdir("/sys/fs/selinux"):
        warnings.append("label options have no effect: this host has no SELinux")
    return tuple(warnings)


def _has_apparmor() -> bool:
    try:
        return Path("/sys/module/apparmor/parameters/enabled").read_text().startswith("Y")
    except OSError:
        return False


def _settled(spec: ContainerSpec, find: Find) -> ContainerSpec:
    """Keys of other containers become full ids, so that a later rename changes nothing; their volumes are copied."""
    modes = spec.namespaces
    fields = {}
    for field in ("pid", "ipc"):
        if key := joined_container(getattr(modes, field)):
            fields[field] = f"container:{find(key).id}"
    if fields:
        spec = msgspec.structs.replace(spec, namespaces=msgspec.structs.replace(modes, **fields))
    if key := joined_container(spec.network):
        spec = msgspec.structs.replace(spec, network=f"container:{find(key).id}")
    if not spec.volumes_from:
        return spec
    targets = {mount.target for mount in spec.mounts}
    mounts = list(spec.mounts)
    for wish in spec.volumes_from:
        key, read_only = read_volumes_from(wish)
        for mount in find(key).config.mounts:
            if mount.kind not in ("tmpfs", "image") and mount.target not in targets:
                targets.add(mount.target)
                mounts.append(_again(mount, read_only))
    return msgspec.structs.replace(spec, mounts=tuple(mounts))


def read_volumes_from(text: str) -> tuple[str, bool | None]:
    """A container's key and whether its volumes are to be read only; None: as they are there.

    Raises: InvalidInput: with docker's words.
    """
    key, colon, modes = text.partition(":")
    if not key:
        raise InvalidInput(f"malformed volumes-from specification: {text}", hint="write a container's name")
    read_only: bool | None = None
    for mode in modes.split(",") if colon else ():
        if mode not in ("ro", "rw", "z", "Z"):
            raise InvalidInput(f"invalid mode: {modes}", hint="write ro or rw")
        if mode in ("ro", "rw"):
            read_only = mode == "ro"
    return key, read_only


def _again(mount: Mount, read_only: bool | None) -> MountSpec:
    return MountSpec(
        kind=mount.kind,
        source=mount.name or mount.source,
        target=mount.target,
        read_only=mount.read_only if read_only is None else read_only,
        no_copy=mount.no_copy,
        propagation=mount.propagation,
        create_source=mount.create_source,
        recursive=mount.recursive,
        subpath=mount.subpath,
        given_by="--volumes-from",
    )
