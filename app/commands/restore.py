"""`restore`: after a boot, start what its policy says; before one, stop what runs."""

from __future__ import annotations

import os
import shlex
import sys

from app.commands.definition import Command, Invocation
from app.commands.flags import flag
from core.about import DATA_ROOT, NAME, RUN_ROOT


def _restore(invocation: Invocation) -> int:
    system, io = invocation.backend.system, invocation.io
    if invocation.flags.truth("print-unit"):
        info = system.info()
        words = [*_program(), *_roots(info.data_root, info.run_root)]
        io.line(system.restore_unit(shlex.join(words))[1].rstrip())
        return 0
    failed, is_stopping = 0, invocation.flags.truth("stop")
    for restored in system.stop_all() if is_stopping else system.restore():
        if restored.error:
            failed += 1
            what = "stopped" if is_stopping else "started"
            io.complain(f"{NAME}: container {restored.name} could not be {what}: {restored.error}")
        else:
            io.line(restored.name)
    return 1 if failed else 0


def _program() -> list[str]:
    """How systemd can call us: by an absolute path, or as a module of this interpreter."""
    called = os.path.abspath(sys.argv[0])
    return [called] if os.access(called, os.X_OK) and not called.endswith(".py") else [sys.executable, "-m", "app"]


def _roots(data_root: str, run_root: str) -> list[str]:
    if data_root == DATA_ROOT:
        return [] if run_root == RUN_ROOT else ["--run-root", run_root]
    return ["--root", data_root]


RESTORE = Command(
    run=_restore,
    summary="Start the containers that their restart policy wants to run after a boot",
    description=(
        "Start every container with the policy always, and with unless-stopped when it was not stopped by hand. "
        "Containers that run are left alone. There is no daemon that could do this when the machine has booted, so "
        f"systemd is asked to: {NAME} restore --print-unit > /etc/systemd/system/{NAME}-restore.service && "
        f"systemctl enable --now {NAME}-restore.service"
    ),
    flags=(
        flag("--print-unit", "Print a systemd unit that runs this at boot, and do nothing else"),
        flag("--stop", "Stop all containers instead, as the machine shuts down; their policies still count after it"),
    ),
)
