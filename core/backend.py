"""The one seam between the faces and the engine.

Values go in, values and iterators come out: no descriptor and no path of the engine's disk
crosses it, so that a remote engine can stand behind it one day. Every method blocks and may be
called from any thread; a face with an event loop calls it from worker threads. Everything
raises EngineError and nothing else. `key` is a name, a full id or an unambiguous id prefix.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, Protocol

import msgspec

from core.model.container import Change, Container, ContainerSpec, ExecSpec, ProcessTable
from core.model.events import Event
from core.model.findings import Finding
from core.model.host_report import HostFeature
from core.model.image import HistoryEntry, Image, ImageLayer, Loaded, Package, Removed
from core.model.image_files import FileDifference, LayerContents
from core.model.limits import Limits
from core.model.logs import LogLine, LogQuery
from core.model.network import EndpointWish, Network, NetworkSpec, PathStep
from core.model.progress import CancelToken, Report
from core.model.pruning import EVERYTHING, PruneFilter
from core.model.registry import Credentials, Keyring, LoginResult, Pulled, Pushed, RemoteManifest, SearchResult
from core.model.restart import RestartPolicy, Restored
from core.model.stats import HostSample, StatsSample
from core.model.usage import DiskUsage
from core.model.volume import FileEntry, Volume


class CreateResult(msgspec.Struct, frozen=True):
    """A new container's id, and what could not be honoured to the letter."""

    id: str
    warnings: tuple[str, ...] = ()


class AttachWish(msgspec.Struct, frozen=True, kw_only=True):
    """Which streams to be joined to, and the window's size where there is one."""

    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    rows: int = 0
    columns: int = 0


class Attachment(Protocol):
    """A live connection to a process's streams. One reader thread; writing from another is fine."""

    def fileno(self) -> int:
        """A descriptor that polls readable when read() would not block."""

    def read(self) -> tuple[int, bytes] | None:
        """The next piece as (1 stdout | 2 stderr, bytes); None at the end. Blocks."""

    def write(self, data: bytes) -> None:
        """Send bytes to the process's stdin."""

    def close_stdin(self) -> None:
        """Tell the process that no more comes."""

    def resize(self, rows: int, columns: int) -> None:
        """Tell the process's terminal its new size; nothing happens without a terminal."""

    def exit_code(self) -> int | None:
        """After read() gave None: the process's code, or None if we were only detached."""

    def close(self) -> None:
        """Detach; the process goes on."""


class LogView(Protocol):
    """Random access to a container's log by line number, for a viewer that keeps only a window."""

    def line_count(self) -> int:
        """Lines written so far (an unfinished last one counts); follows the file as it grows."""

    def lines(self, first: int, count: int) -> Sequence[LogLine]:
        """Lines [first, first+count), fewer at the end."""

    def line_at(self, at_ns: int) -> int:
        """Number of the first line not older than a moment."""

    def search(
        self, pattern: bytes, *, first: int, backwards: bool, ignore_case: bool, cancel: CancelToken
    ) -> int | None:
        """Number of the next line that matches a regular expression, from line `first` on."""

    def close(self) -> None:
        """Let go of the files."""


class PathStat(msgspec.Struct, frozen=True, kw_only=True):
    """What lies at a path inside a container, as `cp` needs to know it."""

    name: str
    size_bytes: int
    mode: int
    mtime_ns: int
    link: str = ""


class UpdateWish(msgspec.Struct, frozen=True, kw_only=True):
    """What is to change of a container; limits that are not set stay as they are."""

    limits: Limits = Limits()
    restart: RestartPolicy | None = None


class Containers(Protocol):
    """Everything that can be done to containers."""

    def create(self, spec: ContainerSpec) -> CreateResult:
        """Make a container and leave it stopped; nothing is left behind if that fails."""

    def start(self, key: str, attach: AttachWish | None = None) -> Attachment | None:
        """Start it; with a wish, every byte from the first on comes through the attachment."""

    def attach(self, key: str, wish: AttachWish) -> Attachment:
        """Join the streams of a running container."""

    def stop(self, key: str, timeout_s: int | None = None, signal: str = "") -> None:
        """A signal (empty: its own), then SIGKILL after timeout_s (None: its own, or 10 s); stopped is fine."""

    def restart(self, key: str, timeout_s: int | None = None, signal: str = "") -> None:
        """Stop as stop() does, then start."""

    def kill(self, key: str, signal: str = "KILL") -> None:
        """Send a signal to its first process."""

    def pause(self, key: str) -> None:
        """Freeze all its processes."""

    def unpause(self, key: str) -> None:
        """Thaw them."""

    def remove(self, key: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove it; running only by force; `volumes` takes its anonymous volumes along."""

    def rename(self, key: str, name: str) -> None:
        """Give it another name."""

    def update(self, key: str, wish: UpdateWish) -> Sequence[str]:
        """Change limits and restart policy, live where it runs and for later starts; what has no effect here."""

    def wait(self, key: str, condition: str = "not-running", cancel: CancelToken | None = None) -> int:
        """Block until it has ended (or is `removed`, or `next-exit`); its exit code."""

    def list(self, *, all: bool = False, size: bool = False) -> Sequence[Container]:
        """Running ones, or all; newest first."""

    def inspect(self, key: str, *, size: bool = False) -> Container:
        """All about one."""

    def exec(self, key: str, spec: ExecSpec, wish: AttachWish | None = None) -> Attachment | None:
        """Run one more process inside; None when detached."""

    def logs(self, key: str, query: LogQuery, cancel: CancelToken | None = None) -> Iterator[LogLine]:
        """Lines, oldest first; with follow until it ends or is cancelled."""

    def log_view(self, key: str) -> LogView:
        """A log for a viewer."""

    def top(self, key: str, ps_arguments: Sequence[str] = ()) -> ProcessTable:
        """Its processes, as ps shows them from the host's side."""

    def stats(self, keys: Sequence[str] = ()) -> dict[str, StatsSample]:
        """The newest sample of each running container (of all, when none is named), by full id."""

    def stats_history(self, key: str, since_ns: int = 0) -> Sequence[StatsSample]:
        """Kept samples, oldest first, one a second."""

    def changes(self, key: str) -> Sequence[Change]:
        """What differs from its image, sorted by path."""

    def stat_path(self, key: str, path: str) -> PathStat:
        """What lies at a path."""

    def copy_out(self, key: str, path: str, cancel: CancelToken | None = None) -> Iterator[bytes]:
        """A tar of a file or tree; its top entry is the path's last name."""

    def copy_in(self, key: str, path: str, tar: Iterable[bytes], *, archive: bool = False) -> None:
        """Unpack a tar into an existing directory; `archive` keeps uid and gid."""

    def list_dir(self, key: str, path: str) -> Sequence[FileEntry]:
        """A directory of its root, names sorted."""

    def read_file(self, key: str, path: str, offset: int = 0, length: int = 65536) -> bytes:
        """Part of a file of its root."""

    def find_files(self, key: str, path: str, text: str) -> Sequence[FileEntry]:
        """What has a text in its name, at any depth below a directory; names are paths relative to it."""

    def write_file(self, key: str, path: str, data: bytes) -> None:
        """Replace the content of a regular file of its root; owner and mode stay."""

    def remove_path(self, key: str, path: str) -> None:
        """Delete a file of its root, or a directory with all that is in it."""

    def export(self, key: str, report: Report, cancel: CancelToken) -> Iterator[bytes]:
        """Its whole root as one tar."""

    def prune(self, which: PruneFilter = EVERYTHING) -> tuple[Sequence[str], int]:
        """Remove all stopped ones: their ids and the bytes freed."""


class CommitWish(msgspec.Struct, frozen=True, kw_only=True):
    """How a container becomes an image; `changes` are Dockerfile lines (CMD, ENV, …)."""

    reference: str = ""
    author: str = ""
    message: str = ""
    changes: tuple[str, ...] = ()
    pause: bool = True
    left_out: tuple[str, ...] = ()
    """Changed paths that do not go into the image, each with all below it."""


class Images(Protocol):
    """Everything that can be done to images."""

    def list(self, *, all: bool = False) -> Sequence[Image]:
        """Newest first."""

    def inspect(self, key: str) -> Image:
        """One image by reference, id or id prefix."""

    def history(self, key: str) -> Sequence[HistoryEntry]:
        """How it was made, newest step first."""

    def tag(self, key: str, reference: str) -> None:
        """Give it one more name; the name leaves whatever had it."""

    def remove(self, key: str, *, force: bool = False, keep_parents: bool = False) -> Sequence[Removed]:
        """Untag, and delete what nothing else needs; untagged parents go along unless they are to be kept."""

    def pull(
        self,
        reference: str,
        keyring: Keyring,
        report: Report,
        cancel: CancelToken,
        *,
        platform: str = "",
        all_tags: bool = False,
    ) -> Sequence[Pulled]:
        """Fetch what a reference means in its registry (or all tags of its repository), and name it here.

        Args: platform: `os/arch[/variant]`; empty: this machine's.
            report: each layer is a part, its statuses in docker's words.
        """

    def push(
        self, reference: str, keyring: Keyring, report: Report, cancel: CancelToken, *, all_tags: bool = False
    ) -> Sequence[Pushed]:
        """Send the image of that name (or all tags of the repository) to the registry that the name says."""

    def load(self, source: BinaryIO, report: Report, cancel: CancelToken) -> Sequence[Loaded]:
        """Read a docker-archive or OCI layout tar, plain, gzip, bzip2, xz or zstd."""

    def save(
        self,
        keys: Sequence[str],
        sink: BinaryIO,
        report: Report,
        cancel: CancelToken,
        *,
        format: str = "docker-archive",
    ) -> None:
        """Write images as one tar; formats docker-archive (readable as OCI too) and oci-archive."""

    def import_tar(
        self,
        source: BinaryIO,
        reference: str,
        report: Report,
        cancel: CancelToken,
        *,
        message: str = "",
        changes: Sequence[str] = (),
    ) -> str:
        """Make a one-layer image of a tar of a root file system; its id."""

    def commit(self, container: str, wish: CommitWish, report: Report, cancel: CancelToken) -> str:
        """Make an image of what a container has become; its id."""

    def starter(self, reference: str, report: Report, cancel: CancelToken) -> str:
        """Make a usable image from this host's own tools, no network needed; its id."""

    def squash(self, key: str, reference: str, report: Report, cancel: CancelToken, *, base: str = "") -> str:
        """Make an image of one layer with the same files, config and history; its id.

        Args: base: an image whose layers it begins with, and which stay as they are.
        """

    def prune(self, which: PruneFilter = EVERYTHING, *, all: bool = False) -> tuple[Sequence[Removed], int]:
        """Remove dangling (or all unused) images: what went, and the bytes freed."""

    def layers(self, key: str) -> Sequence[ImageLayer]:
        """Its layers, lowest first."""

    def contents(
        self, key: str, report: Report, cancel: CancelToken, *, digests: bool = False
    ) -> Sequence[LayerContents]:
        """What lies in each of its layers, lowest first; with the digests of files where asked for."""

    def read_layer_file(self, key: str, layer: int, path: str, offset: int = 0, length: int = 65536) -> bytes:
        """Part of a file as one layer (0: the lowest) has it, whatever other layers say."""

    def compare(self, first: str, second: str, report: Report, cancel: CancelToken) -> Sequence[FileDifference]:
        """How two file trees differ, sorted by path; each key is an image's, or else a container's."""

    def packages(self, key: str, report: Report, cancel: CancelToken) -> Sequence[Package]:
        """Software that its package databases list, sorted by manager and name."""

    def export(self, key: str, report: Report, cancel: CancelToken) -> Iterator[bytes]:
        """Its whole file tree as one tar."""

    def list_dir(self, key: str, path: str) -> Sequence[FileEntry]:
        """A directory of its file tree."""

    def read_file(self, key: str, path: str, offset: int = 0, length: int = 65536) -> bytes:
        """Part of a file of its tree."""

    def find_files(self, key: str, path: str, text: str) -> Sequence[FileEntry]:
        """What has a text in its name, at any depth below a directory; names are paths relative to it."""

    def copy_out(self, key: str, path: str, cancel: CancelToken | None = None) -> Iterator[bytes]:
        """A tar of a file or tree of it; its top entry is the path's last name."""


class Registries(Protocol):
    """What lies in registries, without a local copy. `server` is a host as references write it, docker.io included."""

    def login(self, server: str, credentials: Credentials) -> LoginResult:
        """Ask a registry whether it knows somebody. Raises: Unauthorized. Nothing is kept."""

    def search(self, term: str, keyring: Keyring, *, limit: int = 25) -> Sequence[SearchResult]:
        """Repositories by a word, best first; `host/word` asks another registry than Docker Hub."""

    def repositories(self, server: str, keyring: Keyring) -> Sequence[str]:
        """Names of all repositories, sorted. Raises: Unsupported: the registry shows no catalog."""

    def tags(self, repository: str, keyring: Keyring) -> Sequence[str]:
        """All tags of `host/path`, sorted."""

    def manifest(self, reference: str, keyring: Keyring) -> RemoteManifest:
        """What a tag or digest means there."""

    def delete(self, reference: str, keyring: Keyring) -> str:
        """Delete a manifest by digest, or the one a tag means, with all its tags; its digest."""

    def copy(self, source: str, target: str, keyring: Keyring, report: Report, cancel: CancelToken) -> Pushed:
        """Copy an image or index, all platforms of it, from one registry to another, through no local copy."""


class Volumes(Protocol):
    """Everything that can be done to volumes."""

    def create(
        self,
        name: str = "",
        *,
        labels: dict[str, str] | None = None,
        driver: str = "local",
        options: dict[str, str] | None = None,
    ) -> Volume:
        """Make one, or return the one of that name; an empty name makes an anonymous one.

        Args: options: type, device and o: what is mounted in its place; see core.model.volume_options.
        """

    def update(self, name: str, *, add_labels: dict[str, str], remove_labels: Sequence[str] = ()) -> Volume:
        """Change its labels, and nothing else."""

    def list(self, *, sizes: bool = False) -> Sequence[Volume]:
        """Sorted by name."""

    def inspect(self, name: str) -> Volume:
        """One volume."""

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove it, unless a container uses it; `force` forgives a missing one."""

    def prune(self, which: PruneFilter = EVERYTHING, *, all: bool = False) -> tuple[Sequence[str], int]:
        """Remove unused anonymous (or all unused) volumes: their names and the bytes freed."""

    def list_dir(self, name: str, path: str) -> Sequence[FileEntry]:
        """A directory inside it."""

    def read_file(self, name: str, path: str, offset: int = 0, length: int = 65536) -> bytes:
        """Part of a file inside it."""

    def find_files(self, name: str, path: str, text: str) -> Sequence[FileEntry]:
        """What has a text in its name, at any depth below a directory; names are paths relative to it."""

    def write_file(self, name: str, path: str, data: bytes) -> None:
        """Replace the content of a regular file inside it; owner and mode stay."""

    def remove_path(self, name: str, path: str) -> None:
        """Delete a file inside it, or a directory with all that is in it."""

    def copy_out(self, name: str, path: str, cancel: CancelToken | None = None) -> Iterator[bytes]:
        """A tar of a file or tree inside it; its top entry is the path's last name."""

    def copy_in(self, name: str, path: str, tar: Iterable[bytes], *, archive: bool = False) -> None:
        """Unpack a tar into an existing directory of it; `archive` keeps uid and gid."""

    def export(self, name: str, report: Report, cancel: CancelToken) -> Iterator[bytes]:
        """All of it as one tar, owners and attributes included."""

    def import_tar(self, name: str, source: BinaryIO, report: Report, cancel: CancelToken) -> None:
        """Unpack a tar, plain, gzip or zstd, over what is there."""


class Networks(Protocol):
    """Everything that can be done to networks."""

    def create(self, spec: NetworkSpec) -> Network:
        """Make one; what the wish leaves open is chosen."""

    def list(self) -> Sequence[Network]:
        """All, the predefined ones too, sorted by name; with the members of each."""

    def inspect(self, key: str) -> Network:
        """One, by name, id or unambiguous id prefix."""

    def remove(self, key: str) -> None:
        """Remove it, unless a running container is on it."""

    def connect(self, key: str, container: str, wish: EndpointWish) -> None:
        """Put a container on it, now where it runs, and whenever it is started."""

    def disconnect(self, key: str, container: str, *, force: bool = False) -> None:
        """Take a container off it."""

    def prune(self, which: PruneFilter = EVERYTHING) -> Sequence[str]:
        """Remove all that no container is on; their names."""

    def trace(self, container: str, port: int, protocol: str = "tcp") -> Sequence[PathStep]:
        """Why can't I reach it: each step of the way to a container's port, tried, in order."""


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What `info` and `version` show of the engine and its host."""

    version: str
    data_root: str
    run_root: str
    kernel: str
    operating_system: str
    architecture: str
    hostname: str
    cpu_count: int
    memory_bytes: int
    cgroup_version: str
    """1, 2 or hybrid"""
    storage_driver: str
    containers_running: int
    containers_paused: int
    containers_stopped: int
    images: int
    security_options: tuple[str, ...]
    warnings: tuple[str, ...]
    identity: str = ""
    """The data root's uuid."""
    storage_status: tuple[tuple[str, str], ...] = ()
    """Facts about the storage driver, title and value."""
    limits: tuple[str, ...] = ()
    """What can be limited here: cpu, cpuset, memory, swap, pids, oom-kill-disable."""
    forwards_ipv4: bool = False
    firewall: str = ""
    """What keeps networks apart: nftables, iptables or none."""
    logging_driver: str = "local"
    log_drivers: tuple[str, ...] = ("local",)
    registry_mirrors: tuple[str, ...] = ()
    """URLs that are asked before Docker Hub, in order."""
    insecure_registries: tuple[str, ...] = ()
    """Hosts and networks that may be spoken to without TLS or a certificate."""


class System(Protocol):
    """The engine and its host."""

    def info(self) -> EngineInfo:
        """What this engine is and where it runs."""

    def host(self) -> HostSample:
        """The machine just now."""

    def events(
        self, *, since_ns: int | None = None, until_ns: int | None = None, cancel: CancelToken
    ) -> Iterator[Event]:
        """Kept events from since_ns on (None: only new ones), then live until cancelled or until_ns."""

    def disk_usage(self) -> DiskUsage:
        """What everything takes of the disk; walks containers and volumes."""

    def fsck(self, *, repair: bool = False, deep: bool = False, cancel: CancelToken | None = None) -> Sequence[Finding]:
        """Check all that is stored against itself and the kernel; with repair, mend what can be mended.

        Args: deep: read every byte, too.
        """

    def restore(self) -> Sequence[Restored]:
        """After a boot: start the containers that their policy wants to run, oldest first."""

    def stop_all(self) -> Sequence[Restored]:
        """The host shuts down: stop everything that runs, so that its policy still counts after the boot."""

    def restore_unit(self, program: str) -> tuple[str, str]:
        """A systemd unit that has restore() done at boot: its file's name and its text.

        Args: program: the command line of this program, up to its first word.
        """

    def reset(self) -> None:
        """Stop and remove everything this data root holds."""


class Backend(Protocol):
    """An engine: local here, remote one day."""

    @property
    def containers(self) -> Containers:
        """Containers."""

    @property
    def images(self) -> Images:
        """Images."""

    @property
    def registries(self) -> Registries:
        """Registries."""

    @property
    def volumes(self) -> Volumes:
        """Volumes."""

    @property
    def networks(self) -> Networks:
        """Networks."""

    @property
    def system(self) -> System:
        """The engine and its host."""

    def doctor(self) -> Sequence[HostFeature]:
        """What the host offers and lacks. Works where nothing else does: without root, without a data root."""

    def close(self) -> None:
        """Let go of descriptors; running containers are not touched."""
