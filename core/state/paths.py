"""The map of the disk; this docstring is the format's documentation.

data root (durable)
  format.json                         schema, who made it, uuid
  store.lock                          SH by everybody; EX for gc sweeps and reset
  blobs/sha256/ab/<hex>               0444, immutable, fsynced
  ingest/<uuid>/                      half-made blobs and layers, under a lease
  ingest/download-<hex>               what has come of a blob that is pulled; flock held by who pulls it. It outlives
                                      them for a day: the next pull goes on there. Whole, a second name of the blob
  layers/<chain hex>/{layer.json, INCOMPLETE?, init/, diff/ | tree.erofs + layer.tar}
  origins/<diff hex>.json             in which registries a layer was met, packed as which blob; a hint, never needed
  images/<id hex>.json                refs/<percent-encoded reference>.json
  containers/<id>/{lock, config.json, settings.json, state.json, upper/, work/,
                   hostname, hosts, resolv.conf, logs/, health.json, stats.ring, <id>-json.log}
  names/<name>  ->  ../containers/<id>     symlink: a name is taken atomically
  volumes/<name>/{volume.json, lock, _data/}
  networks/<id>/{network.json, lock}
  networks/<id>/addresses/<ip>  ->  container id     symlink: an address is taken atomically
  networks/<id>/endpoints/<container id>.json        what its names and addresses are; what DNS answers are made from
  networks/names/<name>  ->  ../<id>
  leases/<uuid>                       flock held by the operation; unlocked = it died
  journal/<n>.jsonl                   events, one O_APPEND write each
  trash/<uuid>/                       renamed here first, deleted then
  damaged/<uuid>/                     set aside, never deleted by us
  log/wharf.log
run root (this boot)
  owner.json                          the data root's uuid and path
  boot_id
  spawner.lock, spawner.sock
  images.index                        what the last list of images has read: a cache (core/images/catalogue.py)
  root/                               empty; each container's root is mounted over it, in its own mount namespace
  c/<id16>/{alive.lock, monitor.sock}     16 digits keep sun_path below 108
  c/<id16>/handover.json                  for the monitor that follows a killed one
  c/<id16>/ended-<pid>                    wait status of a process whose monitor was killed
  volumes/<name>/{lock, <id16>.json}      who holds a volume that lies in memory
  storage.json                            whether this host mounts tars, as it was found out first
"""

from __future__ import annotations

import os
from pathlib import Path

from core import about
from core.errors import Conflict, CorruptDocument, Denied, EngineError, Unsupported, wrapped
from core.state.documents import read_document, write_document

SCHEMA = 1

DIRECTORIES = (
    "blobs/sha256",
    "ingest",
    "layers",
    "images",
    "refs",
    "containers",
    "names",
    "volumes",
    "networks/names",
    "leases",
    "journal",
    "trash",
    "damaged",
    "log",
    "origins",
)
_SINCE_LATER = ("networks/names", "origins")
"""What roots of earlier versions lack."""


class Roots:
    """Where one engine's things lie. Open it with open_roots()."""

    def __init__(self, data: Path, run: Path, identity: str) -> None:
        self.data = data
        self.run = run
        self.identity = identity
        self.storage_driver = ""
        """How new layers are kept, as the person wants it: overlay2, erofs, or empty for what is usual here."""
        self.store_lock = data / "store.lock"
        self.blobs = data / "blobs" / "sha256"
        self.ingest = data / "ingest"
        self.layers = data / "layers"
        self.images = data / "images"
        self.refs = data / "refs"
        self.origins = data / "origins"
        self.containers = data / "containers"
        self.names = data / "names"
        self.volumes = data / "volumes"
        self.networks = data / "networks"
        self.leases = data / "leases"
        self.journal = data / "journal"
        self.trash = data / "trash"
        self.damaged = data / "damaged"
        self.log = data / "log" / f"{about.NAME}.log"
        self.spawner_lock = run / "spawner.lock"
        self.spawner_socket = run / "spawner.sock"

    @property
    def tag(self) -> str:
        """The name that this engine's cgroups (and later bridges and tables) carry."""
        return f"{about.NAME}-{self.identity[:8]}"

    def blob(self, digest: str) -> Path:
        """Where the content of `sha256:<hex>` lies."""
        hex_digits = digest.removeprefix("sha256:")
        return self.blobs / hex_digits[:2] / hex_digits

    def layer(self, chain_id: str) -> Path:
        """The directory of an unpacked layer."""
        return self.layers / chain_id.removeprefix("sha256:")

    def image(self, image_id: str) -> Path:
        """The record of an image."""
        return self.images / f"{image_id.removeprefix('sha256:')}.json"

    def ref(self, canonical: str) -> Path:
        """The record of a reference; percent-encoded, so no reference can name another place."""
        return self.refs / f"{percent_encoded(canonical)}.json"

    def container(self, container_id: str) -> Path:
        """The directory of a container."""
        return self.containers / container_id

    def volume(self, name: str) -> Path:
        """The directory of a volume; the caller has checked the name's grammar."""
        return self.volumes / name

    def network(self, network_id: str) -> Path:
        """The directory of a network."""
        return self.networks / network_id

    def runtime(self, container_id: str) -> Path:
        """This boot's directory of a container."""
        return self.run / "c" / container_id[:16]

    def monitor_socket(self, container_id: str) -> Path:
        """Where the monitor of a running container listens."""
        return self.runtime(container_id) / "monitor.sock"

    def alive_lock(self, container_id: str) -> Path:
        """Locked by the monitor as long as it lives."""
        return self.runtime(container_id) / "alive.lock"


def percent_encoded(text: str) -> str:
    """A text as one file name: all but letters, digits and `_.-~` as %XX of its UTF-8 bytes (RFC 3986)."""

    def encoded(byte: int) -> str:
        plain = (byte < 128 and chr(byte).isalnum()) or byte in b"_.-~"
        return chr(byte) if plain else f"%{byte:02X}"

    return "".join(map(encoded, text.encode("utf-8", "surrogateescape")))


def open_roots(
    data: Path | None = None,
    run: Path | None = None,
    *,
    configured_data: Path | None = None,
    configured_run: Path | None = None,
) -> Roots:
    """Find (and the first time make) the data and run roots.

    Args: data, run: None takes WHARF_ROOT, WHARF_RUN_ROOT, what is configured, or the defaults.
        Without a named run root it follows the data root: /run/wharf for the default one, else
        /run/wharf-<identity>. configured_run counts only with the configured data root.
    Raises: Denied: no permission. Unsupported: made by a newer version. Conflict: the run root
        belongs to another data root.
    """
    named = data or os.environ.get(about.ROOT_VARIABLE)
    data = Path(named or configured_data or about.DATA_ROOT).absolute()
    named_run = run or os.environ.get(about.RUN_ROOT_VARIABLE) or (None if named else configured_run)
    try:
        identity = _read_identity(data) or _make_data_root(data)
        for name in _SINCE_LATER:
            (data / name).mkdir(mode=0o711, parents=True, exist_ok=True)
        if named_run:
            run = Path(named_run).absolute()
        elif data == Path(about.DATA_ROOT):
            run = Path(about.RUN_ROOT)
        else:
            run = Path(f"{about.RUN_ROOT}-{identity[:8]}")
        _claim_run_root(run, data, identity)
    except PermissionError as error:
        raise Denied(
            f"{error.filename or data}: permission denied",
            hint=f"{about.NAME} makes namespaces and mounts, which needs root: type it again with sudo in front",
        ) from error
    except OSError as error:
        raise wrapped(error, "open", error.filename or data) from error
    return Roots(data, run, identity)


def _read_identity(data: Path) -> str | None:
    path = data / "format.json"
    try:
        document = read_document(path, kind="root")
    except FileNotFoundError:
        return None
    schema = document.get("schema")
    if not isinstance(schema, int) or schema > SCHEMA:
        raise Unsupported(
            f"{data} was made by a newer version (schema {schema}, this one knows {SCHEMA})",
            hint="use that version, or another root with --root",
        )
    identity = document.get("uuid")
    if not isinstance(identity, str) or len(identity) < 8:
        raise CorruptDocument(f"{path}: it names no uuid", hint="restore format.json from a backup")
    return identity


def _make_data_root(data: Path) -> str:
    """Make the skeleton; when two engines do so at once, the first format.json stays."""
    if data.is_dir() and any(_is_foreign(entry.name) for entry in data.iterdir()):
        raise Conflict(
            f"{data} is not empty and not a {about.NAME} root",
            hint="name an empty or a new directory with --root",
        )
    data.mkdir(mode=0o711, parents=True, exist_ok=True)
    for name in DIRECTORIES:
        # 0711: a container's user must be able to reach its own upper directory and volumes
        (data / name).mkdir(mode=0o711, parents=True, exist_ok=True)
    candidate = data / f"format.json.{os.urandom(16).hex()}"
    write_document(candidate, "root", {"schema": SCHEMA, "made_by": about.VERSION, "uuid": os.urandom(16).hex()})
    try:
        os.link(candidate, data / "format.json")
    except FileExistsError:
        pass
    finally:
        candidate.unlink()
    identity = _read_identity(data)
    if identity is None:
        raise EngineError(f"{data / 'format.json'} vanished while it was made", hint="try again")
    return identity


TOP_LEVEL = {name.partition("/")[0] for name in DIRECTORIES} | {"format.json", "store.lock"}


def _is_foreign(name: str) -> bool:
    """Whether a name can't be ours; another engine may be making the same root, its format.json not yet named so."""
    return name not in TOP_LEVEL and not name.startswith("format.json.")


def _claim_run_root(run: Path, data: Path, identity: str) -> None:
    owner = run / "owner.json"
    try:
        document = read_document(owner, kind="run")
    except FileNotFoundError:
        (run / "c").mkdir(mode=0o711, parents=True, exist_ok=True)
        os.chmod(run, 0o711)
        write_document(owner, "run", {"schema": SCHEMA, "uuid": identity, "data_root": str(data)}, durable=False)
        return
    if document.get("uuid") != identity:
        theirs = document.get("data_root")
        if isinstance(theirs, str) and not Path(theirs, "format.json").exists():
            # the data root it belonged to is gone: nothing can be running from it that anybody could reach
            write_document(owner, "run", {"schema": SCHEMA, "uuid": identity, "data_root": str(data)}, durable=False)
            return
        raise Conflict(f"run root {run} belongs to data root {theirs}", hint="name another one with --run-root")
    (run / "c").mkdir(mode=0o711, exist_ok=True)
