"""Seccomp profiles of people's own: read, compiled, and held against libseccomp's verdicts."""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import os
import platform
import tempfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.engine.seccomp_json import read_profile
from core.errors import InvalidSpec
from core.linux import seccomp, seccomp_tables
from core.linux.caps import CAPABILITIES, DEFAULT_MASK
from tests.unit.monitor.test_seccomp import I386, X86_64, verdict

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are x86_64's")
NUMBERS = seccomp_tables.X86_64
ALLOW = "SCMP_ACT_ALLOW"
ERRNO = "SCMP_ACT_ERRNO"


def compiled(profile: dict[str, Any], bounding: int = DEFAULT_MASK) -> Callable[..., int]:
    program = seccomp.compile_custom(read_profile(json.dumps(profile), bounding), "x86_64")
    return lambda name, *arguments, arch=X86_64: verdict(program, arch, NUMBERS.get(name, name), *arguments)


def profile(*rules: dict[str, Any], default: str = ERRNO, **fields: Any) -> dict[str, Any]:
    return {"defaultAction": default, "architectures": ["SCMP_ARCH_X86_64"], "syscalls": list(rules), **fields}


def test_SC5_named_calls_get_their_action_and_others_the_default() -> None:
    ask = compiled(profile({"names": ["read", "nosuchcall"], "action": ALLOW}, {"name": "write", "action": ALLOW}))
    assert ask("read") == ask("write") == seccomp.ALLOW
    assert ask("open") == seccomp.ERRNO | 1
    assert ask(5000) == seccomp.ERRNO | 38
    assert ask(0x40000000) == seccomp.ERRNO | 38


@pytest.mark.parametrize(
    ("action", "number", "expected"),
    [
        ("SCMP_ACT_KILL", None, seccomp.KILL_THREAD),
        ("SCMP_ACT_KILL_PROCESS", None, seccomp.KILL_PROCESS),
        ("SCMP_ACT_TRAP", None, seccomp.TRAP),
        ("SCMP_ACT_LOG", None, seccomp.LOG),
        ("SCMP_ACT_TRACE", 7, seccomp.TRACE | 7),
        ("SCMP_ACT_ERRNO", 28, seccomp.ERRNO | 28),
    ],
)
def test_every_action(action: str, number: int | None, expected: int) -> None:
    ask = compiled(profile({"names": ["mkdir"], "action": action, "errnoRet": number}, default=ALLOW))
    assert ask("mkdir") == expected
    assert ask("read") == ask(5000) == seccomp.ALLOW


def test_rules_for_capabilities_machines_and_kernels() -> None:
    rules = (
        {"names": ["mount"], "action": ALLOW, "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["umount2"], "action": ALLOW, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["bpf"], "action": ALLOW, "includes": {"arches": ["s390x"]}},
        {"names": ["read"], "action": ALLOW, "includes": {"arches": ["amd64"], "minKernel": "4.8"}},
        {"names": ["write"], "action": ALLOW, "includes": {"minKernel": "99.0"}},
    )
    plain = compiled(profile(*rules))
    admin = compiled(profile(*rules), DEFAULT_MASK | 1 << CAPABILITIES["SYS_ADMIN"])
    denied = seccomp.ERRNO | 1
    assert [plain(name) for name in ("mount", "umount2", "bpf", "read", "write")] == [
        denied,
        seccomp.ALLOW,
        denied,
        seccomp.ALLOW,
        denied,
    ]
    assert (admin("mount"), admin("umount2")) == (seccomp.ALLOW, denied)


def test_SC14_a_machine_that_is_not_listed_is_killed() -> None:
    rule = {"names": ["getpid"], "action": ALLOW}
    assert compiled(profile(rule))(20, arch=I386) == seccomp.KILL_PROCESS
    both = {**profile(rule), "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}]}
    assert compiled(both)(20, arch=I386) == seccomp.ALLOW


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"defaultAction": 3}',
        '{"defaultAction": "SCMP_ACT_ODD"}',
        '{"defaultAction": "SCMP_ACT_NOTIFY"}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "x"}]}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_ERRNO",'
        ' "args": [{"index": 9, "op": "SCMP_CMP_EQ"}]}]}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_ERRNO",'
        ' "args": [{"index": 0, "op": "odd"}]}]}',
        '{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 70000}',
    ],
)
def test_ST14_what_is_no_profile_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(InvalidSpec, match="seccomp profile"):
        read_profile(text, DEFAULT_MASK)


class _Compare(ctypes.Structure):
    _fields_ = [
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    ]


_OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
VALUES = st.sampled_from([0, 1, 2, 7, 0xFFFFFFFF, 2**32, 2**32 + 1, 2**63, 2**64 - 1])


def oracle(arguments: list[dict[str, Any]]) -> Callable[..., int]:
    """libseccomp's program for one rule: `personality` allowed if all tests hold, else EPERM."""
    name = ctypes.util.find_library("seccomp")
    assert name, "libseccomp is needed: apt-get install libseccomp2"
    library = ctypes.CDLL(name)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_void_p,
    ]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    context = library.seccomp_init(seccomp.ERRNO | 1)
    tests = (_Compare * len(arguments))()
    for test, argument in zip(tests, arguments, strict=True):
        test.arg, test.op = argument["index"], _OPERATORS[argument["op"]]
        test.first, test.second = argument["value"], argument["valueTwo"]
    added = library.seccomp_rule_add_array(context, seccomp.ALLOW, NUMBERS["personality"], len(arguments), tests)
    assert added == 0
    with tempfile.TemporaryFile() as file:
        assert library.seccomp_export_bpf(context, file.fileno()) == 0
        program = os.pread(file.fileno(), 1 << 20, 0)
    library.seccomp_release(context)
    return lambda *values: verdict(program, X86_64, NUMBERS["personality"], *values)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "index": st.integers(0, 5),
                "op": st.sampled_from(sorted(_OPERATORS)),
                "value": VALUES,
                "valueTwo": VALUES,
            }
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda argument: argument["index"],
    ),
    st.lists(st.tuples(*[VALUES] * 6), min_size=8, max_size=8),
)
def test_SC17_tests_of_arguments_have_libseccomps_verdicts(
    arguments: list[dict[str, Any]], calls: list[tuple[int, ...]]
) -> None:
    ours = compiled(profile({"names": ["personality"], "action": ALLOW, "args": arguments}))
    theirs = oracle(arguments)
    for values in calls:
        assert ours("personality", *values) == theirs(*values), (arguments, values)


def test_two_tests_of_one_argument_are_alternatives_as_runcs() -> None:
    arguments = [{"index": 0, "op": "SCMP_CMP_EQ", "value": value} for value in (3, 5)]
    ask = compiled(profile({"names": ["personality"], "action": ALLOW, "args": arguments}))
    assert [ask("personality", value) == seccomp.ALLOW for value in (3, 4, 5)] == [True, False, True]
