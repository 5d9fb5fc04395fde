"""What `volume create --opt` asks for: a mount in place of the volume's own directory. Docker's rules, pure.

--opt type=none  --opt device=/srv/data     --opt o=bind          another directory of this host
--opt type=tmpfs --opt device=tmpfs         --opt o=size=64m      memory, shared while somebody uses it
--opt type=nfs   --opt device=:/exports/a   --opt o=addr=10.0.0.2  any file system the kernel can mount
"""

from __future__ import annotations

from typing import Literal

import msgspec

from core.errors import InvalidInput, Unsupported

_KNOWN = ("type", "device", "o", "size")
_REQUIRED = ("device", "type")


class VolumeDevice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is mounted where a volume is used."""

    kind: Literal["bind", "memory", "filesystem"]
    """memory is one instance that all share who use it at a time; a file system is shared by the kernel."""
    device: str
    fstype: str = ""
    words: tuple[str, ...] = ()
    """The mount options, in mount(8)'s words."""

    @property
    def is_read_only(self) -> bool:
        """Whether nobody may write to it, whatever a container asks for."""
        return next((word == "ro" for word in reversed(self.words) if word in ("ro", "rw")), False)

    @property
    def is_recursive(self) -> bool:
        """Of a bind: mounts below its directory come along."""
        return "rbind" in self.words


def read_volume_device(options: dict[str, str]) -> VolumeDevice | None:
    """What a volume's options mean; None: nothing, it is a directory of the data root.

    Raises: InvalidInput: an unknown option, or one that is missing. Unsupported: a size of the directory itself.
    """
    for option in options:
        if option not in _KNOWN:
            raise InvalidInput(f'invalid option: "{option}"', hint=f"one of {', '.join(_KNOWN)}")
    if not options:
        return None
    if "size" in options:
        raise Unsupported(
            "quota size requested but no quota support",
            hint="for a small volume in memory: --opt type=tmpfs --opt device=tmpfs --opt o=size=64m",
        )
    for option in _REQUIRED:
        if not options.get(option):
            raise InvalidInput(f'missing required option: "{option}"', hint=f"add --opt {option}=…")
    if any("\0" in value or "\n" in value for value in options.values()):
        raise InvalidInput("a volume's options can't contain a line break or a NUL character")
    words = tuple(word for word in options.get("o", "").split(",") if word)
    device, fstype = options["device"], options["type"]
    if "bind" in words or "rbind" in words:
        if not device.startswith("/"):
            raise InvalidInput(f"invalid device of a bind: '{device}' is not an absolute path", hint="begin it with /")
        return VolumeDevice(kind="bind", device=device, words=words)
    return VolumeDevice(kind="memory" if fstype == "tmpfs" else "filesystem", device=device, fstype=fstype, words=words)
