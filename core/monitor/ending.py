"""The end of a container: of one run, and for good.

    drain · log durable · cgroup gone · state "exited" or "restarting" · tell everybody · remove

Each step may be taken again by a successor: the state is written before the process is reaped, so
that whenever a monitor is killed its code is either on disk or still to be asked for.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, NamedTuple

from core.linux.remove import remove_tree
from core.monitor import proto, records, unused_volumes
from core.monitor.added import take_marks_away
from core.monitor.life import HELD_UP, Life


class End(NamedTuple):
    """How one run ended."""

    code: int
    started_ns: int
    finished_ns: int
    is_oom_killed: bool
    error: str = ""
    measured_s: float | None = None
    """How long it ran by a clock that nobody sets; None when only the moments are known."""

    @property
    def ran_s(self) -> float:
        """How long it ran."""
        if self.measured_s is not None:
            return self.measured_s
        return max(0, self.finished_ns - self.started_ns) / 1e9

    def fields(self, life: Life) -> dict[str, Any]:
        """As a state document has it."""
        return {
            "exit_code": self.code,
            "started_ns": self.started_ns,
            "finished_ns": self.finished_ns,
            "oom_killed": self.is_oom_killed,
            "error": self.error,
            "restart_count": life.restarts.count,
        }


def end_run(life: Life, code: int, error: str = "") -> End:
    """The first process has ended: clear away what ran beside it. Its last words are still to be taken."""
    assert life.process
    if life.health:
        life.health.end()
        life.health = None
    finished_ns = time.time_ns()
    started_ns = life.process.started_ns
    ran_s = max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - life.process.start_ticks / os.sysconf("SC_CLK_TCK"))
    is_oom_killed = life.cgroup.oom_kills() > 0
    if is_oom_killed:
        life.note("oom")
    life.remove_group()
    if life.network:
        life.network.leave()
    life.volumes.release()
    return End(code, started_ns, finished_ns, is_oom_killed, error, ran_s)


def without_rest(life: Life, end: End) -> End:
    """Somebody does not want to wait for room for the last output: how much it was, the state tells."""
    assert life.session
    lost = f"the last {life.session.unread()} bytes of its output were dropped: the log could not take them"
    life.note_wait("")
    return end._replace(error="; ".join(filter(None, (end.error, lost))))


def note_end(life: Life, end: End) -> None:
    """Append the event."""
    life.note("die", exitCode=str(end.code), execDuration=str(int(end.ran_s)))
    if life.network:
        life.network.note_left()
    records.volumes_unmounted(life.spec)


def tell_everybody(life: Life, code: int, *, leaving: bool = False) -> None:
    """Whoever waits or is attached learns the code.

    Args: leaving: they stay until let_everybody_go(): the container is about to be taken away.
    """
    for connection in life.waiting:
        proto.answer(connection, {"event": "exit", "code": code, "leaving": leaving})
    if life.session:
        life.session.finish(code, leaving=leaving)
    if not leaving:
        let_everybody_go(life)


def let_everybody_go(life: Life) -> None:
    """All is done that anybody waits for."""
    for connection in life.waiting:
        connection.close()
    life.waiting.clear()
    if life.session:
        life.session.let_go()


def write_exited(life: Life, end: End) -> None:
    """State "exited"."""
    fields = {**end.fields(life), "stopped_by_hand": life.restarts.stopped_by == "hand"}
    try:
        records.write_state(life.spec["container_dir"], "exited", fields)
    except OSError as error:
        _keep_for_later(life, error, fields)


def write_restarting(life: Life, end: End) -> None:
    """State "restarting": no process, but a monitor that will start one."""
    fields = {**end.fields(life), "boot_id": life.host.boot_id}
    try:
        records.write_state(life.spec["container_dir"], "restarting", fields)
    except OSError:
        pass  # a full disk: the state is behind, the container goes on


def _keep_for_later(life: Life, error: OSError, fields: dict[str, Any]) -> None:
    """The disk is full: the exit code is too important to lose, so it goes to the run root."""
    try:
        with open(f"{life.spec['runtime_dir']}/exit.json", "w") as file:
            json.dump({**fields, "error": fields["error"] or str(error)}, file)
    except OSError:
        pass  # no disk takes it: those who wait are told by packet


def forget_exit(life: Life) -> None:
    """What was kept of an earlier run's end must not be taken for the next one's."""
    _forget(f"{life.spec['runtime_dir']}/exit.json")


def take_away(life: Life) -> list[str]:
    """--rm: one rename takes the container away; what it was lies in the trash, by the names returned."""
    spec = life.spec
    trash = []
    for path in (spec["container_dir"], *spec["anonymous_volumes"]):
        name = os.urandom(8).hex()
        try:
            if path == spec["container_dir"]:
                os.rename(path, f"{spec['trash_dir']}/{name}")
            elif not unused_volumes.discard(spec, path, name):
                continue
        except OSError:
            continue
        trash.append(name)
        if path == spec["container_dir"]:
            _free_name(spec)
            life.note("destroy")
        else:
            volume, attributes = os.path.basename(path), {"driver": "local"}
            records.append_event(spec["journal_dir"], "destroy", volume, attributes, kind="volume")
    return trash


def delete(life: Life, trash: list[str]) -> None:
    """Delete what was taken away, when nobody waits for us any more."""
    if not trash:
        return
    directory = os.open(life.spec["trash_dir"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for name in trash:
        remove_tree(directory, name)
    os.close(directory)


def _free_name(spec: dict[str, Any]) -> None:
    try:
        if os.path.basename(os.readlink(spec["name_link"])) == spec["id"]:
            os.unlink(spec["name_link"])
    except OSError:
        pass


def clear_runtime(life: Life, *, gone: bool = False) -> None:
    """Nothing of a run stays in the run root; of a container that is gone not even its lock."""
    life.volumes.release()
    directory = life.spec["runtime_dir"]
    for name in ("monitor.sock", "handover.json", HELD_UP):
        _forget(f"{directory}/{name}")
    take_marks_away(directory)
    clear_statuses(directory)
    take_marks_away(directory)
    if gone or life.spec["auto_remove"]:
        _forget(f"{directory}/alive.lock")
        _forget(directory)


def clear_statuses(directory: str) -> None:
    """Wait statuses of processes that nobody will ask for any more."""
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        if name.startswith("ended-"):
            _forget(f"{directory}/{name}")


def _forget(path: str) -> None:
    """Remove a file or an empty directory; gone, or still in use, is fine."""
    try:
        if os.path.isdir(path):
            os.rmdir(path)
        else:
            os.unlink(path)
    except OSError:
        pass
