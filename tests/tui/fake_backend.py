"""A backend out of thin air for screen tests: seeded, lively enough, and it remembers its calls.

Only tests use it; what it does is what the seam promises, as far as screens can see.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import tarfile
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import msgspec

from core.backend import AttachWish, CommitWish, CreateResult, EngineInfo, UpdateWish
from core.errors import Cancelled, EngineError, InUse, NotFound, Unauthorized, Unreachable, Unsupported
from core.model.container import (
    Change,
    Container,
    ContainerConfig,
    ContainerSettings,
    ContainerSpec,
    Created,
    Exited,
    ProcessTable,
    Running,
)
from core.model.events import Event
from core.model.image import HistoryEntry, Image, ImageConfig, ImageLayer, Loaded, Package, Removed
from core.model.image_files import FileDifference, LayerContents
from core.model.limits import Limits, updated_limits
from core.model.logs import LogLine, LogQuery
from core.model.mounts import Mount
from core.model.network import Endpoint, EndpointWish, Network, NetworkSpec, PathStep, Subnet
from core.model.ports import PublishedPort
from core.model.progress import CancelToken, Progress, Report
from core.model.registry import (
    Credentials,
    LoginResult,
    Pulled,
    Pushed,
    RemoteLayer,
    RemoteManifest,
    SearchResult,
)
from core.model.stats import HostSample, InterfaceCounters, Pressure, StatsSample
from core.model.volume import FileEntry, Volume
from tests.tui import fake_images

SECOND = 1_000_000_000
MIB = 1024 * 1024


def identity(seed: str) -> str:
    """64 hex digits that belong to a name."""
    return hashlib.sha256(seed.encode()).hexdigest()


def make_container(
    name: str,
    image: str = "shop/api:9.2",
    state: Any = None,
    *,
    limits: Limits | None = None,
    argv: tuple[str, ...] = ("serve", "--port", "80"),
    age_s: int = 3600,
    mounts: tuple[Mount, ...] = (),
    **spec: Any,
) -> Container:
    """A container as the engine lists it; running unless a state is given."""
    now = time.time_ns()
    limits = limits or Limits()
    return Container(
        config=ContainerConfig(
            id=identity(name),
            created_ns=now - age_s * SECOND,
            spec=ContainerSpec(image=image, name=name, limits=limits, **spec),
            image_id="sha256:" + identity(image),
            image_name=image,
            layers=(identity("layer"),),
            entrypoint=(),
            command=argv,
            env=("PATH=/bin", "MODE=production"),
            working_dir="/",
            user="",
            hostname=identity(name)[:12],
            stop_signal="SIGTERM",
            labels={"team": "shop"},
            mounts=mounts,
        ),
        settings=ContainerSettings(name=name, limits=limits),
        state=state or Running(pid=4711, start_ticks=1, boot_id="b", started_ns=now - (age_s - 5) * SECOND),
    )


def make_image(tag: str, *, size_mib: int = 12, age_s: int = 7200, used_by: tuple[str, ...] = ()) -> Image:
    """An image as the engine lists it."""
    return Image(
        id="sha256:" + identity(tag),
        tags=(tag,) if tag else (),
        created_ns=time.time_ns() - age_s * SECOND,
        size_bytes=size_mib * MIB,
        architecture="amd64",
        os="linux",
        config=ImageConfig(cmd=("sh",), env=("PATH=/bin",)),
        layers=(identity("layer"), identity(tag + "layer"), identity(tag + "top")),
        diff_ids=(identity("diff"),),
        used_by=used_by,
    )


def seeded() -> FakeBackend:
    """The scene of most tests: five containers, three images, two volumes."""
    backend = FakeBackend()
    now = time.time_ns()
    limit = Limits(memory_bytes=256 * MIB)
    data = Mount(kind="volume", name="db-data", source="/x", target="/data")
    for container in (
        make_container("api-1", argv=("serve", "\x1b[31m--evil[red]")),
        make_container("db", "postgres:16", limits=Limits(memory_bytes=512 * MIB), mounts=(data,)),
        make_container("worker-3", "shop/worker:2"),
        make_container(
            "cron",
            "shop/cron:1",
            Exited(exit_code=137, started_ns=now - 900 * SECOND, finished_ns=now - 180 * SECOND, oom_killed=True),
            limits=limit,
        ),
        make_container("old-job", "busybox:latest", Created()),
    ):
        backend.all_containers[container.id] = container
    backend.all_images = [
        make_image("shop/api:9.2", size_mib=212, used_by=(identity("api-1"),)),
        make_image("postgres:16", size_mib=390, used_by=(identity("db"),)),
        make_image("busybox:latest", size_mib=4),
    ]
    backend.all_volumes = [
        Volume(name="db-data", created_ns=now, mountpoint="/v/db-data/_data", used_by=(identity("db"),)),
        Volume(name="scratch", created_ns=now, mountpoint="/v/scratch/_data"),
    ]
    shop = make_network("shop", subnet="172.30.0.0/16", labels={"team": "shop"})
    lab = make_network("lab", subnet="172.29.0.0/16", internal=True)
    backend.all_networks += [shop, lab]
    ports = [PublishedPort(container_port=80, host_ip=ip, host_port=8080) for ip in ("0.0.0.0", "::")]
    join(backend, "api-1", shop, "172.30.0.2", *ports)
    join(backend, "db", shop, "172.30.0.3")
    join(backend, "old-job", shop, "")
    join(backend, "worker-3", backend.all_networks[0], "172.17.0.2")
    backend.log_lines["api-1"] = [
        f"2026-11-21 INFO GET /v1/items/{n} 200 {n % 30}ms\n".encode() for n in range(5_000)
    ] + [b"ERROR pool exhausted (waited 5 s)\n", b"\x1b[32mgreen\x1b[0m \x1b]52;c;eA==\x07 [bold]markup[/]\n"]
    return backend


class FakeBackend:
    """All four groups of the seam in one object."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.all_containers: dict[str, Container] = {}
        self.all_images: list[Image] = []
        self.all_volumes: list[Volume] = []
        self.all_networks: list[Network] = [
            make_network("bridge", subnet="172.17.0.0/16"),
            make_network("host", "host"),
            make_network("none", "null"),
        ]
        self.log_lines: dict[str, list[bytes]] = {}
        self.log_times: dict[str, tuple[int, int]] = {}
        """By name: when the first line was written, and the time between lines."""
        self.files: dict[str, bytes] = {
            "/readme.txt": b"first line\nsecond\x1b[2J line\n",
            "/blob.bin": bytes(range(256)) * 3,
            "/sub/deep.txt": b"deep\n",
        }
        self.fail_with: EngineError | None = None
        """The next action raises this."""
        self.layers_readable = threading.Event()
        """Not set: reading what lies in layers takes until it is."""
        self.layers_readable.set()
        self.layer_contents: Sequence[LayerContents] = fake_images.CONTENTS
        self.slow = threading.Event()
        """Set: long work stands still until it is cancelled."""
        self.shells: list[FakeAttachment] = []
        self._events = threading.Condition()
        self._event_log: list[Event] = []
        self._began_ns = time.time_ns()
        self.containers = FakeContainers(self)
        self.images = FakeImages(self)
        self.volumes = FakeVolumes(self)
        self.registries = FakeRegistries(self)
        self.networks = FakeNetworks(self)
        self.system = FakeSystem(self)

    def close(self) -> None:
        pass

    def note(self, *call: Any) -> None:
        """Remember a call; raise what the test wants raised."""
        self.calls.append(call)
        if self.fail_with is not None:
            error, self.fail_with = self.fail_with, None
            raise error

    def tell(self, kind: str, action: str, actor: str, **attributes: str) -> None:
        """Make an event."""
        event = Event(at_ns=time.time_ns(), kind=kind, action=action, actor=actor, attributes=attributes)
        with self._events:
            self._event_log.append(event)
            self._events.notify_all()

    def named(self, key: str) -> Container:
        """By id, id prefix or name."""
        for container in self.all_containers.values():
            if container.id.startswith(key) or container.name == key:
                return container
        raise NotFound(f"no such container: {key}", kind="container", key=key)

    def change(self, key: str, **fields: Any) -> None:
        """Replace parts of a container and tell."""
        container = self.named(key)
        self.all_containers[container.id] = msgspec.structs.replace(container, **fields)
        self.tell("container", "change", container.id)

    def sample(self, name: str, at_ns: int) -> StatsSample:
        """Counters that move at a pace of the name's own."""
        seconds = max(0, at_ns - self._began_ns + 600 * SECOND) / SECOND
        pace = 0.05 + (sum(name.encode()) % 60) / 100
        wave = math.sin(seconds / 7) + math.sin(seconds / 2.3) / 2  # the integral's derivative is lively
        limit = self.named(name).settings.limits.memory_bytes
        return StatsSample(
            at_ns=at_ns,
            cpu_ns=int((seconds * pace + wave * pace) * SECOND),
            memory_bytes=int((20 + 40 * pace + 3 * wave) * MIB),
            memory_limit_bytes=limit,
            pids=3,
            interfaces=(
                InterfaceCounters(name="eth0", received_bytes=int(seconds * 1200), sent_bytes=int(seconds * 9800)),
            ),
            received_bytes=int(seconds * 1200),
            sent_bytes=int(seconds * 9800),
            read_bytes=int(seconds * 1000),
            write_bytes=int(seconds * 5000),
            pressure=Pressure(1.5, 0.0, 0.2),
        )


class FakeAttachment:
    """A shell that echoes what is typed; `feed` makes it print."""

    def __init__(self) -> None:
        self.typed = bytearray()
        self.size = (0, 0)
        self.closed = False
        self._out: list[bytes] = [b"/ # "]
        self._wake = threading.Condition()
        self._ended = False

    def fileno(self) -> int:
        raise NotImplementedError

    def feed(self, data: bytes) -> None:
        with self._wake:
            self._out.append(data)
            self._wake.notify_all()

    def end(self) -> None:
        with self._wake:
            self._ended = True
            self._wake.notify_all()

    def read(self) -> tuple[int, bytes] | None:
        with self._wake:
            while not self._out and not self._ended:
                self._wake.wait()
            return (1, self._out.pop(0)) if self._out else None

    def write(self, data: bytes) -> None:
        self.typed += data
        self.feed(data.replace(b"\r", b"\r\n"))

    def close_stdin(self) -> None:
        pass

    def resize(self, rows: int, columns: int) -> None:
        self.size = (rows, columns)

    def exit_code(self) -> int | None:
        return 0

    def close(self) -> None:
        self.closed = True
        self.end()


class FakeLogView:
    def __init__(self, lines: list[bytes], times: tuple[int, int]) -> None:
        self._lines = lines
        self._first_ns, self._step_ns = times

    def line_count(self) -> int:
        return len(self._lines)

    def lines(self, first: int, count: int) -> Sequence[LogLine]:
        return [
            LogLine(self._first_ns + number * self._step_ns, 1 + (number % 50 == 49), data)
            for number, data in enumerate(self._lines[first : first + count], first)
        ]

    def line_at(self, at_ns: int) -> int:
        return max(0, (at_ns - self._first_ns) // self._step_ns)

    def search(
        self, pattern: bytes, *, first: int, backwards: bool, ignore_case: bool, cancel: CancelToken
    ) -> int | None:
        compiled = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
        numbers = range(first, -1, -1) if backwards else range(first, len(self._lines))
        return next((number for number in numbers if compiled.search(self._lines[number])), None)

    def close(self) -> None:
        pass


class FakeContainers:
    def __init__(self, backend: FakeBackend) -> None:
        self._b = backend

    def list_dir(self, key: str, path: str) -> Sequence[FileEntry]:
        return self._b.volumes.list_dir(key, path)

    def read_file(self, key: str, path: str, offset: int = 0, length: int = 65536) -> bytes:
        if path in fake_images.CHANGED:
            return fake_images.CHANGED[path]
        return self._b.volumes.read_file(key, path, offset, length)

    def find_files(self, key: str, path: str, text: str) -> Sequence[FileEntry]:
        return self._b.volumes.find_files(key, path, text)

    def write_file(self, key: str, path: str, data: bytes) -> None:
        self._b.volumes.write_file(key, path, data)

    def remove_path(self, key: str, path: str) -> None:
        self._b.volumes.remove_path(key, path)

    def copy_out(self, key: str, path: str, cancel: Any = None) -> Iterator[bytes]:
        return self._b.volumes.copy_out(key, path, cancel)

    def copy_in(self, key: str, path: str, tar: Any, *, archive: bool = False) -> None:
        self._b.volumes.copy_in(key, path, tar, archive=archive)

    def list(self, *, all: bool = False, size: bool = False) -> Sequence[Container]:
        return [one for one in self._b.all_containers.values() if all or one.status == "running"]

    def inspect(self, key: str, *, size: bool = False) -> Container:
        return self._b.named(key)

    def create(self, spec: ContainerSpec) -> CreateResult:
        self._b.note("create", spec)
        name = spec.name or "quiet_crane"
        made = make_container(name, spec.image, Created(), argv=spec.command, tty=spec.tty)
        self._b.all_containers[made.id] = made
        self._b.tell("container", "create", made.id)
        return CreateResult(made.id)

    def start(self, key: str, attach: AttachWish | None = None) -> FakeAttachment | None:
        self._b.note("start", self._b.named(key).name)
        now = time.time_ns()
        self._b.change(key, state=Running(pid=99, start_ticks=1, boot_id="b", started_ns=now))
        if attach is not None:
            self._b.shells.append(FakeAttachment())
            return self._b.shells[-1]
        return None

    def stop(self, key: str, timeout_s: int | None = None, signal: str = "") -> None:
        self._b.note("stop", self._b.named(key).name)
        now = time.time_ns()
        self._b.change(key, state=Exited(exit_code=0, started_ns=now, finished_ns=now))

    def restart(self, key: str, timeout_s: int | None = None, signal: str = "") -> None:
        self._b.note("restart", self._b.named(key).name)

    def kill(self, key: str, signal: str = "KILL") -> None:
        self._b.note("kill", self._b.named(key).name, signal)

    def update(self, key: str, wish: UpdateWish) -> Sequence[str]:
        container = self._b.named(key)
        self._b.note("update", container.name)
        limits = updated_limits(container.settings.limits, wish.limits)
        restart = wish.restart or container.settings.restart
        self._b.change(key, settings=msgspec.structs.replace(container.settings, limits=limits, restart=restart))
        return ()

    def pause(self, key: str) -> None:
        self._b.note("pause", self._b.named(key).name)
        self._b.change(key, state=msgspec.structs.replace(self._b.named(key).state, paused=True))

    def unpause(self, key: str) -> None:
        self._b.note("unpause", self._b.named(key).name)
        self._b.change(key, state=msgspec.structs.replace(self._b.named(key).state, paused=False))

    def remove(self, key: str, *, force: bool = False, volumes: bool = False) -> None:
        container = self._b.named(key)
        self._b.note("remove", container.name, force, volumes)
        if container.status == "running" and not force:
            raise InUse(f"container {container.name} is running", hint="stop it first")
        del self._b.all_containers[container.id]
        self._b.tell("container", "destroy", container.id)

    def rename(self, key: str, name: str) -> None:
        self._b.note("rename", key, name)

    def exec(self, key: str, spec: Any, wish: AttachWish | None = None) -> FakeAttachment:
        self._b.note("exec", self._b.named(key).name, spec)
        self._b.shells.append(FakeAttachment())
        return self._b.shells[-1]

    def attach(self, key: str, wish: AttachWish) -> FakeAttachment:
        self._b.note("attach", self._b.named(key).name)
        self._b.shells.append(FakeAttachment())
        return self._b.shells[-1]

    def logs(self, key: str, query: LogQuery, cancel: CancelToken | None = None) -> Iterator[LogLine]:
        lines = self._b.log_lines.get(self._b.named(key).name, [])
        return iter([LogLine(time.time_ns(), 1, data) for data in lines[-(query.tail or 0) :]])

    def log_view(self, key: str) -> FakeLogView:
        name = self._b.named(key).name
        times = self._b.log_times.get(name, (1_700_000_000 * SECOND, 1_000_000))
        return FakeLogView(self._b.log_lines.setdefault(name, []), times)

    def top(self, key: str, ps_arguments: Sequence[str] = ()) -> ProcessTable:
        return ProcessTable(("PID", "USER", "CMD"), (("4711", "root", "serve --port 80"), ("4712", "root", "sh")))

    def stats(self, keys: Sequence[str] = ()) -> dict[str, StatsSample]:
        now = time.time_ns()
        return {one.id: self._b.sample(one.name, now) for one in self.list()}

    def stats_history(self, key: str, since_ns: int = 0) -> Sequence[StatsSample]:
        now, name = time.time_ns(), self._b.named(key).name
        return [self._b.sample(name, now - back * SECOND) for back in range(120, 0, -1)]

    def changes(self, key: str) -> Sequence[Change]:
        return [Change("/app", "C"), Change("/app/pool.py", "A"), Change("/etc/old\u202ename", "D")]


class FakeImages:
    def __init__(self, backend: FakeBackend) -> None:
        self._b = backend

    def list(self, *, all: bool = False) -> Sequence[Image]:
        return list(self._b.all_images)

    def inspect(self, key: str) -> Image:
        return next(one for one in self._b.all_images if key in one.tags or one.id == key)

    def history(self, key: str) -> Sequence[HistoryEntry]:
        now = time.time_ns()
        return [
            HistoryEntry(image_id=key, created_ns=now, created_by="CMD [sh]", comment="", size_bytes=0, empty=True),
            HistoryEntry(image_id="", created_ns=now, created_by="COPY . /app", comment="", size_bytes=2 * MIB),
        ]

    def tag(self, key: str, reference: str) -> None:
        self._b.note("tag", key, reference)

    def remove(self, key: str, *, force: bool = False, keep_parents: bool = False) -> Sequence[Removed]:
        self._b.note("rmi", key, force)
        self._b.all_images = [one for one in self._b.all_images if key not in one.tags]
        return [Removed(untagged=key)]

    def _work(self, report: Report, cancel: CancelToken, what: str) -> None:
        for done in range(0, 41, 8):
            report(Progress(what=what, done_bytes=done * MIB, total_bytes=40 * MIB))
            while self._b.slow.is_set():
                if cancel.wait(0.01):
                    raise Cancelled("cancelled")
            cancel.check()

    def pull(
        self,
        reference: str,
        keyring: Any,
        report: Report,
        cancel: CancelToken,
        *,
        platform: str = "",
        all_tags: bool = False,
    ) -> Sequence[Pulled]:
        self._b.note("pull", reference, platform, all_tags)
        self._transfer(report, cancel, "Downloading", "Pull complete")
        self._b.all_images.append(make_image(reference.removeprefix("docker.io/library/")))
        return [Pulled(reference=reference, image_id="", digest="sha256:" + identity(reference), is_new=True)]

    def push(
        self, reference: str, keyring: Any, report: Report, cancel: CancelToken, *, all_tags: bool = False
    ) -> Sequence[Pushed]:
        self._b.note("push", reference, all_tags)
        self._transfer(report, cancel, "Pushing", "Pushed")
        return [Pushed(reference=reference, digest="sha256:" + identity(reference), size_bytes=527)]

    def _transfer(self, report: Report, cancel: CancelToken, busy: str, over: str) -> None:
        """Two layers: the first is there already, the second takes as long as `slow` says."""
        first, second = identity("layer 1")[:12], identity("layer 2")[:12]
        report(Progress(what="x", done_bytes=0, part=first, status="Already exists"))
        report(Progress(what="x", done_bytes=0, part=second, status="Waiting"))
        for done in range(0, 41, 8):
            report(Progress(what="x", done_bytes=done * MIB, total_bytes=40 * MIB, part=second, status=busy))
            while self._b.slow.is_set() and done == 16:
                if cancel.wait(0.01):
                    raise Cancelled("cancelled")
            cancel.check()
        report(Progress(what="x", done_bytes=40 * MIB, total_bytes=40 * MIB, part=second, status=over))

    def load(self, source: BinaryIO, report: Report, cancel: CancelToken) -> Sequence[Loaded]:
        self._b.note("load", source.read(5))
        self._work(report, cancel, "unpacking")
        return [Loaded(reference="loaded:1")]

    def save(
        self, keys: Sequence[str], sink: BinaryIO, report: Report, cancel: CancelToken, *, format: str = ""
    ) -> None:
        self._b.note("save", tuple(keys), format)
        sink.write(b"first half")
        self._work(report, cancel, "layer 1")
        sink.write(b" second half")

    def commit(self, container: str, wish: CommitWish, report: Report, cancel: CancelToken) -> str:
        self._b.note("commit", self._b.named(container).name, wish)
        self._work(report, cancel, "layer")
        return "sha256:" + identity("made")

    def squash(self, key: str, reference: str, report: Report, cancel: CancelToken, *, base: str = "") -> str:
        self._b.note("squash", key, reference, base)
        self._work(report, cancel, "layer")
        return "sha256:" + identity("squashed")

    def layers(self, key: str) -> Sequence[ImageLayer]:
        chains = self.inspect(key).layers
        return [
            msgspec.structs.replace(layer, chain_id=chain)
            for layer, chain in zip(fake_images.LAYERS, chains, strict=True)
        ]

    def contents(
        self, key: str, report: Report, cancel: CancelToken, *, digests: bool = False
    ) -> Sequence[LayerContents]:
        self._b.note("contents", key)
        self._work(report, cancel, "layer 1")
        self._b.layers_readable.wait(10)
        return self._b.layer_contents

    def read_layer_file(self, key: str, layer: int, path: str, offset: int = 0, length: int = 65536) -> bytes:
        return fake_images.FILES[layer, path.lstrip("/")][offset : offset + length]

    def compare(self, first: str, second: str, report: Report, cancel: CancelToken) -> Sequence[FileDifference]:
        self._b.note("compare", first, second)
        self._work(report, cancel, "comparing")
        return fake_images.UNCOMMITTED

    def packages(self, key: str, report: Report, cancel: CancelToken) -> Sequence[Package]:
        self._b.note("packages", key)
        return fake_images.PACKAGES

    def export(self, key: str, report: Report, cancel: CancelToken) -> Iterator[bytes]:
        self._b.note("image export", key)
        self._work(report, cancel, "exporting")
        return self._b.volumes.copy_out(key, "/sub")

    def starter(self, reference: str, report: Report, cancel: CancelToken) -> str:
        self._b.note("starter", reference)
        self._work(report, cancel, "copying")
        self._b.all_images.append(make_image(reference))
        self._b.tell("image", "tag", reference)
        return self._b.all_images[-1].id

    def list_dir(self, key: str, path: str) -> Sequence[FileEntry]:
        return self._b.volumes.list_dir(key, path)

    def read_file(self, key: str, path: str, offset: int = 0, length: int = 65536) -> bytes:
        if path in fake_images.SHOWN:
            return fake_images.SHOWN[path]
        return self._b.volumes.read_file(key, path, offset, length)

    def find_files(self, key: str, path: str, text: str) -> Sequence[FileEntry]:
        return self._b.volumes.find_files(key, path, text)

    def copy_out(self, key: str, path: str, cancel: Any = None) -> Iterator[bytes]:
        return self._b.volumes.copy_out(key, path, cancel)


class FakeRegistries:
    """Docker Hub, which shows no catalog, and localhost:5000 with two repositories; others are out of reach."""

    def __init__(self, backend: FakeBackend) -> None:
        self._b = backend
        self.problem: EngineError | None = None
        self.answers = threading.Event()
        """While it is clear, searches wait."""
        self.answers.set()
        shared, api, old = (
            RemoteLayer(digest="sha256:" + identity(name), size_bytes=size * MIB, media_type="tar+gzip")
            for name, size in (("shared", 30), ("api", 8), ("old", 2))
        )
        arm = make_manifest("arm", "linux/arm64", (shared,))
        self.content = {
            "localhost:5000/shop/api": {
                "9.2": make_manifest("api", "linux/amd64", (shared, api)),
                "latest": make_manifest("api", "linux/amd64", (shared, api)),
                "old\x1b[2J": make_manifest("old", "linux/amd64", (shared, old)),
                "1.0": make_manifest("old", "linux/amd64", (shared, old)),
            },
            "localhost:5000/shop/multi": {
                "1": make_manifest("multi", "", (), (make_manifest("api", "linux/amd64", (shared, api)), arm)),
            },
            "docker.io/library/nginx": {"1.27": make_manifest("nginx", "linux/amd64", (shared,))},
        }

    def _reach(self, host: str) -> None:
        if self.problem is not None:
            raise self.problem
        if host not in ("localhost:5000", "docker.io"):
            raise Unreachable(f"Get https://{host}/v2/: no route to host")

    def login(self, server: str, credentials: Credentials) -> LoginResult:
        self._b.note("login", server, credentials)
        self._reach(server)
        if credentials.password != "right":
            raise Unauthorized(f"login attempt to https://{server}/v2/ failed with status: 401 Unauthorized")
        return LoginResult(status="Login Succeeded")

    def search(self, term: str, keyring: Any, *, limit: int = 25) -> Sequence[SearchResult]:
        self._b.note("search", term, limit)
        self.answers.wait(10)
        self._reach("docker.io")
        found = [
            SearchResult(name="nginx", description="Official build [of]\x1b[2J Nginx.", stars=20_000, is_official=True),
            SearchResult(name="muyu/nginx", description="a web", stars=3),
        ]
        return [one for one in found if term in one.name]

    def repositories(self, server: str, keyring: Any) -> Sequence[str]:
        self._reach(server)
        if server == "docker.io":
            raise Unsupported("docker.io shows no list of repositories")
        return sorted(name.partition("/")[2] for name in self.content if name.startswith(f"{server}/"))

    def tags(self, repository: str, keyring: Any) -> Sequence[str]:
        self._b.note("tags", repository)
        self._reach(repository.partition("/")[0])
        return sorted(self.content[repository])

    def manifest(self, reference: str, keyring: Any) -> RemoteManifest:
        repository, _, tag = reference.rpartition(":")
        return self.content[repository][tag]

    def delete(self, reference: str, keyring: Any) -> str:
        self._b.note("registry rm", reference)
        repository, _, digest = reference.partition("@")
        tags = self.content[repository]
        self.content[repository] = {tag: one for tag, one in tags.items() if one.digest != digest}
        return digest

    def copy(self, source: str, target: str, keyring: Any, report: Report, cancel: CancelToken) -> Pushed:
        self._b.note("registry copy", source, target)
        self._b.images._transfer(report, cancel, "Copying", "Copied")
        return Pushed(reference=target, digest="sha256:" + identity(source), size_bytes=527)


def make_manifest(
    name: str, platform: str, layers: tuple[RemoteLayer, ...], images: tuple[RemoteManifest, ...] = ()
) -> RemoteManifest:
    """A manifest as a registry has it."""
    return RemoteManifest(
        reference="x",
        digest="sha256:" + identity(f"manifest {name}"),
        media_type="application/vnd.oci.image.manifest.v1+json",
        platform=platform,
        size_bytes=sum(layer.size_bytes for layer in layers),
        created_ns=time.time_ns() - 7200 * SECOND,
        layers=layers,
        images=images,
        raw=b'{"schemaVersion": 2, "name": "\\u001b[2J[red]"}',
    )


class FakeVolumes:
    def __init__(self, backend: FakeBackend) -> None:
        self._b = backend

    def list(self, *, sizes: bool = False) -> Sequence[Volume]:
        return list(self._b.all_volumes)

    def create(self, name: str = "", *, labels: Any = None, driver: str = "local", options: Any = None) -> Volume:
        self._b.note("volume create", name, options or {})
        self._b.all_volumes.append(Volume(name=name or identity("v"), created_ns=time.time_ns()))
        return self._b.all_volumes[-1]

    def remove(self, name: str, *, force: bool = False) -> None:
        self._b.note("volume rm", name)
        self._b.all_volumes = [one for one in self._b.all_volumes if one.name != name]

    def list_dir(self, name: str, path: str) -> Sequence[FileEntry]:
        prefix = path.rstrip("/") + "/"
        entries: dict[str, FileEntry] = {}
        for full, data in self._b.files.items():
            if not full.startswith(prefix):
                continue
            first, slash, _rest = full[len(prefix) :].partition("/")
            entries[first] = FileEntry(
                name=first,
                kind="dir" if slash else "file",
                mode=0o755 if slash else 0o644,
                uid=0,
                gid=0,
                size_bytes=0 if slash else len(data),
                mtime_ns=time.time_ns(),
            )
        return [entries[name] for name in sorted(entries)]

    def read_file(self, name: str, path: str, offset: int = 0, length: int = 65536) -> bytes:
        if path not in self._b.files:
            raise NotFound(f"{path} is not there", kind="path", key=path)
        return self._b.files[path][offset : offset + length]

    def find_files(self, name: str, path: str, text: str) -> Sequence[FileEntry]:
        below = path.rstrip("/") + "/"
        paths = [full for full in self._b.files if full.startswith(below) and text in full.rpartition("/")[2]]
        return [
            FileEntry(
                name=full[len(below) :], kind="file", mode=0o644, uid=0, gid=0, size_bytes=1, mtime_ns=time.time_ns()
            )
            for full in paths
        ]

    def write_file(self, name: str, path: str, data: bytes) -> None:
        self._b.note("write", path, data)
        self._b.files[path] = data

    def remove_path(self, name: str, path: str) -> None:
        self._b.note("remove path", path)
        for full in [full for full in self._b.files if full == path or full.startswith(f"{path}/")]:
            del self._b.files[full]

    def copy_out(self, name: str, path: str, cancel: Any = None) -> Iterator[bytes]:
        buffer = io.BytesIO()
        top = path.rpartition("/")[0]
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for full, data in self._b.files.items():
                if full == path or full.startswith(f"{path}/"):
                    info = tarfile.TarInfo(full[len(top) + 1 :])
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
        yield buffer.getvalue()

    def copy_in(self, name: str, path: str, tar: Any, *, archive: bool = False) -> None:
        self._b.note("copy in", path, archive)
        with tarfile.open(fileobj=io.BytesIO(b"".join(tar))) as opened:
            for member in opened:
                if content := opened.extractfile(member):
                    self._b.files[f"{path.rstrip('/')}/{member.name}"] = content.read()

    def export(self, name: str, report: Report, cancel: CancelToken) -> Iterator[bytes]:
        self._b.note("volume export", name)
        yield b"a tar"

    def import_tar(self, name: str, source: BinaryIO, report: Report, cancel: CancelToken) -> None:
        self._b.note("volume import", name, source.read())


def join(backend: FakeBackend, name: str, network: Network, ipv4: str, *ports: PublishedPort, mode: str = "") -> None:
    """Put a container of the scene on a network, with an address where it runs."""
    container = backend.named(name)
    wishes = (*(container.settings.endpoints or ()), EndpointWish(network=network.name, network_id=network.id))
    state = container.state
    if isinstance(state, Running):
        endpoint = Endpoint(
            network=network.name,
            network_id=network.id,
            endpoint_id=identity(name + network.name),
            container_id=container.id,
            container_name=name,
            interface=f"eth{len(state.endpoints)}",
            host_interface="veth1234567",
            mac="02:42:ac:1e:00:02",
            ipv4=ipv4,
            ipv4_prefix_length=16,
            ipv4_gateway="172.30.0.1",
            names=(name, container.id[:12]),
        )
        state = msgspec.structs.replace(state, endpoints=(*state.endpoints, endpoint), ports=(*state.ports, *ports))
    backend.all_containers[container.id] = msgspec.structs.replace(
        container, state=state, settings=msgspec.structs.replace(container.settings, endpoints=wishes)
    )


def make_network(name: str, driver: str = "bridge", subnet: str = "", **fields: Any) -> Network:
    """A network as the engine lists it."""
    gateway = subnet.replace("0.0/16", "0.1")
    return Network(
        name=name,
        id=identity(f"network {name}"),
        created_ns=time.time_ns() - 7200 * SECOND,
        driver=driver,
        subnets=(Subnet(subnet=subnet, gateway=gateway),) if subnet else (),
        interface=f"wh{identity(name)[:12]}" if subnet else "",
        **fields,
    )


class FakeNetworks:
    def __init__(self, backend: FakeBackend) -> None:
        self._b = backend

    def list(self) -> Sequence[Network]:
        return sorted(self._b.all_networks, key=lambda network: network.name)

    def create(self, spec: NetworkSpec) -> Network:
        self._b.note("network create", spec)
        self._b.all_networks.append(make_network(spec.name, subnet="172.31.0.0/16", internal=spec.internal))
        return self._b.all_networks[-1]

    def remove(self, key: str) -> None:
        gone = next(network for network in self._b.all_networks if network.id == key)
        self._b.note("network rm", gone.name)
        self._b.all_networks.remove(gone)

    def connect(self, key: str, container: str, wish: EndpointWish) -> None:
        network = next(network for network in self._b.all_networks if network.id == key)
        self._b.note("network connect", network.name, container, wish)
        join(self._b, container, network, "172.30.0.99")

    def disconnect(self, key: str, container: str, *, force: bool = False) -> None:
        network = next(network for network in self._b.all_networks if network.id == key)
        self._b.note("network disconnect", network.name, container, force)

    def trace(self, container: str, port: int, protocol: str = "tcp") -> Sequence[PathStep]:
        self._b.note("trace", self._b.named(container).name, port, protocol)
        listens = port == 80
        return (
            PathStep(name="running", verdict="ok", text="api-1 runs since an hour"),
            PathStep(name="published", verdict="skipped", text="no need to look"),
            PathStep(
                name="listening",
                verdict="ok" if listens else "failed",
                text=f"port {port} has a listener" if listens else f"nothing listens on port {port} inside",
                hint="" if listens else "start a server that listens on 0.0.0.0",
            ),
            PathStep(name="answer", verdict="ok" if listens else "unknown", text="it [answers] \x1b[2J"),
        )


class FakeSystem:
    def __init__(self, backend: FakeBackend) -> None:
        self._b = backend

    def info(self) -> EngineInfo:
        return EngineInfo(
            version="0.1.0",
            data_root="/d",
            run_root="/r",
            kernel="6.18",
            operating_system="Debian",
            architecture="x86_64",
            hostname="node-a",
            cpu_count=4,
            memory_bytes=32 * 1024 * MIB,
            cgroup_version="hybrid",
            storage_driver="overlay",
            containers_running=0,
            containers_paused=0,
            containers_stopped=0,
            images=0,
            security_options=(),
            warnings=(),
        )

    def host(self) -> HostSample:
        now = time.time_ns()
        elapsed = now - self._b._began_ns
        return HostSample(
            at_ns=now,
            cpu_count=4,
            cpu_busy_ns=int(elapsed * 4 * 0.31),
            cpu_total_ns=elapsed * 4,
            memory_total_bytes=32 * 1024 * MIB,
            memory_used_bytes=11 * 1024 * MIB,
            disk_total_bytes=100 * 1024 * MIB,
            disk_used_bytes=61 * 1024 * MIB,
            load_1m=1.2,
            pressure=Pressure(0.3, 0.0, 0.1),
        )

    def events(
        self, *, since_ns: int | None = None, until_ns: int | None = None, cancel: CancelToken
    ) -> Iterator[Event]:
        seen = 0
        while not cancel.is_cancelled:
            with self._b._events:
                if until_ns is None:
                    self._b._events.wait(0.05)
                fresh, seen = self._b._event_log[seen:], len(self._b._event_log)
            yield from (one for one in fresh if since_ns is None or since_ns <= one.at_ns <= (until_ns or one.at_ns))
            if until_ns is not None:
                return

    def reset(self) -> None:
        raise NotImplementedError
