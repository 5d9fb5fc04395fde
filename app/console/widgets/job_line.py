"""Long work under way: a bar, bytes, rate and time left for each, and how to cancel it."""

from __future__ import annotations

from textual.reactive import reactive

from app.console.widgets.bar import Bar
from app.console.widgets.strips import Cells, fit, meter

_MOST = 3


class JobLines(Bar):
    """Up to three lines, the newest job first; no line when nothing is under way."""

    DEFAULT_CSS = """
    JobLines { height: 0; }
    """
    TOPICS = frozenset({"jobs"})
    BASE = ("text", "raised")
    lines: reactive[int] = reactive(0, layout=True)

    def on_mount(self) -> None:
        super().on_mount()
        self.set_interval(0.25, self._tick)
        self.changed()

    def changed(self) -> None:
        self.lines = min(_MOST, len(self.seat.store.jobs))
        self.styles.height = self.lines
        self.refresh()

    def _tick(self) -> None:
        if self.lines and self.screen.is_current:
            self.refresh()

    def draw(self, cells: Cells, line: int) -> None:
        palette, jobs = self.seat.palette, self.seat.store.jobs
        if line >= len(jobs):
            return
        job = jobs[line]
        quiet = palette.style("muted", "raised")
        cells.put(" ◐ ", palette.style("accent", "raised", "bold"))
        title = fit(job.title, min(34, max(14, cells.width // 4)))
        cells.button(title, palette.style("text", "raised", "bold"), "app.show_job")
        share = job.share()
        bar = max(8, cells.width // 5)
        cells.gap(1)
        if share is None:
            cells.put("·" * bar, palette.style("faint", "raised")).put("      ")
        else:
            cells.put(meter(share, bar), palette.style("accent", "line"))
            cells.put(f" {100 * share:3.0f}% ", palette.style("text", "raised"))
        cells.put(f" {job.figures()} ", quiet)
        cancel = "  X cancel "
        if job.step() and cells.room > len(cancel) + 8:
            cells.put(" " + job.step(), palette.style("faint", "raised"), cells=cells.room - len(cancel))
        cells.gap(max(0, cells.room - len(cancel)))
        if line == 0:
            cells.button("  X", palette.style("accent", "raised", "bold"), "app.cancel_job")
            cells.button(" cancel ", quiet, "app.cancel_job")
