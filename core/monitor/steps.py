"""The steps that turn a cloned process into a container's: each one frozen, described, then run.

A step runs in the container's first process. Until PivotRoot it sees the host's file system
through a mount namespace of its own and touches the container's only by descriptors under
`place.root`; after it there is no way back and nothing may be imported.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from typing import NamedTuple, Protocol

from core.linux import inroot, inside, mounts
from core.monitor.detached import set_propagation, tree_below

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1


class Place:
    """What the steps share while they build the container's view of the world."""

    def __init__(self, rootfs: str) -> None:
        self.rootfs = rootfs
        """An empty directory: what the root is mounted over."""
        self.root = -1
        """The container's root, once it is mounted."""
        self.devices = -1
        """Its /dev."""
        self.terminals = -1
        """Its /dev/pts."""
        self.empty = -1
        """An empty read-only tmpfs, cloned over masked directories."""
        self.terminal_master = -1
        self.terminal_slave = -1
        self.trees: dict[str, int] = {}
        """Detached mounts that are ready, by their place inside: volumes with options, binds of a user namespace
        taken with the rights of the host, and its devices by their path."""
        self.layers: dict[str, int] = {}
        """Detached mounts of layers that are tars, by the paths that stand for them among the lowers."""
        self.is_slave = False
        """Whether what the host mounts reaches the mounts of its that we copy."""

        self.is_remapped = False
        """Whether the root was made before, with rights of the host's that a user namespace has not."""

    def attach_layers(self) -> None:
        """Put the layers' mounts where an overlay can take them from, out of sight: under what is mounted next."""
        for mount in self.layers.values():
            target = os.open(self.rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            mounts.move_mount(mount, target)
            os.close(target)

    def open_lower(self, path: str) -> int:
        """A layer's top directory, to be closed: overlay takes it if it is mounted in our own mount namespace."""
        if path in self.layers:
            return os.dup(self.layers[path])
        return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def take_tree(self, target: str, path: str, *, subpath: str = "", recursive: bool = False) -> int:
        """What is to be seen at a place inside: ready already, or a detached copy of a mount of the host's."""
        if target in self.trees:
            return self.trees[target]
        if not subpath:
            return mounts.open_tree(path, recursive=recursive)
        top = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return tree_below(top, subpath, recursive=recursive)
        finally:
            os.close(top)


class Step(Protocol):
    """One change, as data."""

    def describe(self) -> str:
        """One line for people: what will be done to what."""

    def run(self, place: Place) -> None:
        """Do it. Raises: OSError."""


class NewCgroupNamespace(NamedTuple):
    """After joining: what the container sees as / is its own group."""

    def describe(self) -> str:
        """See Step."""
        return "cgroup namespace: own"

    def run(self, place: Place) -> None:
        """See Step."""
        inside.unshare(inside.CLONE_NEWCGROUP)


class PrivateMounts(NamedTuple):
    """Nothing mounted from here on reaches the host; with `slave`, what the host mounts reaches us."""

    slave: bool = False

    def describe(self) -> str:
        """See Step."""
        return f"propagation of every mount: {'slave' if self.slave else 'private'}"

    def run(self, place: Place) -> None:
        """See Step."""
        place.is_slave = self.slave
        mounts.mount(None, "/", None, mounts.MS_REC | (mounts.MS_SLAVE if self.slave else mounts.MS_PRIVATE))


class TakeShared(NamedTuple):
    """A copy of a host's mount that stays in touch with it both ways: what is mounted inside appears outside."""

    source: str
    target: str
    recursive: bool

    def describe(self) -> str:
        """See Step."""
        return f"shared with the host: {self.source} for {self.target}"

    def run(self, place: Place) -> None:
        """See Step."""
        place.trees[self.target] = mounts.open_tree(self.source, recursive=self.recursive)


class MountRoot(NamedTuple):
    """The overlay of the image's layers and the container's own, seen by this namespace only."""

    lowers: tuple[str, ...]
    upper: str
    work: str

    def describe(self) -> str:
        """See Step."""
        return f"root: overlay of {len(self.lowers)} layers and a writable one"

    def run(self, place: Place) -> None:
        """See Step."""
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        if place.is_remapped:
            # the runtime directory is out of a user namespace's reach; any other place does, until the pivot
            somewhere = os.open("/sys", flags)
            mounts.move_mount(place.root, somewhere)
            os.close(somewhere)
            return
        place.attach_layers()
        lowers = [place.open_lower(path) for path in self.lowers]
        upper, work = os.open(self.upper, flags), os.open(self.work, flags)
        try:
            data = mounts.overlay_data(lowers, upper, work)
            mounts.mount("overlay", place.rootfs, "overlay", 0, data)
        finally:
            for descriptor in (*lowers, upper, work):
                os.close(descriptor)
        place.root = os.open(place.rootfs, flags)


class MountNew(NamedTuple):
    """A new file system instance at a place inside that is no symlink (why: CVE-2019-19921)."""

    fstype: str
    target: str
    options: tuple[tuple[str, str | None], ...]
    attributes: int

    def describe(self) -> str:
        """See Step."""
        options = ",".join(key if value is None else f"{key}={value}" for key, value in self.options)
        return f"{self.fstype} at {self.target} {_attribute_names(self.attributes)} {options}".rstrip()

    def run(self, place: Place) -> None:
        """See Step."""
        mounted = mounts.new_filesystem(self.fstype, dict(self.options), self.attributes)
        target = _plain_directory(place.root, self.target)
        mounts.move_mount(mounted, target)
        os.close(target)
        if self.target == "/dev/pts":
            place.terminals = mounted
        else:
            os.close(mounted)


class MountDevices(NamedTuple):
    """A tmpfs with the device nodes, built before it is put in place: the image can't interfere."""

    nodes: tuple[tuple[str, int, int], ...]
    links: tuple[tuple[str, str], ...]
    directories: tuple[str, ...]
    console: bool

    def describe(self) -> str:
        """See Step."""
        names = " ".join(name for name, _, _ in self.nodes)
        links = " ".join(name for name, _ in self.links)
        return f"tmpfs at /dev nosuid strictatime mode=755,size=65536k with {names}; links {links}"

    def run(self, place: Place) -> None:
        """See Step."""
        mounted = mounts.new_filesystem(
            "tmpfs", {"mode": "755", "size": "65536k"}, mounts.MOUNT_ATTR_NOSUID | mounts.MOUNT_ATTR_STRICTATIME
        )
        for name, major, minor in () if place.is_remapped else self.nodes:
            os.mknod(name, stat.S_IFCHR | 0o666, os.makedev(major, minor), dir_fd=mounted)
        for name, destination in self.links:
            if name != "core" or os.path.exists(destination):
                os.symlink(destination, name, dir_fd=mounted)
        for name in self.directories:
            os.mkdir(name, 0o755, dir_fd=mounted)
        if self.console:
            os.close(os.open("console", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=mounted))
        target = _plain_directory(place.root, "/dev")
        mounts.move_mount(mounted, target)
        os.close(target)
        place.devices = mounted
        for name, major, minor in self.nodes if place.is_remapped else ():
            _bind_node(place, f"/dev/{name}", mounted, name, os.makedev(major, minor))


def _bind_node(place: Place, source: str, directory: int, name: str, number: int) -> None:
    """A user namespace can make no device that works: the host's node is bound, if it is the one that is meant."""
    tree = mounts.open_tree(source)
    if os.fstat(tree).st_rdev != number:
        raise OSError(errno.EPERM, "it is another device than it was", source)
    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=directory))
    target = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    mounts.move_mount(tree, target)
    os.close(target)
    os.close(tree)


class AddDevice(NamedTuple):
    """A node of the host's that the person asked for, in place of whatever the image has there."""

    source: str
    target: str
    is_block: bool
    number: tuple[int, int]
    mode: int
    owner: tuple[int, int]

    def describe(self) -> str:
        """See Step."""
        major, minor = self.number
        return f"device {'b' if self.is_block else 'c'} {major}:{minor} of {self.source} at {self.target}"

    def run(self, place: Place) -> None:
        """See Step."""
        directory, name = os.path.split(self.target)
        parent = inroot.make_directories(place.root, directory)
        _refuse_procfs(parent, self.target)
        try:
            if os.stat(name, dir_fd=parent, follow_symlinks=False).st_rdev == os.makedev(*self.number):
                return  # one of the usual ones
            own = {os.fstat(place.root).st_dev, os.fstat(place.devices).st_dev}
            if os.fstat(parent).st_dev not in own:  # on a volume, or on the host's own disk
                raise OSError(errno.EEXIST, "something else is there already", self.target)
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            pass
        if place.is_remapped:
            _bind_node(place, self.source, parent, name, os.makedev(*self.number))
        else:
            kind = stat.S_IFBLK if self.is_block else stat.S_IFCHR
            os.mknod(name, kind | self.mode, os.makedev(*self.number), dir_fd=parent)
            os.chown(name, *self.owner, dir_fd=parent, follow_symlinks=False)
        os.close(parent)


class MountAllDevices(NamedTuple):
    """A privileged container's /dev: the usual one, and every device node of the host's."""

    usual: MountDevices

    def describe(self) -> str:
        """See Step."""
        return f"{self.usual.describe()}; and the host's device nodes"

    def run(self, place: Place) -> None:
        """See Step."""
        self.usual.run(place)
        known = {name for name, _, _ in self.usual.nodes} | {name for name, _ in self.usual.links} | {"console"}
        for entry in os.scandir("/dev"):
            if entry.name in known or entry.is_symlink():
                continue
            found = entry.stat(follow_symlinks=False)
            if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
                os.mknod(entry.name, found.st_mode, found.st_rdev, dir_fd=place.devices)
                os.chown(entry.name, found.st_uid, found.st_gid, dir_fd=place.devices, follow_symlinks=False)


class Bind(NamedTuple):
    """A host path at a place inside, made if missing; read-only goes for mounts below it too."""

    source: str
    target: str
    read_only: bool
    propagation: str = ""
    recursive: str = ""
    """Mounts below the source: disabled leaves them out, writable as they are, readonly or nothing."""
    subpath: str = ""

    def describe(self) -> str:
        """See Step."""
        source = f"{self.source}/{self.subpath}" if self.subpath else self.source
        words = ("bind", source, "at", self.target, "ro" if self.read_only else "rw")
        below = f"below:{self.recursive}" if self.recursive else ""
        return " ".join(word for word in (*words, self.propagation, below) if word)

    def run(self, place: Place) -> None:
        """See Step."""
        tree = place.take_tree(self.target, self.source, subpath=self.subpath, recursive=self.recursive != "disabled")
        if place.is_slave:
            set_propagation(tree, self.propagation)
        is_directory = stat.S_ISDIR(os.fstat(tree).st_mode)
        target = inroot.make_mount_point(place.root, self.target, directory=is_directory)
        _refuse_procfs(target, self.target)
        if self.read_only:
            _make_read_only(tree, recursive=self.recursive != "writable")
        mounts.move_mount(tree, target)
        os.close(target)
        os.close(tree)


class MountImage(NamedTuple):
    """The files of another image, to be read."""

    lowers: tuple[str, ...]
    target: str
    subpath: str = ""

    def describe(self) -> str:
        """See Step."""
        below = f" below {self.subpath}" if self.subpath else ""
        return f"image of {len(self.lowers)} layers{below} at {self.target} ro"

    def run(self, place: Place) -> None:
        """See Step."""
        tree = place.trees.get(self.target, -1)
        if tree < 0:
            tree = self._only_layer(place) if len(self.lowers) == 1 else self._overlay(place)
        is_directory = stat.S_ISDIR(os.fstat(tree).st_mode)
        target = inroot.make_mount_point(place.root, self.target, directory=is_directory)
        _refuse_procfs(target, self.target)
        mounts.set_attributes(tree, mounts.MOUNT_ATTR_RDONLY | mounts.MOUNT_ATTR_NODEV)
        mounts.move_mount(tree, target)
        os.close(target)
        os.close(tree)

    def _only_layer(self, place: Place) -> int:
        top = place.open_lower(self.lowers[0])
        try:
            return tree_below(top, self.subpath)
        finally:
            os.close(top)

    def _overlay(self, place: Place) -> int:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        lowers = [place.open_lower(path) for path in self.lowers]
        data = mounts.overlay_data(lowers, None, None)
        mounts.mount("overlay", place.rootfs, "overlay", 0, data)
        top = os.open(place.rootfs, flags)
        try:
            return tree_below(top, self.subpath)
        finally:
            for descriptor in (*lowers, top):
                os.close(descriptor)
            mounts.umount(place.rootfs)


class MountTmpfs(NamedTuple):
    """A tmpfs the person asked for."""

    target: str
    options: tuple[tuple[str, str | None], ...]
    attributes: int

    def describe(self) -> str:
        """See Step."""
        options = ",".join(key if value is None else f"{key}={value}" for key, value in self.options)
        return f"tmpfs at {self.target} {_attribute_names(self.attributes)} {options}".rstrip()

    def run(self, place: Place) -> None:
        """See Step."""
        mounted = mounts.new_filesystem("tmpfs", dict(self.options), self.attributes)
        target = inroot.make_mount_point(place.root, self.target, directory=True)
        _refuse_procfs(target, self.target)
        mounts.move_mount(mounted, target)
        os.close(target)
        os.close(mounted)


class CgroupTree(NamedTuple):
    """v1: a tmpfs with one read-only mount a controller."""

    controllers: tuple[tuple[str, tuple[str, ...]], ...]
    """Directory name, and the options that choose the hierarchy."""
    attributes: int

    def describe(self) -> str:
        """See Step."""
        names = " ".join(name for name, _ in self.controllers)
        return f"cgroup at /sys/fs/cgroup {_attribute_names(self.attributes)}: {names}"

    def run(self, place: Place) -> None:
        """See Step."""
        tree = mounts.new_filesystem("tmpfs", {"mode": "755"}, self.attributes & ~mounts.MOUNT_ATTR_RDONLY)
        for name, _ in self.controllers:
            os.mkdir(name, 0o755, dir_fd=tree)
        target = inroot.open_in_root(place.root, "/sys/fs/cgroup", os.O_PATH | os.O_DIRECTORY)
        mounts.move_mount(tree, target)
        os.close(target)
        for name, options in self.controllers:
            fstype = "cgroup2" if name == "unified" else "cgroup"
            chosen: dict[str, str | None] = dict.fromkeys(options)
            if options and options[0].startswith("name="):
                chosen = {"none": None, "name": options[0].removeprefix("name=")}
            try:
                hierarchy = mounts.new_filesystem(fstype, chosen, self.attributes)
            except OSError:
                continue  # a hierarchy that can't be mounted again from here is left out, not exposed otherwise
            point = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=tree)
            mounts.move_mount(hierarchy, point)
            os.close(point)
            os.close(hierarchy)
        if self.attributes & mounts.MOUNT_ATTR_RDONLY:
            _make_read_only(tree)
        os.close(tree)


class Terminal(NamedTuple):
    """A pseudo terminal of the container's own devpts; its slave is also /dev/console."""

    def describe(self) -> str:
        """See Step."""
        return "terminal: pty of its own devpts, bound at /dev/console"

    def run(self, place: Place) -> None:
        """See Step. The master is left in place.terminal_master for the monitor."""
        master = os.open("ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=place.terminals)
        place.terminal_master = master
        place.terminal_slave, name = open_slave(master, place.terminals)
        console = mounts.open_tree(name, at=place.terminals)
        target = os.open("console", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place.devices)
        mounts.move_mount(console, target)
        os.close(console)
        os.close(target)


def open_slave(master: int, terminals: int) -> tuple[int, str]:
    """Unlock a master and open its slave, by number in an open devpts directory."""
    fcntl.ioctl(master, 0x40045431, struct.pack("i", 0))  # TIOCSPTLCK
    number = struct.unpack("i", fcntl.ioctl(master, 0x80045430, struct.pack("i", 0)))[0]  # TIOCGPTN
    name = str(number)
    return os.open(name, os.O_RDWR | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=terminals), name


class Mask(NamedTuple):
    """Hide a path: /dev/null over a file, an empty read-only tmpfs over a directory; absent is fine."""

    path: str

    def describe(self) -> str:
        """See Step."""
        return f"mask {self.path}"

    def run(self, place: Place) -> None:
        """See Step."""
        try:
            target = inroot.open_in_root(place.root, self.path)
        except (FileNotFoundError, NotADirectoryError):
            return
        if stat.S_ISDIR(os.fstat(target).st_mode):
            if place.empty < 0:
                # mounted over the first, cloned for the others: kernels before 6.15 clone no detached mount
                place.empty = mounts.new_filesystem(
                    "tmpfs", {"mode": "755", "nr_inodes": "1"}, mounts.MOUNT_ATTR_RDONLY
                )
                mounts.move_mount(place.empty, target)
                os.close(target)
                return
            cover = mounts.open_tree("", at=place.empty)
        else:
            cover = mounts.open_tree("null", at=place.devices)
            # why: CVE-2025-31133, a /dev/null that is something else would be bound over the path
            if os.fstat(cover).st_rdev != os.makedev(1, 3):
                raise OSError(errno.EPERM, "/dev/null is not the null device", self.path)
        mounts.move_mount(cover, target)
        os.close(cover)
        os.close(target)


class ReadOnly(NamedTuple):
    """Make a path of the container's /proc or /sys read-only, keeping its other flags; absent is fine."""

    path: str

    def describe(self) -> str:
        """See Step."""
        return f"read-only {self.path}"

    def run(self, place: Place) -> None:
        """See Step."""
        try:
            target = inroot.open_in_root(place.root, self.path, resolve=inroot.RESOLVE_NO_SYMLINKS)
        except FileNotFoundError:
            return
        tree = mounts.open_tree("", at=target, recursive=True)
        _make_read_only(tree, recursive=True)
        mounts.move_mount(tree, target)
        os.close(tree)
        os.close(target)


class Sysctl(NamedTuple):
    """A kernel parameter of the container's own namespaces, by its own /proc (why: CVE-2025-52881)."""

    path: str
    value: str

    def describe(self) -> str:
        """See Step."""
        return f"sysctl {self.path} = {self.value}"

    def run(self, place: Place) -> None:
        """See Step."""
        path = f"/proc/sys/{self.path}"
        file = inroot.open_in_root(place.root, path, os.O_WRONLY, resolve=inroot.RESOLVE_NO_SYMLINKS)
        try:
            if not inroot.is_procfs(file):
                raise OSError(errno.EPERM, "it is no proc file system", path)
            os.write(file, self.value.encode())
        finally:
            os.close(file)


class Domainname(NamedTuple):
    """The NIS domain in the container's UTS namespace."""

    name: str

    def describe(self) -> str:
        """See Step."""
        return f"domain name {self.name}"

    def run(self, place: Place) -> None:
        """See Step."""
        inside.set_domainname(self.name)


class Hostname(NamedTuple):
    """The name in the container's UTS namespace."""

    name: str

    def describe(self) -> str:
        """See Step."""
        return f"hostname {self.name}"

    def run(self, place: Place) -> None:
        """See Step."""
        inside.set_hostname(self.name)


class LoopbackUp(NamedTuple):
    """`lo` of a network namespace of our own."""

    def describe(self) -> str:
        """See Step."""
        return "network: loopback up"

    def run(self, place: Place) -> None:
        """See Step."""
        import _socket  # loaded long before: the monitor speaks by it

        request = struct.pack("16sh14x", b"lo", _IFF_UP)
        connection = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        try:
            fcntl.ioctl(connection.fileno(), _SIOCSIFFLAGS, request)
        finally:
            connection.close()


class PivotRoot(NamedTuple):
    """Make the container's root the only one; with read_only, without a way to write to it."""

    read_only: bool

    def describe(self) -> str:
        """See Step."""
        return f"pivot to the root{', read-only' if self.read_only else ''}; the host's is let go"

    def run(self, place: Place) -> None:
        """See Step."""
        if self.read_only:
            _make_read_only(place.root)
        inside.pivot_to(place.root)
        os.umask(0o022)


def _plain_directory(root: int, path: str) -> int:
    """A fixed mount point, which must be a directory reached without symlinks; made if missing."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        return inroot.open_in_root(root, path, flags, resolve=inroot.RESOLVE_NO_SYMLINKS)
    except FileNotFoundError:
        os.close(inroot.make_directories(root, path))
        return inroot.open_in_root(root, path, flags, resolve=inroot.RESOLVE_NO_SYMLINKS)


def _refuse_procfs(target: int, path: str) -> None:
    """A person's mount over /proc, or inside it by whatever name the image has for it, would undo the masks."""
    if path == "/proc" or inroot.is_procfs(target):
        raise OSError(errno.EPERM, "nothing may be mounted inside /proc", path)


def _make_read_only(tree: int, *, recursive: bool = False) -> None:
    try:
        mounts.set_attributes(tree, mounts.MOUNT_ATTR_RDONLY, recursive=recursive)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        # before Linux 5.12: the flags of the top mount by remount, what lies below it stays as it is
        status = os.fstatvfs(tree)
        kept = status.f_flag & (os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC)
        mounts.mount(None, f"/proc/self/fd/{tree}", None, mounts.MS_REMOUNT | mounts.MS_BIND | mounts.MS_RDONLY | kept)


def _attribute_names(attributes: int) -> str:
    names = (
        (mounts.MOUNT_ATTR_RDONLY, "ro"),
        (mounts.MOUNT_ATTR_NOSUID, "nosuid"),
        (mounts.MOUNT_ATTR_NODEV, "nodev"),
        (mounts.MOUNT_ATTR_NOEXEC, "noexec"),
    )
    return ",".join(name for bit, name in names if attributes & bit) or "rw"
