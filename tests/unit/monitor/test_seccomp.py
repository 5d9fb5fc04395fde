"""Our filter programs: run by a simulator, and held against libseccomp's own for every number."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import struct
import tempfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.linux import seccomp, seccomp_tables
from core.linux.caps import CAPABILITIES, DEFAULT_MASK
from core.linux.seccomp_profile import DEFAULT_PROFILE

X86_64, I386 = 0xC000003E, 0x40000003
ALLOW, EPERM, ENOSYS, KILL = seccomp.ALLOW, seccomp.ERRNO | 1, seccomp.ERRNO | 38, seccomp.KILL_PROCESS
DEFAULT = seccomp.compile_filter(DEFAULT_PROFILE, DEFAULT_MASK, "x86_64")


def verdict(program: bytes, arch: int, number: int, *arguments: int) -> int:
    """Run classic BPF on one call, as the kernel does."""
    words = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, arch, 0, *(word & (2**64 - 1) for word in words))
    code = list(struct.iter_unpack("<HBBI", program))
    accumulator = position = 0
    while True:
        operation, if_true, if_false, value = code[position]
        position += 1
        if operation == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif operation == 0x54:
            accumulator &= value
        elif operation == 0x05:
            position += value
        elif operation in (0x15, 0x25, 0x35, 0x45):
            taken = {
                0x15: accumulator == value,
                0x25: accumulator > value,
                0x35: accumulator >= value,
                0x45: bool(accumulator & value),
            }[operation]
            position += if_true if taken else if_false
        elif operation == 0x06:
            return value
        else:
            raise AssertionError(f"unexpected instruction {operation:#x}")


def test_SC15_every_number_past_the_table_is_unknown() -> None:
    last = max(seccomp_tables.X86_64.values())
    assert {verdict(DEFAULT, X86_64, number) for number in range(last + 1, last + 2000)} == {ENOSYS}


def test_SC14_other_architectures_are_killed_and_x32_is_unknown() -> None:
    assert verdict(DEFAULT, 0xC00000B7, 0) == KILL
    assert {verdict(DEFAULT, X86_64, 0x40000000 + number) for number in range(600)} == {ENOSYS}


def test_SC6_clone3_and_clone_flags() -> None:
    numbers = seccomp_tables.X86_64
    assert verdict(DEFAULT, X86_64, numbers["clone3"]) == ENOSYS
    assert verdict(DEFAULT, X86_64, numbers["clone"], 0x01200011) == ALLOW
    for bit in range(64):
        expected = EPERM if 0x7E020000 >> bit & 1 else ALLOW
        assert verdict(DEFAULT, X86_64, numbers["clone"], 1 << bit) == expected


@given(st.integers(0, 2**64 - 1))
def test_SC12_socket_families(family: int) -> None:
    expected = EPERM if family in (38, 40) else ALLOW
    assert verdict(DEFAULT, X86_64, seccomp_tables.X86_64["socket"], family) == expected


@given(st.integers(0, 2**64 - 1))
def test_SC13_personality_values(value: int) -> None:
    expected = ALLOW if value in (0, 8, 0x20000, 0x20008, 0xFFFFFFFF) else EPERM
    assert verdict(DEFAULT, X86_64, seccomp_tables.X86_64["personality"], value) == expected


@given(st.integers(0, 2 ** len(CAPABILITIES) - 1))
def test_programs_of_any_capabilities_fit_and_end(bounding: int) -> None:
    program = seccomp.compile_filter(DEFAULT_PROFILE, bounding, "x86_64")
    assert len(program) // 8 <= 4096
    expected = ALLOW if bounding >> CAPABILITIES["SYS_ADMIN"] & 1 else EPERM
    assert verdict(program, X86_64, seccomp_tables.X86_64["mount"]) == expected


def oracle(bounding: int) -> Callable[[int, int, int], int]:
    """libseccomp's program for the same rules."""
    name = ctypes.util.find_library("seccomp")
    if name is None:
        pytest.fail("libseccomp2 is not installed: the oracle of this test is missing")
    library = ctypes.CDLL(name, use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_release.argtypes = [ctypes.c_void_p]

    class Compare(ctypes.Structure):
        _fields_ = (
            ("arg", ctypes.c_uint),
            ("op", ctypes.c_int),
            ("a", ctypes.c_uint64),
            ("b", ctypes.c_uint64),
        )

    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(Compare),
    ]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    context = library.seccomp_init(EPERM)
    for rule in DEFAULT_PROFILE:
        if not seccomp._counts(rule, bounding, "x86_64"):
            continue
        for word in rule.names.split():
            number = seccomp_tables.X86_64.get(word)
            if number is None:
                continue
            action = seccomp.ERRNO | rule.errno if rule.errno else ALLOW
            if rule.when is None:
                assert library.seccomp_rule_add_array(context, action, number, 0, None) == 0, word
            else:
                operator = {"lt": 2, "eq": 4, "gt": 6, "masked": 7}[rule.when.op]
                compare = Compare(rule.when.argument, operator, rule.when.value, 0)
                assert library.seccomp_rule_add_array(context, action, number, 1, ctypes.byref(compare)) == 0, word
    with tempfile.TemporaryFile() as file:
        assert library.seccomp_export_bpf(context, file.fileno()) == 0
        program = os.pread(file.fileno(), 1 << 20, 0)
    library.seccomp_release(context)
    return lambda arch, number, first: verdict(program, arch, number, first)


@pytest.mark.parametrize("bounding", [DEFAULT_MASK, 0, (1 << len(CAPABILITIES)) - 1], ids=["default", "none", "all"])
def test_SC17_same_verdicts_as_libseccomp(bounding: int) -> None:
    theirs = oracle(bounding)
    ours = seccomp.compile_filter(DEFAULT_PROFILE, bounding, "x86_64")
    arguments = (0, 1, 2, 8, 17, 37, 38, 39, 40, 41, 0x20000, 0x20008, 0x10000000, 0x7E020000, 0xFFFFFFFF, 2**32, 2**63)
    for number in range(max(seccomp_tables.X86_64.values()) + 1):
        for first in arguments:
            assert verdict(ours, X86_64, number, first) == theirs(X86_64, number, first), (number, first)
