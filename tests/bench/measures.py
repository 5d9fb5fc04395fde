"""Times taken in turns, and rows of what came out."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Row(NamedTuple):
    """One measure: ours and the peers', in one unit; smaller is better."""

    what: str
    unit: str
    ours: float
    peers: Mapping[str, float]
    goal: str = ""

    def line(self) -> str:
        """For people: each peer's figure, and how many times ours it is."""
        shown = [f"{name} {value:.4g} ({value / self.ours:.1f}x)" for name, value in self.peers.items() if self.ours]
        goal = f"   goal: {self.goal}" if self.goal else ""
        return f"{self.what:<44} wharf {self.ours:.4g} {self.unit}   " + "   ".join(shown) + goal


def in_turns(actions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median seconds of each action, one of each in every round; the first round is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds + 1):
        for name, action in actions.items():
            began = time.perf_counter()
            action()
            if number:
                taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(times) for name, times in taken.items()}


def median_seconds(case: Callable[[], float], rounds: int) -> float:
    """Of a case that measures itself; the first round is not counted."""
    return statistics.median([case() for _ in range(rounds + 1)][1:])


def milliseconds(what: str, times: Mapping[str, float], *, goal: str = "") -> Row:
    """A row of times, ours taken out."""
    return _row(what, "ms", {name: seconds * 1000 for name, seconds in times.items()}, goal)


def seconds(what: str, times: Mapping[str, float], *, goal: str = "") -> Row:
    """The same for longer ones."""
    return _row(what, "s", times, goal)


def _row(what: str, unit: str, values: Mapping[str, float], goal: str) -> Row:
    peers = {name: value for name, value in values.items() if name != "wharf"}
    return Row(what, unit, values["wharf"], peers, goal)


def proportional_bytes(pids: set[int]) -> int:
    """The memory of some processes, what they share counted once among all that share it (PSS)."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:")) * 1024
    return total


def cpu_seconds(pids: set[int]) -> float:
    """User and system time that some processes have taken."""
    import os

    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def parent_of(pid: int) -> int:
    """The parent's process id."""
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def processes_named(*names: str, below: str = "") -> set[int]:
    """Processes whose program has one of these names and whose command line mentions a text."""
    import os

    found = set()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if os.path.basename(words[0]) in names and below in " ".join(words):
            found.add(int(entry))
    return found
