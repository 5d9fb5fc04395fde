"""The documents of images, OCI's and Docker's: config, manifest, index, and docker-archive's manifest.json.

Bytes from outside are read strictly (types, duplicate keys, size, depth) and kept as they came;
what is made here is written once, in a fixed order, so that equal images get equal ids.
Facts: image-spec config.md, manifest.md, image-index.md, image-layout.md; moby's tarexport.
"""

from __future__ import annotations

import datetime
import json
import re
from typing import Any, TypeVar

import msgspec

from core.errors import Integrity
from core.model.health import HealthCheck
from core.model.image import ImageConfig
from core.state.documents import decoder

LARGEST_DOCUMENT_BYTES = 4 * 1024 * 1024

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

T = TypeVar("T")


def is_digest(text: str) -> bool:
    """Whether it is `sha256:` and 64 hex digits, the only algorithm that is stored."""
    return _DIGEST.fullmatch(text) is not None


class HealthWire(msgspec.Struct):
    """`Healthcheck` of an image's config; lengths of time in nanoseconds."""

    Test: list[str] | None = None
    Interval: int = 0
    Timeout: int = 0
    StartPeriod: int = 0
    StartInterval: int = 0
    Retries: int = 0


class RunConfig(msgspec.Struct):
    """`config` of an image's config. Docker writes null where it has nothing."""

    User: str | None = None
    ExposedPorts: dict[str, dict[str, Any]] | None = None
    Env: list[str] | None = None
    Entrypoint: list[str] | None = None
    Cmd: list[str] | None = None
    Volumes: dict[str, dict[str, Any] | None] | None = None
    WorkingDir: str | None = None
    Labels: dict[str, str] | None = None
    StopSignal: str | None = None
    Healthcheck: HealthWire | None = None
    Shell: list[str] | None = None


class RootFs(msgspec.Struct):
    """`rootfs` of an image's config."""

    type: str = "layers"
    diff_ids: list[str] | None = None


class HistoryRow(msgspec.Struct):
    """One row of `history`, oldest first."""

    created: str | None = None
    created_by: str | None = None
    author: str | None = None
    comment: str | None = None
    empty_layer: bool | None = None


class ConfigDocument(msgspec.Struct):
    """An image's config, as much of it as is used."""

    architecture: str = ""
    os: str = ""
    created: str | None = None
    author: str | None = None
    comment: str | None = None
    config: RunConfig | None = None
    rootfs: RootFs | None = None
    history: list[HistoryRow] | None = None
    parent: str | None = None


class Platform(msgspec.Struct):
    """Whom a manifest of an index is for."""

    architecture: str = ""
    os: str = ""
    variant: str | None = None


class Descriptor(msgspec.Struct):
    """A reference to content."""

    digest: str
    size: int = 0
    mediaType: str = ""
    annotations: dict[str, str] | None = None
    platform: Platform | None = None


class Manifest(msgspec.Struct):
    """An OCI or Docker v2 schema 2 manifest."""

    config: Descriptor
    layers: list[Descriptor]
    schemaVersion: int = 2
    mediaType: str = ""


class Index(msgspec.Struct):
    """An OCI index or a Docker manifest list."""

    manifests: list[Descriptor]
    schemaVersion: int = 2
    mediaType: str = ""


class ArchiveEntry(msgspec.Struct):
    """One image of docker-archive's manifest.json."""

    Config: str
    Layers: list[str] | None = None
    RepoTags: list[str] | None = None


def parse(data: bytes, kind: type[T], what: str) -> T:
    """Read a document from outside.

    Raises: Integrity: naming the document and the place in it.
    """
    if len(data) > LARGEST_DOCUMENT_BYTES:
        raise Integrity(f"{what} has {len(data)} bytes, at most {LARGEST_DOCUMENT_BYTES} are accepted")
    try:
        json.loads(data, object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant)
        return decoder(kind).decode(data)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise Integrity(f"{what} is not valid: {str(error).lower()}") from None


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise ValueError(f"the key {key!r} comes twice")
        seen.add(key)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def parse_manifest(data: bytes, what: str) -> Manifest | Index:
    """Read what may be a manifest or an index; both at once is refused (CVE-2021-41190)."""
    keys = parse(data, dict[str, msgspec.Raw], what)
    if "manifests" in keys and ("layers" in keys or "config" in keys):
        raise Integrity(f"{what} claims to be a manifest and an index at once")
    found: Manifest | Index = parse(data, Index, what) if "manifests" in keys else parse(data, Manifest, what)
    digests = (
        [d.digest for d in found.manifests]
        if isinstance(found, Index)
        else [found.config.digest, *(layer.digest for layer in found.layers)]
    )
    for digest in digests:
        if not is_digest(digest):
            raise Integrity(f"{what} names {digest[:80]!r}, which is no sha256 digest")
    return found


def parse_config(data: bytes, what: str) -> ConfigDocument:
    """Read an image's config. Raises: Integrity: also when its layer ids are none."""
    document = parse(data, ConfigDocument, what)
    for diff_id in (document.rootfs and document.rootfs.diff_ids) or ():
        if not is_digest(diff_id):
            raise Integrity(f"{what} names layer {diff_id[:80]!r}, which is no sha256 digest")
    return document


def run_config(document: ConfigDocument) -> ImageConfig:
    """The run-time half, nulls made empty."""
    config = document.config or RunConfig()
    return ImageConfig(
        user=config.User or "",
        env=tuple(config.Env or ()),
        entrypoint=tuple(config.Entrypoint or ()),
        cmd=tuple(config.Cmd or ()),
        volumes=tuple(sorted(config.Volumes or ())),
        working_dir=config.WorkingDir or "",
        labels=dict(config.Labels or {}),
        stop_signal=config.StopSignal or "",
        exposed_ports=tuple(sorted(config.ExposedPorts or ())),
        health=_health(config.Healthcheck),
        shell=tuple(config.Shell or ()),
    )


def _health(check: HealthWire | None) -> HealthCheck | None:
    if check is None:
        return None
    return HealthCheck(
        test=tuple(check.Test or ()),
        interval_ns=check.Interval,
        timeout_ns=check.Timeout,
        start_period_ns=check.StartPeriod,
        start_interval_ns=check.StartInterval,
        retries=check.Retries,
    )


def health_fields(check: HealthCheck) -> dict[str, Any]:
    """A check as an image's config has it: what is not set is left out."""
    fields = {
        "Test": list(check.test),
        "Interval": check.interval_ns,
        "Timeout": check.timeout_ns,
        "StartPeriod": check.start_period_ns,
        "StartInterval": check.start_interval_ns,
        "Retries": check.retries,
    }
    return {name: value for name, value in fields.items() if value}


_STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)")


def parse_stamp(text: str | None) -> int:
    """RFC 3339 to nanoseconds; 0 for nothing, or for nonsense (a date is no reason to refuse an image)."""
    match = _STAMP.fullmatch(text or "")
    if match is None:
        return 0
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    zone = match[8]
    offset_s = 0
    if zone not in "Zz":
        offset_s = (1 if zone[0] == "+" else -1) * (int(zone[1:3]) * 3600 + int(zone[4:6]) * 60)
    try:
        moment = datetime.datetime(year, month, day, hour, minute, min(second, 59), tzinfo=datetime.UTC)
    except ValueError:
        return 0
    seconds = int((moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)).total_seconds()) - offset_s
    return max(0, seconds * 1_000_000_000 + int((match[7] or "")[:9].ljust(9, "0")))


def format_stamp(at_ns: int) -> str:
    """Nanoseconds to RFC 3339 as Go writes it: no trailing zeros."""
    seconds, nanoseconds = divmod(at_ns, 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    fraction = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def manifest_type(data: bytes) -> str:
    """The media type a manifest gives itself, or OCI's where it gives none (OCI allows that)."""
    return parse(data, Manifest, "a manifest").mediaType or OCI_MANIFEST


def encode_list(rows: list[dict[str, Any]]) -> bytes:
    """manifest.json of a docker-archive."""
    return b"[" + b",".join(encode(row) for row in rows) + b"]"


def encode(document: dict[str, Any]) -> bytes:
    """A document of ours: compact, in the order given, text as UTF-8."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogateescape")


def architecture() -> str:
    """This machine, as images call it."""
    import os

    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}.get(machine, machine)
