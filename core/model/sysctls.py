"""`--sysctl`: kernel parameters that belong to a container's own namespaces."""

from __future__ import annotations

from core.errors import InvalidInput
from core.model.isolation import Namespaces, joined_container

_OF_IPC = frozenset(
    f"kernel.{name}" for name in "msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced".split()
)
_IPC_TREE = "fs.mqueue."
_NETWORK_TREE = "net."
_OWN_NETWORK_DEFAULTS = {"net.ipv4.ip_unprivileged_port_start": "0"}
_PING_GROUPS = {"net.ipv4.ping_group_range": "0 2147483647"}


def parse_sysctl(text: str) -> tuple[str, str]:
    """Read `name=value`; only what a namespace has of its own is allowed.

    Raises: InvalidInput: with docker's words.
    """
    name, equals, value = text.partition("=")
    known = name in _OF_IPC or name.startswith((_IPC_TREE, _NETWORK_TREE))
    plain = all(part and part != ".." for part in name.split(".")) and "/.." not in name and "\0" not in text
    if not equals or not known or not plain:
        raise InvalidInput(
            f"sysctl '{text}' is not allowed",
            hint="only what a container has of its own: net.*, fs.mqueue.* and the System V limits of kernel.*",
        )
    return name, value


def check_sysctls(sysctls: dict[str, str], modes: Namespaces, *, network: str) -> None:
    """Refuse to change a parameter of a namespace that the container shares.

    Raises: InvalidInput: with runc's words.
    """
    for name in sysctls:
        if name.startswith(_NETWORK_TREE) and network == "host":
            raise InvalidInput(f'sysctl "{name}" not allowed in host network namespace', hint="set it on the host")
        shares_ipc = modes.ipc == "host" or joined_container(modes.ipc)
        if shares_ipc and not name.startswith(_NETWORK_TREE):
            raise InvalidInput(f'sysctl "{name}" is not allowed in the hosts ipc namespace', hint="leave --ipc out")


def effective_sysctls(wished: dict[str, str], *, own_network: bool, remapped: bool) -> dict[str, str]:
    """What is written: docker's defaults, so that a plain user may listen on port 80 and ping, then the wish."""
    if not own_network:
        return dict(wished)
    defaults = _OWN_NETWORK_DEFAULTS if remapped else {**_OWN_NETWORK_DEFAULTS, **_PING_GROUPS}
    return {**defaults, **wished}


def sysctl_path(name: str) -> str:
    """Where a parameter lies below /proc/sys: dots part the name, and a slash stands for a dot in a part."""
    return name.translate(str.maketrans("./", "/."))
