"""What a worker looks at: a container's root as its processes see it, or an overlay of its directories.

A running container is entered by its mount namespace, so that its binds and tmpfs are there. For a
stopped one (or an image) the overlay is mounted in a namespace of our own, which ends with us; the
engine holds the container's lock meanwhile.
"""

from __future__ import annotations

import os
from typing import Any

from core.linux import inside, mounts
from core.linux.inroot import open_in_root
from core.trees import confine

_PLACE = "/proc"
"""Where things are attached in the private namespace; nothing of ours needs /proc after that."""
_FLAGS = mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC
_O_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def enter(view: dict[str, Any], capabilities: tuple[int, ...]) -> int:
    """Make the view the root of everything; a descriptor of it.

    The view is {"namespace": fd}, with "users": fd where there is a user namespace, or
    {"lowers": [path, top first], "upper": path, "work": path,
    "binds": [{"source": fd, "target": path, "read_only": bool}]}. Layers come as
    paths, because overlay takes only what was opened in its own mount namespace (CVE-2021-3732).
    """
    if "namespace" in view:
        confine.stop_imports()
        inside.setns(view["namespace"], inside.CLONE_NEWNS)
        _take_owners(view)
        root = os.open("/", _O_DIRECTORY)
        confine.keep_capabilities(capabilities)
        return root
    binds = [(bind, confine.detach(bind["source"])) for bind in view.get("binds", ())]
    root = _attach_layers(view)
    for bind, mount in binds:
        _attach_bind(root, bind, mount)
    confine.enter_root(root)
    confine.keep_capabilities(capabilities)
    return root


def _attach_layers(view: dict[str, Any]) -> int:
    """The overlay, or the one directory that needs none, at _PLACE in a private namespace."""
    confine.private_mounts()
    lowers = [os.open(path, _O_DIRECTORY) for path in view["lowers"]]
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


def _attach_bind(root: int, bind: dict[str, Any], mount: int) -> None:
    """Show a bind or volume at its place; one whose place is gone is left out."""
    if bind["read_only"]:
        mounts.set_attributes(mount, mounts.MOUNT_ATTR_RDONLY)
    try:
        target = open_in_root(root, bind["target"])
    except (FileNotFoundError, NotADirectoryError):
        return  # never started: its mount points are made at the first start
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
