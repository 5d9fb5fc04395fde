"""The spawner: one per data root, on demand. It forks a monitor for every start and samples statistics.

It has one thread and everything imported, so that a fork costs about a millisecond and shares its
memory; and it forks ahead, so that a start finds a spare monitor waiting and not even that is paid.
It owns no container: killing it leaves every monitor at work, and its keeper forks the next one.
It is the monitors' safety net: what they leave here (core.monitor.vault) lets it put another one in
the place of a monitor that was killed. It ends by itself when nothing has run for a while.
"""

from __future__ import annotations

import fcntl
import functools
import gc
import os
import resource
import signal
import time
import traceback
from typing import Any, NamedTuple, NoReturn

from core.cgroups import driver
from core.linux import caps, procfs, seccomp
from core.linux.checkpoints import checkpoint
from core.linux.files import is_locked
from core.linux.libc import LIBC, check
from core.linux.seccomp_profile import DEFAULT_PROFILE
from core.monitor import adopting, birth, proto, records
from core.monitor import main as monitor
from core.monitor.children import Children
from core.monitor.keeper import Keeper
from core.monitor.layer_mounts import Shelf, make_shelf
from core.monitor.loop import READ, Loop
from core.monitor.pipes import channel_pair
from core.monitor.sampled import Sampled
from core.monitor.traffic import NOTHING, TrafficCounters
from core.monitor.vault import Kept, Vault

_SAMPLE_EVERY_S = 1.0
_IDLE_S = 30.0
_FORGET_EVERY_S = 10.0
_QUIT_WAIT_S = 5.0
_DEFERRED_MOST_S = 15.0
_SPARE_AFTER_S = 0.010
"""Not at once: the container that starts just now needs the processor more."""
_ADOPTIONS_MOST = 5
_ADOPTIONS_WITHIN_S = 30.0
"""A monitor that ends again and again is not put up again at once: its container runs on without."""
_LOG_BYTES = 1 << 20
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36


class _Spare(NamedTuple):
    """A monitor without a container yet."""

    pid: int
    channel: proto.Socket


class _Deferred(NamedTuple):
    """A start that has to wait for another monitor's end."""

    connection: proto.Socket
    packet: bytes
    document: int
    deadline: float


class _Watched:
    """A living monitor, and its container's counters."""

    def __init__(self, pid: int, channel: proto.Socket, sampled: Sampled) -> None:
        self.pid = pid
        self.channel = channel
        self.sampled = sampled
        self.pidfd = -1
        """Watched by descriptor where it is no child of ours: an earlier spawner's."""


class Spawner:
    """Accepts start requests, forks, reaps, samples."""

    def __init__(
        self,
        listener: proto.Socket,
        lock: int,
        host: monitor.Host,
        log: str,
        vault: Vault,
        keeper: proto.Socket,
    ) -> None:
        self._listener = listener
        self._lock = lock
        self._host = host
        self._log = log
        self._vault = vault
        self._keeper: proto.Socket | None = keeper
        self._loop = Loop()
        self._children = Children(self._loop, self._child_ended)
        self._spare: _Spare | None = None
        self._monitors: dict[str, _Watched] = {}
        """By container id."""
        self._by_pid: dict[int, str] = {}
        self._adoptions: dict[str, list[float]] = {}
        self._deferred: dict[str, list[_Deferred]] = {}
        self._traffic = TrafficCounters()
        self._idle_since = time.monotonic()
        self._layers_dir = ""
        self._forgot_at = time.monotonic()

    def run(self, data_root: str, run_root: str) -> None:
        """Serve until idle."""
        self._layers_dir = f"{data_root}/layers"
        self._loop.add(self._listener.fileno(), READ, self._accept)
        self._loop.after(_SAMPLE_EVERY_S, self._tick)
        self._look_on_disk(f"{data_root}/containers", run_root)
        self._look_for_orphans()
        gc.collect()
        gc.freeze()
        self._keep_spare()
        self._loop.run()

    # ── what runs already ──────────────────────────────────────────────────────────────────────

    def _look_on_disk(self, containers_dir: str, run_root: str) -> None:
        """Containers that run, or are about to start again, without our having started them."""
        for name in os.listdir(containers_dir):
            state = records.read_state(f"{containers_dir}/{name}")
            is_of_this_boot = state.get("boot_id") == self._host.boot_id
            if state.get("type") in ("running", "restarting") and is_of_this_boot and name not in self._vault.kept:
                places = {
                    "id": name,
                    "container_dir": f"{containers_dir}/{name}",
                    "runtime_dir": f"{run_root}/c/{name[:16]}",
                    "cgroup": str(state.get("cgroup") or f"/{name}"),
                }
                if not os.path.exists(f"{places['runtime_dir']}/handover.json"):
                    continue
                # it is read only for what has no process: what we read, containers of others inherit a copy of
                if not state.get("cgroup") and (handover := adopting.read_handover(places["runtime_dir"])):
                    places["cgroup"] = handover["spec"]["cgroup"]
                self._vault.kept[name] = Kept(places)

    def _look_for_orphans(self) -> None:
        """Containers whose monitor is neither ours nor alive; a living one will connect to us."""
        for container_id, kept in list(self._vault.kept.items()):
            if container_id not in self._monitors and not is_locked(f"{kept.places['runtime_dir']}/alive.lock"):
                self._adopt(container_id)

    def _tick(self) -> None:
        at_ns = time.time_ns()
        traffic = self._traffic.read() if self._monitors else {}
        for container_id, watched in self._monitors.items():
            watched.sampled.sample(at_ns, traffic.get(container_id, NOTHING))
        self._look_for_orphans()
        for container_id in list(self._deferred):
            self._retry_deferred(container_id)
        self._tend_shelf()
        if self._vault.kept:
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > _IDLE_S:
            self._loop.stop()
        self._loop.after(_SAMPLE_EVERY_S, self._tick)

    def _tend_shelf(self) -> None:
        shelf = self._host.shelf
        if shelf is None:
            return
        shelf.clear(self._layers_dir)
        if time.monotonic() - self._forgot_at > _FORGET_EVERY_S:
            shelf.forget_doubles(self._layers_dir)
            self._forgot_at = time.monotonic()

    # ── requests ───────────────────────────────────────────────────────────────────────────────

    def _accept(self, _events: int) -> None:
        while connection := proto.accept(self._listener):
            self._loop.add(connection.fileno(), READ, functools.partial(self._request, connection))

    def _request(self, connection: proto.Socket, _events: int) -> None:
        self._loop.remove(connection.fileno())
        descriptors: list[int] = []
        try:
            packet, descriptors = proto.receive_with_descriptors(connection)
            if packet and self._serve(connection, packet, descriptors):
                return
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._refuse(connection, f"{type(error).__name__}: {error}")
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        connection.close()

    def _serve(self, connection: proto.Socket, packet: bytes, descriptors: list[int]) -> bool:
        """Whether the connection is kept."""
        request = proto.parse(packet)
        match request.get("op"):
            case "start" if request.get("protocol") != proto.PROTOCOL:
                self._refuse(connection, "the spawner is of another version")
            case "start" if len(descriptors) == 1:
                return self._start(connection, packet, descriptors[0])
            case "monitor":
                self._welcome(connection, request)
                return True
            case "look":
                self._look_on_disk(request["containers_dir"], request["run_root"])
                self._look_for_orphans()
                proto.send(connection, {"event": "ok", "ids": list(self._vault.kept)})
            case "quit":
                self._quit(connection, time.monotonic() + _QUIT_WAIT_S)
                return True
            case _:
                self._refuse(connection, "request not understood by this version")
        return False

    def _quit(self, connection: proto.Socket, deadline: float) -> None:
        """End as soon as the last monitor has said farewell; answered before, if one stays."""
        if self._vault.kept and time.monotonic() < deadline:
            self._loop.after(0.01, functools.partial(self._quit, connection, deadline))
            return
        if not self._vault.kept:
            self._loop.stop()
        proto.answer(connection, {"event": "ok"})
        connection.close()

    def _refuse(self, connection: proto.Socket, text: str) -> None:
        try:
            proto.send(connection, {"event": "error", "text": text, "errno": 0, "protocol": proto.PROTOCOL})
        except OSError:
            pass

    def _start(self, connection: proto.Socket, packet: bytes, document: int) -> bool:
        """Hand the request, with its connection, to the spare; it is that container's monitor from now on."""
        # the document itself is the monitor's to read: what we read, containers of others inherit a copy of
        places = {name: str(value) for name, value in proto.parse(packet)["places"].items()}
        if places["id"] in self._vault.kept:
            waiting = _Deferred(connection, packet, os.dup(document), time.monotonic() + _DEFERRED_MOST_S)
            self._deferred.setdefault(places["id"], []).append(waiting)
            return True
        while True:
            spare = self._spare or self._fork_spare()
            self._spare = None
            try:
                proto.send_packet(spare.channel, packet, (connection.fileno(), document))
                break
            except OSError:
                spare.channel.close()  # somebody killed it: the next one is fresh
        checkpoint("spawner:handed")
        self._keep({"op": "begin", "places": places}, [os.dup(document)])
        self._watch(places, spare.pid, spare.channel)
        self._loop.after(_SPARE_AFTER_S, self._keep_spare)
        return False

    def _retry_deferred(self, container_id: str) -> None:
        """Starts that found another monitor at the container's last end, or its successor at work."""
        kept = self._vault.kept.get(container_id)
        for waiting in self._deferred.pop(container_id, []):
            if kept and time.monotonic() < waiting.deadline and not _is_running(kept):
                self._deferred.setdefault(container_id, []).append(waiting)
                continue
            try:
                if kept is None:
                    self._start(waiting.connection, waiting.packet, waiting.document)
                elif _is_running(kept):
                    proto.answer(waiting.connection, {"event": "running"})
                else:
                    self._refuse(waiting.connection, "the container's monitor does not come to an end")
            finally:
                os.close(waiting.document)
                waiting.connection.close()

    # ── monitors ───────────────────────────────────────────────────────────────────────────────

    def _watch(self, places: dict[str, str], pid: int, channel: proto.Socket) -> _Watched:
        container_id = places["id"]
        sampled = Sampled(places["container_dir"], places["cgroup"], self._host.hierarchies)
        if before := self._monitors.get(container_id):
            self._unwatch(container_id, before)  # its successor was faster than the news of its end
        watched = self._monitors[container_id] = _Watched(pid, channel, sampled)
        self._by_pid[pid] = container_id
        channel.setblocking(False)
        self._loop.add(channel.fileno(), READ, functools.partial(self._channel_ready, channel))
        return watched

    def _unwatch(self, container_id: str, watched: _Watched) -> None:
        self._monitors.pop(container_id, None)
        self._by_pid.pop(watched.pid, None)
        watched.sampled.close()
        self._loop.remove(watched.channel.fileno())
        watched.channel.close()
        if watched.pidfd >= 0:
            self._loop.remove(watched.pidfd)
            os.close(watched.pidfd)

    def _welcome(self, connection: proto.Socket, request: dict[str, Any]) -> None:
        """A monitor that an earlier spawner forked."""
        pid = proto.peer_pid(connection)
        pidfd = os.pidfd_open(pid)
        self._keep(request, [])
        watched = self._watch(request["places"], pid, connection)
        watched.pidfd = pidfd
        self._loop.add(pidfd, READ, lambda _events: self._monitor_ended(pid))

    def _channel_ready(self, channel: proto.Socket, _events: int = 0) -> None:
        while True:
            try:
                packet, descriptors = proto.receive_with_descriptors(channel, most=proto.MOST_DESCRIPTORS)
            except BlockingIOError:
                return
            if not packet:
                self._loop.remove(channel.fileno())  # it ends, or has lost us: its pid or its next call tells
                return
            self._keep(proto.parse(packet), descriptors)

    def _keep(self, message: dict[str, Any], descriptors: list[int]) -> None:
        """Put it into the vault, and into the keeper's."""
        if self._keeper:
            try:
                proto.send(self._keeper, message, tuple(descriptors))
            except OSError:  # it was killed: we go on alone
                self._keeper.close()
                self._keeper = None
        self._vault.take(message, descriptors)

    def _child_ended(self, pid: int, status: int) -> None:
        if self._spare and self._spare.pid == pid:
            self._spare.channel.close()
            self._spare = None
            self._loop.after(_SPARE_AFTER_S, self._keep_spare)
        elif pid in self._by_pid:
            self._monitor_ended(pid)
        else:
            self._vault.note_end(pid, status)

    def _monitor_ended(self, pid: int) -> None:
        container_id = self._by_pid[pid]
        watched = self._monitors[container_id]
        if watched.channel.fileno() >= 0:
            self._channel_ready(watched.channel)  # what it sent with its last breath
        self._unwatch(container_id, watched)
        if container_id in self._vault.kept:  # else it said farewell
            self._kill_strays()
            self._children.reap()
            self._adopt(container_id)
        self._retry_deferred(container_id)

    def _kill_strays(self) -> None:
        """Children that a killed monitor had begun to start: they have become ours and belong to nothing."""
        known = self._by_pid.keys() | ({self._spare.pid} if self._spare else set())
        for pid in procfs.children(os.getpid()):
            if pid not in known and not self._vault.owner_of(pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def _adopt(self, container_id: str) -> None:
        """Put another monitor in the place of one that was killed."""
        now = time.monotonic()
        recent = [at for at in self._adoptions.get(container_id, ()) if now - at < _ADOPTIONS_WITHIN_S]
        if len(recent) >= _ADOPTIONS_MOST:
            return  # the next tick tries again
        self._adoptions[container_id] = [*recent, now]
        checkpoint("spawner:adopting")
        kept = self._vault.kept[container_id]
        note_trouble(self._log, f"monitor of {container_id}", "was killed: another one takes over")
        ours, theirs = channel_pair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._become(f"monitor of {container_id}", lambda: self._run_successor(theirs, kept))
        theirs.close()
        self._watch(kept.places, pid, ours)

    def _run_successor(self, channel: proto.Socket, kept: Kept) -> None:
        self._let_go(container_id=kept.places["id"])
        spec = adopting.read_spec(kept)
        if spec is None:
            proto.send(channel, {"op": "forget", "places": kept.places})
            if records.read_state(kept.places["container_dir"]).get("type") in ("running", "restarting"):
                trouble = "nothing is known to go on from"
                note_trouble(self._log, f"monitor of {kept.places['id']}", trouble)
            return
        monitor.Monitor(spec, self._host, channel).adopt(kept)

    # ── forking ────────────────────────────────────────────────────────────────────────────────

    def _keep_spare(self) -> None:
        if self._spare is None:
            self._spare = self._fork_spare()

    def _fork_spare(self) -> _Spare:
        ours, theirs = channel_pair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._become("spare monitor", lambda: self._run_spare(theirs))
        theirs.close()
        return _Spare(pid, ours)

    def _run_spare(self, channel: proto.Socket) -> None:
        """Wait to be needed; without a spawner nobody will."""
        self._let_go()
        ahead = birth.network_ahead()
        packet, descriptors = proto.receive_with_descriptors(channel)
        if packet:
            connection, document = proto.socket_on(descriptors[0]), descriptors[1]
            spec = _read_spec(document)
            os.close(document)
            connection.setblocking(True)
            monitor.Monitor(spec, self._host, channel, ahead).run(connection, proto.parse(packet))

    def _become(self, who: str, work: Any) -> NoReturn:
        """In a fork: do that work, and nothing of ours ever again."""
        try:
            _name_process("monitor")
            work()
        except BaseException:
            # the boundary of this process: nobody above could read it
            note_trouble(self._log, who, traceback.format_exc())
            os._exit(1)
        os._exit(0)

    def _let_go(self, container_id: str = "") -> None:
        """What a fork of us must not keep; the lock above all, which would keep the next spawner out."""
        self._loop.close()
        self._children.let_go()
        self._listener.close()
        os.close(self._lock)
        if self._keeper:
            self._keeper.close()
        if self._spare:
            self._spare.channel.close()
        self._vault.close_but(container_id)
        for watched in self._monitors.values():
            watched.sampled.close()
            watched.channel.close()
            if watched.pidfd >= 0:
                os.close(watched.pidfd)
        for waiting in [each for some in self._deferred.values() for each in some]:
            waiting.connection.close()
            os.close(waiting.document)


def _is_running(kept: Kept) -> bool:
    """Whether its monitor has taken it over, or has just started it."""
    is_managed = is_locked(f"{kept.places['runtime_dir']}/alive.lock")
    return is_managed and records.read_state(kept.places["container_dir"]).get("type") == "running"


def _read_spec(document: int) -> dict[str, Any]:
    return proto.parse(os.pread(document, os.fstat(document).st_size, 0))


def note_trouble(path: str, who: str, text: str) -> None:
    """Put a traceback where tracebacks go: wharf's own log, and nowhere else."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return  # a reset has taken the root away
    try:
        if os.fstat(descriptor).st_size > _LOG_BYTES:
            os.rename(path, f"{path}.1")
        os.write(descriptor, f"{stamp} {who}\n{text}\n".encode())
    except OSError:
        pass  # a full disk loses the note, not the work
    finally:
        os.close(descriptor)


def _name_process(role: str) -> None:
    """What ps shows, for people: keeper, spawner or monitor."""
    LIBC.prctl(_PR_SET_NAME, f"wharf-{role}".encode(), 0, 0, 0)


def _compiled_filters() -> Any:
    cache = functools.lru_cache(maxsize=16)(functools.partial(seccomp.compile_filter, DEFAULT_PROFILE))
    cache(caps.DEFAULT_MASK)
    return cache


def _shelf() -> Shelf | None:
    try:
        return make_shelf()
    except OSError:
        return None  # then no layer was mounted here before, and a start that wants one says so


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
    """Become the keeper of a run root, which forks the spawner, unless there is one already.

    Args: ready: a pipe to write one byte to when we listen, or somebody else does. sealed: the
        descriptor this interpreter was started from, to be closed.
    """
    # nothing in a container may look at us or, through us, at the host's interpreter (why: CVE-2019-5736)
    check(LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl")
    if sealed >= 0:
        os.close(sealed)
    lock = os.open(f"{run_root}/spawner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.write(ready, b"0")
        os._exit(0)
    if os.fork():
        os._exit(0)  # whoever started us reaps this one at once, and may live as long as it likes
    try:
        _name_process("keeper")
        check(LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")
        os.environ.clear()
        no_file = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (no_file[1], no_file[1]))
        hierarchies = driver.find_hierarchies()
        _settle(tag, hierarchies)
        os.makedirs(f"{run_root}/root", mode=0o711, exist_ok=True)
        host = monitor.Host(
            hierarchies=hierarchies,
            last_capability=caps.last_capability(),
            bounding=caps.read_mask("CapBnd"),
            no_file=no_file,
            boot_id=procfs.read_boot_id(),
            filters=_compiled_filters(),
            spawner_socket=f"{run_root}/spawner.sock",
            root_place=f"{run_root}/root",
            shelf=_shelf(),
        )
        listener = proto.listen(host.spawner_socket)
        gc.collect()
        gc.freeze()

        def run_spawner(vault: Vault, keeper: proto.Socket) -> None:
            try:
                _name_process("spawner")
                check(LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")
                Spawner(listener, lock, host, log, vault, keeper).run(data_root, run_root)
                os.unlink(host.spawner_socket)
            except Exception:
                # the boundary of this process: nobody above could read it
                note_trouble(log, "spawner", traceback.format_exc())
                raise

        os.write(ready, b"1")  # whoever connects from now on waits in the listener's queue
        os.close(ready)
        Keeper(run_spawner).run()
    except Exception:
        # the boundary of this process: nobody above could read it
        note_trouble(log, "keeper", traceback.format_exc())
        os._exit(1)
