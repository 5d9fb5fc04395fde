"""The monitor's desk: what engines ask of a running (or restarting) container."""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable
from typing import Any

from core.linux.checkpoints import checkpoint
from core.monitor import proto
from core.monitor.life import Life
from core.monitor.loop import READ
from core.monitor.network import NetworkFailed

_FOR_A_PROCESS = ("attach", "pause", "unpause", "freeze", "exec", "resume-exec", "connect", "disconnect")
"""Requests that make no sense between two runs."""


class Desk:
    """Listens, and answers one request a connection.

    Args: on_stop: called when the container is to stay ended, with nothing running just now.
        on_go: called when a person does not want to wait for the next start.
    """

    def __init__(self, life: Life, on_stop: Callable[[], None], on_go: Callable[[], None]) -> None:
        self._life = life
        self._on_stop = on_stop
        self._on_go = on_go
        self._listener: proto.Socket | None = None

    def open(self) -> None:
        """Listen: connections wait until the loop runs."""
        self._listener = proto.listen(f"{self._life.spec['runtime_dir']}/monitor.sock")
        self._life.loop.add(self._listener.fileno(), READ, self._accept)

    def close(self) -> None:
        """Nobody is answered any more."""
        if self._listener:
            self._life.loop.remove(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def _accept(self, _events: int) -> None:
        assert self._listener
        while connection := proto.accept(self._listener):
            connection.setblocking(False)
            self._life.loop.add(connection.fileno(), READ, functools.partial(self._request, connection))

    def _request(self, connection: proto.Socket, _events: int) -> None:
        """The first packet of a connection decides what it is."""
        self._life.loop.remove(connection.fileno())
        connection.setblocking(True)
        try:
            request = proto.parse(proto.receive(connection))
            answer = self._serve(connection, request)
        except (ValueError, KeyError, TypeError) as error:
            answer = _refusal(f"not a request: {error}")
        except OSError as error:
            answer = _refusal((error.strerror or str(error)).lower(), error.errno or 0)
        if answer is not None:
            proto.answer(connection, answer)
            connection.close()

    def _serve(self, connection: proto.Socket, request: dict[str, Any]) -> dict[str, Any] | None:
        """An answer to send, or None when the connection is kept."""
        life = self._life
        operation = request.get("op")
        if life.is_over and operation not in ("resume-exec", "exec"):
            return _refusal(f"container {life.spec['id']} is not running")
        if life.process is None and not life.is_over and operation in _FOR_A_PROCESS:
            return _refusal(f"container {life.spec['id']} is restarting, wait until the container is running")
        match operation:
            case "attach":
                self._attach(connection, request)
                return None
            case "wait":
                life.waiting.append(connection)
                return None
            case "signal":
                return self._signal(int(request["number"]), drops_rest=bool(request.get("drops_rest")))
            case "stop":
                return self._stop(str(request.get("by") or "hand"))
            case "go":
                self._on_go()
                return {"event": "ok"}
            case "pause":
                return self._pause()
            case "unpause":
                return self._unpause()
            case "freeze":
                self._freeze_while(connection)
                return None
            case "rename":
                life.spec["attributes"]["name"] = str(request["name"])
                life.spec["name_link"] = str(request["name_link"])
                if life.network:
                    life.network.rename(life.name)
                    if life.process:
                        life.write_running()
            case "limit":
                warnings = self._limit(request["limits"])
                life.write_handover()
                return {"event": "ok", "warnings": warnings}
            case "policy":
                life.restarts.set_policy(request)
                life.spec["restart"] = {"name": request["name"], "most_retries": request["most_retries"]}
            case "connect":
                return self._connect(request)
            case "disconnect":
                return self._disconnect(request)
            case "rules":
                if life.network:
                    life.network.tell_rules_again()
            case "exec":
                return self._exec(connection, request)
            case "resume-exec":
                assert life.added
                return life.added.attach(connection, request)
            case other:
                return _refusal(f"unknown request {other!r}")
        life.write_handover()
        return {"event": "ok"}

    def _attach(self, connection: proto.Socket, request: dict[str, Any]) -> None:
        life = self._life
        assert life.session
        assert life.process
        position = life.log.position if life.log else None
        if request.get("from_start"):
            position = life.process.position
            request["resume"] = {"position": position, "received": [0, 0]}
        proto.answer(connection, {"event": "ok", "position": position, "taken": life.session.taken})
        life.session.attach(connection, request)
        life.keep_attended()

    def _exec(self, connection: proto.Socket, request: dict[str, Any]) -> dict[str, Any] | None:
        life = self._life
        if life.is_paused or life.freezers:  # a process that joins a frozen group would stop us too
            return _refusal(f"container {life.name} is paused, unpause the container before exec")
        assert life.added
        if life.is_over and not life.added.is_known(str(request["id"])):
            return _refusal(f"container {life.spec['id']} is not running")
        life.added.start(connection, request)
        return None

    def _limit(self, limits: dict[str, Any]) -> list[str]:
        """Other limits from now on; what the kernel refuses leaves the old ones. Raises: OSError."""
        life = self._life
        warnings: list[str] = []
        if life.process:
            try:
                warnings = life.cgroup.limit(limits)
            except OSError:
                life.cgroup.limit(life.spec["limits"])
                raise
            life.warnings = list(dict.fromkeys([*life.warnings, *warnings]))
        life.spec["limits"] = limits
        if life.process:
            life.write_running()
        return warnings

    def _connect(self, request: dict[str, Any]) -> dict[str, Any]:
        life = self._life
        if life.network is None:
            return _refusal("the container has no network namespace of its own", 22)
        try:
            life.network.connect(request["endpoint"], request["resolver"])
        except NetworkFailed as error:
            return _refusal(str(error))
        checkpoint("connect:joined")
        life.write_running()
        life.write_handover()
        return {"event": "ok"}

    def _disconnect(self, request: dict[str, Any]) -> dict[str, Any]:
        life = self._life
        lost = life.network.disconnect(str(request["network_id"]), request["resolver"]) if life.network else None
        if lost is not None:
            life.warnings += lost
            life.write_running()
            life.write_handover()
        return {"event": "ok"}

    def _stop(self, by: str) -> dict[str, Any]:
        """Whatever ends it from now on, it stays ended."""
        self._life.restarts.stopped_by = self._life.restarts.stopped_by or by
        self._life.write_handover()
        checkpoint("stop:noted")
        if self._life.process is None:
            self._on_stop()
        return {"event": "ok"}

    def _signal(self, number: int, *, drops_rest: bool) -> dict[str, Any]:
        life = self._life
        life.drops_rest = life.drops_rest or drops_rest  # even if it is just over, unnoticed as yet
        if life.is_waiting_for_room:
            if not drops_rest:
                return _refusal("the container has ended, and its last output waits for room in the log", 3)
            return {"event": "ok"}
        if life.process is None:
            return _refusal("the container is not running", 3)
        try:
            signal.pidfd_send_signal(life.process.pidfd, number)
        except ProcessLookupError:
            return _refusal("the container is not running", 3)
        life.note("kill", signal=str(number))
        if life.is_paused and number == signal.SIGKILL:
            life.cgroup.thaw()  # on v1 a frozen process does not even die
        return {"event": "ok"}

    def _pause(self) -> dict[str, Any]:
        if self._life.is_paused:
            return _refusal("already paused")
        self._life.cgroup.freeze()
        self._set_paused(True)
        return {"event": "ok"}

    def _unpause(self) -> dict[str, Any]:
        if not self._life.is_paused:
            return _refusal("not paused")
        self._life.cgroup.thaw()
        self._set_paused(False)
        return {"event": "ok"}

    def _freeze_while(self, connection: proto.Socket) -> None:
        """Frozen as long as the asker keeps the connection: its death thaws."""
        life = self._life
        if not life.is_paused:
            life.cgroup.freeze()
            life.note("pause")
        life.freezers += 1
        proto.answer(connection, {"event": "ok"})

        def thaw(_events: int) -> None:
            life.loop.remove(connection.fileno())
            connection.close()
            life.freezers -= 1
            if not life.is_paused and life.process:
                life.cgroup.thaw()
                life.note("unpause")

        life.loop.add(connection.fileno(), READ, thaw)

    def _set_paused(self, paused: bool) -> None:
        self._life.is_paused = paused
        self._life.write_running()
        self._life.note("pause" if paused else "unpause")


def _refusal(text: str, errno: int = 0) -> dict[str, Any]:
    return {"event": "error", "text": text, "errno": errno}
