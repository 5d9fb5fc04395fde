"""`HostConfig` of docker's container document: what a person asked of the host, as `inspect` shows it."""

from __future__ import annotations

from app.commands.go_values import NIL, Omitting, OpenMap, Struct
from app.commands.network_documents import default_links, port_bindings
from core.model.container import Container, ContainerSpec
from core.model.limits import DeviceRate, Limits, parse_bytes
from core.model.mounts import MountSpec
from core.model.sandbox import MASKED_PATHS, READ_ONLY_PATHS

Document = dict[str, object]
_SHM_BYTES = 64 * 1024**2


def host_config(container: Container) -> Document:
    """The whole of it; what does not exist here keeps docker's "nothing"."""
    spec, restart = container.config.spec, container.settings.restart
    modes = spec.namespaces
    tmpfs = {
        mount.target: ",".join(mount.options)
        for mount in spec.mounts
        if mount.kind == "tmpfs" and mount.given_by == "--tmpfs"
    }
    shown: Document = {
        "Binds": [_bind(mount) for mount in spec.mounts if _is_bind(mount)] or None,
        "ContainerIDFile": "",
        "LogConfig": Struct(Type=container.config.log.driver, Config=OpenMap(container.config.log.options)),
        "NetworkMode": spec.network,
        "PortBindings": port_bindings(spec.ports),
        "RestartPolicy": Struct(Name=restart.name, MaximumRetryCount=restart.most_retries),
        "AutoRemove": spec.auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": list(spec.volumes_from) or None,
        **({"Annotations": OpenMap(spec.annotations)} if spec.annotations else {}),
        "CapAdd": list(spec.cap_add) or None,
        "CapDrop": list(spec.cap_drop) or None,
        "CgroupnsMode": modes.cgroup or "private",
        "Dns": list(spec.dns.servers),
        "DnsOptions": list(spec.dns.options),
        "DnsSearch": list(spec.dns.search),
        "ExtraHosts": list(spec.extra_hosts) or None,
        "GroupAdd": list(spec.group_add) or None,
        "IpcMode": modes.ipc or "private",
        "Cgroup": "",
        "Links": default_links(container),
        "OomScoreAdj": spec.oom_score_adj,
        "PidMode": modes.pid,
        "Privileged": spec.privileged,
        "PublishAllPorts": spec.publish_all,
        "ReadonlyRootfs": spec.read_only,
        "SecurityOpt": list(spec.protection.words) or None,
        **({"Tmpfs": OpenMap(tmpfs)} if tmpfs else {}),
        "UTSMode": modes.uts,
        "UsernsMode": modes.user,
        "ShmSize": spec.shm_size_bytes or _SHM_BYTES,
        **({"Sysctls": OpenMap(spec.sysctls)} if spec.sysctls else {}),
        "Runtime": "wharf",
        **({"Init": True} if spec.init else {}),
        "ConsoleSize": [0, 0],
        "Isolation": "",
        **_resources(spec, container.settings.limits),
        **_mounts(spec),
        **_hidden_paths(spec),
    }
    return Omitting(shown, {"Annotations": OpenMap(), "Tmpfs": OpenMap(), "Sysctls": OpenMap(), "Init": NIL})


def _resources(spec: ContainerSpec, limits: Limits) -> Document:
    return {
        "CpuShares": limits.cpu_shares,
        "Memory": limits.memory_bytes,
        "NanoCpus": limits.nano_cpus,
        "CgroupParent": spec.cgroup_parent,
        "BlkioWeight": limits.blkio_weight,
        "BlkioWeightDevice": [{"Path": each.path, "Weight": each.value} for each in limits.blkio_weight_devices],
        "BlkioDeviceReadBps": _rates(limits.device_read_bps),
        "BlkioDeviceWriteBps": _rates(limits.device_write_bps),
        "BlkioDeviceReadIOps": _rates(limits.device_read_iops),
        "BlkioDeviceWriteIOps": _rates(limits.device_write_iops),
        "CpuPeriod": limits.cpu_period_us,
        "CpuQuota": limits.cpu_quota_us,
        "CpuRealtimePeriod": limits.cpu_rt_period_us,
        "CpuRealtimeRuntime": limits.cpu_rt_runtime_us,
        "CpusetCpus": limits.cpuset_cpus,
        "CpusetMems": limits.cpuset_mems,
        "Devices": [
            {"PathOnHost": each.source, "PathInContainer": each.target, "CgroupPermissions": each.access}
            for each in spec.devices
        ],
        "DeviceCgroupRules": list(spec.device_rules) or None,
        "DeviceRequests": None,
        "KernelMemory": limits.kernel_memory_bytes,
        "KernelMemoryTCP": 0,
        "MemoryReservation": limits.memory_reservation_bytes,
        "MemorySwap": limits.memory_swap_bytes or 2 * limits.memory_bytes,
        "MemorySwappiness": None if limits.memory_swappiness < 0 else limits.memory_swappiness,
        "OomKillDisable": limits.oom_kill_disable,
        "PidsLimit": limits.pids_limit or None,
        "Ulimits": [{"Name": each.name, "Hard": each.hard, "Soft": each.soft} for each in spec.ulimits],
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
    }


def _rates(rates: tuple[DeviceRate, ...]) -> list[Document]:
    return [{"Path": each.path, "Rate": each.value} for each in rates]


def _is_bind(mount: MountSpec) -> bool:
    """Docker's Binds are what -v named; a volume without a name stands in Config.Volumes alone."""
    return mount.kind != "tmpfs" and mount.given_by == "-v" and bool(mount.source)


def _bind(mount: MountSpec) -> str:
    modes = [
        *(["ro"] if mount.read_only else []),
        *(["nocopy"] if mount.no_copy else []),
        *([mount.propagation] if mount.propagation else []),
    ]
    return ":".join((mount.source, mount.target, *([",".join(modes)] if modes else [])))


def _mounts(spec: ContainerSpec) -> Document:
    """What --mount asked for; the key is there only if something did."""
    found = [_mount(mount) for mount in spec.mounts if mount.given_by == "--mount"]
    return {"Mounts": found} if found else {}


def _mount(mount: MountSpec) -> Document:
    document: Document = {"Type": mount.kind}
    if mount.source:
        document["Source"] = mount.source
    document["Target"] = mount.target
    if mount.read_only:
        document["ReadOnly"] = True
    bind: Document = {}
    if mount.propagation:
        bind["Propagation"] = mount.propagation
    if mount.recursive:
        key = {"disabled": "NonRecursive", "writable": "ReadOnlyNonRecursive", "readonly": "ReadOnlyForceRecursive"}
        bind[key[mount.recursive]] = True
    if bind:
        document["BindOptions"] = bind
    if mount.no_copy or mount.labels or mount.volume_options or (mount.kind == "volume" and mount.subpath):
        document["VolumeOptions"] = {
            **({"NoCopy": True} if mount.no_copy else {}),
            **({"Labels": OpenMap(mount.labels)} if mount.labels else {}),
            **({"Subpath": mount.subpath} if mount.subpath else {}),
            **({"DriverConfig": {"Options": OpenMap(mount.volume_options)}} if mount.volume_options else {}),
        }
    if mount.kind == "image" and mount.subpath:
        document["ImageOptions"] = {"Subpath": mount.subpath}
    if mount.kind == "tmpfs" and mount.options:
        words = dict(option.partition("=")[::2] for option in mount.options)
        document["TmpfsOptions"] = {
            **({"SizeBytes": parse_bytes(words["size"])} if "size" in words else {}),
            **({"Mode": int(words["mode"], 8)} if "mode" in words else {}),
        }
    return document


def _hidden_paths(spec: ContainerSpec) -> Document:
    if spec.privileged:
        return {"MaskedPaths": None, "ReadonlyPaths": None}
    if spec.protection.system_paths_unconfined:
        return {"MaskedPaths": [], "ReadonlyPaths": []}
    return {"MaskedPaths": list(MASKED_PATHS), "ReadonlyPaths": list(READ_ONLY_PATHS)}
