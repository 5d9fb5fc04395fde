"""Containers: the wish, what was created from it, and the states it goes through.

ContainerSpec (wish) ─ merge with the image ─▶ ContainerConfig (fixed at create)
                                               ContainerSettings (may change later)
Created ─ start ─▶ Running ⇄ paused ─ exit ─▶ Exited ─ start ─▶ Running …
                      ▲                  └──▶ Restarting (by its policy) ─┐
                      └───────────────────────────────────────────────────┘
"""

from __future__ import annotations

import msgspec

from core.model.devices import DeviceSpec
from core.model.health import Health, HealthCheck
from core.model.isolation import Namespaces
from core.model.limits import Limits
from core.model.log_drivers import LogConfig
from core.model.mounts import Mount, MountSpec
from core.model.network import HOST, NONE, DnsWish, Endpoint, EndpointWish, wished_networks
from core.model.ports import PortWish, PublishedPort
from core.model.protection import Protection
from core.model.restart import RestartPolicy
from core.model.ulimits import Ulimit


class ContainerSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person asked for; nothing in it has been defaulted from the image yet.

    `entrypoint` None means "the image's", an empty tuple means "none at all".
    """

    image: str
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    name: str = ""
    hostname: str = ""
    env: tuple[str, ...] = ()
    """`K=V`; a bare `K` was resolved by the caller."""
    working_dir: str = ""
    user: str = ""
    tty: bool = False
    open_stdin: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    auto_remove: bool = False
    network: str = "none"
    """bridge, none, host, `container:KEY` or a network's name: docker's NetworkMode."""
    endpoints: tuple[EndpointWish, ...] = ()
    """Networks that something is wished of, the mode's first; the mode's own may be left out."""
    ports: tuple[PortWish, ...] = ()
    publish_all: bool = False
    expose: tuple[str, ...] = ()
    """`80/tcp`"""
    dns: DnsWish = DnsWish()
    extra_hosts: tuple[str, ...] = ()
    """`name:address`, or `name:host-gateway`."""
    mounts: tuple[MountSpec, ...] = ()
    limits: Limits = Limits()
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    read_only: bool = False
    labels: dict[str, str] = {}
    stop_signal: str = ""
    namespaces: Namespaces = Namespaces()
    protection: Protection = Protection()
    devices: tuple[DeviceSpec, ...] = ()
    device_rules: tuple[str, ...] = ()
    """As `--device-cgroup-rule` has them."""
    sysctls: dict[str, str] = {}
    ulimits: tuple[Ulimit, ...] = ()
    group_add: tuple[str, ...] = ()
    """Names or numbers, looked up in the container's own /etc/group."""
    oom_score_adj: int = 0
    shm_size_bytes: int = 0
    """0: docker's 64 MiB."""
    cgroup_parent: str = ""
    domainname: str = ""
    annotations: dict[str, str] = {}
    volumes_from: tuple[str, ...] = ()
    """`container[:ro|rw]`; looked up once, at create."""
    health: HealthCheck | None = None
    log_driver: str = ""
    """Empty: the engine's default, and its options with it."""
    log_options: dict[str, str] = {}
    init: bool = False
    """Whether a first process of ours forwards signals and reaps."""
    stop_timeout_s: int | None = None
    restart: RestartPolicy = RestartPolicy()


class ContainerSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What may change in a container's life: settings.json from the first change on, written under its lock."""

    name: str
    limits: Limits
    restart: RestartPolicy = RestartPolicy()
    endpoints: tuple[EndpointWish, ...] | None = None
    """Networks it is on whenever it runs, once connect or disconnect has changed them; None: as created."""


class ContainerConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A created container: wish and image merged. Written once (config.json), never again."""

    id: str
    created_ns: int
    spec: ContainerSpec
    image_id: str
    image_name: str
    """What the person wrote, as shown by `ps`."""
    layers: tuple[str, ...]
    """Chain ids, lowest first."""
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    env: tuple[str, ...]
    working_dir: str
    user: str
    hostname: str
    stop_signal: str
    labels: dict[str, str]
    mounts: tuple[Mount, ...] = ()
    exposed_ports: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    health: HealthCheck | None = None
    log: LogConfig = LogConfig()
    health_shell: tuple[str, ...] = ()
    """What a CMD-SHELL check is given to; empty: /bin/sh -c."""
    settings: ContainerSettings | None = None
    """As created; what has changed since is in settings.json."""

    @property
    def argv(self) -> tuple[str, ...]:
        """The process: entry point and command joined."""
        return self.entrypoint + self.command


class Created(msgspec.Struct, frozen=True, kw_only=True, tag="created"):
    """Not started yet, or its start failed: then `error` and `exit_code` (125-127) say so."""

    error: str = ""
    exit_code: int = 0


class Running(msgspec.Struct, frozen=True, kw_only=True, tag="running"):
    """Started. `start_ticks` and `boot_id` guard against a reused pid."""

    pid: int
    start_ticks: int
    boot_id: str
    started_ns: int
    paused: bool = False
    warnings: tuple[str, ...] = ()
    cgroup: str = ""
    restart_count: int = 0
    """How often its policy has started it again since a person did."""
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    held_up: str = ""
    """Why its output can't be logged just now; its monitor tells it outside the state document."""


class Restarting(msgspec.Struct, frozen=True, kw_only=True, tag="restarting"):
    """Ended, and its policy will start it again: its monitor waits for the moment."""

    exit_code: int
    started_ns: int
    finished_ns: int
    boot_id: str
    oom_killed: bool = False
    error: str = ""
    restart_count: int = 0


class Exited(msgspec.Struct, frozen=True, kw_only=True, tag="exited"):
    """Ended. An `exit_code` of -1 means that nobody was left to learn it; `error` says why."""

    exit_code: int
    started_ns: int
    finished_ns: int
    oom_killed: bool = False
    error: str = ""
    restart_count: int = 0
    stopped_by_hand: bool = False
    """By stop or kill; then `unless-stopped` does not start it after a boot."""


class Removing(msgspec.Struct, frozen=True, kw_only=True, tag="removing"):
    """Its removal has begun."""


class Damaged(msgspec.Struct, frozen=True, kw_only=True, tag="damaged"):
    """Its files can't be read; never written to disk."""

    why: str


ContainerState = Created | Running | Restarting | Exited | Removing | Damaged


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a container: what inspect shows and lists summarise."""

    config: ContainerConfig
    settings: ContainerSettings
    state: ContainerState
    directory: str = ""
    """Where its files lie on the engine's host; for people to read, never to open through the seam."""
    health: Health | None = None
    """What is known of its health; None without a check, or before its first start."""
    exec_ids: tuple[str, ...] = ()
    """Of added processes that run; known to inspect alone."""
    layer_directories: tuple[str, ...] = ()
    """Where the layers below its own lie, top first; for people to read, as `directory`; known to inspect alone."""
    size_rw_bytes: int | None = None
    size_root_bytes: int | None = None

    @property
    def id(self) -> str:
        """64 hex digits."""
        return self.config.id

    @property
    def name(self) -> str:
        """Without a leading slash."""
        return self.settings.name

    @property
    def networks(self) -> tuple[EndpointWish, ...]:
        """What it is on whenever it runs; nothing where it shares another container's networks."""
        if self.settings.endpoints is not None:
            return self.settings.endpoints
        return wished_networks(self.config.spec.network, self.config.spec.endpoints)

    @property
    def network_wishes(self) -> tuple[EndpointWish, ...]:
        """As networks, the host's and the empty one left out: what it needs interfaces for."""
        if self.settings.endpoints is not None:
            return self.settings.endpoints
        return () if self.config.spec.network in (HOST, NONE) else self.config.spec.endpoints

    @property
    def restart_count(self) -> int:
        """How often its policy has started it again since a person did."""
        return self.state.restart_count if isinstance(self.state, (Running, Restarting, Exited)) else 0

    @property
    def health_status(self) -> str:
        """One of none, starting, healthy, unhealthy."""
        return self.health.status if self.health else "none"

    @property
    def status(self) -> str:
        """One of created, running, paused, restarting, exited, removing, dead."""
        match self.state:
            case Created():
                return "created"
            case Running(paused=paused):
                return "paused" if paused else "running"
            case Restarting():
                return "restarting"
            case Exited():
                return "exited"
            case Removing():
                return "removing"
            case _:
                return "dead"


class ExecSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A process to add to a running container."""

    argv: tuple[str, ...]
    tty: bool = False
    attach_stdin: bool = False
    detach: bool = False
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    privileged: bool = False
    hangs_up: bool = False
    """When nobody is attached any more its first process gets SIGHUP, as a shell does whose terminal is closed;
    docker's goes on."""


class ProcessTable(msgspec.Struct, frozen=True):
    """What `top` shows: column titles and rows, untrusted text already made safe."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Change(msgspec.Struct, frozen=True, order=True):
    """One line of `diff`: kind C, A or D, and the path inside the container."""

    path: str
    kind: str
