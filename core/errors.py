"""The one error tree of the engine.

    EngineError(message, hint=…)
    ├─ InvalidInput ── InvalidReference, InvalidSpec
    ├─ NotFound(kind, key)
    ├─ Conflict ── AlreadyExists, InUse, WrongState, Busy
    ├─ Unsupported, Denied, NoSpace, LimitExceeded
    ├─ Integrity ── DigestMismatch, CorruptDocument, UnsafeArchive
    ├─ RemoteError ── Unauthorized, RateLimited(retry_after_s), Unreachable
    ├─ SandboxFailed(stage, errno, path)
    ├─ TimedOut
    └─ Cancelled

`message` names the object, in lower case and without a full stop; `hint` says what to do
next. An OSError is wrapped once, at the edge of the part that met it, always with its path.
"""

from __future__ import annotations

import errno as _errno


class EngineError(Exception):
    """Anything the engine refuses or fails to do, in words for the person who asked."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class InvalidInput(EngineError):
    """What was asked can't be right, whatever the state of the engine."""


class InvalidReference(InvalidInput):
    """An image reference that the grammar does not know."""


class InvalidSpec(InvalidInput):
    """A container wish that contradicts itself or breaks a limit."""


class NotFound(EngineError):
    """The named object does not exist; `kind` is container, image, volume, path …"""

    def __init__(self, message: str, *, kind: str, key: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.key = key


class Conflict(EngineError):
    """The state of the object, or of another one, forbids it just now."""


class AlreadyExists(Conflict):
    """The name is taken."""


class InUse(Conflict):
    """Something else still needs the object."""


class WrongState(Conflict):
    """The container is not in a state that allows this."""


class Busy(Conflict):
    """Another process of ours is at work on the same object."""


class Unsupported(EngineError):
    """This host, or this version, can't do it; the message says why."""


class Denied(EngineError):
    """A privilege is missing; the message names it."""


class NoSpace(EngineError):
    """A file system is full; the message names the path."""


class LimitExceeded(EngineError):
    """An input is larger, deeper or longer than we accept."""


class Integrity(EngineError):
    """Bytes that are not what they claim to be."""


class DigestMismatch(Integrity):
    """Content does not hash to its digest."""


class CorruptDocument(Integrity):
    """A state file that can't be read; the message names the path."""


class UnsafeArchive(Integrity):
    """An archive entry that tries to leave its root or to forge what is ours."""


class RemoteError(EngineError):
    """A registry refused or failed; `status` is its HTTP status, 0 where there was no answer."""

    def __init__(self, message: str, *, status: int = 0, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class Unauthorized(RemoteError):
    """The registry wants to know who asks, or does not let them."""


class RateLimited(RemoteError):
    """The registry wants us to wait; `retry_after_s` is how long, where it says so."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, hint: str | None = None) -> None:
        super().__init__(message, status=429, hint=hint)
        self.retry_after_s = retry_after_s


class Unreachable(RemoteError):
    """No registry answers there; the message says which host and why."""


class SandboxFailed(EngineError):
    """The kernel refused a step of a container's start.

    Args: stage: the step. errno: the kernel's answer, 0 where none. path: the object, if any.
        exit_code: what docker ends with for it: 127 command not found, 126 not executable, else 125.
    """

    def __init__(
        self,
        message: str,
        *,
        stage: str,
        errno: int = 0,
        path: str | None = None,
        exit_code: int = 125,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.stage = stage
        self.errno = errno
        self.path = path
        self.exit_code = exit_code


class TimedOut(EngineError):
    """No answer within the time allowed; the message names the stage."""


class Cancelled(EngineError):
    """The person who asked has taken it back."""


def wrapped(error: OSError, doing: str, path: object = None) -> EngineError:
    """Turn an OSError into the engine's error for it: `doing` is a phrase such as "write"."""
    where = path if path is not None else error.filename
    text = f"{doing} {where}: {(error.strerror or str(error)).lower()}" if where else f"{doing}: {error}"
    if error.errno in (_errno.ENOSPC, _errno.EDQUOT):
        return NoSpace(text, hint="free some space there and try again")
    if error.errno in (_errno.EACCES, _errno.EPERM):
        return Denied(text, hint="run it as root, for example with sudo")
    return EngineError(text)
