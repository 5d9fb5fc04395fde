"""Starting a container's first process, the first time and after each end that the policy undoes.

cgroup · pipes · clone · wait for exec · left with the spawner · state "running"
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from core.cgroups.devices import ALL_DEVICES, device_rules
from core.linux import procfs
from core.linux.checkpoints import checkpoint
from core.monitor import birth, ending, outcome, plan, proto, records
from core.monitor.added import AddedProcesses
from core.monitor.layer_mounts import take_all, trees_of
from core.monitor.life import FIRST, Life, Process
from core.monitor.log_driver import open_log
from core.monitor.network import NetworkFailed
from core.monitor.outcome import StartFailed
from core.monitor.pipes import Pipes, channel_pair
from core.monitor.steps import Place


def start(life: Life, window: tuple[int, int]) -> None:
    """From nothing to "running".

    Args: window: rows and columns of the terminal, if there is one.
    Raises: StartFailed, with nothing left that ran; what was made is still there: see undo().
    """
    spec, host = life.spec, life.host
    attempt = _Attempt()
    try:
        ending.forget_exit(life)
        life.is_paused = False
        life.cgroup.create()
        life.warnings = [*spec["warnings"], *life.cgroup.limit(spec["limits"])]
        life.cgroup.filter_devices(ALL_DEVICES if spec["privileged"] else device_rules(spec["device_accesses"]))
        checkpoint("start:grouped")
        life.log = life.log or open_log(life.loop, spec, is_first=True)
        position = life.log.position
        life.session = life.new_session()
        life.warnings += life.confine()
        if life.network:
            life.network.reserve()
            life.warnings += life.network.warnings
        is_own = spec["cgroup_namespace"] != "host"
        controllers = plan.v1_controllers(host.hierarchies.v1, own=is_own) if host.hierarchies.version != "2" else ()
        steps = plan.build(spec, controllers)
        ours, theirs = channel_pair()
        pipes = None if spec["tty"] else Pipes(spec["open_stdin"], spec["user_map"])
        place = Place(life.host.root_place)
        try:
            place.trees |= _mount_volumes(life)
            checkpoint("start:volumes")
            place.layers |= _take_layers(life)
            checkpoint("start:layers")
            attempt.bear(life, steps, (ours, theirs), pipes, window, place)
        finally:
            for tree in (*place.trees.values(), *place.layers.values()):
                os.close(tree)
        checkpoint("start:cloned")
        theirs.close()
        if pipes:
            pipes.close_theirs()
        attempt.await_exec(life, ours)
        ours.close()
        if pipes:
            life.session.use_pipes(pipes.stdin, pipes.stdout, pipes.stderr)
        checkpoint("start:executed")
        ticks = procfs.read_start_ticks(attempt.pid) or 0
        life.process = Process(attempt.pid, attempt.pidfd, ticks, time.time_ns(), position, is_child=True)
        life.keep()
        checkpoint("start:kept")
        life.write_running()
        checkpoint("start:written")
    except StartFailed:
        attempt.give_up(life)
        raise
    except NetworkFailed as error:
        attempt.give_up(life)
        raise StartFailed(outcome.failure("network", str(error))) from error
    except OSError as error:
        attempt.give_up(life)
        raise StartFailed(_report(error)) from error
    if life.network:
        life.network.note_joined()
    records.volumes_mounted(spec)
    life.note("start")
    life.added = AddedProcesses(life)
    life.begin_health_checks()


def _mount_volumes(life: Life) -> dict[str, int]:
    try:
        return life.volumes.open()
    except OSError as error:
        raise StartFailed(outcome.failure("volumes", error.strerror or str(error))) from error


def _take_layers(life: Life) -> dict[str, int]:
    try:
        return take_all(life.host.shelf, trees_of(life.spec))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StartFailed(outcome.failure("layers", f"mount layer {error.filename}: {reason}")) from error


def _report(error: OSError) -> dict[str, Any]:
    reason = (error.strerror or str(error)).lower()
    path = error.filename if isinstance(error.filename, str) else None
    text = f"{error.filename}: {reason}" if error.filename else reason
    return {"event": "failed", "stage": "prepare", "errno": error.errno, "text": text, "code": 125, "path": path}


class _Attempt:
    """A process that is on its way."""

    def __init__(self) -> None:
        self.pid = 0
        self.pidfd = -1
        self._between = 0

    def bear(
        self,
        life: Life,
        steps: tuple[Any, ...],
        channel: tuple[proto.Socket, proto.Socket],
        pipes: Pipes | None,
        window: tuple[int, int],
        place: Place,
    ) -> None:
        """Make the first process, in namespaces of its own; or a go-between that makes it.

        Args: channel: our end of it, and theirs.
        """
        assert life.confinement
        stdio = pipes.theirs if pipes else None
        pid, self._between = birth.bear(
            life.spec,
            steps,
            life.cgroup,
            channel,
            stdio,
            confinement=life.confinement,
            window=window,
            place=place,
            ahead=life.take_network_ahead(),
        )
        if pid:
            self._know(pid, life, channel[0])

    def _know(self, pid: int, life: Life, channel: proto.Socket) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        checkpoint("start:born")
        if life.network is None:
            return
        life.network.join(self.pidfd)
        proto.answer(channel, {"event": "network"})  # one that has failed meanwhile tells so itself

    def await_exec(self, life: Life, channel: proto.Socket) -> None:
        """Until the channel closes by exec; a failure, the pid or a terminal may come first."""
        channel.settimeout(outcome.START_TIMEOUT_S)
        try:
            while True:
                packet, descriptors = proto.receive_with_descriptors(channel)
                if not packet:
                    break
                message = proto.parse(packet)
                if message["event"] == "failed":
                    raise StartFailed(message)
                if message["event"] == "pid":
                    self._know(message["pid"], life, channel)
                if descriptors and life.session:
                    life.session.use_terminal(descriptors[0], stdin=life.spec["open_stdin"])
        except TimeoutError:
            raise StartFailed(outcome.timeout()) from None
        finally:
            if self._between:
                os.waitpid(self._between, 0)

    def give_up(self, life: Life) -> None:
        """Kill what was made of it."""
        life.process = None
        life.volumes.release()
        life.deposit.release(FIRST)
        if life.network:
            life.network.leave()
        if self.pid <= 0:
            return
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)
        os.close(self.pidfd)


def undo(life: Life, report: dict[str, Any]) -> None:
    """A failed first start leaves the container as it was, with the reason."""
    if life.log:
        life.log.close()
    life.remove_group()
    life.release_networks()
    fields = {"error": report["text"], "exit_code": report.get("code", 125)}
    try:
        records.write_state(life.spec["container_dir"], "created", fields)
    except OSError:
        pass  # a full disk: the engine is told, and the old state stands
