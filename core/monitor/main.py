"""The life of one container, from its monitor's side; read it from top to bottom.

    start    starting.py     lock · cgroup · pipes · clone · wait for exec · state "running"
    adopt    adopting.py     instead of start: go on with what a killed monitor left
    serve    serving.py      output to the log and to people · requests · exec'd processes
    end      ending.py       drain · state "exited" or "restarting" · cgroup gone · tell everybody
    again    restarting.py   when the policy says so: wait, and start
    leave    ending.py       log durable · remove · run root cleared · reap

A monitor is a fork of the spawner with one thread. It is the only writer of state.json and of the
log while it lives, and its hold on alive.lock is how everybody knows that it does. Killing it ends
nothing: the spawner starts another one, which adopts.
"""

from __future__ import annotations

import fcntl
import functools
import os
import time
from typing import Any

from core.linux.checkpoints import checkpoint
from core.monitor import adopting, birth, ending, outcome, proto, records, starting, status
from core.monitor.ending import End
from core.monitor.life import FIRST, Host, Life
from core.monitor.loop import READ
from core.monitor.outcome import StartFailed
from core.monitor.serving import Desk
from core.monitor.streams import window_of
from core.monitor.vault import Kept

__all__ = ["Host", "Monitor"]

_ALIVE_WAIT_S = 5.0
_FLUSH_POLL_S = 0.02
_ROOM_POLL_S = 0.25
_RETURN_S = 5.0
"""How long people parted by a takeover are waited for where the log goes away with the container."""
_UNKNOWN = "its monitor was killed, and its exit code could not be learnt any more"
_KILLED_AT_START = "its monitor was killed while it started"


class Monitor:
    """One container, from a person's start to its last end.

    Args: channel: to the spawner, None when that is to be looked for. ahead: a network namespace made for its start.
    """

    def __init__(
        self, spec: dict[str, Any], host: Host, channel: proto.Socket | None, ahead: birth.NetworkAhead | None = None
    ) -> None:
        self._life = Life(spec, host, channel, ahead)
        self._desk = Desk(self._life, self._stay_ended, self._start_again)
        self._last_end: End | None = None
        self._start_at = 0.0
        """When the next start is due (monotonic); 0 when none is."""
        self._people_until = 0.0
        """Until when (monotonic) somebody is expected back; 0 when nobody is."""

    # ── start ──────────────────────────────────────────────────────────────────────────────────

    def run(self, connection: proto.Socket, request: dict[str, Any]) -> None:
        """Start, serve and end; the connection is the engine's, waiting for the answer."""
        life = self._life
        wish = request.get("attach")
        try:
            self._take_alive_lock()
            checkpoint("start:locked")
        except StartFailed as failed:  # what that other monitor looks after is not ours to clear away
            life.deposit.finish()
            proto.answer(connection, failed.report)
            return
        try:
            self._desk.open()
            starting.start(life, window_of(wish or {}))
        except StartFailed as failed:
            self._give_up(failed.report)
            proto.answer(connection, failed.report)
            return
        assert life.process
        assert life.session
        answer = {"event": "started", "pid": life.process.pid, "warnings": life.warnings}
        proto.answer(connection, {**answer, "position": life.process.position})
        if wish:
            life.session.attach(connection, wish)
            life.keep_attended()
        else:
            connection.close()
        checkpoint("start:answered")
        life.write_handover()
        self._serve()

    def _take_alive_lock(self) -> None:
        """An earlier monitor of this container may still be on its last instructions."""
        directory = self._life.spec["runtime_dir"]
        os.makedirs(directory, mode=0o711, exist_ok=True)
        self._life.alive = os.open(f"{directory}/alive.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + _ALIVE_WAIT_S
        while True:
            try:
                fcntl.flock(self._life.alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    text = "another monitor of this container is still alive"
                    raise StartFailed(outcome.failure("alive lock", text)) from None
                time.sleep(0.001)

    def _give_up(self, report: dict[str, Any]) -> None:
        life = self._life
        starting.undo(life, report)
        trash = ending.take_away(life) if life.spec["auto_remove"] else []
        self._desk.close()
        ending.clear_runtime(life)
        ending.delete(life, trash)
        life.deposit.finish()

    # ── adopt ──────────────────────────────────────────────────────────────────────────────────

    def adopt(self, kept: Kept) -> None:
        """Go on where a killed monitor left off, however far it had come."""
        life = self._life
        try:
            self._take_alive_lock()
        except StartFailed:
            return  # somebody else was faster
        adopting.take_volumes(life, kept)
        handover = adopting.read_handover(life.spec["runtime_dir"]) or {}
        life.restarts.resume(handover.get("restarts") or life.restarts.as_document())
        state = records.read_state(life.spec["container_dir"])
        if FIRST not in kept.processes and not handover:
            state = {"type": "created"} if state else {}  # killed before anything of this start was noted
        elif begun := adopting.begun_run(state, kept):
            state = begun
        match state.get("type"):
            case "running":
                self._desk.open()
                adopting.resume(life, state, kept)
                if life.spec["auto_remove"] and kept.was_attended(FIRST):
                    self._people_until = time.monotonic() + _RETURN_S
                self._serve()
            case "restarting":
                self._desk.open()
                self._last_end = _end_of(state)
                life.restarts.count = int(state["restart_count"])
                self._wait_for_start(life.restarts.delay_s)
                life.loop.run()
            case "exited":
                self._finish_ending(_end_of(state))
            case None:
                self._leave_nothing()
            case _:
                self._give_up(outcome.failure("monitor", _KILLED_AT_START))

    def _finish_ending(self, end: End) -> None:
        """It had ended, and was not yet cleared away."""
        life = self._life
        life.remove_group()
        life.release_networks()
        if not records.has_event(life.spec["journal_dir"], "die", life.spec["id"], end.finished_ns):
            ending.note_end(life, end)
        self._leave(end.code)
        life.loop.run()

    def _leave_nothing(self) -> None:
        """The container is gone: what the kernel, or the run root, may still hold of it goes as well."""
        self._life.remove_group()
        self._life.release_networks()
        ending.clear_runtime(self._life, gone=True)
        self._life.deposit.finish()

    # ── serve ──────────────────────────────────────────────────────────────────────────────────

    def _serve(self) -> None:
        self._watch()
        self._life.loop.run()

    def _watch(self) -> None:
        process = self._life.process
        assert process
        if process.pidfd >= 0:
            self._life.loop.add(process.pidfd, READ, self._process_ended)
        else:
            self._life.loop.after(0, self._process_ended)

    # ── end ────────────────────────────────────────────────────────────────────────────────────

    def _process_ended(self, _events: int = 0) -> None:
        life = self._life
        assert life.process
        pid, pidfd, *_ = life.process
        if pidfd >= 0:
            life.loop.remove(pidfd)
        if life.process.is_child:
            self._ended(status.peek_child(pid))
        else:
            status.await_status(life.loop, pid, pidfd, life.spec["runtime_dir"], self._ended)

    def _ended(self, code: int | None) -> None:
        """The first process is over; None when nobody knows how."""
        end = ending.end_run(
            self._life, outcome.UNKNOWN if code is None else code, "" if code is not None else _UNKNOWN
        )
        self._take_last_words(end)

    def _take_last_words(self, end: End) -> None:
        """Nothing ends before its output is where it belongs: not on a full disk, and not before somebody
        parted by a takeover has come for what no log will keep.
        """
        life = self._life
        assert life.session
        life.is_waiting_for_room = not life.session.drain()
        are_expected = time.monotonic() < self._people_until and not life.session.clients
        if life.is_waiting_for_room and life.drops_rest:
            self._over(ending.without_rest(life, end))
        elif life.is_waiting_for_room or are_expected:
            life.loop.after(_ROOM_POLL_S, functools.partial(self._take_last_words, end))
        else:
            self._over(end)

    def _over(self, end: End) -> None:
        life = self._life
        assert life.process
        life.is_waiting_for_room = False
        child = life.process.pid if life.process.is_child else None
        checkpoint("end:drained")
        delay_s = life.restarts.after(end.code, end.ran_s)
        if delay_s is None:
            self._end_for_good(end)
        else:
            self._last_end = end
            life.write_handover()
            ending.write_restarting(life, end)
            checkpoint("again:written")
            ending.note_end(life, end)
            ending.tell_everybody(life, end.code)
            ending.clear_statuses(life.spec["runtime_dir"])
            self._wait_for_start(delay_s)
        life.release()
        if child is not None:
            status.reap(child)

    # ── again ──────────────────────────────────────────────────────────────────────────────────

    def _wait_for_start(self, delay_s: float) -> None:
        self._start_at = time.monotonic() + delay_s
        self._life.loop.after(delay_s, self._start_when_due)

    def _start_when_due(self) -> None:
        """A timer can't be taken back: one that a stop or an impatient person overtook finds nothing to do."""
        if self._start_at and time.monotonic() >= self._start_at:
            self._start_again()

    def _start_again(self) -> None:
        life = self._life
        if life.process or not self._start_at:
            return
        self._start_at = 0.0
        try:
            starting.start(life, (0, 0))
        except StartFailed as failed:
            assert self._last_end
            error = f"it could not be started again: {failed.report['text']}"
            life.remove_group()
            self._end_for_good(self._last_end._replace(code=failed.report.get("code", 125), error=error), again=False)
            return
        life.write_handover()
        self._watch()

    def _stay_ended(self) -> None:
        """Stopped by hand between two runs."""
        assert self._last_end
        self._start_at = 0.0
        self._end_for_good(self._last_end, again=False)

    # ── leave ──────────────────────────────────────────────────────────────────────────────────

    def _end_for_good(self, end: End, *, again: bool = True) -> None:
        """Args: again: False when the end itself was told already, and only the waiting for a start is over."""
        life = self._life
        life.release_networks()
        checkpoint("end:released")
        if life.log:
            life.log.close(durable=not life.spec["auto_remove"])
            life.log = None
        if not life.spec["auto_remove"]:  # nobody could read it: the next step takes the container away
            ending.write_exited(life, end)
        checkpoint("end:written")
        if again:
            ending.note_end(life, end)
        checkpoint("end:noted")
        self._leave(end.code)

    def _leave(self, code: int) -> None:
        """Last of all, once those have come back who were parted from a process by a takeover."""
        life = self._life
        if not life.is_over:
            life.is_over = True
            ending.tell_everybody(life, code, leaving=life.spec["auto_remove"])
        if life.added and life.added.are_awaited:
            life.loop.after(_FLUSH_POLL_S, functools.partial(self._leave, code))
            return
        trash = ending.take_away(life) if life.spec["auto_remove"] else []
        checkpoint("end:removed")
        self._desk.close()
        ending.clear_runtime(life)
        ending.let_everybody_go(life)
        checkpoint("end:cleared")
        ending.delete(life, trash)
        checkpoint("end:told")
        life.deposit.finish()
        self._leave_when_flushed()

    def _leave_when_flushed(self) -> None:
        life = self._life
        if (life.session and life.session.clients) or (life.added and life.added.are_running):
            life.loop.after(_FLUSH_POLL_S, self._leave_when_flushed)
        else:
            self._life.loop.stop()


def _end_of(state: dict[str, Any]) -> End:
    return End(
        state["exit_code"], state["started_ns"], state["finished_ns"], bool(state["oom_killed"]), str(state["error"])
    )
