"""The eBPF program that filters device access on cgroup v2: built, loaded and attached.

Source: bpf(2), linux/bpf.h. The kernel hands the program {access << 16 | type, major, minor}; the
rules are tested last to first and the first that speaks decides, as the v1 files would.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from typing import NamedTuple

from core.linux.libc import syscall

_PROG_LOAD = 5
_PROG_ATTACH = 8
_CGROUP_DEVICE_PROGRAM = 15
_CGROUP_DEVICE_ATTACH = 6
_ALLOW_MULTI = 2

_TYPES = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}

_LOAD_WORD = 0x61
_MOVE_REGISTER = 0xBF
_MOVE = 0xB7
_AND = 0x57
_SHIFT_RIGHT = 0x77
_JUMP_NOT_EQUAL = 0x55
_JUMP_EQUAL = 0x15
_EXIT = 0x95


class DeviceRule(NamedTuple):
    """One line of the device list: type a, b or c; major and minor, None for any; access of r, w, m."""

    allow: bool
    type: str
    major: int | None
    minor: int | None
    access: str

    def __str__(self) -> str:
        major = "*" if self.major is None else self.major
        minor = "*" if self.minor is None else self.minor
        return f"{self.type} {major}:{minor} {self.access}"


def _instruction(code: int, destination: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhi", code, source << 4 | destination, offset, value)


def device_program(rules: Iterable[DeviceRule]) -> bytes:
    """The program for a list of rules on top of "deny everything"."""
    code = [
        _instruction(_LOAD_WORD, 2, 1, 0),  # r2: type
        _instruction(_MOVE_REGISTER, 3, 2),
        _instruction(_AND, 2, value=0xFFFF),
        _instruction(_SHIFT_RIGHT, 3, value=16),  # r3: access asked for
        _instruction(_LOAD_WORD, 4, 1, 4),  # r4: major
        _instruction(_LOAD_WORD, 5, 1, 8),  # r5: minor
    ]
    for rule in reversed(list(rules)):
        tests: list[tuple[int, int, int]] = []
        if rule.type != "a":
            tests.append((_JUMP_NOT_EQUAL, 2, _TYPES[rule.type]))
        if rule.major is not None:
            tests.append((_JUMP_NOT_EQUAL, 4, rule.major))
        if rule.minor is not None:
            tests.append((_JUMP_NOT_EQUAL, 5, rule.minor))
        access = sum(_ACCESS[letter] for letter in set(rule.access))
        # an allowing rule must cover everything asked for, a denying one need only touch it
        mask, jump = (7 & ~access, _JUMP_NOT_EQUAL) if rule.allow else (access, _JUMP_EQUAL)
        tail = [
            _instruction(_MOVE_REGISTER, 6, 3),
            _instruction(_AND, 6, value=mask),
            _instruction(jump, 6, offset=2, value=0),
            _instruction(_MOVE, 0, value=int(rule.allow)),
            _instruction(_EXIT),
        ]
        for position, (test, register, value) in enumerate(tests):
            remaining = len(tests) - position - 1 + len(tail)
            code.append(_instruction(test, register, offset=remaining, value=value))
        code += tail
    code += [_instruction(_MOVE, 0, value=0), _instruction(_EXIT)]
    return b"".join(code)


def attach_device_program(cgroup: int, program: bytes) -> None:
    """Load a program and attach it to the cgroup whose directory is open as `cgroup`.

    Raises: OSError: EPERM without CAP_BPF or CAP_SYS_ADMIN, EINVAL where the kernel lacks it.
    """
    instructions = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"GPL")
    attributes = struct.pack(
        "<IIQQIIQII16s",
        _CGROUP_DEVICE_PROGRAM,
        len(program) // 8,
        ctypes.addressof(instructions),
        ctypes.addressof(licence),
        0,
        0,
        0,
        0,
        0,
        b"devices",
    )
    descriptor = _bpf(_PROG_LOAD, attributes)
    try:
        _bpf(_PROG_ATTACH, struct.pack("<IIII", cgroup, descriptor, _CGROUP_DEVICE_ATTACH, _ALLOW_MULTI))
    finally:
        os.close(descriptor)


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    return syscall("bpf", command, ctypes.byref(buffer), len(attributes))
