"""From a sandbox document to the tuple of steps that builds it. Pure: what a security reviewer reads.

The default container's plan is kept as text under tests/golden.
"""

from __future__ import annotations

from typing import Any

from core.cgroups.v1 import CONTROLLERS
from core.linux.mounts import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
)
from core.monitor import steps
from core.monitor.steps import Step

_NOTHING_RUNS = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC

_NODES = (
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
)
_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
    ("core", "/proc/kcore"),
)
_TMPFS_FLAGS = {
    "ro": (MOUNT_ATTR_RDONLY, True),
    "rw": (MOUNT_ATTR_RDONLY, False),
    "nosuid": (MOUNT_ATTR_NOSUID, True),
    "suid": (MOUNT_ATTR_NOSUID, False),
    "nodev": (MOUNT_ATTR_NODEV, True),
    "dev": (MOUNT_ATTR_NODEV, False),
    "noexec": (MOUNT_ATTR_NOEXEC, True),
    "exec": (MOUNT_ATTR_NOEXEC, False),
}


def build(spec: dict[str, Any], controllers: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[Step, ...]:
    """The steps up to and with the change of root.

    Args: controllers: on v1 the hierarchies' directory names and options; empty on v2.
    """
    privileged = spec["privileged"]
    sys_attributes = _NOTHING_RUNS | (0 if privileged else MOUNT_ATTR_RDONLY)
    # on v1 the files of a group are also those that say which devices it may use: they stay read-only
    is_writable = privileged or (spec["writable_cgroups"] and not controllers)
    group_attributes = _NOTHING_RUNS | (0 if is_writable else MOUNT_ATTR_RDONLY)
    directories = ("pts", "mqueue") if spec["ipc_namespace"] == "none" else ("pts", "shm", "mqueue")
    devices = steps.MountDevices(_NODES, _LINKS, directories, console=spec["tty"])
    slave = any(mount["propagation"] in ("rslave", "slave", "rshared", "shared") for mount in spec["mounts"])
    plan: list[Step] = [] if spec["cgroup_namespace"] == "host" else [steps.NewCgroupNamespace()]
    plan += [
        steps.TakeShared(mount["source"], mount["target"], mount["recursive"] != "disabled")
        for mount in spec["mounts"]
        if mount["propagation"] in ("shared", "rshared")
    ]
    plan += [
        steps.PrivateMounts(slave),
        steps.MountRoot(tuple(spec["lowers"]), spec["upper"], spec["work"]),
        steps.MountNew("proc", "/proc", (), _NOTHING_RUNS),
        *(steps.Sysctl(path, value) for path, value in spec["sysctls"].items()),
        steps.MountAllDevices(devices) if privileged else devices,
        steps.MountNew(
            "devpts",
            "/dev/pts",
            (("newinstance", None), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")),
            MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
        ),
        steps.MountNew("sysfs", "/sys", (), sys_attributes),
        steps.CgroupTree(controllers, group_attributes)
        if controllers
        else steps.MountNew("cgroup2", "/sys/fs/cgroup", (), group_attributes),
        steps.MountNew("mqueue", "/dev/mqueue", (), _NOTHING_RUNS),
        *_shared_memory(spec),
    ]
    if spec["tty"]:
        plan.append(steps.Terminal())
    plan += [_mount(mount) for mount in sorted(spec["mounts"], key=lambda mount: mount["target"].count("/"))]
    plan += [
        steps.AddDevice(
            device["source"],
            device["target"],
            device["kind"] == "b",
            (device["major"], device["minor"]),
            device["mode"],
            (device["uid"], device["gid"]),
        )
        for device in spec["devices"]
    ]
    plan += [steps.Mask(path) for path in spec["masked_paths"]]
    plan += [steps.ReadOnly(path) for path in spec["read_only_paths"]]
    if spec["uts_namespace"] == "own":
        plan.append(steps.Hostname(spec["hostname"]))
        if spec["domainname"]:
            plan.append(steps.Domainname(spec["domainname"]))
    if spec["own_network"]:
        plan.append(steps.LoopbackUp())
    plan.append(steps.PivotRoot(spec["read_only"]))
    return tuple(plan)


def _mount(mount: dict[str, Any]) -> Step:
    if mount["kind"] == "tmpfs":
        return _tmpfs(mount["target"], mount["options"], mount["read_only"])
    if mount["kind"] == "image":
        return steps.MountImage(tuple(mount["lowers"]), mount["target"], mount["subpath"])
    return steps.Bind(
        mount["source"],
        mount["target"],
        mount["read_only"],
        mount["propagation"],
        mount["recursive"],
        mount["subpath"],
    )


def _shared_memory(spec: dict[str, Any]) -> tuple[Step, ...]:
    """/dev/shm belongs to the IPC namespace: whoever shares that shares its memory too."""
    match spec["ipc_namespace"]:
        case "none":
            return ()
        case "own":
            size = f"{spec['shm_size_bytes'] // 1024}k"
            return (steps.MountNew("tmpfs", "/dev/shm", (("mode", "1777"), ("size", size)), _NOTHING_RUNS),)
        case _:
            return (steps.Bind("/dev/shm", "/dev/shm", read_only=False),)


def _tmpfs(target: str, words: list[str], read_only: bool) -> Step:
    """Docker's defaults are noexec, nosuid, nodev; each word may turn one back."""
    attributes = _NOTHING_RUNS | (MOUNT_ATTR_RDONLY if read_only else 0)
    options: list[tuple[str, str | None]] = []
    for word in words:
        if word in _TMPFS_FLAGS:
            bit, is_set = _TMPFS_FLAGS[word]
            attributes = attributes | bit if is_set else attributes & ~bit
        else:
            key, equals, value = word.partition("=")
            options.append((key, value if equals else None))
    return steps.MountTmpfs(target, tuple(options), attributes)


def v1_controllers(mounts: dict[str, str], *, own: bool) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Directory names and mount options of the v1 hierarchies, from {controller: mount point}.

    Args: own: only those in which a container has a group. Of another (name=systemd, perf_event …) it
        would see the host's whole tree.
    """
    by_point: dict[str, list[str]] = {}
    for controller, point in mounts.items():
        by_point.setdefault(point, []).append(controller)
    shown = {point: names for point, names in by_point.items() if not own or set(names) & set(CONTROLLERS)}
    return tuple((point.rpartition("/")[2], tuple(names)) for point, names in sorted(shown.items()))
