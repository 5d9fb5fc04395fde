"""The descriptors that a monitor and a process it starts share."""

from __future__ import annotations

import _socket
import os

from core.monitor import proto


class Pipes:
    """The pipes of a process without a terminal; ours are the other ends of theirs.

    Args: owner: a document with uid and gid, whose the pipes shall be; None: ours.
    """

    def __init__(self, with_stdin: bool, owner: dict[str, int] | None = None) -> None:
        self.stdin: int | None = None
        stdin = -1
        if with_stdin:
            stdin, self.stdin = os.pipe2(os.O_CLOEXEC)
        self.stdout, stdout = os.pipe2(os.O_CLOEXEC)
        self.stderr, stderr = os.pipe2(os.O_CLOEXEC)
        self.theirs = (stdin, stdout, stderr)
        for descriptor in self.theirs if owner else ():
            if owner and descriptor >= 0:
                os.fchown(descriptor, owner["uid"], owner["gid"])

    def close_theirs(self) -> None:
        """The process has its own copies."""
        for descriptor in self.theirs:
            if descriptor >= 0:
                os.close(descriptor)

    def close_ours(self) -> None:
        """There is no process after all."""
        for descriptor in (self.stdin, self.stdout, self.stderr):
            if descriptor is not None:
                os.close(descriptor)


def channel_pair() -> tuple[proto.Socket, proto.Socket]:
    """Ours and theirs of the channel on which a start is told."""
    first, second = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    return first, second
