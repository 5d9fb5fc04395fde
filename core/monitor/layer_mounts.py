"""Layers that are tars, mounted: one file system a layer, shared by all containers that stand on it.

They lie on the shelf: a mount namespace without processes, whose root is a small directory of mounts. The
keeper makes it, spawner and monitors inherit its descriptor; with the last of them it is gone, and the host's
mount table never showed any of it.

    <shelf>/<chain hex>.<inode of its tree.erofs>/      so a layer that was made anew is another one

A start takes detached copies for its container. What is on the shelf beyond that only keeps the file system, and
what is cached of it, for the next start; the spawner takes down what has been removed from the disk.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable
from typing import Any

from core.linux import inside, mounts
from core.linux.erofs import TAR, TREE, is_tree, mount_tree
from core.monitor.detached import in_mounts_of

_O_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class Shelf:
    """Where layers are mounted.

    Args: namespace, top: descriptors of its mount namespace and of its root.
    """

    def __init__(self, namespace: int, top: int) -> None:
        self._namespace = namespace
        self._top = top

    def take(self, tree: str) -> int:
        """A detached copy of a layer's mount, made if there is none yet.

        Args: tree: the path of its tree.erofs. Raises: OSError: naming it.
        """
        there = os.stat(tree, follow_symlinks=False)
        name = f"{os.path.basename(os.path.dirname(tree))}.{there.st_ino}"
        # opened anew: those who have inherited one descriptor would hold its lock together
        alone = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._top)
        try:
            fcntl.flock(alone, fcntl.LOCK_EX)
            made = -1 if self._has(name) else mount_tree(tree)
            try:
                with in_mounts_of(self._namespace):
                    if made >= 0:
                        self._put(name, made)
                    return mounts.open_tree(name, at=self._top)
            finally:
                if made >= 0:
                    os.close(made)
        finally:
            os.close(alone)

    def _has(self, name: str) -> bool:
        try:
            return os.stat(name, dir_fd=self._top).st_dev != os.fstat(self._top).st_dev
        except FileNotFoundError:
            return False

    def _put(self, name: str, mount: int) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=self._top)
        except FileExistsError:
            pass  # somebody was killed here
        place = os.open(name, _O_PLACE, dir_fd=self._top)
        try:
            mounts.move_mount(mount, place)
        finally:
            os.close(place)

    def clear(self, layers: str) -> None:
        """Take down what is no more in the directory of layers; containers that stand on it go on."""
        gone = [name for name in os.listdir(self._top) if not _is_current(layers, name)]
        if not gone:
            return
        with in_mounts_of(self._namespace):
            for name in gone:
                try:
                    mounts.umount(f"/{name}")
                except OSError as error:
                    if error.errno != errno.EINVAL:
                        raise
                os.rmdir(name, dir_fd=self._top)

    def forget_doubles(self, layers: str) -> None:
        """Let the kernel drop the tars' own pages: what was read lies in the layers' pages once more."""
        for name in os.listdir(self._top):
            try:
                tar = os.open(f"{layers}/{name.partition('.')[0]}/{TAR}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except OSError:
                continue  # it has just been removed
            try:
                os.posix_fadvise(tar, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(tar)


def _is_current(layers: str, name: str) -> bool:
    chain, _, inode = name.partition(".")
    try:
        return str(os.stat(f"{layers}/{chain}/{TREE}", follow_symlinks=False).st_ino) == inode
    except OSError:
        return False


def make_shelf() -> Shelf:
    """An empty one. Raises: OSError. Only for a process with one thread."""
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    home = os.open("/", _O_PLACE)
    try:
        inside.unshare(inside.CLONE_NEWNS)
        mounts.mount(None, "/", None, mounts.MS_REC | mounts.MS_PRIVATE)
        namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        top = mounts.new_filesystem("tmpfs", {"mode": "700"})
        place = os.open("/proc", _O_PLACE)
        mounts.move_mount(top, place)
        os.close(place)
        inside.pivot_to(top)  # a namespace that knew the host's mounts would keep them busy
        os.close(top)
        return Shelf(namespace, os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    finally:
        inside.setns(own, inside.CLONE_NEWNS)
        os.fchdir(home)
        os.chroot(".")
        os.close(own)
        os.close(home)


def trees_of(spec: dict[str, Any]) -> list[str]:
    """The layers of a container, and of images mounted into it, that are to be mounted."""
    lowers: list[str] = list(spec["lowers"])
    for mount in spec["mounts"]:
        lowers += mount["lowers"]
    return [path for path in dict.fromkeys(lowers) if is_tree(path)]


def take_all(shelf: Shelf | None, trees: Iterable[str]) -> dict[str, int]:
    """Detached copies of layers' mounts by their paths, to be closed by the caller. Raises: OSError: naming one."""
    taken: dict[str, int] = {}
    try:
        for path in trees:
            if shelf is None:
                raise OSError(errno.ENOSYS, "there is no place to mount layers in", path)
            taken[path] = shelf.take(path)
    except OSError:
        for mount in taken.values():
            os.close(mount)
        raise
    return taken
