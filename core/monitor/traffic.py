"""What went through containers' interfaces, seen from their ends on the host: one question for all of them.

The end on the host carries its container's id as its alias (core.monitor.network).
"""

from __future__ import annotations

from core.linux.netlink import Netlink, Traffic

NOTHING = Traffic()


class TrafficCounters:
    """Asked once a second by the spawner, for as many containers as there are."""

    def __init__(self) -> None:
        self._kernel: Netlink | None = None
        self._owners: dict[int, str] = {}
        """Aliases by the numbers of interfaces, of all there are."""

    def close(self) -> None:
        """Let go of the socket."""
        if self._kernel:
            self._kernel.close()

    def read(self) -> dict[str, Traffic]:
        """By container id; those without an interface are left out."""
        try:
            if self._kernel is None:
                self._kernel = Netlink()
            counters = self._kernel.traffic()
            if counters.keys() != self._owners.keys():
                self._owners = {link.number: link.alias for link in self._kernel.links()}
        except OSError:
            return {}
        found: dict[str, Traffic] = {}
        for number, outside in counters.items():
            if owner := self._owners.get(number):
                found[owner] = Traffic(*map(sum, zip(found.get(owner, NOTHING), from_inside(outside), strict=True)))
        return found


def from_inside(outside: Traffic) -> Traffic:
    """What a container receives, its other end sends."""
    return Traffic(
        outside.sent_bytes,
        outside.received_bytes,
        outside.sent_packets,
        outside.received_packets,
        outside.dropped,
    )
