"""What a monitor leaves with the spawner, so that another monitor can go on in its place.

The spawner (and the keeper behind it) holds duplicates of the descriptors that would end with a
killed monitor: reading ends of pipes, terminals, pidfds. Messages are drawn in core.monitor.proto.
A spawner that is killed takes nothing away: everything is left again with the next one.
"""

from __future__ import annotations

from typing import Any

from core.monitor import proto
from core.monitor.loop import READ, Loop

_RETRY_S = 0.5


class Deposit:
    """The monitor's end of the channel."""

    def __init__(self, loop: Loop, spec: dict[str, Any], spawner_socket: str, channel: proto.Socket | None) -> None:
        self._loop = loop
        self._places = {name: spec[name] for name in ("id", "container_dir", "runtime_dir", "cgroup")}
        self._spawner_socket = spawner_socket
        self._channel = channel
        self._kept: dict[str, tuple[dict[str, Any], dict[str, int]]] = {}
        self._is_finished = False
        if channel:
            self._watch(channel)
        else:
            loop.after(_RETRY_S, self._reconnect)

    def keep(self, process: str, facts: dict[str, Any], descriptors: dict[str, int]) -> None:
        """Leave what belongs to a process, in place of what was left before.

        Args: descriptors: by name; they are duplicated, and must stay open until the next call for it.
        """
        if self._is_finished:
            return
        self._kept[process] = (facts, descriptors)
        self._send_kept(process)

    def release(self, process: str) -> None:
        """Have what belongs to a process closed."""
        if self._kept.pop(process, None) is not None:
            self._send({"op": "release", "process": process})

    def finish(self) -> None:
        """This monitor ends as it should: no successor is wanted."""
        self._kept.clear()
        self._is_finished = True
        self._send({"op": "forget"})

    def _send_kept(self, process: str) -> None:
        facts, descriptors = self._kept[process]
        message = {"op": "keep", "process": process, "facts": facts, "names": list(descriptors)}
        self._send(message, tuple(descriptors.values()))

    def _send(self, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        if self._channel is None:
            return
        try:
            proto.send(self._channel, {**message, "places": self._places}, descriptors)
        except OSError:  # it has gone, or does not keep up: it gets everything anew
            self._lose()

    def _watch(self, channel: proto.Socket) -> None:
        channel.setblocking(False)
        self._loop.add(channel.fileno(), READ, self._spawner_gone)

    def _spawner_gone(self, _events: int) -> None:
        """It never speaks on this channel: what can be read is its end."""
        self._lose()

    def _lose(self) -> None:
        if self._channel is None:
            return
        self._loop.remove(self._channel.fileno())
        self._channel.close()
        self._channel = None
        self._loop.after(_RETRY_S, self._reconnect)

    def _reconnect(self) -> None:
        if self._channel is not None:
            return
        try:
            channel = proto.connect(self._spawner_socket)
        except OSError:
            self._loop.after(_RETRY_S, self._reconnect)
            return
        self._channel = channel
        self._watch(channel)
        self._send({"op": "monitor", "protocol": proto.PROTOCOL, "processes": list(self._kept)})
        for process in list(self._kept):
            self._send_kept(process)
