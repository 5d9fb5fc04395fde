"""The meters of one container: CPU, memory, disk and network, throttling and pressure, now and for 15 minutes.

What the kernel does not tell of a container is said in a sentence in the graph's place.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from textual import events
from textual.message import Message
from textual.strip import Strip

from app import short
from app.console.track import Point, Track
from app.console.widgets.drawing import Drawing
from app.console.widgets.graph import braille, buckets, nice_top
from app.console.widgets.strips import Cells
from core.model.container import Container
from core.model.stats import Pressure

_AXIS = 6
_LEAST_ROWS = 3
_MOST_ROWS = 12

Title = Sequence[tuple[str, str]]
"""Pieces of text with the meaning of their colour."""
Graph = Callable[[Track, int], list[Strip]]


class StatsGraphs(Drawing):
    """As many graphs as fit, one above the other; the last line sums up what had no room."""

    DEFAULT_CSS = """
    StatsGraphs { width: 1fr; height: 1fr; }
    """

    class MomentPicked(Message):
        """A place in a graph has been clicked."""

        def __init__(self, at_ns: int) -> None:
            super().__init__()
            self.at_ns = at_ns

    def __init__(self) -> None:
        super().__init__()
        self._key = ""

    def show(self, key: str) -> None:
        """Show another container."""
        self._key = key
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        track = self.seat.store.tracks.get(self._key)
        cells = self._graph_cells()
        back = self.size.width - 3 - event.x
        if track is None or not track.points or not 0 <= back < cells:
            return
        event.stop()
        step = max(1, -(-len(track.points) // (cells * 2)))
        place = max(0, len(track.points) - 1 - back * 2 * step)
        self.post_message(self.MomentPicked(track.points[place].at_ns))

    def _graph_cells(self) -> int:
        return max(4, self.size.width - _AXIS - 3)

    # ------------------------------------------------------------------ drawing

    @property
    def _track(self) -> Track | None:
        return self.seat.store.tracks.get(self._key)

    def depends_on(self) -> Hashable:
        track, store = self._track, self.seat.store
        newest = (track.total, track.now) if track else None
        return self._key, newest, self.seat.cpu_of_host, store.container(self._key), store.info is None

    def draw(self) -> list[Strip]:
        track, height = self._track, self.size.height
        if track is None or track.now is None:
            return [self.words("no statistics yet" if track else "not running: no statistics")]
        point = track.now
        graphs: list[Graph] = [self._cpu, self._memory, self._io]
        notes = [note for note in (self._why_not_throttled(), self._why_no_pressure(point.pressure)) if note]
        if not self._why_not_throttled():
            graphs.insert(1, self._throttled)
        if track.flows:
            graphs.append(self._network)
        if not self._why_no_pressure(point.pressure):
            graphs.append(self._pressure)
        roomy = height >= (len(graphs) * _LEAST_ROWS + len(notes))
        spare = len(notes) if roomy else 1
        while len(graphs) > 1 and height < len(graphs) * _LEAST_ROWS + spare:
            graphs.pop()
        each = max(2, (height - spare) // len(graphs)) if height > 1 else height
        rows: list[Strip] = []
        for graph in graphs:
            rows += graph(track, min(each, _MOST_ROWS))
        rows += [self.words(note, tone="faint") for note in notes] if roomy else [self._sum(point)]
        return rows

    def _graph(
        self, title: Title, values: list[float], top: float, label: str, tone: str, rows: int, total: int
    ) -> list[Strip]:
        palette, width = self.seat.palette, self.size.width
        head = Cells(width, palette.style("muted"))
        head.gap(1)
        for text, meaning in title:
            head.put(text, palette.style(meaning, "background", "bold" if meaning == "text" else ""))
        lines = [head.strip()]
        cells = self._graph_cells()
        drawn = braille(buckets(values, cells * 2, total), cells, max(1, rows - 1), top)
        for number, text in enumerate(drawn):
            line = Cells(width, palette.style("muted"))
            axis = label if number == 0 else "0" if number == len(drawn) - 1 and rows > 2 else ""
            line.put(axis, palette.style("faint"), _AXIS, ">")
            line.put("┤" if axis else "│", palette.style("line")).put(text, palette.style(tone))
            lines.append(line.strip())
        return lines

    def _cpu(self, track: Track, rows: int) -> list[Strip]:
        console, point = self.seat, _newest(track)
        cores = console.store.host.now.cpu_count if console.store.host.now else 1
        divisor, of = (cores, "of the host") if console.cpu_of_host else (1, "of one core")
        values = [one.cpu / divisor for one in track.points]
        title = [("cpu ", "cpu"), (f"{short.percent(point.cpu / divisor)}%", "text"), (f" {of}", "muted")]
        if container := self._container:
            cpus = container.settings.limits.nano_cpus / 1e9
            title += [(f"   limit {cpus:g} cpu{'' if cpus == 1 else 's'}", "muted")] if cpus else []
        top = nice_top(max(values), 10)
        return self._graph(title, values, top, f"{top:.0f}%", "cpu", rows, track.total)

    def _throttled(self, track: Track, rows: int) -> list[Strip]:
        point = _newest(track)
        values = [one.throttled for one in track.points]
        tone = "warn" if point.throttled > 0.05 else "text"
        words = f"{short.percent(point.throttled)}%"
        title = [("thr ", "warn"), (words, tone), (" of the time held back by its CPU limit", "muted")]
        top = nice_top(max(values), 10)
        return self._graph(title, values, top, f"{top:.0f}%", "warn", rows, track.total)

    def _memory(self, track: Track, rows: int) -> list[Strip]:
        point = _newest(track)
        values = [float(one.memory_bytes) for one in track.points]
        title = [("mem ", "memory"), (short.size(point.memory_bytes), "text")]
        if point.limit_bytes:
            share = 100 * point.memory_bytes / point.limit_bytes
            tone = "fail" if share > 97 else "warn" if share > 90 else "muted"
            title.append((f" of {short.size(point.limit_bytes)} ({share:.0f}%)", tone))
        if point.oom_kills:
            title.append((f"   OOM kills {point.oom_kills}", "fail"))
        top = float(point.limit_bytes) or max(values) * 1.2 or 1.0
        return self._graph(title, values, top, short.size(top), "memory", rows, track.total)

    def _io(self, track: Track, rows: int) -> list[Strip]:
        point = _newest(track)
        values = [one.read_rate + one.write_rate for one in track.points]
        title = [
            ("io  ", "io"),
            (f"r {short.rate(point.read_rate)}  w {short.rate(point.write_rate)}", "text"),
            (f"   pids {point.pids}", "muted"),
        ]
        top = max(*values, 4096.0) if values else 4096.0
        return self._graph(title, values, top, short.size(top), "io", rows, track.total)

    def _network(self, track: Track, rows: int) -> list[Strip]:
        point = _newest(track)
        values = [one.received_rate + one.sent_rate for one in track.points]
        words = f"↓ {short.rate(point.received_rate)}  ↑ {short.rate(point.sent_rate)}"
        title = [("net ", "ok"), (words, "text")]
        if len(track.flows) > 1:
            title.append((f"   {len(track.flows)} interfaces", "muted"))
        top = max(*values, 4096.0) if values else 4096.0
        return self._graph(title, values, top, short.size(top), "ok", rows, track.total)

    def _pressure(self, track: Track, rows: int) -> list[Strip]:
        pressure = _newest(track).pressure
        values = [max(_known(one.pressure), default=0.0) for one in track.points]
        title: list[tuple[str, str]] = [("psi ", "accent"), *_pressures(pressure), ("  % of 10 s waited", "muted")]
        top = nice_top(max(values), 10)
        return self._graph(title, values, top, f"{top:.0f}%", "accent", rows, track.total)

    def _sum(self, point: Point) -> Strip:
        """What there was no room to draw, in one line."""
        palette = self.seat.palette
        cells = Cells(self.size.width, palette.style("muted")).gap(1)
        if why := self._why_no_pressure(point.pressure):
            return cells.put(why, palette.style("faint")).strip()
        cells.put("psi ")
        for text, tone in _pressures(point.pressure):
            cells.put(text, palette.style(tone))
        if point.throttled > 0.05:
            cells.put(f"   throttled {short.percent(point.throttled)}%", palette.style("warn"))
        return cells.strip()

    # ------------------------------------------------------------------ what there is to draw

    @property
    def _container(self) -> Container | None:
        return self.seat.store.container(self._key)

    def _why_not_throttled(self) -> str:
        """A container without a CPU limit is never held back; empty for one that has one."""
        container, track = self._container, self._track
        if (container and container.settings.limits.nano_cpus) or (track and track.now and track.now.throttled > 0):
            return ""
        return "throttling: it has no CPU limit, so nothing holds it back"

    def _why_no_pressure(self, pressure: Pressure) -> str:
        """Why the kernel tells no pressure of this container; empty where it does."""
        if _known(pressure):
            return ""
        host, info = self.seat.store.host.now, self.seat.store.info
        if host is not None and not _known(host.pressure):
            return "psi: this kernel measures none; the boot option psi=1 may turn it on"
        if info is not None and info.cgroup_version != "2":
            return "psi: none per container on cgroup v1; the host's is in the top line"
        return "psi: the kernel gives none for this container"


def _newest(track: Track) -> Point:
    point = track.now
    assert point is not None
    return point


def _known(pressure: Pressure) -> list[float]:
    return [value for value in (pressure.cpu, pressure.memory, pressure.io) if value is not None]


def _pressures(pressure: Pressure) -> list[tuple[str, str]]:
    """`cpu 1.5 mem 0.0 io –`, each as alarming as it is."""
    pieces: list[tuple[str, str]] = []
    for name, value in (("cpu", pressure.cpu), ("mem", pressure.memory), ("io", pressure.io)):
        pieces.append((f" {name} ", "muted"))
        if value is None:
            pieces.append(("–", "muted"))
        else:
            pieces.append((f"{value:.1f}", "fail" if value > 60 else "warn" if value > 20 else "text"))
    return pieces
