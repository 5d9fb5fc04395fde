"""What goes wrong with a tree or a tar, in a form that crosses from the worker to the engine."""

from __future__ import annotations

import errno
import os

UNSAFE = "unsafe"
CORRUPT = "corrupt"
LIMIT = "limit"
NO_SPACE = "no-space"
DENIED = "denied"
MISSING = "missing"
INVALID = "invalid"
FAILED = "failed"


class TreeFault(Exception):
    """A refusal or a failure; `kind` is one of this module's words, the text names the entry and the rule."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


def shown(name: bytes | str) -> str:
    """A name for a message: printable, and not longer than a line."""
    text = os.fsdecode(name)
    text = "".join(c if c.isprintable() else f"\\x{ord(c) & 0xFF:02x}" for c in text[:200])
    return f"'{text}'" + ("…" if len(name) > 200 else "")


def unsafe(entry: bytes, rule: str) -> TreeFault:
    """An entry that breaks a rule of safety."""
    return TreeFault(UNSAFE, f"unsafe archive entry {shown(entry)}: {rule}")


def corrupt(text: str) -> TreeFault:
    """Bytes that are no tar, or not all of one."""
    return TreeFault(CORRUPT, text)


def over_limit(text: str) -> TreeFault:
    """More than is accepted."""
    return TreeFault(LIMIT, text)


def from_os_error(error: OSError, what: str = "") -> TreeFault:
    """An errno as a fault that names the entry (or the call) it concerns."""
    code = error.errno or 0
    reason = os.strerror(code).lower() if code else str(error)
    text = f"{what}: {reason}" if what else reason
    if code in (errno.ENOSPC, errno.EDQUOT):
        return TreeFault(NO_SPACE, text)
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return TreeFault(DENIED, text)
    if code in (errno.ENOENT, errno.ENOTDIR):
        return TreeFault(MISSING, text)
    if code in (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL):
        return TreeFault(INVALID, text)
    return TreeFault(FAILED, text)
