"""Devices of the host in a container, and how fast it may use its disks, as people write both."""

from __future__ import annotations

import posixpath
import re

import msgspec

from core.errors import InvalidInput
from core.model.limits import DeviceRate, parse_bytes

_RULE = re.compile(r"([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})")
_LEAST_WEIGHT, _MOST_WEIGHT = 10, 1000


class DeviceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A node of the host, or a directory of nodes, and where it is to be seen; access is of r, w, m."""

    source: str
    target: str
    access: str = "rwm"


def _is_access(text: str) -> bool:
    return bool(text) and set(text) <= set("rwm") and len(set(text)) == len(text)


def parse_device(text: str) -> DeviceSpec:
    """Read `--device`: `/dev/x`, `/dev/x:rw`, `/dev/x:/dev/y` or `/dev/x:/dev/y:rwm`.

    Raises: InvalidInput: with docker's words.
    """
    hint = "write for example /dev/fuse, or /dev/sda:/dev/xvda:r"
    parts = text.split(":")
    if not text or len(parts) > 3 or not all(parts):
        raise InvalidInput(f"bad format for path: {text}", hint=hint)
    source, target, access = parts[0], parts[0], "rwm"
    if len(parts) == 2 and _is_access(parts[1]):
        access = parts[1]
    elif len(parts) > 1:
        target = parts[1]
    if len(parts) == 3:
        access = parts[2]
        if not _is_access(access):
            raise InvalidInput(f"bad mode specified: {access}", hint="of r, w and m, each once")
    for path in (source, target):
        if not path.startswith("/") or "\0" in path:
            raise InvalidInput(f"{path} is not an absolute path", hint=hint)
    return DeviceSpec(source=posixpath.normpath(source), target=posixpath.normpath(target), access=access)


def parse_device_rule(text: str) -> str:
    """Read `--device-cgroup-rule`: `c 10:200 rwm`, `b 8:* r`, `a *:* rwm`.

    Raises: InvalidInput: with docker's words.
    """
    found = _RULE.fullmatch(text)
    if found is None or any(number != "*" and int(number) >= 2**31 for number in found.group(2, 3)):
        raise InvalidInput(f"invalid device cgroup format '{text}'", hint="write for example 'c 10:200 rwm'")
    return text


def parse_device_bps(text: str) -> DeviceRate:
    """Read `--device-read-bps`: `/dev/sda:1mb`. Raises: InvalidInput."""
    path, value = _device_and_value(text)
    try:
        return DeviceRate(path=path, value=parse_bytes(value))
    except InvalidInput:
        raise InvalidInput(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. "
            "Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
        ) from None


def parse_device_iops(text: str) -> DeviceRate:
    """Read `--device-read-iops`: `/dev/sda:1000`. Raises: InvalidInput."""
    path, value = _device_and_value(text)
    if not (value.isdigit() and value.isascii()) or int(value) >= 2**63:
        raise InvalidInput(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>. "
            "Number must be a positive integer"
        )
    return DeviceRate(path=path, value=int(value))


def parse_device_weight(text: str) -> DeviceRate:
    """Read `--blkio-weight-device`: `/dev/sda:500`. Raises: InvalidInput."""
    path, value = _device_and_value(text)
    if not (value.isdigit() and value.isascii()) or (int(value) and not _LEAST_WEIGHT <= int(value) <= _MOST_WEIGHT):
        raise InvalidInput(f"invalid weight for device: {text}", hint="from 10 to 1000, or 0 for none")
    return DeviceRate(path=path, value=int(value))


def _device_and_value(text: str) -> tuple[str, str]:
    path, colon, value = text.partition(":")
    if not colon or not value:
        raise InvalidInput(f"bad format: {text}", hint="write /dev/NAME:VALUE")
    if not path.startswith("/dev/") or "\0" in path:
        raise InvalidInput(f"bad format for device path: {text}", hint="it begins with /dev/")
    return posixpath.normpath(path), value
