"""`demo`: containers to look at, and the console on them."""

from __future__ import annotations

from app.commands.definition import Command, Invocation
from app.commands.flags import flag


def _run(invocation: Invocation) -> int:
    from app.demo import run_demo, stop_demo

    if invocation.flags.truth("stop"):
        return stop_demo(invocation.backend)
    return run_demo(invocation.backend)


DEMO = Command(
    run=_run,
    summary="Start five containers to look at and open the console on them",
    flags=(flag("--stop", "Remove the demo's containers"),),
)
