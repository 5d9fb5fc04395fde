"""Places where the tests let a process be killed, stopped or refused, to prove that nothing is lost there.

    WHARF_FAULT="start:cloned->kill@/tmp/token;end:written->ENOSPC@/tmp/other"

A checkpoint does nothing unless the environment names it. It acts once: whoever takes the token
(a file) away acts, all later passers go on. Actions: kill (SIGKILL to ourselves), stop (SIGSTOP), or
an errno's name (an OSError is raised).
"""

from __future__ import annotations

import errno
import os
import signal

VARIABLE = "WHARF_FAULT"


def _parse(text: str) -> dict[str, tuple[str, str]]:
    armed = {}
    for item in filter(None, text.split(";")):
        name, _, rest = item.partition("->")
        action, _, token = rest.partition("@")
        armed[name] = action, token
    return armed


_armed = _parse(os.environ.get(VARIABLE, ""))


def arm(text: str) -> None:
    """Take other faults than the environment's; an empty text disarms."""
    global _armed
    _armed = _parse(text)


def checkpoint(name: str) -> None:
    """Pass here; with nothing armed this costs a look into an empty table."""
    if not _armed or name not in _armed:
        return
    action, token = _armed[name]
    try:
        os.unlink(token)
    except FileNotFoundError:
        return
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    else:
        number = getattr(errno, action)
        raise OSError(number, os.strerror(number), f"checkpoint {name}")
