"""What every process of a container is held to, its first one and those that exec adds."""

from __future__ import annotations

import base64
import resource
from collections.abc import Callable
from typing import Any, NamedTuple

from core.linux import caps

_RLIMITS = {
    "core": resource.RLIMIT_CORE,
    "cpu": resource.RLIMIT_CPU,
    "data": resource.RLIMIT_DATA,
    "fsize": resource.RLIMIT_FSIZE,
    "locks": 10,  # Linux's own numbers, where the resource module has no name
    "memlock": resource.RLIMIT_MEMLOCK,
    "msgqueue": resource.RLIMIT_MSGQUEUE,
    "nice": resource.RLIMIT_NICE,
    "nofile": resource.RLIMIT_NOFILE,
    "nproc": resource.RLIMIT_NPROC,
    "rss": resource.RLIMIT_RSS,
    "rtprio": resource.RLIMIT_RTPRIO,
    "rttime": resource.RLIMIT_RTTIME,
    "sigpending": resource.RLIMIT_SIGPENDING,
    "stack": resource.RLIMIT_STACK,
}
_UNLIMITED = resource.RLIM_INFINITY
_UNCONFINED = "unconfined"


class Confinement(NamedTuple):
    """The terms: capabilities, filter, limits, groups."""

    bounding: int
    last_capability: int
    program: bytes | None
    """The system call filter; None for no filter."""
    no_new_privileges: bool
    rlimits: tuple[tuple[int, int, int], ...]
    """Number, soft, hard."""
    groups: tuple[str, ...]
    oom_score: int
    apparmor: str
    """A profile to take on at exec; empty for none."""

    def with_everything(self, bounding: int) -> Confinement:
        """For `exec --privileged`: all the capabilities we have, and no filter."""
        return self._replace(bounding=bounding, program=None)


def confine(
    spec: dict[str, Any], *, filters: Callable[[int], bytes], no_file: tuple[int, int], last_capability: int
) -> tuple[Confinement, list[str]]:
    """The terms of a sandbox document, and what of it this host can't give.

    Args: filters: bounding mask → the default filter. no_file: the limit of open files without a wish.
    """
    rlimits, warnings = _fit(spec["ulimits"], no_file)
    score = spec["oom_score_adj"]
    if score < 0 and not _may_raise() and score < (lowest := min(0, _own_oom_score())):
        warnings.append(f"--oom-score-adj {score} is {lowest} here: less needs CAP_SYS_RESOURCE, which we lack")
        score = lowest
    program: bytes | None
    if spec["seccomp"] == _UNCONFINED:
        program = None
    elif spec["seccomp"]:
        program = base64.b64decode(spec["seccomp"])
    else:
        program = filters(spec["bounding"])
    terms = Confinement(
        bounding=spec["bounding"],
        last_capability=last_capability,
        program=program,
        no_new_privileges=spec["no_new_privileges"],
        rlimits=rlimits,
        groups=tuple(spec["groups"]),
        oom_score=score,
        apparmor=spec["apparmor"] if spec["apparmor"] and _has_apparmor() else "",
    )
    return terms, warnings


def _own_oom_score() -> int:
    with open("/proc/self/oom_score_adj") as file:
        return int(file.read())


def _may_raise() -> bool:
    return bool(caps.read_mask("CapEff") >> caps.CAPABILITIES["SYS_RESOURCE"] & 1)


def _fit(ulimits: list[dict[str, Any]], no_file: tuple[int, int]) -> tuple[tuple[tuple[int, int, int], ...], list[str]]:
    """Limits as they can be set: without CAP_SYS_RESOURCE none may rise above ours, with a warning that says so."""
    found = {resource.RLIMIT_NOFILE: no_file}
    warnings: list[str] = []
    may_raise = bool(ulimits) and _may_raise()
    for limit in ulimits:
        number = _RLIMITS[limit["name"]]
        soft, hard = (_UNLIMITED if value == -1 else value for value in (limit["soft"], limit["hard"]))
        most = _most(number, resource.getrlimit(number)[1], may_raise=may_raise)
        if _exceeds(hard, most):
            reason = "the kernel's own limit" if may_raise else "more needs CAP_SYS_RESOURCE, which we lack"
            warnings.append(
                f"--ulimit {limit['name']}={limit['soft']}:{limit['hard']} is at most {most} here: {reason}"
            )
            hard = most
            soft = most if _exceeds(soft, most) else soft
        found[number] = (soft, hard)
    return tuple((number, soft, hard) for number, (soft, hard) in found.items()), warnings


def _most(number: int, ours: int, *, may_raise: bool) -> int:
    if not may_raise:
        return ours
    if number != resource.RLIMIT_NOFILE:
        return _UNLIMITED
    with open("/proc/sys/fs/nr_open") as file:  # nobody may have more open files than this
        return int(file.read())


def _exceeds(value: int, most: int) -> bool:
    return most != _UNLIMITED and (value == _UNLIMITED or value > most)


def _has_apparmor() -> bool:
    try:
        with open("/sys/module/apparmor/parameters/enabled") as file:
            return file.read(1) == "Y"
    except OSError:
        return False
