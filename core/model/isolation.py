"""Which namespaces a container has of its own, and whose it shares: `--pid`, `--ipc`, `--uts` and so on."""

from __future__ import annotations

import msgspec

from core.errors import InvalidInput

CONTAINER = "container:"
REMAP = "remap"


class Namespaces(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The modes as written; empty is the default, which is a namespace of its own (user: the host's)."""

    pid: str = ""
    """host, or container:KEY"""
    ipc: str = ""
    """private, shareable, host, none, or container:KEY"""
    uts: str = ""
    """host"""
    cgroup: str = ""
    """host or private"""
    user: str = ""
    """host or remap"""


def joined_container(mode: str) -> str:
    """The key of `container:KEY`, empty for any other mode."""
    return mode.removeprefix(CONTAINER) if mode.startswith(CONTAINER) else ""


def _parse(text: str, flag: str, kind: str, known: tuple[str, ...], *, joins: bool = False) -> str:
    if text in ("", *known) or (joins and joined_container(text)):
        return text
    choices = ", ".join((*known, *(("container:NAME",) if joins else ())))
    raise InvalidInput(f"--{flag}: invalid {kind} mode: {text}", hint=f"one of {choices}")


def parse_pid(text: str) -> str:
    """Read `--pid`. Raises: InvalidInput: with docker's words, as the four below."""
    return _parse(text, "pid", "PID", ("host", "private"), joins=True)


def parse_ipc(text: str) -> str:
    """Read `--ipc`."""
    return _parse(text, "ipc", "IPC", ("private", "shareable", "host", "none"), joins=True)


def parse_uts(text: str) -> str:
    """Read `--uts`."""
    return _parse(text, "uts", "UTS", ("host", "private"))


def parse_cgroupns(text: str) -> str:
    """Read `--cgroupns`."""
    return _parse(text, "cgroupns", "CGROUP", ("host", "private"))


def parse_userns(text: str) -> str:
    """Read `--userns`."""
    return _parse(text, "userns", "USER", ("host", REMAP))


def check_namespaces(modes: Namespaces, *, privileged: bool, network: str, hostname: str, domainname: str) -> None:
    """Refuse modes that contradict each other or the rest of the wish.

    Raises: InvalidInput: with docker's words.
    """
    if modes.uts == "host" and hostname:
        raise InvalidInput("conflicting options: hostname and the UTS mode", hint="leave --hostname or --uts out")
    if modes.uts == "host" and domainname:
        raise InvalidInput("conflicting options: domainname and the UTS mode", hint="leave --domainname or --uts out")
    if modes.user != REMAP:
        return
    if privileged:
        raise InvalidInput(
            "privileged mode is incompatible with user namespaces",
            hint="add single capabilities with --cap-add, or leave --userns out",
        )
    for shared, what in ((network, "network"), (modes.pid, "PID"), (modes.ipc, "IPC"), (modes.uts, "UTS")):
        if shared == "host":
            raise InvalidInput(
                f"cannot share the host's {what} namespace when user namespaces are enabled",
                hint="choose one of the two",
            )
