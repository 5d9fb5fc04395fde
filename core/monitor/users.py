"""User namespaces: made with the host's rights, entered without them.

A remapped container's files keep the image's owners on disk. Its root is an overlay of idmapped
mounts, so that uid 0 of a layer is shown as the first id of the container's range, and what the
container writes is stored as if no range were there: commit, diff and cp need to know nothing of it.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from core.linux import caps, inside, mounts
from core.monitor.detached import set_propagation, tree_below
from core.monitor.steps import Place


class IdMap:
    """The host's ids that stand for `size` ids from 0 on."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.uid = int(document["uid"])
        self.gid = int(document["gid"])
        self._size = int(document["size"])

    def new_namespace(self) -> int:
        """A descriptor of a new user namespace with this map; no process stays behind.

        Raises: OSError: ENOSPC or EPERM where user namespaces are limited or forbidden.
        """
        told, tell = os.pipe2(os.O_CLOEXEC)
        keep, release = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(release)
                inside.unshare(inside.CLONE_NEWUSER)
                os.write(tell, b"\0")
                os.read(keep, 1)
            except OSError as error:
                code = error.errno or 1
            finally:
                os._exit(code)
        os.close(tell)
        os.close(keep)
        try:
            if not os.read(told, 1):
                number = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                pid = 0
                raise OSError(number, f"no user namespace can be made: {os.strerror(number)}")
            for name, first in (("uid_map", self.uid), ("gid_map", self.gid)):
                with open(f"/proc/{pid}/{name}", "w") as file:
                    file.write(f"0 {first} {self._size}\n")
            return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(told)
            os.close(release)
            if pid:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def mount_root(self, place: Place, lowers: tuple[str, ...], upper: str, work: str, namespace: int) -> int:
        """A detached overlay whose layers are seen through the map; in a mount namespace of the caller's own.

        Raises: OSError: naming the directory whose file system can't be idmapped.
        """
        scratch = _scratch(place.rootfs)
        own = os.path.dirname(upper)
        above = _shown(scratch, "own", own, namespace)
        opened = _opened_lowers(scratch, place, lowers, namespace)
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        opened += [os.open(os.path.relpath(path, own), flags, dir_fd=above) for path in (upper, work)]
        data = mounts.overlay_data(opened[:-2], opened[-2], opened[-1])
        with caps.acting_as(self.uid, self.gid):  # the overlay keeps its own directories as whoever mounts it
            mounts.mount("overlay", place.rootfs, "overlay", 0, data)
        for descriptor in (*opened, above, scratch):
            os.close(descriptor)
        return mounts.open_tree(place.rootfs)

    def mount_image(self, place: Place, lowers: tuple[str, ...], subpath: str, namespace: int) -> int:
        """A detached, read-only tree of an image's layers, seen through the map; in a mount namespace of our own."""
        scratch = _scratch(place.rootfs)
        opened = _opened_lowers(scratch, place, lowers, namespace)
        if len(opened) > 1:
            mounts.mount("overlay", place.rootfs, "overlay", 0, mounts.overlay_data(opened, None, None))
            opened.append(os.open(place.rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        tree = tree_below(opened[-1], subpath)
        for descriptor in (*opened, scratch):
            os.close(descriptor)
        for _ in range(2 if len(lowers) > 1 else 1):
            mounts.umount(place.rootfs)
        return tree


def _opened_lowers(scratch: int, place: Place, lowers: tuple[str, ...], namespace: int) -> list[int]:
    """Layers' top directories, seen through the map, put where this mount namespace can find them.

    Unpacked ones are seen through one copy of the mount that they all lie on; a tar is a mount of its own, and may
    be wanted twice.
    """
    unpacked = [path for path in lowers if path not in place.layers]
    layers = os.path.commonpath([os.path.dirname(path) for path in unpacked]) if unpacked else ""
    below = _shown(scratch, "layers", layers, namespace) if unpacked else -1
    opened = []
    for number, path in enumerate(lowers):
        if path in place.layers:
            tree = mounts.open_tree("", at=place.layers[path])
            map_tree(tree, path, namespace)
            opened.append(_put(scratch, f"layer{number}", tree))
        else:
            flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
            opened.append(os.open(os.path.relpath(path, layers), flags, dir_fd=below))
    if below >= 0:
        os.close(below)
    return opened


def _scratch(rootfs: str) -> int:
    """A small file system of our own, put where the overlay will be put over it."""
    scratch = mounts.new_filesystem("tmpfs", {"mode": "700"})
    target = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    mounts.move_mount(scratch, target)
    os.close(target)
    return scratch


def _shown(scratch: int, name: str, path: str, namespace: int) -> int:
    """An idmapped copy of a directory's mount, put where this mount namespace can find it."""
    return _put(scratch, name, mapped_tree(path, namespace))


def _put(scratch: int, name: str, tree: int) -> int:
    """Attach a detached mount, which is closed, in the scratch; its place, open."""
    os.mkdir(name, 0o700, dir_fd=scratch)
    target = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=scratch)
    mounts.move_mount(tree, target)
    os.close(target)
    os.close(tree)
    return os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=scratch)


def mapped_tree(path: str, namespace: int, *, recursive: bool = False) -> int:
    """A detached copy of a mount in which owners are shown through the map of a user namespace."""
    tree = mounts.open_tree(path, recursive=recursive)
    map_tree(tree, path, namespace, recursive=recursive)
    return tree


def map_tree(tree: int, path: str, namespace: int, *, recursive: bool = False) -> None:
    """Show owners in a detached mount through the map of a user namespace; one that can't be is closed."""
    try:
        mounts.set_attributes(tree, mounts.MOUNT_ATTR_IDMAP, recursive=recursive, user_namespace=namespace)
    except OSError as error:
        os.close(tree)
        reason = "its file system can't be shown to a user namespace (no idmapped mounts on this kernel)"
        raise OSError(error.errno, reason, path) from None


def tree_to_bind(mount: dict[str, Any], namespace: int) -> int:
    """A detached copy of what a container is to see of the host; of a volume of ours its owners as the image's."""
    recursive = mount["recursive"] != "disabled" and not mount["is_ours"]
    if mount["subpath"]:
        top = os.open(mount["source"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            tree = tree_below(top, mount["subpath"], recursive=recursive)
        finally:
            os.close(top)
    else:
        tree = mounts.open_tree(mount["source"], recursive=recursive)
    if mount["is_ours"]:
        map_tree(tree, mount["source"], namespace)
    set_propagation(tree, mount["propagation"])
    return tree
