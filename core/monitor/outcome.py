"""How a start failed and how a process ended, in the words that engines are told."""

from __future__ import annotations

import os
from typing import Any

START_TIMEOUT_S = 10.0
UNKNOWN = 255
"""The code of a process whose parent was killed before it could say; its state tells so."""


class StartFailed(Exception):
    """The container did not start; `report` is what the engine is told."""

    def __init__(self, report: dict[str, Any]) -> None:
        super().__init__(report["text"])
        self.report = report


def failure(stage: str, text: str) -> dict[str, Any]:
    """A start that failed for a reason of ours, not by an errno of the kernel's."""
    return {"event": "failed", "stage": stage, "errno": 0, "path": None, "text": text, "code": 125}


def timeout() -> dict[str, Any]:
    """A start that took too long."""
    return failure("timeout", f"it did not start within {START_TIMEOUT_S:.0f} s")


def exit_code(status: int) -> int:
    """A wait status as a shell shows it: the code, or 128 + signal."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
