"""Timing several subjects in turn, so that a machine whose speed drifts is the same for all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple


class Row(NamedTuple):
    """One figure of every subject; the first subject is ours. None: that subject is not there."""

    what: str
    unit: str
    figures: dict[str, float | None]
    more_is_better: bool = False
    note: str = ""


def in_turn(subjects: dict[str, Callable[[], object]], rounds: int, *, warm: int = 2) -> dict[str, float | None]:
    """Median seconds of each subject's call."""
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for turn in range(rounds + warm):
        for name, call in subjects.items():
            start = time.perf_counter()
            call()
            if turn >= warm:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def show(row: Row) -> None:
    """Print a row: our figure, then each peer's with the ratio in our favour."""
    (ours_name, ours), *peers = row.figures.items()
    print(f"{row.what}")
    print(f"    {ours_name:<24} {_number(ours):>12} {row.unit}")
    for name, figure in peers:
        if figure is None or ours is None:
            print(f"    {name:<24} {'–':>12}   not measured on this host")
            continue
        ratio = ours / figure if row.more_is_better else figure / ours
        print(f"    {name:<24} {_number(figure):>12} {row.unit}   {ratio:.2f}×")
    if row.note:
        print(f"    {row.note}")
    print(flush=True)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"
