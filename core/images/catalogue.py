"""What a list of images is made of, remembered: a thousand images are a thousand records, references and configs.

Every list looks at each file's time, inode and size, and reads what has changed. What an engine has
read lies in the run root as well, for the next one to begin with:

    <run root>/images.index      a cache of this boot; the records and references are the truth
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from core.errors import EngineError
from core.images.store import ImageRecord, ImageStore
from core.linux.files import write_atomic
from core.model.health import HealthCheck
from core.model.image import Image, ImageConfig
from core.model.reference import parse_reference
from core.state.paths import Roots
from core.state.stamps import Stamp, is_steady, stamp_of

_WORTH_WRITING = 32
"""That many things read anew, and the index is written again."""
_LARGEST_BYTES = 64 * 1024 * 1024


class Names(NamedTuple):
    """Familiar references by image id, sorted: tags, and what registries call an image by digest."""

    tags: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    digests: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class _Named(msgspec.Struct, array_like=True):
    """A reference as it was read: what people call it, and the image it means."""

    stamp: Stamp
    familiar: str
    is_tag: bool
    image_id: str


class _Known(msgspec.Struct, array_like=True):
    """An image as it was read, without its names and users."""

    stamp: Stamp
    image: Image


class _Index(msgspec.Struct, array_like=True):
    """The file in the run root. `layout` tells whether it holds what this program would write."""

    layout: str
    images: dict[str, _Known]
    references: dict[str, _Named]


_LAYOUT = ",".join(
    field for kind in (Image, ImageConfig, HealthCheck, _Known, _Named) for field in kind.__struct_fields__
)


class Catalogue:
    """All images of one data root, for lists.

    Args: make: an image of its record, without names and users. Raises: EngineError: its config is
        damaged or gone; `inspect` says so, a list shows the others.
    """

    def __init__(self, roots: Roots, store: ImageStore, make: Callable[[ImageRecord], Image]) -> None:
        self._roots = roots
        self._store = store
        self._make = make
        self._path = roots.run / "images.index"
        self._index: _Index | None = None

    def read(self) -> tuple[list[Image], Names]:
        """Every image that can be read, and the names of all."""
        known = self._known()
        images, new_images = self._look_at_images(known.images)
        names, new_names = self._look_at_references(known.references)
        if new_images + new_names >= _WORTH_WRITING:
            self._write_index(known)
        return images, names

    def names(self) -> Names:
        """The names of all images."""
        return self._look_at_references(self._known().references)[0]

    def _known(self) -> _Index:
        """What was read before, by us or by another engine."""
        if self._index is None:
            self._index = _read_index(self._path)
        return self._index

    def _look_at_images(self, known: dict[str, _Known]) -> tuple[list[Image], int]:
        """The images, and how many of them are new to us."""
        listed, there, anew = [], set(), 0
        for name, stamp in _stamps(self._roots.images, 69):
            there.add(name)
            found = known.get(name)
            if found is not None and found.stamp == stamp:
                listed.append(found.image)
                continue
            try:
                image = self._make(self._store.get(f"sha256:{name[:-5]}"))
            except EngineError:
                continue
            listed.append(image)
            if is_steady(stamp):
                known[name] = _Known(stamp, image)
                anew += 1
        for name in known.keys() - there:
            known.pop(name, None)
        return listed, anew

    def _look_at_references(self, known: dict[str, _Named]) -> tuple[Names, int]:
        """The names, and how many of them are new to us."""
        there, anew = set(), 0
        tags: dict[str, list[str]] = {}
        digests: dict[str, list[str]] = {}
        for name, stamp in _stamps(self._roots.refs):
            there.add(name)
            found = known.get(name)
            if found is None or found.stamp != stamp:
                record = self._store.read_reference(name, stamp)
                if record is None:
                    continue
                reference = parse_reference(record.reference)
                found = _Named(stamp, reference.familiar, bool(reference.tag), record.image_id)
                if is_steady(stamp):
                    known[name] = found
                    anew += 1
            (tags if found.is_tag else digests).setdefault(found.image_id, []).append(found.familiar)
        for name in known.keys() - there:
            known.pop(name, None)
        return Names(_sorted(tags), _sorted(digests)), anew

    def _write_index(self, known: _Index) -> None:
        index = _Index(_LAYOUT, dict(known.images), dict(known.references))
        try:
            write_atomic(self._path, msgspec.msgpack.encode(index), durable=False)
        except OSError:
            pass  # the next list reads the truth


def _sorted(names: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {image_id: tuple(sorted(familiar)) for image_id, familiar in names.items()}


def _stamps(directory: Path, length: int = 0) -> list[tuple[str, Stamp]]:
    """Names of the documents in a directory and when each was written."""
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(".json") and (not length or len(entry.name) == length):
                try:
                    there = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                found.append((entry.name, stamp_of(there)))
    return found


def _read_index(path: Path) -> _Index:
    """The cache as the last engine left it; an empty one where there is none, or another program's."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with open(descriptor, "rb") as file:
            index = msgspec.msgpack.decode(file.read(_LARGEST_BYTES), type=_Index)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return _Index(_LAYOUT, {}, {})
    return index if index.layout == _LAYOUT else _Index(_LAYOUT, {}, {})
