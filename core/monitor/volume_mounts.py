"""Volumes with options: mounted while containers that use them run, and in nobody's mount table.

What lies in memory is one instance, shared by all who use the volume at a time. It is the root of a mount
namespace without processes, which lives as long as somebody has it open: the monitors of these
containers, and the spawner and its keeper on their behalf. Who has it open stands in the run root:

    volumes/<name>/lock            held while somebody comes or goes
    volumes/<name>/<id16>.json     {"pid", "start_ticks", "descriptor"} of a monitor that holds it

Another file system is mounted for each container anew: the kernel shares what lies below.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from core.linux import inside, mounts, procfs
from core.linux.files import write_atomic
from core.linux.mount_words import read_mount_words
from core.monitor import proto
from core.monitor.deposit import Deposit
from core.monitor.detached import in_mounts_of, tree_below
from core.monitor.pipes import channel_pair

PREFIX = "volume "
"""What the names begin with under which the spawner keeps these namespaces."""
_MOUNT_S = 10.0
_LOCK_S = 15.0
_SUCCESSOR_S = 5.0
"""How long a monitor that was killed is given to have a successor, before its volume counts as let go."""


class VolumeMounts:
    """Those of one container."""

    def __init__(self, spec: dict[str, Any], deposit: Deposit) -> None:
        self._wanted = [mount for mount in spec["mounts"] if mount["kind"] == "device"]
        self._holder = f"{spec['id'][:16]}.json"
        self._deposit = deposit
        self._held: dict[str, int] = {}
        """Namespaces, by the directory of the run root that tells of them."""

    def open(self) -> dict[str, int]:
        """Mount what is not mounted; a detached tree for each by its place inside, to be closed by the caller.

        Raises: OSError: with the whole sentence as its text.
        """
        trees: dict[str, int] = {}
        try:
            for mount in self._wanted:
                trees[mount["target"]] = self._tree(mount)
        except BaseException:
            for tree in trees.values():
                os.close(tree)
            self.release()
            raise
        return trees

    def _tree(self, mount: dict[str, Any]) -> int:
        try:
            if not mount["shared"]:
                return _apart(lambda: _mounted_tree(mount))
            with in_mounts_of(self._namespace(mount)) as root:
                return tree_below(root, mount["subpath"])
        except OSError as error:
            raise OSError(error.errno, _sentence(mount, error)) from None

    def _namespace(self, mount: dict[str, Any]) -> int:
        directory = mount["shared"]
        if directory not in self._held:
            with _alone(directory):
                try:
                    found = _find(directory)
                    self._held[directory] = _apart(lambda: _mounted_namespace(mount)) if found is None else found
                    self._note(directory)
                finally:
                    _clear(directory)
        return self._held[directory]

    def _note(self, directory: str) -> None:
        """Say that we hold it, where others look and to those who would go on in our place."""
        namespace = self._held[directory]
        pid = os.getpid()
        holder = {"pid": pid, "start_ticks": procfs.read_start_ticks(pid) or 0, "descriptor": namespace}
        write_atomic(f"{directory}/{self._holder}", json.dumps(holder).encode(), durable=False)
        self._deposit.keep(PREFIX + directory, {"pid": 0}, {"namespace": namespace})

    def adopt(self, kept: dict[str, int]) -> None:
        """Go on holding what a killed monitor held, by the names under which the spawner kept it."""
        for name, namespace in kept.items():
            self._held[name.removeprefix(PREFIX)] = namespace
        for directory in self._held:
            try:
                self._note(directory)  # without its lock: whoever holds that may be waiting for us
            except OSError:
                continue  # a full run root: nobody new will share it
        for mount in self._wanted:
            if mount["shared"] and mount["shared"] not in self._held:
                # nobody was left to keep it: our container has it still, and who comes now gets another one
                with suppress(OSError):
                    os.unlink(f"{mount['shared']}/{self._holder}")

    def release(self) -> None:
        """Let go; what lies in memory is gone with its last holder."""
        for directory, namespace in self._held.items():
            try:
                with _alone(directory):
                    os.unlink(f"{directory}/{self._holder}")
                    os.close(namespace)
                    _clear(directory)
            except OSError:
                pass  # somebody holds the lock for too long: our note is of a process that is no more
            self._deposit.release(PREFIX + directory)
        self._held = {}


def _sentence(mount: dict[str, Any], error: OSError) -> str:
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    flags, data = read_mount_words(mount["options"])
    more = (f", flags: {flags:#x}" if flags else "") + (f", data: {data}" if data else "")
    if mount["subpath"] and error.filename == mount["subpath"]:
        return f"cannot access path {mount['source']}/{mount['subpath']}: {reason}"
    return (
        f"error while mounting volume '{mount['source']}': failed to mount local volume: "
        f"mount {mount['device']}:{mount['source']}{more}: {reason}"
    )


@contextmanager
def _alone(directory: str) -> Iterator[None]:
    """Hold a volume's lock of the run root. Raises: TimeoutError."""
    deadline = time.monotonic() + _LOCK_S
    while True:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        try:
            lock = os.open(f"{directory}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # the last one has just gone, and taken the directory along
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(f"{directory}/lock") and os.path.samestat(os.stat(f"{directory}/lock"), os.fstat(lock)):
                yield
                return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError(errno.ETIMEDOUT, "another container is mounting it", directory) from None
            time.sleep(0.01)
        finally:
            os.close(lock)


def _clear(directory: str) -> None:
    """Take the directory away when nobody holds the volume; its lock is ours."""
    if os.listdir(directory) == ["lock"]:
        os.unlink(f"{directory}/lock")
        os.rmdir(directory)


def _find(directory: str) -> int | None:
    """The namespace that somebody holds; None: nobody does. Notes of processes that are no more are taken away."""
    deadline = time.monotonic() + _SUCCESSOR_S
    while True:
        dead = []
        for name in os.listdir(directory):
            if not name.endswith(".json"):
                continue
            try:
                with open(f"{directory}/{name}", "rb") as file:
                    holder = json.load(file)
                if procfs.is_same_process(holder["pid"], holder["start_ticks"]):
                    return os.open(f"/proc/{holder['pid']}/fd/{holder['descriptor']}", os.O_RDONLY | os.O_CLOEXEC)
                dead.append(name)
            except (OSError, ValueError, KeyError, TypeError):
                dead.append(name)
        if not dead or time.monotonic() > deadline:
            for name in dead:
                os.unlink(f"{directory}/{name}")
            return None
        time.sleep(0.02)


def _apart(make: Callable[[], int]) -> int:
    """A descriptor that a process of its own makes, in a mount namespace of its own: a server may never answer.

    Raises: OSError: its own, or ETIMEDOUT.
    """
    ours, theirs = channel_pair()
    pid = os.fork()
    if pid == 0:
        try:
            inside.unshare(inside.CLONE_NEWNS)
            mounts.mount(None, "/", None, mounts.MS_REC | mounts.MS_PRIVATE)
            proto.send(theirs, {"errno": 0}, (make(),))
        except OSError as error:
            name = error.filename if isinstance(error.filename, str) else ""
            proto.send(theirs, {"errno": error.errno or errno.EIO, "text": error.strerror or str(error), "path": name})
        finally:
            os._exit(0)
    theirs.close()
    try:
        if not select.select([ours], [], [], _MOUNT_S)[0]:
            raise TimeoutError(errno.ETIMEDOUT, "no answer")
        packet, descriptors = proto.receive_with_descriptors(ours)
        answer = proto.parse(packet) if packet else {"errno": errno.EIO, "text": "it was killed", "path": ""}
        if answer["errno"]:
            raise OSError(answer["errno"], answer["text"], answer["path"] or None)
        return descriptors[0]
    finally:
        ours.close()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _mount(mount: dict[str, Any]) -> int:
    """Mount it at its place, which only this process sees; that place, open."""
    flags, data = read_mount_words(mount["options"])
    mounts.mount(mount["device"], mount["source"], mount["fstype"], flags, data or None)
    return os.open(mount["source"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _mounted_tree(mount: dict[str, Any]) -> int:
    return tree_below(_mount(mount), mount["subpath"])


def _mounted_namespace(mount: dict[str, Any]) -> int:
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    inside.pivot_to(_mount(mount))  # a namespace that knew the host's mounts would keep them busy
    return namespace
