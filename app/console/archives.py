"""Image archives near by: where people keep them, and what is in one, without loading it.

Only looked at: headers and small documents are read, never more than is worth a glance. What an archive
says of itself is a claim, and only ever shown.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from app.console.packed_file import packing_of
from core.errors import EngineError, wrapped

ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst", ".tar.bz2", ".tar.xz", ".txz", ".oci")
_MOST_FOUND = 60
_MOST_ENTRIES = 2_000
_MOST_MEMBERS = 4_000
_MOST_DOCUMENT_BYTES = 4 << 20
_MOST_PACKED_BYTES = 48 << 20
"""A compressed archive has to be unpacked to be looked into: only up to this size."""


class Archive(NamedTuple):
    """A file or directory that may hold images."""

    path: Path
    size_bytes: int
    is_layout: bool
    """A directory that is an OCI layout."""


def find_archives(places: Iterable[Path] | None = None) -> list[Archive]:
    """Archives and OCI layouts in ., ~, /mnt, /media (and one level below those two), newest first."""
    found: dict[Path, tuple[float, Archive]] = {}
    for directory in dict.fromkeys(places if places is not None else _places()):
        try:
            with os.scandir(directory) as entries:
                for entry, _count in zip(entries, range(_MOST_ENTRIES), strict=False):
                    if (one := _archive(entry)) is not None:
                        found[one.path] = (entry.stat().st_mtime, one)
        except OSError:
            continue  # a place that can't be read holds nothing to offer
    ordered = sorted(found.values(), key=lambda pair: -pair[0])
    return [one for _age, one in ordered[:_MOST_FOUND]]


def _places() -> list[Path]:
    mounted = [Path("/mnt"), Path("/media")]
    below = [Path(entry.path) for place in mounted if place.is_dir() for entry in os.scandir(place) if entry.is_dir()]
    return [Path.cwd(), Path.home(), *mounted, *below, Path("/tmp")]


def _archive(entry: os.DirEntry[str]) -> Archive | None:
    if entry.name.lower().endswith(ENDINGS) and entry.is_file():
        return Archive(Path(entry.path), entry.stat().st_size, False)
    if not entry.name.startswith(".") and entry.is_dir():
        layout = os.path.join(entry.path, "oci-layout")
        if os.path.isfile(layout) and os.path.isfile(os.path.join(entry.path, "index.json")):
            return Archive(Path(entry.path), _layout_bytes(entry.path), True)
    return None


def _layout_bytes(directory: str) -> int:
    try:
        with os.scandir(os.path.join(directory, "blobs", "sha256")) as blobs:
            return sum(blob.stat().st_size for blob, _count in zip(blobs, range(_MOST_ENTRIES), strict=False))
    except OSError:
        return 0


def names_in(path: Path) -> list[str]:
    """References that an archive says its images have; an image without one is `<no name>`.

    Raises: EngineError: it can't be read, is not an archive of images, or is too large to be looked into.
    """
    try:
        if path.is_dir():
            return _index_names(_document((path / "index.json").read_bytes()[:_MOST_DOCUMENT_BYTES]))
        if packing_of(path.name) == "zstd" or (packing_of(path.name) and path.stat().st_size > _MOST_PACKED_BYTES):
            raise EngineError(f"{path.name} is compressed: what is in it shows when it is loaded")
        return _tar_names(path)
    except OSError as error:
        raise wrapped(error, "read", path) from error
    except (tarfile.TarError, EOFError, ValueError, RecursionError) as error:
        raise EngineError(f"{path.name} is not an archive that can be looked into") from error


def _tar_names(path: Path) -> list[str]:
    index: list[str] = []
    with tarfile.open(path) as archive:
        for _count in range(_MOST_MEMBERS):
            member = archive.next()
            if member is None:
                break
            name = member.name.removeprefix("./")
            if name in ("manifest.json", "index.json") and member.isfile() and member.size <= _MOST_DOCUMENT_BYTES:
                file = archive.extractfile(member)
                document = _document(file.read() if file else b"")
                if name == "manifest.json":
                    return _manifest_names(document)
                index = _index_names(document)
    if not index:
        raise ValueError("no list of images")
    return index


def _document(data: bytes) -> Any:
    return json.loads(data)


def _manifest_names(document: Any) -> list[str]:
    names: list[str] = []
    for image in _list_of_objects(document):
        tags = image.get("RepoTags") or ["<no name>"]
        if not isinstance(tags, list):
            raise ValueError("RepoTags is no list")
        names += [str(tag) for tag in tags]
    return names


def _index_names(document: Any) -> list[str]:
    if not isinstance(document, dict):
        raise ValueError("an index is an object")
    names: list[str] = []
    for one in _list_of_objects(document.get("manifests")):
        notes = one.get("annotations")
        notes = notes if isinstance(notes, dict) else {}
        name = notes.get("io.containerd.image.name") or notes.get("org.opencontainers.image.ref.name")
        names.append(str(name or "<no name>"))
    return names


def _list_of_objects(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ValueError("not a list of objects")
    return value
