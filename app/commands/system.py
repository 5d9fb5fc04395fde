"""`system reset`."""

from __future__ import annotations

from app.commands.definition import Command, Invocation
from app.commands.flags import flag
from core.about import NAME


def _reset(invocation: Invocation) -> int:
    info = invocation.backend.system.info()
    if not invocation.flags.truth("force") and not invocation.io.ask(
        f"WARNING! This will remove everything under {info.data_root}:\n"
        f"  - all containers, the running ones too\n  - all images\n  - all volumes and what is in them\n\n"
        "Are you sure you want to continue? [y/N] "
    ):
        return 0
    invocation.backend.system.reset()
    invocation.io.line(f"Removed everything under {info.data_root}")
    return 0


RESET = Command(
    run=_reset,
    summary=f"Remove everything {NAME} has made: containers, images, volumes",
    flags=(flag("-f, --force", "Do not prompt for confirmation"),),
)
