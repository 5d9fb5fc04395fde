"""Clearing up after the dead: what a crash or a reboot left, once a boot and cheap to ask."""

from __future__ import annotations

import os

from core.cgroups import driver
from core.engine.records import ContainerRecords
from core.errors import EngineError
from core.linux import procfs
from core.linux.files import is_locked, write_atomic
from core.model.ids import is_full_id
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
    _unpack_what_cant_be_mounted(roots)
    write_atomic(mark, boot_id, durable=False)


def _unpack_what_cant_be_mounted(roots: Roots) -> None:
    """Another kernel, or another host, may lack what layers are mounted by: they are unpacked after all."""
    from core.storage.drivers import can_mount
    from core.storage.layers import all_layers, layer_or_none
    from core.storage.unpacking import unpack_again

    mounted = [layer for chain, _ in all_layers(roots) if (layer := layer_or_none(roots, chain)) and layer.index]
    if not mounted or can_mount(roots, anew=True).works:
        return
    for layer in mounted:
        try:
            unpack_again(roots, layer)
        except EngineError:
            continue  # its archive is gone, or there is no room: fsck names it, and a start says so


def sweep(roots: Roots, records: ContainerRecords) -> None:
    """Half-made containers and networks, names that lead nowhere, addresses of containers that don't run, the trash,
    leftovers in the run root and the control groups.
    """
    records.sweep_temporary()
    records.sweep()
    _sweep_networks(roots, records)
    _sweep_groups(roots, records)
    trash.empty(roots)
    known = {container_id[:16] for container_id in records.ids()}
    for name in os.listdir(roots.run / "c"):
        if name not in known:
            trash.discard_elsewhere(roots.run / "c", name)


def _sweep_groups(roots: Roots, records: ContainerRecords) -> None:
    """Groups of containers that are no more; one whose monitor lives, or that is being removed, is left to it."""
    hierarchies = driver.find_hierarchies()
    groups = [name for name in driver.group_names(hierarchies, roots.tag) if is_full_id(name)]
    known = set(records.ids())
    for name in groups:
        if name in known or is_locked(roots.alive_lock(name)):
            continue
        try:
            driver.choose(hierarchies, f"{roots.tag}/{name}").remove()
        except OSError:
            pass  # a process that hangs in the kernel: fsck names it


def _sweep_networks(roots: Roots, records: ContainerRecords) -> None:
    """Half-made ones, and what is held by containers that a boot or a kill has ended."""
    from core.engine.joining import Joining
    from core.network.store import NetworkStore

    store = NetworkStore(roots)
    store.sweep()
    joining = Joining(roots, store, records)
    for network in store.all():
        joining.release_dead(network)
