"""Going on where a killed monitor left off.

Descriptors come from the spawner, which kept them; the rest is on disk: `state.json` says how far the
container had come, `handover.json` (in the run root) what it was started from. Where the spawner was
killed too, the container's own descriptors still hold its pipes, and they are opened once more
through /proc; a terminal that nobody kept is gone.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from typing import Any

from core.linux import pidfd, procfs
from core.linux.inroot import filesystem_magic
from core.monitor import proto, volume_mounts
from core.monitor.added import AddedProcesses, take_marks_away
from core.monitor.life import FIRST, Life, Process
from core.monitor.log_driver import open_log
from core.monitor.vault import Kept

_PIPEFS_MAGIC = 0x50495045
LOST_STREAMS = "its monitor and the spawner were killed together: what it writes to its terminal is lost since then"


def read_handover(runtime_dir: str) -> dict[str, Any] | None:
    """What the last monitor noted for us, if it came so far."""
    try:
        with open(f"{runtime_dir}/handover.json", "rb") as file:
            document = json.load(file)
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and isinstance(document.get("spec"), dict) else None


def read_spec(kept: Kept) -> dict[str, Any] | None:
    """What the container was started from, by whoever still knows it; another version's is not for us to go by."""
    spec = _kept_spec(kept)
    return spec if spec and spec.get("protocol") == proto.PROTOCOL else None


def _kept_spec(kept: Kept) -> dict[str, Any] | None:
    if handover := read_handover(kept.places["runtime_dir"]):
        spec: dict[str, Any] = handover["spec"]
        return spec
    if kept.spec < 0:
        return None
    found = json.loads(os.pread(kept.spec, os.fstat(kept.spec).st_size, 0))
    return found if isinstance(found, dict) else None


def resume(life: Life, state: dict[str, Any], kept: Kept) -> None:
    """Take over a container whose state is "running": its first process, and those that were added."""
    life.restarts.count = int(state.get("restart_count", life.restarts.count))
    handover = read_handover(life.spec["runtime_dir"]) or {}
    process = kept.processes.get(FIRST)
    descriptors = dict(process.descriptors) if process else {}
    descriptor = descriptors.pop("pidfd", None)
    if descriptor is None:
        descriptor = pidfd.open_verified(state["pid"], state["start_ticks"])
    life.log = open_log(life.loop, life.spec, is_first=False)
    position = (process.facts if process else handover).get("position") or life.log.position
    life.process = Process(
        pid=state["pid"],
        pidfd=-1 if descriptor is None else descriptor,
        start_ticks=state["start_ticks"],
        started_ns=state["started_ns"],
        position=position,
        is_child=False,
    )
    life.warnings = list(state["warnings"])
    if life.network and life.process.pidfd >= 0:
        life.warnings += life.network.resume(life.process.pidfd, state.get("ports") or ())
    life.is_paused = bool(state["paused"])
    life.session = life.new_session()
    life.confine()  # its warnings were noted at the start
    if not descriptors:
        descriptors = _reopened(life, handover.get("streams") or {})
    if life.spec["tty"] and "terminal" not in descriptors and LOST_STREAMS not in life.warnings:
        life.warnings.append(LOST_STREAMS)
    life.session.adopt(descriptors, stdin=life.spec["open_stdin"])
    take_marks_away(life.spec["runtime_dir"])
    life.added = AddedProcesses(life)
    life.keep()
    for key, added in kept.processes.items():
        if key != FIRST and not _is_volume(key):
            life.added.adopt(key, added.facts, dict(added.descriptors))
    if not life.is_paused and is_alive(life.process):
        life.cgroup.thaw()  # somebody's commit may have had it frozen: the promise to thaw was the monitor's
    life.begin_health_checks()
    life.write_running()
    life.write_handover()


def _is_volume(key: str) -> bool:
    return key.startswith(volume_mounts.PREFIX)


def take_volumes(life: Life, kept: Kept) -> None:
    """Go on holding the volumes that the killed monitor held."""
    life.volumes.adopt({key: held.descriptors["namespace"] for key, held in kept.processes.items() if _is_volume(key)})


def is_alive(process: Process) -> bool:
    """Whether the first process still runs."""
    same = procfs.is_same_process(process.pid, process.start_ticks)
    return process.pidfd >= 0 and same and procfs.read_state(process.pid) not in ("Z", "X")


def _reopened(life: Life, identities: dict[str, int]) -> dict[str, int]:
    """Our ends of pipes that nobody kept, opened once more through processes that hold the other ends."""
    found: dict[str, int] = {}
    for pid in life.cgroup.processes():
        for name, inode in identities.items():
            if name not in found and (path := _holder_of(pid, inode)):
                way = os.O_WRONLY if name == "stdin" else os.O_RDONLY
                try:
                    found[name] = _open_pipe(path, inode, way)
                except OSError:
                    continue  # it has just closed it, or ended
    return found


def _open_pipe(path: str, inode: int, way: int) -> int:
    """Open a pipe by a process's descriptor of it, which the process may put something else behind meanwhile.

    So it is looked at before it is opened, by a descriptor that opens nothing: a device would be opened with
    the host's rights. Raises: OSError: it is that pipe no more.
    """
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        there = os.fstat(place)
        if not stat.S_ISFIFO(there.st_mode) or there.st_ino != inode or filesystem_magic(place) != _PIPEFS_MAGIC:
            raise OSError(errno.ESTALE, "it is another file by now", path)
        return os.open(f"/proc/self/fd/{place}", way | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(place)


def _holder_of(pid: int, inode: int) -> str | None:
    directory = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(directory):
            if os.readlink(f"{directory}/{name}") == f"pipe:[{inode}]":
                return f"{directory}/{name}"
    except OSError:
        pass  # it has ended
    return None


def begun_run(state: dict[str, Any], kept: Kept) -> dict[str, Any] | None:
    """The state of a run that began but whose monitor was killed before it could write "running"; else None."""
    process = kept.processes.get(FIRST)
    if not process or state.get("type") not in ("created", "exited", "restarting"):
        return None
    started_ns = process.facts["started_ns"]
    if state.get("finished_ns", 0) >= started_ns:
        return None  # it has ended meanwhile
    pid, ticks = process.facts["pid"], process.facts["start_ticks"]
    return {
        "type": "running",
        "pid": pid,
        "start_ticks": ticks,
        "started_ns": started_ns,
        "paused": False,
        "warnings": [],
    }
