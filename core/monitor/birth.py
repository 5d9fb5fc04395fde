"""How a container's first process comes into being: by one clone, or through a go-between.

    monitor ── clone(new namespaces) ───────────────────────────▶ init        the usual way
    monitor ── fork ──▶ go-between ── clone(CLONE_PARENT, …) ───▶ init        a namespace is joined or remapped
                          │ joins the group and other containers' namespaces
                          │ with the host's rights: the root through idmapped mounts, trees to bind
                          │ enters the user namespace
                          └ tells the pid, exits

Of a remapped container every namespace belongs to its user namespace, so that its root has over them
what its capabilities say, and over the host nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from core.cgroups.driver import Cgroup
from core.linux import inroot, inside, mounts, procfs
from core.monitor import init, process, proto, users
from core.monitor.confinement import Confinement
from core.monitor.detached import in_mounts_of
from core.monitor.process import StageError
from core.monitor.steps import LoopbackUp, Place, Step

_TMPFS_MAGIC = 0x01021994
Start = Callable[[Place], NoReturn]
"""Become the container's first process; runs in it."""


class NetworkAhead(NamedTuple):
    """A network namespace made ahead, its loopback up, and the way back from it; descriptors."""

    namespace: int
    home: int

    def leave(self) -> None:
        """Go home; who was born in it has it from now on."""
        inside.setns(self.home, inside.CLONE_NEWNET)
        os.close(self.namespace)
        os.close(self.home)


def network_ahead() -> NetworkAhead | None:
    """Make one while there is nothing else to do: it is a third of what all namespaces of a container cost."""
    try:
        home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        inside.unshare(inside.CLONE_NEWNET)
    except OSError:
        return None  # then clone() says why, when one is wanted
    try:
        LoopbackUp().run(Place(""))
        return NetworkAhead(os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC), home)
    finally:
        inside.setns(home, inside.CLONE_NEWNET)


def needs_go_between(spec: dict[str, Any]) -> bool:
    """Whether one clone is not enough."""
    return bool(spec["user_map"] or spec["joined"])


def new_namespaces(spec: dict[str, Any]) -> int:
    """The flags of the namespaces that clone makes."""
    flags = inside.CLONE_NEWNS
    if spec["pid_namespace"] == "own":
        flags |= inside.CLONE_NEWPID
    if spec["ipc_namespace"] in ("own", "none"):
        flags |= inside.CLONE_NEWIPC
    if spec["uts_namespace"] == "own":
        flags |= inside.CLONE_NEWUTS
    if spec["own_network"]:
        flags |= inside.CLONE_NEWNET
    return flags


def bear(
    spec: dict[str, Any],
    steps: tuple[Step, ...],
    cgroup: Cgroup,
    channels: tuple[proto.Socket, proto.Socket],
    stdio: tuple[int, int, int] | None,
    *,
    confinement: Confinement,
    window: tuple[int, int],
    place: Place,
    ahead: NetworkAhead | None,
) -> tuple[int, int]:
    """Start the first process: (its pid, 0), or (0, the go-between's), and the pid is told on the channel.

    Args: channels: our end, and theirs; for the others see init.run(). ahead: the network namespace it is to have.
    Raises: OSError: no process could be made.
    """
    ours, channel = channels

    def start(place: Place) -> NoReturn:
        os.close(ours.fileno())  # so that it learns of its monitor's death
        init.run(spec, steps, place, channel, stdio, confinement=confinement, window=window)

    flags = new_namespaces(spec)
    if needs_go_between(spec):
        cgroup.prepare_entry()
        between = os.fork()
        if between == 0:
            _go_between(spec, cgroup, channel, flags, confinement, place, start)
        cgroup.close_entry()
        return 0, between
    group = cgroup.open_for_clone()
    if group is None:
        cgroup.prepare_entry()
    if ahead:
        inside.setns(ahead.namespace, inside.CLONE_NEWNET)
        flags &= ~inside.CLONE_NEWNET
    try:
        pid = inside.clone(flags) if group is None else inside.clone_into_cgroup(flags, group)
    except OSError:
        if ahead:
            ahead.leave()
        raise
    if pid and ahead:
        ahead.leave()
    if pid == 0:
        _attempt(channel, "cgroup", cgroup.enter if group is None else lambda: None)
        _attempt(channel, "protection", lambda: process.take_marks(confinement))
        start(place)
    if group is None:
        cgroup.close_entry()
    else:
        os.close(group)
    return pid, 0


def _attempt(channel: proto.Socket, stage: str, action: Callable[[], None]) -> None:
    try:
        action()
    except OSError as error:
        text = f"{stage}: {(error.strerror or str(error)).lower()}"
        init.fail(StageError(stage, error, text, 125), channel.fileno())


def _go_between(
    spec: dict[str, Any],
    cgroup: Cgroup,
    channel: proto.Socket,
    flags: int,
    confinement: Confinement,
    place: Place,
    start: Start,
) -> NoReturn:
    try:
        cgroup.enter()
        process.take_marks(confinement)
        joined = {kind: _open_process(donor) for kind, donor in spec["joined"].items()}
        user = -1
        if spec["user_map"]:
            user = _prepare_remapped(spec, place, joined)
        if "ipc" in joined:
            place.trees["/dev/shm"] = _tree_of(joined["ipc"], "/dev/shm")
            inside.setns(joined["ipc"], inside.CLONE_NEWIPC)
        if "pid" in joined:
            inside.setns(joined["pid"], inside.CLONE_NEWPID)
        if "network" in joined:
            inside.setns(joined["network"], inside.CLONE_NEWNET)
        if user >= 0:
            inside.setns(user, inside.CLONE_NEWUSER)
        pid = inside.clone(flags | inside.CLONE_PARENT)
        if pid:
            proto.send(channel, {"event": "pid", "pid": pid})
            os._exit(0)
        if user >= 0:
            inside.take_root()
    except OSError as error:
        what = f"{error.filename}: " if isinstance(error.filename, str) else ""
        text = f"namespaces: {what}{(error.strerror or str(error)).lower()}"
        init.fail(StageError("namespaces", error, text, 125), channel.fileno())
    start(place)


def _open_process(donor: dict[str, int]) -> int:
    """A pidfd of the container's first process whose namespace is shared, if it still is that process."""
    descriptor = os.pidfd_open(donor["pid"])
    if procfs.read_start_ticks(donor["pid"]) != donor["start_ticks"]:
        raise OSError(3, "the container whose namespace is to be shared has ended")
    return descriptor


def _prepare_remapped(spec: dict[str, Any], place: Place, joined: dict[str, int]) -> int:
    """While we have the host's rights: the root, and every tree that is bound into it."""
    ids = users.IdMap(spec["user_map"])
    if spec["joined"]:
        donor = next(iter(spec["joined"].values()))
        user = os.open(f"/proc/{donor['pid']}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    else:
        user = ids.new_namespace()
    inside.unshare(inside.CLONE_NEWNS)
    mounts.mount(None, "/", None, mounts.MS_REC | mounts.MS_SLAVE)
    place.attach_layers()
    for mount in spec["mounts"]:
        match mount["kind"]:
            case "bind":
                place.trees[mount["target"]] = users.tree_to_bind(mount, user)
            case "device":
                users.map_tree(place.trees[mount["target"]], mount["source"], user)
            case "image":
                lowers = tuple(mount["lowers"])
                place.trees[mount["target"]] = ids.mount_image(place, lowers, mount["subpath"], user)
    root = ids.mount_root(place, tuple(spec["lowers"]), spec["upper"], spec["work"], user)
    for _ in range(2 + len(place.layers)):  # the overlay, what it was made with, the layers
        mounts.umount(place.rootfs)
    place.root = root
    place.is_remapped = True
    return user


def _tree_of(process_descriptor: int, path: str) -> int:
    """A detached copy of a tmpfs of another container's, which must be one."""
    with in_mounts_of(process_descriptor) as root:
        place = inroot.open_in_root(root, path, os.O_PATH | os.O_DIRECTORY, resolve=inroot.RESOLVE_NO_SYMLINKS)
        if inroot.filesystem_magic(place) != _TMPFS_MAGIC:
            raise OSError(22, "it is no memory file system there", path)
        return mounts.open_tree("", at=place)
