"""Host: who takes the machine. CPU and memory divided among containers, now and over time."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable
from typing import NamedTuple

from textual.containers import Vertical
from textual.strip import Strip
from textual.widget import Widget

from app import short
from app.console.screens.place import Place
from app.console.widgets.drawing import Drawing
from app.console.widgets.graph import nice_top
from app.console.widgets.strips import Cells, meter
from core.model.display import safe_text

_MOST_NAMED = 8
_FILLS = "█▓"
"""Neighbours differ by shape too, for those who see no colours."""


class Share(NamedTuple):
    """What one container takes of the host."""

    name: str
    tone: str
    cpu: float
    """Of one core, per cent."""
    memory: int
    throttled: float
    shares: int
    history: list[float]


class HostShares(Drawing):
    """Stacked bars, a table of who takes what, and the past quarter of an hour."""

    DEFAULT_CSS = """
    HostShares { width: 1fr; height: 1fr; }
    """

    def depends_on(self) -> Hashable:
        store = self.seat.store
        return store.host.now, self.seat.cpu_of_host, tuple(store.containers)

    # ------------------------------------------------------------------ what there is

    def _shares(self) -> list[Share]:
        """Every running container, in an order and with a colour that stay."""
        store = self.seat.store
        running = [one for one in store.containers.values() if one.status in ("running", "paused")]
        running.sort(key=lambda one: one.config.created_ns)
        shares = []
        for number, container in enumerate(running):
            track = store.tracks.get(container.id)
            point = track.now if track else None
            shares.append(
                Share(
                    safe_text(container.name),
                    f"series{number}",
                    point.cpu if point else 0.0,
                    point.memory_bytes if point else 0,
                    point.throttled if point else 0.0,
                    container.settings.limits.cpu_shares or 1024,
                    [one.cpu for one in track.points] if track else [],
                )
            )
        return sorted(shares, key=lambda share: -share.cpu)

    def draw(self) -> list[Strip]:
        console = self.seat
        host, palette, width = console.store.host.now, console.palette, self.size.width
        if host is None:
            return [self.words("waiting for the first sample …")]
        shares = self._shares()
        cores = host.cpu_count
        used_cpu = console.store.host.cpu[-1] if console.store.host.cpu else 0.0
        ours_cpu = sum(share.cpu for share in shares)
        ours_memory = sum(share.memory for share in shares)
        rows = [self._head("CPU", f"{used_cpu:.0f}% of {cores} cores", f"load {host.load_1m:.2f}")]
        others = max(0.0, used_cpu * cores - ours_cpu)
        rows.append(self._stack([(s.cpu, s.tone) for s in shares], others, 100.0 * cores))
        words = f"{short.size(host.memory_used_bytes)} of {short.size(host.memory_total_bytes)}"
        swap = f"swap {short.size(host.swap_used_bytes)}" if host.swap_total_bytes else "no swap"
        rows += [self.blank(), self._head("Memory", words, swap)]
        rest = max(0, host.memory_used_bytes - ours_memory)
        rows.append(self._stack([(s.memory, s.tone) for s in shares], rest, host.memory_total_bytes))
        if host.disk_total_bytes:
            share = host.disk_used_bytes / host.disk_total_bytes
            words = f"{short.size(host.disk_used_bytes)} of {short.size(host.disk_total_bytes)}"
            rows += [self.blank(), self._head("Disk", words, "where the engine keeps its data")]
            line = Cells(width, palette.style("text")).gap(2)
            tone = "fail" if share > 0.95 else "warn" if share > 0.85 else "muted"
            rows.append(line.put(meter(share, max(4, width - 4)), palette.style(tone, "raised")).strip())
        rows.append(self.blank())
        rows += self._table(shares, cores)
        rows += self._past(self.size.height - len(rows) - 1, cores)
        return rows

    # ------------------------------------------------------------------ drawing

    def _head(self, title: str, words: str, more: str) -> Strip:
        palette = self.seat.palette
        cells = Cells(self.size.width, palette.style("muted"))
        cells.gap(2).put(f"{title:<8}", palette.style("text", "background", "bold"))
        return cells.put(words, palette.style("text")).put(f"   {more}").strip()

    def _stack(self, parts: list[tuple[float, str]], rest: float, whole: float) -> Strip:
        """One bar: each container its colour, the host's other processes dotted, free space dark."""
        palette, room = self.seat.palette, max(4, self.size.width - 4)
        cells = Cells(self.size.width, palette.style("text")).gap(2)
        reached, drawn = 0.0, 0
        for number, (value, tone) in enumerate([*parts, (rest, "faint")]):
            reached += value
            end = min(room, round(room * reached / whole)) if whole else 0
            last = number == len(parts)
            fill = "░" if last else _FILLS[int(tone[6:]) % 2]
            cells.put(fill * max(0, end - drawn), palette.style(tone, "raised"))
            drawn = max(drawn, end)
        return cells.put(" " * (room - drawn), palette.style("text", "raised")).strip()

    def _table(self, shares: list[Share], cores: int) -> list[Strip]:
        console, width = self.seat, self.size.width
        palette = console.palette
        of_host = console.cpu_of_host
        divisor = cores if of_host else 1
        name_width = max(14, min(28, width - 52))
        title = Cells(width, palette.style("faint", "background", "bold"))
        title.gap(4).put("CONTAINER", cells=name_width)
        title.put("CPU% OF HOST" if of_host else "CPU% OF CORE", cells=13, align=">")
        title.put("SHARES", cells=8, align=">").put("THROTTLED", cells=11, align=">").put("MEM", cells=8, align=">")
        rows = [title.strip()]
        for share in shares[:_MOST_NAMED]:
            cells = Cells(width, palette.style("text"))
            cells.gap(2).put(_FILLS[int(share.tone[6:]) % 2] + " ", palette.style(share.tone))
            cells.put(share.name, cells=name_width)
            cells.put(short.percent(share.cpu / divisor), cells=13, align=">")
            cells.put(str(share.shares), palette.style("muted"), 8, ">")
            throttled = f"{share.throttled:.1f}%" if share.throttled > 0.05 else "–"
            cells.put(throttled, palette.style("warn" if share.throttled > 0.05 else "faint"), 11, ">")
            cells.put(short.size(share.memory), cells=8, align=">")
            rows.append(cells.strip())
        hidden = len(shares) - _MOST_NAMED
        if hidden > 0:
            rows.append(self.words(f"and {hidden} more", indent=4))
        if not shares:
            rows.append(self.words("nothing is running", indent=4))
        return rows

    def _past(self, room: int, cores: int) -> list[Strip]:
        """Who took the CPU over time: stacked columns, where there is room for them."""
        if room < 5:
            return []
        palette, width = self.seat.palette, self.size.width
        cells, height = max(8, width - 11), min(room - 2, 12)
        columns, seconds = self._columns_of_time(cells)
        top = nice_top(max((sum(column) for column in columns), default=0.0), 20)
        words = f"{short.span(seconds)}, per cent of one core, {cores} cores"
        rows = [self.blank(), self._head("History", "CPU by container", words)]
        tones = [share.tone for share in self._by_age()]
        for level in range(height):
            line = Cells(width, palette.style("faint"))
            label = f"{top:.0f}%" if level == 0 else "0" if level == height - 1 else ""
            line.put(label, cells=7, align=">").put("┤" if label else "│", palette.style("line"))
            line.gap(cells - len(columns))
            for column in columns:
                self._column_cell(line, column, tones, (height - level - 0.5) * top / height)
            rows.append(line.strip())
        return rows

    def _column_cell(self, line: Cells, column: list[float], tones: list[str], value: float) -> None:
        """One cell of a stacked column: whose share lies at this value."""
        reached = 0.0
        for number, part in enumerate(column):
            reached += part
            if value <= reached:
                line.put(_FILLS[number % 2], self.seat.palette.style(tones[number]))
                return
        line.gap()

    def _columns_of_time(self, cells: int) -> tuple[list[list[float]], int]:
        """The last quarter of an hour as at most `cells` columns of one value a container."""
        shares = self._by_age()
        seconds = max((len(share.history) for share in shares), default=0)
        step = max(1, -(-seconds // cells))
        newest = int(time.time())
        columns: dict[int, list[float]] = {}
        for place, share in enumerate(shares):
            for back, value in enumerate(reversed(share.history)):
                bucket = (newest - back) // step
                columns.setdefault(bucket, [0.0] * len(shares))[place] += value / step
        return [columns[bucket] for bucket in sorted(columns)][-cells:], seconds

    def _by_age(self) -> list[Share]:
        return sorted(self._shares(), key=lambda share: int(share.tone.removeprefix("series")))


class HostPlace(Place):
    """The machine and its division."""

    PLACE = "host"
    TAB = "host"

    def body(self) -> Iterable[Widget]:
        with Vertical(classes="body"):
            yield HostShares()
