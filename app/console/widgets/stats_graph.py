"""The meters of one container: CPU, memory, block I/O and pressure, now and for a quarter of an hour."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from app.console import short
from app.console.seat import seat
from app.console.track import Point, Track
from app.console.widgets.graph import braille, buckets, nice_top
from app.console.widgets.strips import Cells

_AXIS = 6


class StatsGraphs(Widget):
    """As many graphs as fit, one above the other."""

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
        self._rows: list[Strip] = []

    def on_mount(self) -> None:
        seat(self).store.listen(self, {"stats"}, self._changed)

    def on_unmount(self) -> None:
        seat(self).store.forget(self)

    def show(self, key: str) -> None:
        """Show another container."""
        self._key = key
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        track = seat(self).store.tracks.get(self._key)
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

    def _changed(self) -> None:
        if self.screen.is_current:
            self.refresh()

    def render_lines(self, crop: Region) -> list[Strip]:
        self._rows = self._layout()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        if y < len(self._rows):
            return self._rows[y]
        return Strip.blank(self.size.width, seat(self).palette.style("text"))

    def _layout(self) -> list[Strip]:
        console, height = seat(self), self.size.height
        track = console.store.tracks.get(self._key)
        if track is None or track.now is None:
            words = "no statistics yet" if track else "not running: no statistics"
            return [Cells(self.size.width, console.palette.style("muted")).gap(1).put(words).strip()]
        graphs = [self._cpu, self._memory, self._io]
        least = 3
        while len(graphs) > 1 and height < len(graphs) * least + 1:
            graphs.pop()
        each = max(2, (height - 1) // len(graphs)) if height > 1 else height
        rows: list[Strip] = []
        for graph in graphs:
            rows += graph(track, min(each, 12))
        rows.append(self._pressure(track.now))
        return rows[:height]

    def _graph(
        self,
        title: Sequence[tuple[str, str]],
        values: list[float],
        top: float,
        label: str,
        tone: str,
        rows: int,
        total: int,
    ) -> list[Strip]:
        palette, width = seat(self).palette, self.size.width
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
        console, point = seat(self), track.now
        assert point is not None
        cores = console.store.host.now.cpu_count if console.store.host.now else 1
        divisor, of = (cores, "of the host") if console.cpu_of_host else (1, "of one core")
        values = [one.cpu / divisor for one in track.points]
        title = [("cpu ", "cpu"), (f"{short.percent(point.cpu / divisor)}%", "text"), (f" {of}", "muted")]
        if point.throttled > 0.05:
            title.append((f"   throttled {point.throttled:.1f}%", "warn"))
        top = nice_top(max(values), 10)
        return self._graph(title, values, top, f"{top:.0f}%", "cpu", rows, track.total)

    def _memory(self, track: Track, rows: int) -> list[Strip]:
        point = track.now
        assert point is not None
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
        point = track.now
        assert point is not None
        values = [one.read_rate + one.write_rate for one in track.points]
        title = [
            ("io  ", "io"),
            (f"r {short.rate(point.read_rate)}  w {short.rate(point.write_rate)}", "text"),
            (f"   pids {point.pids}", "muted"),
        ]
        top = max(*values, 4096.0)
        return self._graph(title, values, top, short.size(top), "io", rows, track.total)

    def _pressure(self, point: Point) -> Strip:
        palette = seat(self).palette
        cells = Cells(self.size.width, palette.style("muted"))
        cells.gap(1).put("psi ", palette.style("muted"))
        shown = (("cpu", point.pressure.cpu), ("mem", point.pressure.memory), ("io", point.pressure.io))
        for name, value in shown:
            if value is None:
                cells.put(f" {name} –")
                continue
            tone = "fail" if value > 60 else "warn" if value > 20 else "text"
            cells.put(f" {name} ").put(f"{value:.1f}", palette.style(tone))
        return cells.strip()
