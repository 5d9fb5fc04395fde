"""Seccomp filters without libseccomp: rules in, classic BPF out, and the call that loads it.

The program looks the call's number up by a binary search over intervals that share a verdict,
about nine comparisons, where a linear list would take hundreds:

    load arch ─┬─ ours ──▶ load nr ─▶ tree of "nr >= k" ─▶ allow | errno | test of arguments
               ├─ 32 bit ▶ load nr ─▶ the same for its own numbers
               └─ other ─▶ kill the process
    numbers past the last one we know ─▶ ENOSYS, so that libraries fall back (as runc does)
    x32 ─▶ ENOSYS: no distribution's programs need it

Source: seccomp(2), linux/filter.h, linux/seccomp.h; struct seccomp_data is nr, arch, ip, args[6].
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterable

from core.linux import seccomp_tables
from core.linux.caps import CAPABILITIES
from core.linux.libc import LIBC, MACHINE, check, syscall
from core.linux.seccomp_profile import ENOSYS, Compare, Rule

LOAD_WORD = 0x20
JUMP_ALWAYS = 0x05
JUMP_EQUAL = 0x15
JUMP_GREATER = 0x25
JUMP_GREATER_EQUAL = 0x35
AND = 0x54
RETURN = 0x06

ALLOW = 0x7FFF0000
ERRNO = 0x00050000
KILL_PROCESS = 0x80000000
EPERM = 1

_NR_OFFSET, _ARCH_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16
_X32_BIT = 0x40000000

_MACHINES: dict[str, tuple[tuple[str, int, dict[str, int]], ...]] = {
    "x86_64": (
        ("x86_64", 0xC000003E, seccomp_tables.X86_64),
        ("i386", 0x40000003, seccomp_tables.I386),
    ),
    "aarch64": (("aarch64", 0xC00000B7, seccomp_tables.AARCH64),),
}

Instruction = tuple[int, int, int, int]
"""(code, jump if true, jump if false, operand)"""
_Verdict = int | tuple[Compare, ...]
"""A return value, or tests of which one must hold for ALLOW (else EPERM)."""


def compile_filter(rules: Iterable[Rule], bounding: int, machine: str = MACHINE) -> bytes:
    """Turn rules into the filter program (8 bytes an instruction) for a bounding set of capabilities."""
    rules = tuple(rules)
    sections = _MACHINES.get(machine)
    if sections is None:
        raise OSError(ENOSYS, f"no system call table for {machine}")
    program: list[Instruction] = [(LOAD_WORD, 0, 0, _ARCH_OFFSET)]
    for name, audit_arch, numbers in sections:
        section = _section(_verdicts(rules, bounding, name, numbers), is_x86_64=name == "x86_64")
        program.append((JUMP_EQUAL, 1, 0, audit_arch))
        program.append((JUMP_ALWAYS, 0, 0, len(section)))
        program.extend(section)
    program.append((RETURN, 0, 0, KILL_PROCESS))
    if len(program) > 4096:
        raise OSError(7, "the filter is longer than the kernel's 4096 instructions")
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def _counts(rule: Rule, bounding: int, machine: str) -> bool:
    def has(capability: str) -> bool:
        return bool(bounding >> CAPABILITIES[capability] & 1)

    if rule.machines and machine not in rule.machines:
        return False
    if rule.with_capability and not has(rule.with_capability):
        return False
    return not (rule.without_capability and has(rule.without_capability))


def _verdicts(rules: tuple[Rule, ...], bounding: int, machine: str, numbers: dict[str, int]) -> dict[int, _Verdict]:
    """Verdict of each known number; an unconditional ALLOW wins over tests, tests are alternatives."""
    verdicts: dict[int, _Verdict] = dict.fromkeys(numbers.values(), ERRNO | EPERM)
    for rule in rules:
        if not _counts(rule, bounding, machine):
            continue
        for name in rule.names.split():
            number = numbers.get(name)
            if number is None or verdicts[number] == ALLOW:
                continue
            if rule.errno:
                verdicts[number] = ERRNO | rule.errno
            elif rule.when is None:
                verdicts[number] = ALLOW
            else:
                known = verdicts[number]
                verdicts[number] = (*(known if isinstance(known, tuple) else ()), rule.when)
    return verdicts


def _section(verdicts: dict[int, _Verdict], *, is_x86_64: bool) -> list[Instruction]:
    last = max(verdicts)
    intervals: list[tuple[int, _Verdict]] = []
    for number in range(last + 1):
        verdict = verdicts.get(number, ERRNO | EPERM)
        if not intervals or intervals[-1][1] != verdict:
            intervals.append((number, verdict))
    intervals.append((last + 1, ERRNO | ENOSYS))
    code: list[Instruction] = [(LOAD_WORD, 0, 0, _NR_OFFSET)]
    if is_x86_64:
        code += [(JUMP_GREATER_EQUAL, 0, 1, _X32_BIT), (RETURN, 0, 0, ERRNO | ENOSYS)]
    return code + _tree(intervals)


def _tree(intervals: list[tuple[int, _Verdict]]) -> list[Instruction]:
    if len(intervals) == 1:
        return _leaf(intervals[0][1])
    middle = len(intervals) // 2
    lower, upper = _tree(intervals[:middle]), _tree(intervals[middle:])
    first_upper = intervals[middle][0]
    if len(lower) <= 255:
        return [(JUMP_GREATER_EQUAL, len(lower), 0, first_upper), *lower, *upper]
    # a conditional jump reaches 255 instructions; an unconditional one any distance
    return [(JUMP_GREATER_EQUAL, 0, 1, first_upper), (JUMP_ALWAYS, 0, 0, len(lower)), *lower, *upper]


def _leaf(verdict: _Verdict) -> list[Instruction]:
    if isinstance(verdict, int):
        return [(RETURN, 0, 0, verdict)]
    code: list[Instruction] = []
    for test in verdict:
        code += _test(test)
    return [*code, (RETURN, 0, 0, ERRNO | EPERM)]


def _test(test: Compare) -> list[Instruction]:
    """Return ALLOW if the test holds, else go on behind the last instruction."""
    low_offset = _ARGUMENTS_OFFSET + 8 * test.argument
    low_value, high_value = test.value & 0xFFFFFFFF, test.value >> 32
    load_high: Instruction = (LOAD_WORD, 0, 0, low_offset + 4)
    load_low: Instruction = (LOAD_WORD, 0, 0, low_offset)
    allow: Instruction = (RETURN, 0, 0, ALLOW)
    match test.op:
        case "eq":
            return [load_high, (JUMP_EQUAL, 0, 3, high_value), load_low, (JUMP_EQUAL, 0, 1, low_value), allow]
        case "masked":
            return [
                load_high,
                (AND, 0, 0, high_value),
                (JUMP_EQUAL, 0, 4, 0),
                load_low,
                (AND, 0, 0, low_value),
                (JUMP_EQUAL, 0, 1, 0),
                allow,
            ]
        case "lt":
            return [
                load_high,
                (JUMP_GREATER, 4, 0, high_value),
                (JUMP_EQUAL, 0, 2, high_value),
                load_low,
                (JUMP_GREATER_EQUAL, 1, 0, low_value),
                allow,
            ]
        case "gt":
            return [
                load_high,
                (JUMP_GREATER, 3, 0, high_value),
                (JUMP_EQUAL, 0, 3, high_value),
                load_low,
                (JUMP_GREATER, 0, 1, low_value),
                allow,
            ]
    raise ValueError(f"no such comparison: {test.op}")


class _Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def load_filter(program: bytes) -> None:
    """Put the calling thread, and all it will start, under a filter.

    The caller holds CAP_SYS_ADMIN or has set no_new_privs. Raises: OSError: EINVAL for a bad program.
    """
    buffer = ctypes.create_string_buffer(program, len(program))
    header = _Program(len(program) // 8, ctypes.addressof(buffer))
    syscall("seccomp", 1, 0, ctypes.byref(header))  # SECCOMP_SET_MODE_FILTER


def set_no_new_privs() -> None:
    """prctl(PR_SET_NO_NEW_PRIVS): no later exec can gain anything."""
    check(LIBC.prctl(38, ctypes.c_ulong(1), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)), "prctl")
