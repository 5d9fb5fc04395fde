"""Detached mounts: copies of what is mounted, here or in another mount namespace, that nobody sees until they are put
in place.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from core.linux import inroot, inside, mounts


@contextmanager
def in_mounts_of(namespace: int) -> Iterator[int]:
    """Be in a mount namespace (a descriptor of it, or of one of its processes); its root, open.

    Raises: OSError. Only for a process with one thread.
    """
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    home = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        inside.setns(namespace, inside.CLONE_NEWNS)
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield root
        finally:
            os.close(root)
    finally:
        inside.setns(own, inside.CLONE_NEWNS)
        os.fchdir(home)
        os.chroot(".")  # setns() ends at the namespace's root, and we may have come from a chroot
        os.close(own)
        os.close(home)


def set_propagation(tree: int, word: str) -> None:
    """What mounts and unmounts are passed on, as `--mount bind-propagation` says it; empty is rprivate.

    Without a leading r the word is for the top mount alone, and those below it are private.
    A copy of a mount that is slave or shared is so itself: nothing is to be done for that.
    """
    if word in ("rslave", "rshared"):
        return
    if word in ("slave", "shared"):
        kept = mounts.MS_SLAVE if word == "slave" else mounts.MS_SHARED
        mounts.set_attributes(tree, 0, propagation=mounts.MS_PRIVATE, recursive=True)
        mounts.set_attributes(tree, 0, propagation=kept)
        return
    mounts.set_attributes(tree, 0, propagation=mounts.MS_PRIVATE, recursive=True)


def tree_below(root: int, subpath: str, *, recursive: bool = False) -> int:
    """A detached copy of what lies at a path below an open directory; no link on the way leads out of it.

    Raises: OSError: naming the path.
    """
    if not subpath:
        return mounts.open_tree("", at=root, recursive=recursive)
    place = inroot.open_beneath(root, subpath)
    try:
        return mounts.open_tree("", at=place, recursive=recursive)
    finally:
        os.close(place)
