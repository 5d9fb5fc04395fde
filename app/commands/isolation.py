"""The flags that say how a container is set apart from its host, and the part of a wish they make."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from app.commands.flags import Flag, Values, flag, refused
from core.errors import InvalidInput, InvalidSpec, wrapped
from core.model.devices import parse_device, parse_device_rule
from core.model.isolation import Namespaces, parse_cgroupns, parse_ipc, parse_pid, parse_userns, parse_uts
from core.model.protection import BUILTIN, UNCONFINED, Protection, read_protection, split_option
from core.model.sysctls import parse_sysctl
from core.model.ulimits import Ulimit, parse_ulimit

_WINDOWS = "it limits containers on Windows, and this engine runs on Linux"


def _check_isolation(text: str) -> None:
    if text.lower() not in ("", "default"):
        raise InvalidInput(f"Invalid isolation: \"{text}\" - linux only supports 'default'")


def _check_runtime(text: str) -> None:
    if text not in ("", "wharf"):
        raise InvalidInput(f"unknown or invalid runtime name: {text}: containers are run by wharf itself")


ISOLATION_FLAGS: tuple[Flag, ...] = (
    flag("--cgroup-parent string", "Optional parent cgroup for the container"),
    flag("--cgroupns string", "Cgroup namespace to use (host|private)", check=parse_cgroupns),
    flag("--device list", "Add a host device to the container", check=parse_device),
    flag(
        "--device-cgroup-rule list",
        "Add a rule to the cgroup allowed devices list",
        check=parse_device_rule,
    ),
    flag("--domainname string", "Container NIS domain name"),
    flag("--group-add list", "Add additional groups to join"),
    flag("--ipc string", "IPC mode to use (private|shareable|host|none|container:NAME)", check=parse_ipc),
    flag("--isolation string", "Container isolation technology (default)", check=_check_isolation, hidden=True),
    flag("--oom-score-adj int", "Tune host's OOM preferences (-1000 to 1000)"),
    flag("--pid string", "PID namespace to use (host|container:NAME)", check=parse_pid),
    flag("--runtime string", "Runtime to use for this container (wharf)", check=_check_runtime),
    flag("--security-opt list", "Security Options", check=split_option),
    flag("--shm-size bytes", "Size of /dev/shm"),
    flag("--sysctl map", "Sysctl options", check=parse_sysctl),
    flag("--ulimit ulimit", "Ulimit options", check=parse_ulimit),
    flag("--userns string", "User namespace to use (host|remap)", check=parse_userns),
    flag("--uts string", "UTS namespace to use (host)", check=parse_uts),
    refused("--cpu-count int", _WINDOWS, allowed=("0",)),
    refused("--cpu-percent int", _WINDOWS, allowed=("0",)),
    refused("--io-maxbandwidth bytes", _WINDOWS, allowed=("0",)),
    refused("--io-maxiops uint", _WINDOWS, allowed=("0",)),
    refused("--gpus gpu-request", "a GPU's libraries come from its maker's own runtime hook, and none is called here"),
    refused("--storage-opt list", "a size limit needs overlay over xfs with project quotas"),
    refused("--use-api-socket", "there is no API socket yet", allowed=("false",)),
)


def read_isolation(flags: Values) -> dict[str, Any]:
    """The fields of a ContainerSpec that these flags fill.

    Raises: InvalidInput: a value that only makes sense beside others does not. InvalidSpec: a profile can't be read.
    """
    return {
        "namespaces": Namespaces(
            pid=_own(flags.text("pid")),
            ipc=flags.text("ipc"),
            uts=_own(flags.text("uts")),
            cgroup=flags.text("cgroupns"),
            user=flags.text("userns"),
        ),
        "protection": _read_protection(flags.many("security-opt")),
        "devices": tuple(parse_device(text) for text in flags.many("device")),
        "device_rules": flags.many("device-cgroup-rule"),
        "sysctls": dict(parse_sysctl(text) for text in flags.many("sysctl")),
        "ulimits": _read_ulimits(flags.many("ulimit")),
        "group_add": flags.many("group-add"),
        "oom_score_adj": flags.number("oom-score-adj"),
        "shm_size_bytes": flags.size("shm-size"),
        "cgroup_parent": flags.text("cgroup-parent"),
        "domainname": flags.text("domainname"),
        "annotations": _read_annotations(flags.many("annotation")),
    }


def _own(mode: str) -> str:
    return "" if mode == "private" else mode


def _read_ulimits(given: Iterable[str]) -> tuple[Ulimit, ...]:
    """The last of a name counts; sorted, as docker shows them."""
    found = {limit.name: limit for limit in map(parse_ulimit, given)}
    return tuple(found[name] for name in sorted(found))


def _read_annotations(given: Iterable[str]) -> dict[str, str]:
    annotations = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise InvalidSpec(f"invalid annotation '{text}'", hint="write NAME=VALUE")
        annotations[name] = value
    return annotations


def _read_protection(given: Iterable[str]) -> Protection:
    """A seccomp profile's file is read here, where the person's path means something."""
    words = []
    for text in given:
        key, value = split_option(text)
        if key == "seccomp" and value not in (UNCONFINED, BUILTIN):
            text = f"seccomp={_read_profile(value)}"
        words.append(text)
    return read_protection(tuple(words))


def _read_profile(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise wrapped(error, "open seccomp profile", path) from None
    except UnicodeDecodeError as error:
        raise InvalidSpec(f"seccomp profile {path}: not UTF-8: {error.reason}") from None
    try:
        return json.dumps(json.loads(text), separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        raise InvalidSpec(f"compacting json for seccomp profile ({path}) failed: {error}") from None
