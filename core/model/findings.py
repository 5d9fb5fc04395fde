"""What a check of the store finds, and what a repair makes of it."""

from __future__ import annotations

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it must be.

    A leftover is what an operation that died has left: nobody sees it, and any engine may clear it
    away. Everything else is damage.
    """

    kind: str
    """container, image, reference, layer, blob, volume, network, address, name, lease, trash, file, cgroup …"""
    key: str
    """Name or short id of the object."""
    problem: str
    """A phrase: what is wrong."""
    repair: str = ""
    """A phrase: what a repair does about it; empty where nothing can be done here, and `hint` says what can."""
    hint: str = ""
    is_leftover: bool = False
    repaired: bool = False
    failure: str = ""
    """Why the repair did not work, where it was tried."""

    @property
    def line(self) -> str:
        """One line for people."""
        text = f"{self.kind} {self.key}: {self.problem}"
        if self.repaired:
            return f"{text}; repaired: {self.repair}"
        if self.failure:
            return f"{text}; not repaired: {self.failure}"
        if self.repair:
            return f"{text}; --repair would {self.repair}"
        return f"{text}; {self.hint}" if self.hint else text
