"""Beside the list: the container under the cursor, its meters and the end of its log."""

from __future__ import annotations

import time

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.timer import Timer

from app import short
from app.console.network_picture import port_pieces
from app.console.problems import explain
from app.console.seat import seat
from app.console.standing import standing_of
from app.console.widgets.bar import Bar
from app.console.widgets.log_view import LogLines
from app.console.widgets.stats_graph import StatsGraphs
from app.console.widgets.strips import Cells
from app.why.find import find_reasons
from app.why.signs import Signs
from core.model.container import Container, Running
from core.model.display import safe_text
from core.model.network import CONTAINER_PREFIX

_SETTLE_S = 0.12
"""How long the cursor has to rest on a row before its log is opened."""


class ContainerTitle(Bar):
    """Who it is: name and state, image, command."""

    DEFAULT_CSS = """
    ContainerTitle { height: 3; }
    """
    TOPICS = frozenset({"containers", "stats"})
    BASE = ("text", "background")

    def __init__(self) -> None:
        super().__init__()
        self.key = ""

    def draw(self, cells: Cells, line: int) -> None:
        palette, store = self.seat.palette, self.seat.store
        container = store.container(self.key)
        if container is None:
            return
        cells.gap(1)
        if line == 0:
            standing = standing_of(container)
            sign, tone = short.glyph(standing)
            cells.put(f"{sign} ", palette.style(tone)).put(
                safe_text(container.name), palette.style("text", "background", "bold")
            )
            state = short.state(standing, time.time_ns())
            cells.right([(f"{state} ", palette.style(tone))])
        elif line == 1:
            cells.put(safe_text(container.config.image_name), palette.style("accent"))
            cells.put("  " + safe_text(" ".join(" ".join(container.config.argv).split())), palette.style("muted"))
        else:
            words = facts(container)
            trouble = explain(container)
            cells.put(trouble or words, palette.style("warn" if trouble else "faint"))


def facts(container: Container) -> str:
    """The rest of what matters, in one line: id, network, mounts, what was allowed."""
    spec = container.config.spec
    parts = [container.id[:12], f"net {_networks(container)}"]
    if isinstance(container.state, Running):
        parts += ["".join(text for text, _tone in port_pieces(container.state.ports)).strip()]
        parts.append(f"pid {container.state.pid}")
    if container.config.mounts:
        parts.append(f"{len(container.config.mounts)} mounts")
    if spec.auto_remove:
        parts.append("--rm")
    if spec.privileged:
        parts.append("⚠ privileged")
    return " · ".join(filter(None, parts))


def _networks(container: Container) -> str:
    """Where it is and what it is called there: `appnet 172.30.0.2`."""
    mode = container.config.spec.network
    if mode.startswith(CONTAINER_PREFIX):
        return f"of {mode.removeprefix(CONTAINER_PREFIX)[:12]}"
    state = container.state
    addresses = {one.network: one.ipv4 or one.ipv6 for one in state.endpoints} if isinstance(state, Running) else {}
    names = [f"{safe_text(wish.network)} {addresses.get(wish.network, '')}".strip() for wish in container.networks]
    return ", ".join(names)


class ContainerSide(Vertical):
    """Title, meters, log."""

    DEFAULT_CSS = """
    ContainerSide StatsGraphs { height: 9; }
    ContainerSide LogLines { height: 1fr; border-top: solid $line; }
    """

    def __init__(self) -> None:
        super().__init__(classes="side")
        self._shown: str | None = None
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield ContainerTitle()
        yield StatsGraphs()
        log = LogLines()
        log.can_focus = False
        yield log

    def show(self, key: str | None) -> None:
        """Show a container, its log once the cursor has rested there."""
        if key == self._shown:
            return
        self._shown = key
        title = self.query_one(ContainerTitle)
        title.key = key or ""
        title.refresh()
        self.query_one(StatsGraphs).show(key or "")
        self.query_one(LogLines).shut()
        if self._timer is not None:
            self._timer.stop()
        if key is not None:
            self._timer = self.set_timer(_SETTLE_S, self._open_log)

    def _open_log(self) -> None:
        if self._shown is None or not self.size.width:
            return
        log = self.query_one(LogLines)
        container = seat(self).store.container(self._shown)
        log.why_empty = why_no_log(container)
        log.open(self._shown)


def why_no_log(container: Container | None) -> str:
    """The reason for an empty log, in words."""
    if container is None:
        return ""
    if container.status == "created":
        return "never started: no log yet"
    reasons = find_reasons(container, Signs(has_written=False), time.time_ns())
    told = next((reason for reason in reasons if reason.kind == "silent"), None)
    if told is not None:
        return f"{told.sentence}   (W tells more)"
    return "it has written nothing so far" if container.status == "running" else "it wrote nothing to its output"
