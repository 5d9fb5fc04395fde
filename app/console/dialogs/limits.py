"""Limits: what a container may take, changed while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual.widget import Widget
from textual.widgets import Label

from app import short
from app.console.command_text import command_text
from app.console.dialogs.dialog import Dialog, Field
from core.errors import InvalidSpec
from core.model.container import Container
from core.model.display import safe_text
from core.model.limits import Limits, parse_bytes, parse_cpus, parse_swap
from core.model.restart import parse_restart_policy

_MIB = 1024 * 1024


class LimitsDialog(Dialog[bool]):
    """Every limit as it is now; what is changed becomes a flag of `update`."""

    DO_WORDS = "Change  ⏎"

    def __init__(self, container: Container) -> None:
        super().__init__()
        self._container = container
        self._before = _texts(container)

    def title_words(self) -> str:
        return f" Limits of {safe_text(self._container.name)} "

    def fields(self) -> Iterable[Widget]:
        before = self._before
        yield Label(self._use(), markup=False, classes="quiet")
        yield Field("CPUs", "cpus", value=before["cpus"], hint="no limit; 0.5, 2 …")
        yield Field("CPU shares", "cpu-shares", value=before["cpu-shares"], hint="1024")
        yield Field("Cores", "cpuset-cpus", value=before["cpuset-cpus"], hint="all; 0-2 or 0,3")
        yield Field("Memory", "memory", value=before["memory"], hint="no limit; 64m, 1g …")
        yield Field("with swap", "memory-swap", value=before["memory-swap"], hint="twice the memory; -1 no limit")
        yield Field("Processes", "pids-limit", value=before["pids-limit"], hint="no limit; 100 …")
        yield Field("Restart", "restart", value=before["restart"], hint="no, always, unless-stopped, on-failure:5")

    def _use(self) -> str:
        track = self.seat.store.tracks.get(self._container.id)
        point = track.now if track else None
        if point is None or self._container.status not in ("running", "paused"):
            return "It does not run: what is changed holds from its next start on."
        words = f"It takes {short.percent(point.cpu)}% of a core, {short.size(point.memory_bytes)}, {point.pids} pids"
        return f"{words}. What is changed holds at once."

    def command(self) -> str:
        return command_text(*self._words())

    def _words(self) -> list[str]:
        """The command, checked; only what is no longer as it was."""
        words = ["update"]
        for name, check in _CHECKS.items():
            text = self.value(name)
            if text == self._before[name]:
                continue
            if not text and name in _ENDLESS:
                text = _ENDLESS[name]
            if not text:
                raise InvalidSpec(f"{name}: a limit can be changed, not taken away", hint="write a larger one")
            check(text)
            words += [f"--{name}", text]
        return [*words, safe_text(self._container.name)]

    def act(self) -> None:
        words = self._words()
        if len(words) > 2:
            words[-1] = self._container.id  # its name may have moved on
            self.seat.actions.perform([words], f"{safe_text(self._container.name)} has its new limits", "containers")
        self.dismiss(len(words) > 2)


_ENDLESS = {"pids-limit": "-1", "restart": "no"}
"""What an emptied field means, where there is a word for it."""


def _whole(least: int) -> Callable[[str], object]:
    def check(text: str) -> None:
        if not (text.lstrip("-").isdigit() and text.isascii()) or int(text) < least:
            raise InvalidSpec(f"{text!r} is no number from {least} up")

    return check


def _some_bytes(text: str) -> None:
    if parse_bytes(text) < 6 * _MIB:
        raise InvalidSpec("Minimum memory limit allowed is 6MB", hint="write 6m or more")


def _some_cpus(text: str) -> None:
    if parse_cpus(text) <= 0:
        raise InvalidSpec("cpus: a container needs some", hint="write for example 0.5")


_CHECKS: dict[str, Callable[[str], object]] = {
    "cpus": _some_cpus,
    "cpu-shares": _whole(2),
    "cpuset-cpus": lambda text: None,
    "memory": _some_bytes,
    "memory-swap": parse_swap,
    "pids-limit": _whole(-1),
    "restart": parse_restart_policy,
}


def _texts(container: Container) -> dict[str, str]:
    """The limits as one would type them; empty where there is none."""
    limits: Limits = container.settings.limits
    return {
        "cpus": f"{limits.nano_cpus / 1e9:g}" if limits.nano_cpus else "",
        "cpu-shares": str(limits.cpu_shares or ""),
        "cpuset-cpus": limits.cpuset_cpus,
        "memory": _size_text(limits.memory_bytes),
        "memory-swap": "-1" if limits.memory_swap_bytes == -1 else _size_text(limits.memory_swap_bytes),
        "pids-limit": str(limits.pids_limit or ""),
        "restart": str(container.settings.restart),
    }


def _size_text(size_bytes: int) -> str:
    if not size_bytes:
        return ""
    for unit, factor in (("g", 1024 * _MIB), ("m", _MIB), ("k", 1024)):
        if size_bytes % factor == 0:
            return f"{size_bytes // factor}{unit}"
    return str(size_bytes)
