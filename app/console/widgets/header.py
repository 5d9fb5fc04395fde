"""The first line: which host this is and how it fares."""

from __future__ import annotations

import time

from app import short
from app.console.widgets.bar import Bar
from app.console.widgets.strips import Cells, sparkline
from core.about import NAME
from core.model.display import safe_text
from core.model.stats import Pressure

_OLD_S = 4.0


class Header(Bar):
    """Host, CPU, memory, disk, pressure, and whether what is shown is live."""

    TOPICS = frozenset({"stats"})
    BASE = ("text", "raised")

    def draw(self, cells: Cells, line: int) -> None:
        palette, store = self.seat.palette, self.seat.store

        bright, quiet = palette.style("text", "raised", "bold"), palette.style("muted", "raised")
        host, info, wide = store.host.now, store.info, cells.width >= 116
        cells.put(f" {NAME} ", palette.style("background", "accent", "bold"))
        cells.put(f" {safe_text(info.hostname) if info else '…'} ", bright)
        if host is None:
            cells.put(" waiting for the engine …", quiet)
            return
        cpu = store.host.cpu[-1] if store.host.cpu else 0.0
        cores = f"{host.cpu_count} cpu " if wide else "cpu "
        cells.gap().put(cores, quiet)
        cells.put(sparkline(list(store.host.cpu), 12 if wide else 5, 100), palette.style("cpu", "raised"))
        cells.put(f" {short.percent(cpu)}%", palette.style(_level(cpu, 85, 97), "raised"))
        used = 100 * host.memory_used_bytes / host.memory_total_bytes if host.memory_total_bytes else 0.0
        cells.gap(2).put("mem ", quiet)
        if wide:
            cells.put(sparkline(list(store.host.memory), 8, 100), palette.style("memory", "raised")).gap()
        cells.put(
            f"{short.size(host.memory_used_bytes)}/{short.size(host.memory_total_bytes)}",
            palette.style(_level(used, 85, 95), "raised"),
        )
        if host.disk_total_bytes:
            disk = 100 * host.disk_used_bytes / host.disk_total_bytes
            cells.gap(2).put("disk ", quiet)
            cells.put(f"{disk:.0f}%", palette.style(_level(disk, 85, 95), "raised"))
        self._pressure(cells, host.pressure, wide)
        age_s = (time.time_ns() - store.heard_ns) / 1e9
        if store.trouble or age_s > _OLD_S:
            shown = f"✖ not answering {short.span(age_s)} " if wide else f"✖ {short.span(age_s)} "
            cells.right([(shown, palette.style("fail", "raised", "bold"))])
        else:
            cells.right([("● ", palette.style("ok", "raised")), ("live ", quiet)])

    def _pressure(self, cells: Cells, pressure: Pressure, wide: bool) -> None:
        palette = self.seat.palette
        quiet = palette.style("muted", "raised")
        shown = [("cpu", pressure.cpu), ("mem", pressure.memory), ("io", pressure.io)]
        known = [(name, value) for name, value in shown if value is not None]
        if not known:
            return
        cells.gap(2).put("PSI", quiet)
        for name, value in known if wide else known[-1:]:
            cells.put(f" {name} ", quiet)
            cells.put(_short_share(value), palette.style(_level(value, 20, 60), "raised"))


def _short_share(value: float) -> str:
    text = f"{value:.1f}"
    return text.removeprefix("0") if value < 1 else text


def _level(value: float, near: float, over: float) -> str:
    """Amber only near a limit, red only past it."""
    return "fail" if value >= over else "warn" if value >= near else "text"
