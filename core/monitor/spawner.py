"""The spawner: one per data root, on demand. It forks a monitor for every start and samples statistics.

It has one thread and everything imported, so that a fork costs about a millisecond and shares its
memory; and it forks ahead, so that a start finds a spare monitor waiting and not even that is paid.
It owns no container: killing it leaves every monitor at work, and the next start brings a new one.
It ends by itself when nothing has run for a while.
"""

from __future__ import annotations

import fcntl
import functools
import gc
import json
import os
import resource
import sys
import time
import traceback
from typing import Any, NamedTuple, NoReturn

from core.cgroups import driver
from core.linux import caps, procfs, seccomp
from core.linux.libc import LIBC, check
from core.linux.seccomp_profile import DEFAULT_PROFILE
from core.monitor import main as monitor
from core.monitor import proto
from core.monitor.loop import READ, Loop
from core.monitor.pipes import channel_pair
from core.monitor.ring import RingWriter

_SAMPLE_EVERY_S = 1.0
_IDLE_S = 30.0
_SPARE_AFTER_S = 0.005
"""Not at once: the container that starts just now needs the processor more."""
_LOG_BYTES = 1 << 20
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36


class _Sampled:
    """A running container's counters and its ring, opened as soon as its group exists."""

    def __init__(self, container_dir: str, cgroup: str, hierarchies: driver.Hierarchies) -> None:
        self._cgroup = driver.choose(hierarchies, cgroup)
        self._path = f"{container_dir}/stats.ring"
        self._sampler: driver.Sampler | None = None
        self._ring: RingWriter | None = None

    def sample(self, at_ns: int) -> bool:
        """Take one sample; False for a group that is not there yet, or no more."""
        try:
            if self._sampler is None or self._ring is None:
                self._sampler = self._cgroup.sampler()
                self._ring = RingWriter(self._path)
            self._ring.append(at_ns, self._sampler.read())
        except OSError:
            self.close()
            return False
        return True

    def close(self) -> None:
        """Let go of the descriptors."""
        if self._sampler:
            self._sampler.close()
        if self._ring:
            self._ring.close()
        self._sampler = self._ring = None


class _Spare(NamedTuple):
    """A monitor without a container yet."""

    channel: proto.Socket
    pidfd: int


class Spawner:
    """Accepts start requests, forks, reaps, samples."""

    def __init__(self, listener: proto.Socket, lock: int, host: monitor.Host, log: str) -> None:
        self._listener = listener
        self._lock = lock
        self._host = host
        self._log = log
        self._loop = Loop()
        self._spare: _Spare | None = None
        self._monitors: dict[int, _Sampled] = {}
        """By pidfd."""
        self._inherited: list[_Sampled] = []
        """Containers that an earlier spawner's monitors keep."""
        self._idle_since = time.monotonic()

    def inherit(self, containers_dir: str, run_root: str) -> None:
        """Take over the sampling of what runs already: monitors outlive the spawner that forked them."""
        for name in os.listdir(containers_dir):
            try:
                with open(f"{containers_dir}/{name}/state.json", "rb") as file:
                    state = json.load(file)
                if state.get("type") == "running" and _is_locked(f"{run_root}/c/{name[:16]}/alive.lock"):
                    self._inherited.append(
                        _Sampled(f"{containers_dir}/{name}", state["cgroup"], self._host.hierarchies)
                    )
            except (OSError, ValueError, KeyError, AttributeError):
                continue  # not a container, or a damaged one: it is not sampled

    def run(self) -> None:
        """Serve until idle."""
        self._loop.add(self._listener.fileno(), READ, self._accept)
        self._loop.after(_SAMPLE_EVERY_S, self._tick)
        gc.collect()
        gc.freeze()
        self._keep_spare()
        self._loop.run()

    def _tick(self) -> None:
        at_ns = time.time_ns()
        for sampled in self._monitors.values():
            sampled.sample(at_ns)
        self._inherited = [sampled for sampled in self._inherited if sampled.sample(at_ns)]
        if self._monitors or self._inherited:
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > _IDLE_S:
            self._loop.stop()
        self._loop.after(_SAMPLE_EVERY_S, self._tick)

    def _accept(self, _events: int) -> None:
        while connection := proto.accept(self._listener):
            self._loop.add(connection.fileno(), READ, functools.partial(self._request, connection))

    def _request(self, connection: proto.Socket, _events: int) -> None:
        self._loop.remove(connection.fileno())
        try:
            packet, descriptors = proto.receive_with_descriptors(connection)
            if packet:
                self._serve(connection, packet, descriptors)
        except (OSError, ValueError, KeyError) as error:
            self._refuse(connection, f"{type(error).__name__}: {error}")
        connection.close()

    def _serve(self, connection: proto.Socket, packet: bytes, descriptors: list[int]) -> None:
        request = proto.parse(packet)
        match request.get("op"):
            case "start" if len(descriptors) == 1 and request.get("protocol") == proto.PROTOCOL:
                try:
                    self._start(connection, packet, descriptors[0])
                finally:
                    os.close(descriptors[0])
            case "quit":
                if not self._monitors and not self._inherited:
                    self._loop.stop()
                proto.send(connection, {"event": "ok"})
            case _:
                self._refuse(connection, "request not understood by this version")

    def _refuse(self, connection: proto.Socket, text: str) -> None:
        try:
            proto.send(connection, {"event": "error", "text": text, "errno": 0})
        except OSError:
            pass

    def _start(self, connection: proto.Socket, packet: bytes, document: int) -> None:
        """Hand the request, with its connection, to the spare; it is that container's monitor from now on."""
        spec = proto.parse(_read_all(document))
        while True:
            spare = self._spare or self._fork_spare()
            self._spare = None
            try:
                proto.send_packet(spare.channel, packet, (connection.fileno(), document))
                break
            except OSError:
                continue  # somebody killed it: its end is noticed by its pidfd, the next one is fresh
            finally:
                spare.channel.close()
        self._monitors[spare.pidfd] = _Sampled(spec["container_dir"], spec["cgroup"], self._host.hierarchies)
        self._loop.after(_SPARE_AFTER_S, self._keep_spare)

    def _keep_spare(self) -> None:
        if self._spare is None:
            self._spare = self._fork_spare()

    def _fork_spare(self) -> _Spare:
        ours, theirs = channel_pair()
        pid = os.fork()
        if pid == 0:
            self._become_monitor(theirs)
        theirs.close()
        pidfd = os.pidfd_open(pid)
        self._loop.add(pidfd, READ, functools.partial(self._monitor_ended, pidfd, pid))
        return _Spare(ours, pidfd)

    def _become_monitor(self, channel: proto.Socket) -> NoReturn:
        """Wait to be needed; without a spawner nobody will."""
        who = "spare monitor"
        try:
            self._let_go()
            packet, descriptors = proto.receive_with_descriptors(channel)
            channel.close()
            if packet:
                connection, document = proto.socket_on(descriptors[0]), descriptors[1]
                spec = proto.parse(_read_all(document))
                os.close(document)
                who = f"monitor of {spec.get('id')}"
                monitor.Monitor(spec, self._host).run(connection, proto.parse(packet))
        except BaseException:
            # the boundary of this process: nobody above could read it
            note_trouble(self._log, who, traceback.format_exc())
        finally:
            os._exit(0)

    def _let_go(self) -> None:
        """What a fork of us must not keep; the lock above all, which would keep the next spawner out."""
        self._loop.close()
        self._listener.close()
        os.close(self._lock)
        for pidfd, sampled in self._monitors.items():
            os.close(pidfd)
            sampled.close()
        for sampled in self._inherited:
            sampled.close()

    def _monitor_ended(self, pidfd: int, pid: int, _events: int) -> None:
        self._loop.remove(pidfd)
        os.close(pidfd)
        os.waitpid(pid, 0)
        if sampled := self._monitors.pop(pidfd, None):
            sampled.close()
        elif self._spare and self._spare.pidfd == pidfd:
            self._spare.channel.close()
            self._spare = None


def _is_locked(path: str) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _read_all(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0)


def note_trouble(path: str, who: str, text: str) -> None:
    """Put a traceback where tracebacks go: wharf's own log, and nowhere else."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if os.fstat(descriptor).st_size > _LOG_BYTES:
        os.rename(path, f"{path}.1")
    os.write(descriptor, f"{stamp} {who}\n{text}\n".encode())
    os.close(descriptor)


def _compiled_filters() -> Any:
    cache = functools.lru_cache(maxsize=16)(functools.partial(seccomp.compile_filter, DEFAULT_PROFILE))
    cache(caps.DEFAULT_MASK)
    return cache


def _settle(tag: str, hierarchies: driver.Hierarchies) -> None:
    """Leave the caller's session and its cgroup: a log-out or its memory limit must not end us."""
    try:
        group = driver.choose(hierarchies, f"{tag}/spawner")
        group.create()
        group.prepare_entry()
        group.enter()
    except OSError:
        pass  # no cgroups to write to: then no container will start either, and say so
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("-999")
    except OSError:
        pass  # needs CAP_SYS_RESOURCE


def main(run_root: str, data_root: str, tag: str, log: str, ready: int, sealed: int) -> None:
    """Become the spawner of a run root, unless there is one already.

    Args: ready: a pipe to write one byte to when we listen. sealed: the descriptor this interpreter
        was started from, to be closed.
    """
    # nothing in a container may look at us or, through us, at the host's interpreter (why: CVE-2019-5736)
    check(LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl")
    if sealed >= 0:
        os.close(sealed)
    lock = os.open(f"{run_root}/spawner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os._exit(0)
    try:
        check(LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")
        os.environ.clear()
        no_file = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (no_file[1], no_file[1]))
        hierarchies = driver.find_hierarchies()
        _settle(tag, hierarchies)
        host = monitor.Host(
            hierarchies=hierarchies,
            last_capability=caps.last_capability(),
            bounding=caps.read_mask("CapBnd"),
            no_file=no_file,
            boot_id=procfs.read_boot_id(),
            filters=_compiled_filters(),
        )
        listener = proto.listen(f"{run_root}/spawner.sock")
        os.write(ready, b"1")
        os.close(ready)
        spawner = Spawner(listener, lock, host, log)
        spawner.inherit(f"{data_root}/containers", run_root)
        spawner.run()
        os.unlink(f"{run_root}/spawner.sock")
    except Exception:
        # the boundary of this process: nobody above could read it
        note_trouble(log, "spawner", traceback.format_exc())
        sys.exit(1)
