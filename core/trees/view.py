"""What a worker looks at: a container's root as its processes see it, or an overlay of its directories.

A running container is entered by its mount namespace, so that its binds and tmpfs are there. For a
stopped one (or an image) the overlay is mounted in a namespace of our own, which ends with us; the
engine holds the container's lock meanwhile.
"""

from __future__ import annotations

import os
import stat
from typing import Any

from core.linux import inside, mounts
from core.linux.erofs import is_tree, mount_tree
from core.linux.inroot import make_mount_point, open_beneath, open_in_root
from core.linux.mount_words import read_mount_words
from core.trees import confine

_PLACE = "/proc"
"""Where things are attached in the private namespace; nothing of ours needs /proc after that."""
_SECOND_PLACE = "/sys"
"""For what is mounted to be copied from, while the first one is taken."""
_FLAGS = mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC
_O_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def enter(view: dict[str, Any], capabilities: tuple[int, ...]) -> int:
    """Make the view the root of everything; a descriptor of it.

    The view is one of
    {"namespace": fd}, with "users": fd where there is a user namespace;
    {"directory": fd, "read_only": bool};
    {"device": {"source": text, "fstype": text, "words": [text], "place": path}, "read_only": bool};
    {"lowers": [path, top first], "upper": path, "work": path, "read_only": bool, "binds":
    [{"target": path, "subpath": path, "read_only": bool, and "source": fd, "device": as above, or "lowers": [path]}]}.
    Layers come as paths, because overlay takes only what was opened in its own mount namespace (CVE-2021-3732):
    of a directory, or of the `tree.erofs` of a tar that is mounted for this worker alone.
    """
    if "namespace" in view:
        confine.stop_imports()
        inside.setns(view["namespace"], inside.CLONE_NEWNS)
        _take_owners(view)
        root = os.open("/", _O_DIRECTORY)
        confine.keep_capabilities(capabilities)
        return root
    if "lowers" not in view:
        root = confine.detach(view["directory"]) if "directory" in view else -1
        confine.private_mounts()
        if root >= 0:
            confine.attach(root)
        else:
            root = _mount_device(view["device"])
        read_only = mounts.MOUNT_ATTR_RDONLY if view["read_only"] else 0
        mounts.set_attributes(root, mounts.MOUNT_ATTR_NODEV | read_only)  # to open a device may be to set it off
        confine.enter_root(root)
        confine.keep_capabilities(capabilities)
        return root
    binds = view.get("binds", ())
    detached = [_detached(bind) for bind in binds]  # while we are in the host's mount namespace
    confine.private_mounts()
    trees = [_mounted(bind) if tree is None else tree for bind, tree in zip(binds, detached, strict=True)]
    root = _attach_layers(view)
    for bind, tree in zip(binds, trees, strict=True):
        _attach_bind(root, bind, tree, is_writable="upper" in view)
    if view.get("read_only"):
        mounts.set_attributes(root, mounts.MOUNT_ATTR_RDONLY)
    confine.enter_root(root)
    confine.keep_capabilities(capabilities)
    return root


def _mount_device(device: dict[str, Any]) -> int:
    """Mount a volume's file system at its place, which nobody else sees; that place, open."""
    flags, data = read_mount_words(device["words"])
    mounts.mount(device["source"], device["place"], device["fstype"], flags, data or None)
    return os.open(device["place"], _O_DIRECTORY)


def _detached(bind: dict[str, Any]) -> int | None:
    """What of the host's is to be bound; None: it is yet to be mounted."""
    if "source" not in bind:
        return None
    return _below(bind["source"], bind["subpath"])


def _mounted(bind: dict[str, Any]) -> int:
    """A volume's file system, or an image, mounted here."""
    if "device" in bind:
        return _below(_mount_device(bind["device"]), bind["subpath"])
    lowers = [_opened_lower(path) for path in bind["lowers"]]
    if len(lowers) == 1:
        return _below(lowers[0], bind["subpath"])
    data = mounts.overlay_data(lowers, None, None)
    mounts.mount("overlay", _SECOND_PLACE, "overlay", _FLAGS, data)
    tree = _below(os.open(_SECOND_PLACE, _O_DIRECTORY), bind["subpath"])
    mounts.umount(_SECOND_PLACE)
    return tree


def _opened_lower(path: str) -> int:
    """A layer's top directory; a tar is mounted first, out of sight under what comes to the same place."""
    if not is_tree(path):
        return os.open(path, _O_DIRECTORY)
    mount = mount_tree(path)
    place = os.open(_SECOND_PLACE, _O_DIRECTORY)
    mounts.move_mount(mount, place)
    os.close(place)
    return mount


def _below(directory: int, subpath: str) -> int:
    if not subpath:
        return confine.detach(directory)
    place = open_beneath(directory, subpath)
    try:
        return confine.detach(place)
    finally:
        os.close(place)


def _attach_layers(view: dict[str, Any]) -> int:
    """The overlay, or the one directory that needs none, at _PLACE."""
    lowers = [_opened_lower(path) for path in view["lowers"]]
    upper: int | None = None
    work: int | None = None
    if "upper" in view:
        upper, work = os.open(view["upper"], _O_DIRECTORY), os.open(view["work"], _O_DIRECTORY)
    elif len(lowers) == 1:
        root = confine.detach(lowers[0])
        confine.attach(root)
        mounts.set_attributes(root, mounts.MOUNT_ATTR_RDONLY | mounts.MOUNT_ATTR_NODEV)
        return root
    data = mounts.overlay_data(lowers, upper, work)
    mounts.mount("overlay", _PLACE, "overlay", _FLAGS, data)
    return os.open(_PLACE, _O_DIRECTORY)


def _attach_bind(root: int, bind: dict[str, Any], mount: int, *, is_writable: bool) -> None:
    """Show a bind or volume at its place, made if that can be done; one whose place is gone is left out."""
    if bind["read_only"]:
        mounts.set_attributes(mount, mounts.MOUNT_ATTR_RDONLY)
    try:
        target = open_in_root(root, bind["target"])
    except (FileNotFoundError, NotADirectoryError):
        if not is_writable:
            return
        try:
            target = make_mount_point(root, bind["target"], directory=stat.S_ISDIR(os.fstat(mount).st_mode))
        except OSError:
            return  # its start will say why
    try:
        mounts.move_mount(mount, target)
    except NotADirectoryError:
        pass  # a file where a directory is to be mounted: start says so, cp shows what lies there
    finally:
        os.close(target)


def enter_alone(view: dict[str, Any], capabilities: tuple[int, ...]) -> int:
    """Like enter(), but without what is mounted on the root: what an export is made of."""
    if "namespace" not in view:
        return enter({key: value for key, value in view.items() if key != "binds"}, capabilities)
    confine.stop_imports()
    inside.setns(view["namespace"], inside.CLONE_NEWNS)
    _take_owners(view)
    root = mounts.open_tree("/")
    confine.keep_capabilities(capabilities)
    return root


def _take_owners(view: dict[str, Any]) -> None:
    """See, and be, who the container's own root is: owners of files are then those of the image."""
    if "users" in view:
        inside.become_root_of(view["users"])
