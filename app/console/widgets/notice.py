"""The problem line: what has just been done, else what is wrong, in one sentence."""

from __future__ import annotations

import time

from app.console.widgets.bar import Bar
from app.console.widgets.strips import Cells
from app.why.reason import FAILED

_SHOWN_S = 6.0
_SIGNS = {"ok": "✓", "warn": "…", "fail": "✖"}


class NoticeLine(Bar):
    """A notice for some seconds; failures stay until dismissed; then the most urgent problem."""

    TOPICS = frozenset({"notice", "problems"})
    BASE = ("text", "surface")

    def draw(self, cells: Cells, line: int) -> None:
        palette, store = self.seat.palette, self.seat.store
        notice = store.notice
        if notice is not None and (notice.kind == "fail" or time.monotonic() - notice.at_monotonic < _SHOWN_S):
            tone = notice.kind
            cells.put(f" {_SIGNS[tone]} ", palette.style(tone, "surface", "bold"))
            cells.put(notice.text, palette.style("text", "surface"), cells=max(0, cells.room - 12))
            if tone == "fail":
                cells.gap(1).button("x dismiss", palette.style("muted", "surface"), "app.dismiss")
            return
        if store.trouble:
            cells.put(" ✖ ", palette.style("fail", "surface", "bold"))
            cells.put(f"the engine does not answer: {store.trouble}")
            return
        if not store.problems:
            return
        problem = store.problems[0]
        more = f"  +{len(store.problems) - 1}" if len(store.problems) > 1 else ""
        buttons = f"{more}   ! why   x dismiss "
        tone = "fail" if problem.reason.urgency == FAILED else "warn"
        cells.put(" ! ", palette.style(tone, "surface", "bold"))
        cells.put(problem.reason.sentence, palette.style("text", "surface"), cells=max(0, cells.room - len(buttons)))
        quiet, key = palette.style("muted", "surface"), palette.style("accent", "surface", "bold")
        cells.put(more, quiet).gap(3)
        cells.button("!", key, "app.why").button(" why", quiet, "app.why").gap(3)
        cells.button("x", key, "app.dismiss").button(" dismiss", quiet, "app.dismiss")
