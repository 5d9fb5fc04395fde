"""--rm: an anonymous volume goes with its container, unless others mount it too (--volumes-from).

Who makes a container that will mount it holds a lease that names it until that container can be seen;
so leases are looked at first, under the volume's lock, and containers then.
"""

from __future__ import annotations

import fcntl
import os
from typing import Any

from core.linux.files import is_locked


def discard(spec: dict[str, Any], path: str, name: str) -> bool:
    """Move a volume to the trash under a name, its container being gone already; False: somebody needs it.

    Raises: OSError: it is gone, or somebody is at work on it.
    """
    lock = os.open(f"{path}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        volume = os.path.basename(path).encode()
        root = os.path.dirname(os.path.dirname(path))
        if _is_leased(f"{root}/leases", volume) or _is_mounted(os.path.dirname(spec["container_dir"]), volume):
            return False
        os.rename(path, f"{spec['trash_dir']}/{name}")
        return True
    finally:
        os.close(lock)


def _is_leased(leases: str, volume: bytes) -> bool:
    wanted = b"volume " + volume
    return any(
        wanted in _content(f"{leases}/{name}").split(b"\n") and is_locked(f"{leases}/{name}")
        for name in os.listdir(leases)
    )


def _is_mounted(containers: str, volume: bytes) -> bool:
    """Whether any container's record names it: 64 hex digits are nothing else's name."""
    return any(volume in _content(f"{containers}/{name}/config.json") for name in os.listdir(containers))


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""  # it has just gone
