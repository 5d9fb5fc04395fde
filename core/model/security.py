"""Capabilities by name, as `--cap-add` and `--cap-drop` write them."""

from __future__ import annotations

from core.errors import InvalidInput

NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO "
    "SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME "
    "SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG "
    "WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()
"""In the order of their numbers: linux/capability.h."""
ALL = "ALL"
_PREFIX = "CAP_"


def parse_capability(text: str) -> str:
    """Read `NET_ADMIN`, `cap_net_admin` or `all`; the answer has its CAP_ prefix, save for ALL.

    Raises: InvalidInput: with docker's words, `unknown capability`.
    """
    name = text.upper()
    if name == ALL:
        return ALL
    if not name.startswith(_PREFIX):
        name = _PREFIX + name
    if name.removeprefix(_PREFIX) not in NAMES:
        raise InvalidInput(f'unknown capability: "{name}"', hint="see capabilities(7) for their names, or write ALL")
    return name
