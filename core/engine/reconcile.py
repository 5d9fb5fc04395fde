"""Clearing up after the dead: what a crash or a reboot left, once a boot and cheap to ask."""

from __future__ import annotations

import os

from core.engine.records import ContainerRecords
from core.linux import procfs
from core.linux.files import write_atomic
from core.state import trash
from core.state.paths import Roots


def after_boot(roots: Roots, records: ContainerRecords) -> None:
    """The first engine of a boot sweeps; the others find its mark and go on."""
    mark = roots.run / "boot_id"
    boot_id = procfs.read_boot_id().encode()
    try:
        if mark.read_bytes() == boot_id:
            return
    except FileNotFoundError:
        pass
    sweep(roots, records)
    write_atomic(mark, boot_id, durable=False)


def sweep(roots: Roots, records: ContainerRecords) -> None:
    """Half-made containers, names that lead nowhere, the trash, leftovers in the run root."""
    records.sweep()
    trash.empty(roots)
    known = {container_id[:16] for container_id in records.ids()}
    for name in os.listdir(roots.run / "c"):
        if name not in known:
            trash.discard_elsewhere(roots.run / "c", name)
