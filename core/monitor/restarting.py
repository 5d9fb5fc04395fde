"""When a container is started again after its end, and how soon: docker's rules."""

from __future__ import annotations

from typing import Any

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 60.0
_STEADY_S = 10.0
"""A run of this length was no failure to start: the next delay is the first one again."""


class Restarts:
    """The policy of one container, and how often it was applied since a person started it."""

    def __init__(self, policy: dict[str, Any]) -> None:
        self.count = 0
        self.stopped_by = ""
        """hand, or shutdown of the host: whatever ends it then, it stays ended; empty: nobody has stopped it."""
        self._delay_s = 0.0
        self.set_policy(policy)

    def set_policy(self, policy: dict[str, Any]) -> None:
        """Take another policy (fields of core.model.restart.RestartPolicy); it counts from the next end on."""
        self._name = str(policy.get("name") or "no")
        self._most_retries = int(policy.get("most_retries") or 0)

    def after(self, code: int, ran_s: float) -> float | None:
        """Seconds to wait before the next start; None: it stays ended.

        Args: code: how it ended. ran_s: how long it had run.
        """
        if self.stopped_by or not self._wants(code):
            return None
        self._delay_s = _FIRST_DELAY_S if ran_s >= _STEADY_S or not self._delay_s else self._delay_s * 2
        self._delay_s = min(self._delay_s, _LONGEST_DELAY_S)
        self.count += 1
        return self._delay_s

    def _wants(self, code: int) -> bool:
        if self._name == "on-failure":
            return code != 0 and (not self._most_retries or self.count < self._most_retries)
        return self._name in ("always", "unless-stopped")

    def as_document(self) -> dict[str, Any]:
        """What a successor goes on from."""
        return {
            "name": self._name,
            "most_retries": self._most_retries,
            "count": self.count,
            "delay_s": self._delay_s,
            "stopped_by": self.stopped_by,
        }

    def resume(self, document: dict[str, Any]) -> None:
        """Go on from what as_document() gave."""
        self.set_policy(document)
        self.count = int(document.get("count", 0))
        self._delay_s = float(document.get("delay_s", 0))
        self.stopped_by = str(document.get("stopped_by") or "")

    @property
    def delay_s(self) -> float:
        """The wait that after() gave last."""
        return self._delay_s
