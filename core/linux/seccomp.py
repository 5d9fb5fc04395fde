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
from typing import NamedTuple

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
LOG = 0x7FFC0000
TRACE = 0x7FF00000
ERRNO = 0x00050000
TRAP = 0x00030000
KILL_THREAD = 0x00000000
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


class Clause(NamedTuple):
    """If all tests hold, the action is returned."""

    tests: tuple[Compare, ...]
    action: int


class Conditional(NamedTuple):
    """The first clause that holds decides; if none does, the last word is `otherwise`."""

    clauses: tuple[Clause, ...]
    otherwise: int


_Verdict = int | Conditional
"""A return value, or what decides between some."""


class Custom(NamedTuple):
    """A profile of somebody's own: every call not named gets `default`.

    rules: names of calls, and what is tried in order for them; the first that has no tests ends it.
    machines: whose numbers it speaks of; calls by others end the process.
    """

    default: int
    rules: tuple[tuple[tuple[str, ...], Clause], ...]
    machines: frozenset[str]


def compile_filter(rules: Iterable[Rule], bounding: int, machine: str = MACHINE) -> bytes:
    """Turn rules into the filter program (8 bytes an instruction) for a bounding set of capabilities."""
    rules = tuple(rules)
    sections = []
    for name, audit_arch, numbers in _machines(machine):
        verdicts = _verdicts(rules, bounding, name, numbers)
        sections.append((audit_arch, _section(verdicts, ERRNO | EPERM, is_x86_64=name == "x86_64")))
    return _assemble(sections)


def compile_custom(profile: Custom, machine: str = MACHINE) -> bytes:
    """Turn a profile of somebody's own into the filter program."""
    sections = []
    for name, audit_arch, numbers in _machines(machine):
        if name in profile.machines:
            verdicts = _custom_verdicts(profile, numbers)
            sections.append((audit_arch, _section(verdicts, profile.default, is_x86_64=name == "x86_64")))
    return _assemble(sections)


def _machines(machine: str) -> tuple[tuple[str, int, dict[str, int]], ...]:
    if machine not in _MACHINES:
        raise OSError(ENOSYS, f"no system call table for {machine}")
    return _MACHINES[machine]


def _assemble(sections: list[tuple[int, list[Instruction]]]) -> bytes:
    program: list[Instruction] = [(LOAD_WORD, 0, 0, _ARCH_OFFSET)]
    for audit_arch, section in sections:
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
                before = known.clauses if isinstance(known, Conditional) else ()
                verdicts[number] = Conditional((*before, Clause((rule.when,), ALLOW)), ERRNO | EPERM)
    return verdicts


def _custom_verdicts(profile: Custom, numbers: dict[str, int]) -> dict[int, _Verdict]:
    """As libseccomp has it: a rule without tests wins over those with; names of other machines are nothing."""
    verdicts: dict[int, _Verdict] = dict.fromkeys(numbers.values(), profile.default)
    decided: set[int] = set()
    for names, clause in profile.rules:
        for name in names:
            number = numbers.get(name)
            if number is None or number in decided or clause.action == profile.default:
                continue
            if not clause.tests:
                verdicts[number] = clause.action
                decided.add(number)
            else:
                known = verdicts[number]
                before = known.clauses if isinstance(known, Conditional) else ()
                verdicts[number] = Conditional((*before, clause), profile.default)
    return verdicts


def _section(verdicts: dict[int, _Verdict], default: int, *, is_x86_64: bool) -> list[Instruction]:
    last = max(verdicts)
    intervals: list[tuple[int, _Verdict]] = []
    for number in range(last + 1):
        verdict = verdicts.get(number, default)
        if not intervals or intervals[-1][1] != verdict:
            intervals.append((number, verdict))
    intervals.append((last + 1, default if default in (ALLOW, LOG) else ERRNO | ENOSYS))
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
    for clause in verdict.clauses:
        code += _clause(clause)
    return [*code, (RETURN, 0, 0, verdict.otherwise)]


_HOLDS, _FAILS = -1, -2
"""Jumps still to be filled in: behind this test, and behind the whole clause."""


def _clause(clause: Clause) -> list[Instruction]:
    """Return the action if all tests hold, else go on behind the last instruction."""
    tests = [_test(test) for test in clause.tests]
    end = sum(map(len, tests)) + 1
    code: list[Instruction] = []
    for test in tests:
        behind = len(code) + len(test)
        for operation, if_true, if_false, operand in test:
            places = {_HOLDS: behind - len(code) - 1, _FAILS: end - len(code) - 1}
            code.append((operation, places.get(if_true, if_true), places.get(if_false, if_false), operand))
    return [*code, (RETURN, 0, 0, clause.action)]


def _test(test: Compare) -> list[Instruction]:
    """The 64-bit comparison in halves of 32, the high one first."""
    op, value, mask = ("eq", 0, test.value) if test.op == "masked" else (test.op, test.value, test.mask)
    low_offset = _ARGUMENTS_OFFSET + 8 * test.argument
    low, high = value & 0xFFFFFFFF, value >> 32
    load_high = _load(low_offset + 4, mask >> 32)
    load_low = _load(low_offset, mask & 0xFFFFFFFF)
    match op:
        case "eq":
            return [*load_high, (JUMP_EQUAL, 0, _FAILS, high), *load_low, (JUMP_EQUAL, _HOLDS, _FAILS, low)]
        case "ne":
            return [*load_high, (JUMP_EQUAL, 0, _HOLDS, high), *load_low, (JUMP_EQUAL, _FAILS, _HOLDS, low)]
        case "lt" | "le":
            last = JUMP_GREATER_EQUAL if op == "lt" else JUMP_GREATER
            return [
                *load_high,
                (JUMP_GREATER, _FAILS, 0, high),
                (JUMP_EQUAL, 0, _HOLDS, high),
                *load_low,
                (last, _FAILS, _HOLDS, low),
            ]
        case "gt" | "ge":
            last = JUMP_GREATER if op == "gt" else JUMP_GREATER_EQUAL
            return [
                *load_high,
                (JUMP_GREATER, _HOLDS, 0, high),
                (JUMP_EQUAL, 0, _FAILS, high),
                *load_low,
                (last, _HOLDS, _FAILS, low),
            ]
    raise ValueError(f"no such comparison: {test.op}")


def _load(offset: int, mask: int) -> list[Instruction]:
    load: Instruction = (LOAD_WORD, 0, 0, offset)
    return [load] if mask == 0xFFFFFFFF else [load, (AND, 0, 0, mask)]


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
