"""The document a monitor starts a container from: everything resolved, nothing left to look up.

Written by the engine, read by the monitor with the standard library's json; `protocol` is raised
when a field changes its meaning.
"""

from __future__ import annotations

import msgspec

from core.model.limits import Limits
from core.model.log_drivers import SandboxLog
from core.model.network import Endpoint
from core.model.ports import PortWish
from core.model.restart import RestartPolicy
from core.model.ulimits import Ulimit

PROTOCOL = 2
"""The same as core.monitor.proto's: a test compares them."""

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READ_ONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


class SandboxMount(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be put at `target` (inside)."""

    kind: str
    """bind (a path of the host's), tmpfs, device (a volume with options) or image"""
    source: str
    """Of a bind its path; of a volume with options where errors say it is mounted."""
    target: str
    read_only: bool
    options: tuple[str, ...] = ()
    propagation: str = ""
    recursive: str = ""
    """How mounts below a bind's source are taken along: disabled, writable, readonly; empty is all of them."""
    is_ours: bool = False
    """Lies in the data root: in a user namespace its owners are shown as the image's."""
    subpath: str = ""
    """Below the source: no link on the way leads out of it."""
    device: str = ""
    """Of a volume with options, and `fstype`; `options` are mount(8)'s words."""
    fstype: str = ""
    shared: str = ""
    """Of a volume in memory: the directory of the run root where those who hold it are noted."""
    lowers: tuple[str, ...] = ()
    """Of an image: its layers' directories, top first."""


class SandboxDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A node of the host's to be made (or, in a user namespace, bound) at `target` (inside)."""

    source: str
    target: str
    kind: str
    """b or c"""
    major: int
    minor: int
    mode: int
    uid: int
    gid: int


class DeviceAccess(msgspec.Struct, frozen=True, kw_only=True):
    """One more line of what the device filter allows; None is any."""

    kind: str
    major: int | None
    minor: int | None
    access: str


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """The first process of a container whose namespace is shared; the start time guards against a reused pid."""

    pid: int
    start_ticks: int


class UserMap(msgspec.Struct, frozen=True, kw_only=True):
    """`size` ids of a user namespace, from 0 on, are these of the host's."""

    uid: int
    gid: int
    size: int


class SandboxHealth(msgspec.Struct, frozen=True, kw_only=True):
    """A health check with every default filled in."""

    argv: tuple[str, ...]
    interval_ns: int
    timeout_ns: int
    timeout: str
    """As people write it."""
    start_period_ns: int
    start_interval_ns: int
    retries: int


class SandboxEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One network interface to be made, and who learns of it. Addresses are as text with their prefix length."""

    endpoint: Endpoint
    """As state.json tells it once it is there."""
    driver: str
    """bridge or macvlan"""
    link: str
    """The host's interface it hangs on: the bridge, or macvlan's parent."""
    mode: str = ""
    """Of a macvlan: bridge, private, vepa, passthru."""
    mtu: int
    is_default_route: bool = False
    is_internal: bool = False
    is_isolated: bool = False
    """Whether it reaches no other container of its bridge (--icc=false)."""
    sysctls: dict[str, str] = {}
    """Of this interface: path below /proc/sys, with IFNAME for its name, and value."""
    claims: tuple[str, ...] = ()
    """Files to be unlinked when the container is off the network: its addresses, its endpoint."""


class SandboxResolver(msgspec.Struct, frozen=True, kw_only=True):
    """The answerer at 127.0.0.11 of a container on networks with names."""

    networks: tuple[str, ...]
    """Directories of the networks whose names count, in order."""
    servers: tuple[str, ...]
    """Asked for all other names; empty: nobody is."""
    links: dict[str, str] = {}
    """Alias to container id, of --link."""


class SandboxNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """The networks of a container with a network namespace of its own."""

    endpoints: tuple[SandboxEndpoint, ...] = ()
    ports: tuple[PortWish, ...] = ()
    """To be published; every family that an endpoint has an address of."""
    resolver: SandboxResolver | None = None
    table: str = ""
    """The firewall's table, the engine's tag; empty: no nftables here, ports are passed on by the monitor."""


class SandboxVolume(msgspec.Struct, frozen=True, kw_only=True):
    """A volume in use, as its events tell."""

    name: str
    target: str
    read_only: bool
    propagation: str = ""


class SandboxSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One start of one container. Paths without "inside" in their description are the host's."""

    protocol: int = PROTOCOL
    id: str
    attributes: dict[str, str]
    """What its events carry: image, name, labels."""
    container_dir: str
    runtime_dir: str
    journal_dir: str
    trash_dir: str
    name_link: str
    """The symlink of its name, unlinked when the monitor removes it."""
    argv: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    """Inside."""
    user: str
    hostname: str
    tty: bool
    open_stdin: bool
    stdin_once: bool
    own_network: bool
    network: SandboxNetwork | None = None
    lowers: tuple[str, ...]
    """Layer directories, top first."""
    upper: str
    work: str
    read_only: bool
    mounts: tuple[SandboxMount, ...]
    privileged: bool
    bounding: int
    """Capabilities, as a mask."""
    masked_paths: tuple[str, ...]
    read_only_paths: tuple[str, ...]
    cgroup: str
    limits: Limits
    auto_remove: bool
    volumes: tuple[SandboxVolume, ...] = ()
    health: SandboxHealth | None = None
    log: SandboxLog = SandboxLog()
    init: bool = False
    anonymous_volumes: tuple[str, ...] = ()
    """Directories that go with the container when the monitor removes it."""
    warnings: tuple[str, ...] = ()
    restart: RestartPolicy = RestartPolicy()
    pid_namespace: str = "own"
    """own, host or joined"""
    ipc_namespace: str = "own"
    """own, none (own, without /dev/shm), host or joined"""
    uts_namespace: str = "own"
    cgroup_namespace: str = "own"
    joined: dict[str, Joined] = {}
    """By kind: pid, ipc, network."""
    user_map: UserMap | None = None
    devices: tuple[SandboxDevice, ...] = ()
    device_accesses: tuple[DeviceAccess, ...] = ()
    sysctls: dict[str, str] = {}
    """Path below /proc/sys: value."""
    ulimits: tuple[Ulimit, ...] = ()
    groups: tuple[str, ...] = ()
    oom_score_adj: int = 0
    shm_size_bytes: int = 64 * 1024 * 1024
    domainname: str = ""
    seccomp: str = ""
    """Empty: the default filter; unconfined: none; else a program in base64."""
    no_new_privileges: bool = False
    apparmor: str = ""
    writable_cgroups: bool = False
