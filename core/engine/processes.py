"""What runs in a container, seen from the host: process tables and samples."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable, Sequence

from core.cgroups import driver
from core.errors import InvalidInput, Unsupported
from core.linux.netlink import Netlink
from core.model.container import Container, ProcessTable, Running
from core.model.display import safe_text
from core.model.stats import InterfaceCounters, StatsSample
from core.monitor.traffic import NOTHING, TrafficCounters, from_inside
from core.state.paths import Roots
from core.stats.ring import read_ring, to_sample

_FRESH_NS = 2_500_000_000
_PS_S = 10.0


def _group(container: Container) -> driver.Cgroup:
    assert isinstance(container.state, Running)
    return driver.choose(driver.find_hierarchies(), container.state.cgroup)


def table(roots: Roots, container: Container, ps_arguments: Sequence[str]) -> ProcessTable:
    """Run the host's ps and keep the rows of the container's processes, as docker does."""
    members = set(_group(container).processes())
    arguments = list(ps_arguments) or ["-ef"]
    try:
        done = subprocess.run(
            ["ps", *arguments], capture_output=True, timeout=_PS_S, stdin=subprocess.DEVNULL, check=False
        )
    except FileNotFoundError:
        raise Unsupported("this host has no ps", hint="install the package procps") from None
    lines = done.stdout.decode(errors="replace").splitlines()
    if done.returncode != 0 or not lines:
        reason = done.stderr.decode(errors="replace").strip().splitlines()
        raise InvalidInput(f"ps: {reason[0] if reason else 'no output'}", hint="use options that ps knows")
    titles = lines[0].split()
    if "PID" not in titles:
        raise InvalidInput("Couldn't find PID field in ps output", hint="ask ps for the column pid as well")
    position = titles.index("PID")
    rows = []
    for line in lines[1:]:
        fields = line.split(None, len(titles) - 1)
        if len(fields) > position and fields[position].isdigit() and int(fields[position]) in members:
            rows.append(tuple(safe_text(field) for field in fields))
    return ProcessTable(tuple(titles), tuple(rows))


def newest_sample(roots: Roots, container: Container) -> StatsSample | None:
    """The last kept sample if it is fresh, else one taken now; None if it does not run."""
    if not isinstance(container.state, Running):
        return None
    kept = read_ring(roots.container(container.id) / "stats.ring", most=1)
    if kept and time.time_ns() - kept[-1].at_ns < _FRESH_NS and kept[-1].at_ns > container.state.started_ns:
        return kept[-1]
    try:
        sampler = _group(container).sampler()
    except OSError:
        return None  # it has just ended
    counters = TrafficCounters()
    try:
        return to_sample(time.time_ns(), sampler.read(), counters.read().get(container.id, NOTHING))
    except OSError:
        return None
    finally:
        sampler.close()
        counters.close()


def interface_counters(containers: Iterable[Container]) -> dict[str, tuple[InterfaceCounters, ...]]:
    """What went through the interfaces of running containers, by their ids: one question for all of them."""
    numbers = {
        (container.id, endpoint.interface): _number_of(endpoint.host_interface)
        for container in containers
        if isinstance(container.state, Running)
        for endpoint in container.state.endpoints
        if endpoint.host_interface
    }
    if not numbers:
        return {}
    kernel = Netlink()
    try:
        counted = kernel.traffic()
    except OSError:
        return {}
    finally:
        kernel.close()
    found: dict[str, tuple[InterfaceCounters, ...]] = {}
    for (container_id, name), number in numbers.items():
        if number in counted:
            counters = InterfaceCounters(name=name, **from_inside(counted[number])._asdict())
            found[container_id] = (*found.get(container_id, ()), counters)
    return found


def _number_of(interface: str) -> int:
    try:
        with open(f"/sys/class/net/{interface}/ifindex") as file:
            return int(file.read())
    except OSError:
        return 0  # it has just gone


def kept_samples(roots: Roots, container_id: str, since_ns: int) -> list[StatsSample]:
    """Kept samples of a container, running or not."""
    return read_ring(roots.container(container_id) / "stats.ring", since_ns=since_ns)
