"""What happens when a container's first process ends: the policy, and docker's delays.

The monitor applies it (core.monitor.restarting keeps the same rules without these imports).
"""

from __future__ import annotations

import msgspec

from core.errors import InvalidInput

POLICIES = ("no", "always", "on-failure", "unless-stopped")


class RestartPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`name` is one of POLICIES; `most_retries` counts for on-failure only, 0 means without end."""

    name: str = "no"
    most_retries: int = 0

    def __str__(self) -> str:
        return f"{self.name}:{self.most_retries}" if self.most_retries else self.name


def parse_restart_policy(text: str) -> RestartPolicy:
    """Read `no`, `always`, `on-failure`, `on-failure:5` or `unless-stopped`.

    Raises: InvalidInput: with docker's words.
    """
    name, colon, count = text.partition(":")
    if text and not name:
        raise InvalidInput("invalid restart policy format: no policy provided before colon")
    retries = 0
    if colon:
        try:
            retries = int(count)
        except ValueError:
            raise InvalidInput("invalid restart policy format: maximum retry count must be an integer") from None
    policy = name or "no"
    if policy not in POLICIES:
        raise InvalidInput(
            f"invalid restart policy: unknown policy '{policy}'; "
            "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    if retries and policy != "on-failure":
        raise InvalidInput("invalid restart policy: maximum retry count can only be used with 'on-failure'")
    if retries < 0:
        raise InvalidInput("invalid restart policy: maximum retry count cannot be negative")
    return RestartPolicy(name=policy, most_retries=retries)


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """A container that was due to be started after a boot; `error` says why it was not."""

    id: str
    name: str
    error: str = ""
