"""From what a person wrote of namespaces, devices and filters to what a monitor is told.

Everything here is looked up at each start: the container whose namespace is shared may have a
new first process, and a device another number. What few containers ask for is imported by the
call that needs it: a start pays for its imports.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

from core.errors import InvalidSpec, NotFound, WrongState
from core.model.container import Container, ContainerSpec, Running
from core.model.devices import DeviceSpec
from core.model.isolation import REMAP, joined_container
from core.model.protection import BUILTIN, UNCONFINED, Protection
from core.model.sandbox import DeviceAccess, Joined, SandboxDevice, UserMap
from core.model.sysctls import effective_sysctls, sysctl_path

Find = Callable[[str], Container]
_SHM_BYTES = 64 * 1024 * 1024
_MOST_NODES = 1024
"""In one directory given to --device: /dev itself has some hundred."""


def isolation_fields(container: Container, bounding: int, find: Find) -> dict[str, Any]:
    """The fields of a SandboxSpec that say how a container is set apart.

    Args: find: gives another container by its key.
    Raises: NotFound: a device or another container is gone. WrongState: it does not run.
        InvalidSpec: it does not share its IPC namespace, or the seccomp profile can't be honoured.
    """
    spec = container.config.spec
    modes, protection = spec.namespaces, spec.protection
    joined = {kind: donor.state for kind, donor in donors(container, find).items()}
    accesses = [_access(rule) for rule in spec.device_rules]
    devices: list[SandboxDevice] = []
    for device in spec.devices:
        for node in _nodes(device):
            devices.append(node)
            accesses.append(DeviceAccess(kind=node.kind, major=node.major, minor=node.minor, access=device.access))
    own_network = spec.network != "host" and not joined_container(spec.network)
    sysctls = effective_sysctls(spec.sysctls, own_network=own_network, remapped=modes.user == REMAP)
    return {
        "pid_namespace": _kept(modes.pid),
        "ipc_namespace": "none" if modes.ipc == "none" else _kept(modes.ipc),
        "uts_namespace": _kept(modes.uts),
        "cgroup_namespace": _kept(modes.cgroup),
        "joined": {
            kind: Joined(pid=state.pid, start_ticks=state.start_ticks)
            for kind, state in joined.items()
            if isinstance(state, Running)
        },
        "user_map": user_map(spec),
        "devices": tuple(devices),
        "device_accesses": tuple(accesses),
        "sysctls": {sysctl_path(name): value for name, value in sysctls.items()},
        "ulimits": spec.ulimits,
        "groups": spec.group_add,
        "oom_score_adj": spec.oom_score_adj,
        "shm_size_bytes": spec.shm_size_bytes or _SHM_BYTES,
        "domainname": spec.domainname,
        "seccomp": _program(protection, bounding, privileged=spec.privileged),
        "no_new_privileges": protection.no_new_privileges,
        "apparmor": protection.apparmor,
        "writable_cgroups": protection.writable_cgroups,
    }


def _kept(mode: str) -> str:
    if mode == "host":
        return "host"
    return "joined" if joined_container(mode) else "own"


def donors(container: Container, find: Find) -> dict[str, Container]:
    """The running containers whose namespaces one shares, by kind (pid, ipc, network)."""
    modes = container.config.spec.namespaces
    found: dict[str, Container] = {}
    for kind, mode in (("pid", modes.pid), ("ipc", modes.ipc), ("network", container.config.spec.network)):
        if not (key := joined_container(mode)):
            continue
        donor = find(key)
        title = kind if kind == "network" else kind.upper()
        if not isinstance(donor.state, Running) or donor.id == container.id:
            raise WrongState(
                f"cannot join {title} of a non running container: {donor.id}",
                hint=f"start it first: start {donor.name}",
            )
        theirs = donor.config.spec.namespaces
        if kind == "ipc" and theirs.ipc != "shareable":
            raise InvalidSpec(
                f"can't join IPC of container {donor.id}: non-shareable IPC "
                "(hint: use IpcMode:shareable for the donor container)",
                hint=f"make {donor.name} again with --ipc shareable",
            )
        if (theirs.user == REMAP) != (modes.user == REMAP):
            raise InvalidSpec(
                f"can't join {title} of container {donor.name}: only one of the two has a user namespace",
                hint="give both or neither --userns=remap",
            )
        found[kind] = donor
    return found


def user_map(spec: ContainerSpec) -> UserMap | None:
    """The ids of a remapped container, None for one without a user namespace."""
    if spec.namespaces.user != REMAP:
        return None
    from core.host.subordinate import default_map

    uid, gid, size = default_map()
    return UserMap(uid=uid, gid=gid, size=size)


def _access(rule: str) -> DeviceAccess:
    kind, numbers, access = rule.split(" ")
    major, _, minor = numbers.partition(":")
    return DeviceAccess(
        kind=kind,
        major=None if major == "*" or kind == "a" else int(major),
        minor=None if minor == "*" or kind == "a" else int(minor),
        access=access,
    )


def _nodes(device: DeviceSpec) -> Iterator[SandboxDevice]:
    """One node, or every node below a directory, as docker has it."""
    what = f'error gathering device information while adding custom device "{device.source}"'
    try:
        found = os.stat(device.source)
    except OSError as error:
        raise NotFound(
            f"{what}: {(error.strerror or '').lower()}",
            kind="device",
            key=device.source,
            hint="look for its name with ls /dev",
        ) from None
    if not stat.S_ISDIR(found.st_mode):
        if not (stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)):
            raise InvalidSpec(f"{what}: not a device node", hint="use -v for files and directories")
        yield _node(device.source, device.target, found)
        return
    count = 0
    for directory, _, names in os.walk(device.source):
        for name in sorted(names):
            path = os.path.join(directory, name)
            found = os.stat(path, follow_symlinks=False)
            if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
                count += 1
                yield _node(path, device.target + path.removeprefix(device.source), found)
    if not 0 < count <= _MOST_NODES:
        raise InvalidSpec(f"{what}: {count or 'no'} device nodes in it", hint="name one node")


def _node(source: str, target: str, found: os.stat_result) -> SandboxDevice:
    return SandboxDevice(
        source=source,
        target=target,
        kind="b" if stat.S_ISBLK(found.st_mode) else "c",
        major=os.major(found.st_rdev),
        minor=os.minor(found.st_rdev),
        mode=stat.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
    )


def check_seccomp(protection: Protection) -> None:
    """Refuse a profile of one's own that can't be honoured, before anything is made.

    Raises: InvalidSpec.
    """
    _program(protection, 0, privileged=False)


def _program(protection: Protection, bounding: int, *, privileged: bool) -> str:
    """What SandboxSpec.seccomp says; privileged containers have no filter unless one is named."""
    if protection.seccomp in ("", BUILTIN):
        return UNCONFINED if privileged and not protection.seccomp else ""
    if protection.seccomp == UNCONFINED:
        return UNCONFINED
    import base64

    from core.engine.seccomp_json import read_profile
    from core.linux import seccomp

    profile = read_profile(protection.seccomp, bounding)
    try:
        program = seccomp.compile_custom(profile)
    except OSError as error:
        raise InvalidSpec(
            f"seccomp profile: {error.strerror}", hint="--security-opt seccomp=builtin has ours"
        ) from None
    return base64.b64encode(program).decode()
