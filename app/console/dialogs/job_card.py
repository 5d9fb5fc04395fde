"""Long work in full: one bar a layer, with bytes, rate and time left. It goes on behind when this is left."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical

from app.console.dialogs.overlay import Overlay
from app.console.jobs import Job
from app.console.layer_progress import LayerProgress
from app.console.seat import seat
from app.console.widgets.pager import Line, Pager
from app.console.widgets.strips import meter
from core.model.display import safe_text

_EVERY_S = 0.25
_STATUS_CELLS = 18
_LEAST_BAR = 8
_MOST_BAR = 30


class JobCard(Overlay[None]):
    """One job, until it is over and has been seen."""

    BINDINGS: ClassVar = [
        Binding("escape,q,enter", "dismiss", "leave"),
        Binding("X", "cancel", "cancel"),
        Binding("y", "copy", "copy the command"),
    ]
    DEFAULT_CSS = """
    JobCard { align: center middle; }
    JobCard > #box {
        width: 96; max-width: 100%; height: auto; max-height: 90%;
        background: $background; border: round $border-blurred;
        border-title-color: $accent; border-subtitle-color: $text-muted;
    }
    JobCard Pager { height: auto; }
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def compose(self) -> ComposeResult:
        with Vertical(id="box") as box:
            box.border_title = f" {self._job.title} ".replace("[", "\\[")
            yield Pager()

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(Pager).focus()
        self.set_interval(_EVERY_S, self._draw)
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        job, pager = self._job, self.query_one(Pager)
        width = max(40, min(96, self.size.width) - 4)
        lines = [self._line(layer, width) for layer in job.layers.each()]
        words = job.outcome or job.step()
        tone = "text" if job.outcome else "muted"
        lines += [[], [(safe_text(words), tone)]] if words else [[]]
        lines.append([(job.figures(), "muted")])
        lines.append([(f"$ {job.command}", "accent")])
        pager.styles.height = min(len(lines), max(4, int(self.size.height * 0.9) - 2))
        pager.show(lines, keep_place=True)
        box = self.query_one("#box", Vertical)
        keys = "y copy command   Esc leave" if job.outcome else "X cancel   y copy command   Esc: it goes on behind"
        box.border_subtitle = f" {keys} "

    @staticmethod
    def _line(layer: LayerProgress, width: int) -> Line:
        figures, share = layer.figures(), layer.share()
        part, status = safe_text(layer.part)[:14], safe_text(layer.status)
        room = width - 2 - 14 - 1 - _STATUS_CELLS - 1 - len(figures) - 2
        cells = max(_LEAST_BAR, min(_MOST_BAR, room))
        bar = "·" * cells if share is None else meter(share, cells)
        sign, tone = ("✓", "ok") if layer.is_over else ("◐" if share else "·", "accent")
        return [
            (f"{sign} ", tone),
            (f"{part:<14} ", "muted"),
            (f"{status[:_STATUS_CELLS]:<{_STATUS_CELLS}} ", "text"),
            (bar, tone),
            (f"  {figures}", "muted"),
        ]

    def action_cancel(self) -> None:
        if not self._job.outcome:
            self._job.cancel.cancel()

    def action_copy(self) -> None:
        seat(self).copy(self._job.command, "the command")
