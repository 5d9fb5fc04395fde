"""What one monitor knows of its container; the rooms of its life (start, serve, end) share it."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

from core.cgroups import driver
from core.linux.files import write_atomic
from core.monitor import birth, proto, records
from core.monitor.added import AddedProcesses
from core.monitor.confinement import Confinement, confine
from core.monitor.deposit import Deposit
from core.monitor.health import HealthChecks
from core.monitor.layer_mounts import Shelf
from core.monitor.log import LogWriter, NoLog
from core.monitor.loop import Loop
from core.monitor.network import Network
from core.monitor.restarting import Restarts
from core.monitor.session import Session
from core.monitor.volume_mounts import VolumeMounts

HELD_UP = "held-up"
"""A file of the run root: why the output waits."""
FIRST = ""
"""The name that the first process goes by among those kept; the others have their exec's id."""


class Host(NamedTuple):
    """What the spawner found out once for all its monitors."""

    hierarchies: driver.Hierarchies
    last_capability: int
    bounding: int
    """Our own capabilities: nobody inside can have more."""
    no_file: tuple[int, int]
    """The limit containers get: the one the spawner was born with."""
    boot_id: str
    filters: Any
    """Callable: bounding mask → filter program."""
    spawner_socket: str
    root_place: str
    """An empty directory: what each container's root is mounted over, in its own mount namespace."""
    shelf: Shelf | None
    """Where layers that are tars are mounted; None where this host allows no such place."""


class Process(NamedTuple):
    """The container's first process while it runs."""

    pid: int
    pidfd: int
    start_ticks: int
    started_ns: int
    position: list[int]
    """Where its output begins in the log."""
    is_child: bool
    """Ours to wait for; after a takeover it is the spawner's."""


class Life:
    """One container under one monitor, over all its restarts."""

    def __init__(
        self, spec: dict[str, Any], host: Host, channel: proto.Socket | None, ahead: birth.NetworkAhead | None = None
    ) -> None:
        self.spec = spec
        self._network_ahead = ahead
        self.host = host
        self.loop = Loop()
        self.cgroup = driver.choose(host.hierarchies, spec["cgroup"])
        self.deposit = Deposit(self.loop, spec, host.spawner_socket, channel)
        self.volumes = VolumeMounts(spec, self.deposit)
        self.restarts = Restarts(spec.get("restart") or {})
        self.process: Process | None = None
        """None before the first start and between two."""
        self.alive = -1
        self.log: LogWriter | NoLog | None = None
        self.session: Session | None = None
        self.added: AddedProcesses | None = None
        self.confinement: Confinement | None = None
        self.health: HealthChecks | None = None
        self.network = Network(spec, self.loop) if spec.get("network") else None
        self.is_paused = False
        self.is_over = False
        """It has ended for good; only the last people are still told."""
        self.drops_rest = False
        """Somebody does not want to wait for room for its last output."""
        self.is_waiting_for_room = False
        """Its process has ended, and the log can't take the last output."""
        self.freezers = 0
        """How many askers want it frozen for a moment, as commit does."""
        self.warnings: list[str] = list(spec["warnings"])
        self.waiting: list[proto.Socket] = []

    @property
    def name(self) -> str:
        """As people call it."""
        return str(self.spec["attributes"]["name"])

    def take_network_ahead(self) -> birth.NetworkAhead | None:
        """What was made for the first start, if this one is it and has a use for it."""
        ahead, self._network_ahead = self._network_ahead, None
        if ahead and (birth.needs_go_between(self.spec) or not self.spec["own_network"]):
            ahead.leave()
            return None
        return ahead

    def new_session(self) -> Session:
        """The streams of a first process, without any yet."""
        return Session(
            self.loop,
            self.log,
            stdin_once=self.spec["stdin_once"],
            note=self.note,
            on_change=self.keep,
            on_wait=self.note_wait,
        )

    def note_wait(self, reason: str) -> None:
        """Let people read why the output waits, where a full disk does not matter; "" when it waits no more."""
        path = f"{self.spec['runtime_dir']}/{HELD_UP}"
        try:
            if reason:
                write_atomic(path, f"its output waits until the log can take it: {reason}".encode(), durable=False)
            else:
                os.unlink(path)
        except OSError:
            pass  # a full run root as well: then it waits without a word

    def release_networks(self) -> None:
        """Its addresses and ports are anybody's again."""
        if self.network:
            self.network.release()

    def remove_group(self) -> None:
        """End what is left in its group, and the group; one that does not go is tried again when it is removed."""
        try:
            self.cgroup.remove()
        except OSError:
            pass  # a process that hangs in the kernel: the end of the others, and its code, are not to wait for it

    def confine(self) -> list[str]:
        """Work out what its processes are held to; what this host can't do comes back as sentences."""
        self.confinement, warnings = confine(
            self.spec,
            filters=self.host.filters,
            no_file=self.host.no_file,
            last_capability=self.host.last_capability,
        )
        return list(warnings)

    def begin_health_checks(self) -> None:
        """Ask from now on whether it is well, if it has a way to tell."""
        if not self.spec.get("health"):
            return
        assert self.process
        assert self.added
        self.health = HealthChecks(
            self.loop,
            self.spec,
            started_ns=self.process.started_ns,
            probe=self.added.probe,
            note=self.note,
            is_paused=lambda: self.is_paused or self.freezers > 0,
        )

    def note(self, action: str, **more: str) -> None:
        """Append an event."""
        records.append_event(self.spec["journal_dir"], action, self.spec["id"], {**self.spec["attributes"], **more})

    def write_running(self) -> None:
        """State "running", as things are now. Raises: OSError."""
        assert self.process
        fields = {
            "pid": self.process.pid,
            "start_ticks": self.process.start_ticks,
            "boot_id": self.host.boot_id,
            "started_ns": self.process.started_ns,
            "paused": self.is_paused,
            "warnings": self.warnings,
            "cgroup": self.cgroup.path,
            "restart_count": self.restarts.count,
            **(self.network.fields() if self.network else {}),
        }
        records.write_state(self.spec["container_dir"], "running", fields)

    def keep(self) -> None:
        """Leave with the spawner what a successor needs to go on with the first process."""
        if self.process is None or self.session is None:
            return  # a stream that ends with its process, when nothing is kept any more
        process = self.process
        facts = {
            "pid": process.pid,
            "start_ticks": process.start_ticks,
            "started_ns": process.started_ns,
            "position": process.position,
            "attended": bool(self.session.clients),
        }
        descriptors = self.session.descriptors()
        if process.pidfd >= 0:
            descriptors["pidfd"] = process.pidfd
        self.deposit.keep(FIRST, facts, descriptors)

    def keep_attended(self) -> None:
        """Leave word that somebody is attached, where no log would have for them later what they miss."""
        if self.spec["auto_remove"]:
            self.keep()

    def write_handover(self) -> None:
        """What a successor reads that has nothing else: the spawner may be gone as well. Best effort."""
        document = {
            "spec": self.spec,
            "position": self.process.position if self.process else None,
            "streams": self.session.identities() if self.session else {},
            "restarts": self.restarts.as_document(),
        }
        try:
            write_atomic(f"{self.spec['runtime_dir']}/handover.json", json.dumps(document).encode(), durable=False)
        except OSError:
            pass  # a full run root: only a killed monitor together with a killed spawner would miss it

    def release(self) -> None:
        """The first process has ended: nothing of it is to be kept any more."""
        self.deposit.release(FIRST)
        if self.process and self.process.pidfd >= 0:
            os.close(self.process.pidfd)
        self.process = None
