"""Docker's device list: what a container that is not privileged may open.

mknod of anything is allowed (CAP_MKNOD decides), use only of what the list names.
"""

from __future__ import annotations

from typing import Any

from core.linux.bpf import DeviceRule

DEFAULT_RULES: tuple[DeviceRule, ...] = (
    DeviceRule(True, "c", None, None, "m"),
    DeviceRule(True, "b", None, None, "m"),
    DeviceRule(True, "c", 1, 3, "rwm"),  # null
    DeviceRule(True, "c", 1, 5, "rwm"),  # zero
    DeviceRule(True, "c", 1, 7, "rwm"),  # full
    DeviceRule(True, "c", 1, 8, "rwm"),  # random
    DeviceRule(True, "c", 1, 9, "rwm"),  # urandom
    DeviceRule(True, "c", 5, 0, "rwm"),  # tty
    DeviceRule(True, "c", 5, 1, "rwm"),  # console
    DeviceRule(True, "c", 5, 2, "rwm"),  # ptmx
    DeviceRule(True, "c", 136, None, "rwm"),  # pts
)

ALL_DEVICES: tuple[DeviceRule, ...] = (DeviceRule(True, "a", None, None, "rwm"),)


def device_rules(accesses: list[dict[str, Any]]) -> tuple[DeviceRule, ...]:
    """The default list and what a person allowed on top: documents with kind, major, minor (null: any), access."""
    added = (DeviceRule(True, each["kind"], each["major"], each["minor"], each["access"]) for each in accesses)
    return (*DEFAULT_RULES, *added)
