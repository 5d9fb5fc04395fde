"""Reading and writing the little files of cgroup directories."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable


def read_file(path: str) -> bytes:
    """The whole file (cgroup.procs of a large group is cut at 64 KiB)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 65536)
    finally:
        os.close(descriptor)


def write_file(path: str, data: bytes) -> None:
    """One write. Raises OSError that names the file and the value."""
    write_lines(path, (data,))


def write_lines(path: str, lines: Iterable[bytes]) -> None:
    """Several, each by a write of its own, as the kernel reads them. Raises OSError that names file and value."""
    line = b""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            for line in lines:
                os.write(descriptor, line)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise OSError(error.errno, f"{os.strerror(error.errno or 0)} (writing {line.decode()!r})", path) from None


def _children(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def remove_group(directory: str) -> None:
    """Kill the members of a cgroup directory until rmdir succeeds; children first."""
    deadline = time.monotonic() + 5
    while True:
        try:
            os.rmdir(directory)  # nearly always it is empty already
            return
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
        for child in _children(directory):
            remove_group(child)
        for pid in _members(directory):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.002)


def _members(directory: str) -> list[int]:
    try:
        return [int(pid) for pid in read_file(f"{directory}/cgroup.procs").split() if int(pid) > 0]
    except OSError:
        return []
