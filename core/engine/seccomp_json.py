"""Docker's seccomp profiles as people keep them in files, read into what our emitter compiles.

Source: moby/profiles, seccomp/seccomp.go and default.json; seccomp(2), seccomp_rule_add(3).
"""

from __future__ import annotations

import platform

import msgspec

from core.errors import InvalidSpec
from core.linux import seccomp
from core.linux.caps import CAPABILITIES
from core.linux.seccomp import Clause, Custom
from core.linux.seccomp_profile import Compare
from core.state.documents import decoder

_ACTIONS = {
    "SCMP_ACT_KILL": seccomp.KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": seccomp.KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": seccomp.KILL_PROCESS,
    "SCMP_ACT_TRAP": seccomp.TRAP,
    "SCMP_ACT_ERRNO": seccomp.ERRNO,
    "SCMP_ACT_TRACE": seccomp.TRACE,
    "SCMP_ACT_LOG": seccomp.LOG,
    "SCMP_ACT_ALLOW": seccomp.ALLOW,
}
_WITH_NUMBER = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
_EPERM = 1
_OPERATORS = {
    "SCMP_CMP_NE": "ne",
    "SCMP_CMP_LT": "lt",
    "SCMP_CMP_LE": "le",
    "SCMP_CMP_EQ": "eq",
    "SCMP_CMP_GE": "ge",
    "SCMP_CMP_GT": "gt",
    "SCMP_CMP_MASKED_EQ": "eq",
}
_MACHINES = {"SCMP_ARCH_X86_64": "x86_64", "SCMP_ARCH_X86": "i386", "SCMP_ARCH_AARCH64": "aarch64"}
_GO_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}
_ALL_BITS = 2**64 - 1


class _Argument(msgspec.Struct, rename="camel"):
    index: int
    op: str
    value: int = 0
    value_two: int = 0


class _Filter(msgspec.Struct, rename="camel"):
    """includes or excludes of a rule."""

    caps: list[str] = []
    arches: list[str] = []
    min_kernel: str = ""


class _Rule(msgspec.Struct, rename="camel"):
    action: str
    names: list[str] = []
    name: str = ""
    errno_ret: int | None = None
    args: list[_Argument] | None = None
    includes: _Filter = msgspec.field(default_factory=_Filter)
    excludes: _Filter = msgspec.field(default_factory=_Filter)


class _ArchMap(msgspec.Struct, rename="camel"):
    architecture: str
    sub_architectures: list[str] | None = None


class _Profile(msgspec.Struct, rename="camel"):
    default_action: str
    default_errno_ret: int | None = None
    architectures: list[str] | None = None
    arch_map: list[_ArchMap] | None = None
    syscalls: list[_Rule] | None = None
    listener_path: str = ""


def read_profile(text: str, bounding: int) -> Custom:
    """Read a profile; rules for capabilities, machines or kernels that are not ours are left out.

    Raises: InvalidSpec: not JSON, a field of the wrong kind, or an action that can't be honoured.
    """
    try:
        profile = decoder(_Profile).decode(text.encode())
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        raise _refused(f"decoding seccomp profile failed: {error}") from None
    rules = [
        (tuple(rule.names or [rule.name]), clause)
        for rule in profile.syscalls or ()
        if _is_meant(rule, bounding)
        for clause in _clauses(rule)
    ]
    return Custom(
        default=_action(profile.default_action, profile.default_errno_ret),
        rules=tuple(rules),
        machines=_machines(profile),
    )


def _machines(profile: _Profile) -> frozenset[str]:
    native = platform.machine()
    names = list(profile.architectures or ())
    for entry in profile.arch_map or ():
        if _MACHINES.get(entry.architecture) == native:
            names += [entry.architecture, *(entry.sub_architectures or ())]
    return frozenset({native, *(_MACHINES[name] for name in names if name in _MACHINES)})


def _is_meant(rule: _Rule, bounding: int) -> bool:
    arch = _GO_NAMES.get(platform.machine(), platform.machine())
    needed, unwanted = rule.includes, rule.excludes
    if not all(_has(name, bounding) for name in needed.caps) or any(_has(name, bounding) for name in unwanted.caps):
        return False
    if (needed.arches and arch not in needed.arches) or arch in unwanted.arches:
        return False
    if needed.min_kernel and not _runs_at_least(needed.min_kernel):
        return False
    return not (unwanted.min_kernel and _runs_at_least(unwanted.min_kernel))


def _has(name: str, bounding: int) -> bool:
    number = CAPABILITIES.get(name.removeprefix("CAP_"))
    return number is not None and bool(bounding >> number & 1)


def _runs_at_least(version: str) -> bool:
    try:
        wanted = tuple(int(part) for part in version.split(".")[:2])
    except ValueError:
        raise _refused(f"seccomp profile: {version!r} is no kernel version") from None
    major, _, rest = platform.release().partition(".")
    minor = "".join(digit for digit in rest.partition(".")[0] if digit.isdigit())
    return (int(major), int(minor or 0)) >= wanted


def _clauses(rule: _Rule) -> list[Clause]:
    """One clause of all tests; tests of one argument twice are alternatives, as runc has it."""
    action = _action(rule.action, rule.errno_ret)
    tests = [_compare(argument) for argument in rule.args or ()]
    if len({test.argument for test in tests}) < len(tests):
        return [Clause((test,), action) for test in tests]
    return [Clause(tuple(tests), action)]


def _compare(argument: _Argument) -> Compare:
    if argument.op not in _OPERATORS:
        raise _refused(f"seccomp profile: unknown operator {argument.op!r}")
    if not 0 <= argument.index <= 5 or not (0 <= argument.value <= _ALL_BITS and 0 <= argument.value_two <= _ALL_BITS):
        raise _refused(f"seccomp profile: argument {argument.index} or its value is out of range")
    if argument.op == "SCMP_CMP_MASKED_EQ":
        return Compare(argument.index, "eq", argument.value_two & argument.value, argument.value)
    return Compare(argument.index, _OPERATORS[argument.op], argument.value)


def _action(name: str, number: int | None) -> int:
    if name == "SCMP_ACT_NOTIFY":
        raise _refused("seccomp profile: SCMP_ACT_NOTIFY needs somebody to notify, and nobody listens")
    if name not in _ACTIONS:
        raise _refused(f"seccomp profile: unknown action {name!r}")
    if name not in _WITH_NUMBER:
        return _ACTIONS[name]
    number = _EPERM if number is None else number
    if not 0 <= number <= 0xFFFF:
        raise _refused(f"seccomp profile: errnoRet {number} is out of range")
    return _ACTIONS[name] | number


def _refused(text: str) -> InvalidSpec:
    return InvalidSpec(text, hint="--security-opt seccomp=builtin takes the default profile")
