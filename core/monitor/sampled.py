"""A running container's counters, read once a second by the spawner into the container's ring."""

from __future__ import annotations

from core.cgroups import driver
from core.linux.netlink import Traffic
from core.monitor.ring import RingWriter


class Sampled:
    """One container; its group's files and its ring are opened as soon as the group exists."""

    def __init__(self, container_dir: str, cgroup: str, hierarchies: driver.Hierarchies) -> None:
        self._cgroup = driver.choose(hierarchies, cgroup)
        self._path = f"{container_dir}/stats.ring"
        self._sampler: driver.Sampler | None = None
        self._ring: RingWriter | None = None

    def sample(self, at_ns: int, traffic: Traffic) -> None:
        """Take one sample; nothing happens for a group that is not there yet, or no more."""
        try:
            if self._sampler is None or self._ring is None:
                self._sampler = self._cgroup.sampler()
                self._ring = RingWriter(self._path)
            self._ring.append(at_ns, self._sampler.read(), traffic)
        except OSError:
            self.close()

    def close(self) -> None:
        """Let go of the descriptors."""
        if self._sampler:
            self._sampler.close()
        if self._ring:
            self._ring.close()
        self._sampler = self._ring = None
