"""Records of images and the references that name them.

    images/<id hex>.json     which blobs and layers an image is made of; its config is a blob as well
    refs/<quoted>.json       which image a reference means: writing it is the commit point of load, commit …

Blobs and layers are named here, never opened: how they are stored is the storage's business. The
config's bytes are read by the caller.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from core.errors import Conflict, CorruptDocument, EngineError, InvalidReference, NotFound, wrapped
from core.linux.files import sync_directory
from core.model.ids import is_id_prefix
from core.model.reference import ImageRef, parse_reference
from core.state.documents import read_struct, write_struct
from core.state.locks import Rank, locked
from core.state.paths import Roots, percent_encoded
from core.state.stamps import Remembered, Stamp, stamp_of

_NAMING = "naming-"


class LayerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One layer of an image: what to mount and what to send."""

    diff_id: str
    chain_id: str
    blob: str
    blob_bytes: int
    media_type: str
    size_bytes: int


class ImageRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """images/<id>.json."""

    id: str
    """sha256:… of the config."""
    config_bytes: int
    layers: tuple[LayerRecord, ...]
    """Lowest first."""
    parent_id: str = ""
    manifest: str = ""
    """Digest of the manifest it came with, kept as it came; empty where it came with none."""
    stored_ns: int = 0


class RefRecord(msgspec.Struct, frozen=True, kw_only=True):
    """refs/<quoted>.json."""

    reference: str
    image_id: str


class ImageStore:
    """All images of one data root. Safe for many threads and processes."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._directory = str(roots.images)  # paths made by pathlib cost more than what is done with them
        self._records: Remembered[ImageRecord] = Remembered()
        self._references: Remembered[RefRecord] = Remembered()

    def put(self, record: ImageRecord, references: Sequence[ImageRef]) -> None:
        """Keep an image and let the references mean it; the same image again is fine.

        A mark in ingest/, which the caller's lease protects, stands for an image that is to have a
        name and has none yet: roll_back() takes such an image away when its maker has died.
        """
        mark = self._roots.ingest / f"{_NAMING}{record.id.removeprefix('sha256:')}"
        is_marked = bool(references) and not self.has(record.id)
        try:
            if is_marked:
                mark.touch(mode=0o600)
            with self._locked_references():  # whoever removes the image meanwhile finds it named, or not at all
                write_struct(self._roots.image(record.id), "image", record)
                for reference in references:
                    self._write_reference(reference, record.id)
        except OSError as error:
            raise wrapped(error, "write", mark) from error
        except BaseException:
            if is_marked:
                self.forget_unnamed(record.id)
            raise
        finally:
            if is_marked:
                mark.unlink(missing_ok=True)

    def roll_back(self) -> None:
        """Take away images whose makers died before they had named them. No maker may be alive."""
        for entry in os.scandir(self._roots.ingest):
            if entry.name.startswith(_NAMING):
                self.forget_unnamed(f"sha256:{entry.name.removeprefix(_NAMING)}")
        for directory in (self._roots.images, self._roots.refs):
            for entry in os.scandir(directory):
                if entry.name.endswith(".tmp") and not _is_writer_alive(entry.name):
                    Path(entry.path).unlink(missing_ok=True)

    def get(self, image_id: str) -> ImageRecord:
        """One image by its full id. Raises: NotFound, CorruptDocument."""
        path = f"{self._directory}/{image_id.removeprefix('sha256:')}.json"
        try:
            stamp = stamp_of(os.stat(path, follow_symlinks=False))
            record = self._records.get(image_id, stamp)
            if record is None:
                record = read_struct(Path(path), "image", ImageRecord)
                self._records.keep(image_id, stamp, record)
            return record
        except (FileNotFoundError, NotADirectoryError):
            self._records.forget(image_id)
            raise no_such_image(image_id) from None
        except OSError as error:
            raise wrapped(error, "read", path) from error

    def has(self, image_id: str) -> bool:
        """Whether an image is there."""
        return self._roots.image(image_id).exists()

    def ids(self) -> list[str]:
        """Full ids of all images."""
        return sorted(f"sha256:{e.name[:-5]}" for e in os.scandir(self._roots.images) if len(e.name) == 69)

    def records(self) -> Iterator[ImageRecord]:
        """All images that can be read; one removed meanwhile is passed over."""
        for image_id in self.ids():
            try:
                yield self.get(image_id)
            except NotFound:
                continue

    def forget_unnamed(self, image_id: str) -> bool:
        """Delete an image's record unless a reference names it (again); whether it went."""
        with self._locked_references():
            if image_id in self.references().values():
                return False
            self._unlink(self._roots.image(image_id))
            return True

    # references

    def references(self) -> dict[str, str]:
        """Canonical reference to image id, all of them; a damaged one is passed over."""
        found: dict[str, str] = {}
        with os.scandir(self._roots.refs) as entries:
            for entry in entries:
                if entry.name.endswith(".json"):
                    try:
                        stamp = stamp_of(entry.stat(follow_symlinks=False))
                    except FileNotFoundError:
                        continue
                    if (record := self.read_reference(entry.name, stamp)) is not None:
                        found[record.reference] = record.image_id
        return found

    def read_reference(self, name: str, stamp: Stamp) -> RefRecord | None:
        """A reference by its file's name and stamp; None if it is gone, or damaged."""
        record = self._references.get(name, stamp)
        if record is not None:
            return record
        try:
            record = read_struct(self._roots.refs / name, "ref", RefRecord)
        except (FileNotFoundError, EngineError):
            self._references.forget(name)
            return None
        if percent_encoded(record.reference) + ".json" != name:
            return None
        self._references.keep(name, stamp, record)
        return record

    def set_reference(self, reference: ImageRef, image_id: str) -> None:
        """Let a reference mean an image; whatever had it before loses it.

        Raises: NotFound: the image went away meanwhile.
        """
        with self._locked_references():
            if not self.has(image_id):
                raise no_such_image(image_id)
            self._write_reference(reference, image_id)

    def _write_reference(self, reference: ImageRef, image_id: str) -> None:
        record = RefRecord(reference=reference.canonical, image_id=image_id)
        write_struct(self._roots.ref(reference.canonical), "ref", record)

    def drop_reference(self, canonical: str, image_id: str) -> bool:
        """Forget a reference if it still means that image; whether it did."""
        path = self._roots.ref(canonical)
        with self._locked_references():
            if self._read_reference(path) != image_id:
                return False
            self._unlink(path)
            return True

    def _locked_references(self) -> AbstractContextManager[int]:
        return locked(self._roots.refs / ".lock", Rank.REFERENCE, what="the references", purpose="names an image")

    def _read_reference(self, path: Path) -> str | None:
        try:
            return read_struct(path, "ref", RefRecord).image_id
        except (FileNotFoundError, CorruptDocument):
            return None

    def _unlink(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
            sync_directory(path.parent)
        except OSError as error:
            raise wrapped(error, "delete", path) from error

    # resolving

    def resolve(self, key: str) -> str:
        """The id behind a reference, a full id (with or without sha256:) or an unambiguous prefix.

        Raises: NotFound: with docker's words. Conflict: the prefix is ambiguous.
        """
        bare = key.removeprefix("sha256:")
        if len(bare) == 64 and is_id_prefix(bare):
            if self.has(f"sha256:{bare}"):
                return f"sha256:{bare}"
            if key != bare:
                raise no_such_image(key)
        if key == bare and (found := self._resolve_reference(key)) is not None:
            return found
        if is_id_prefix(bare):
            matches = [image_id for image_id in self.ids() if image_id.startswith(f"sha256:{bare}")]
            if len(matches) > 1:
                raise Conflict(
                    f"multiple IDs found with provided prefix: {key}", hint="write more digits of the one you mean"
                )
            if matches:
                return matches[0]
        raise no_such_image(key if key != bare else _with_tag(key))

    def _resolve_reference(self, key: str) -> str | None:
        try:
            reference = parse_reference(key)
        except InvalidReference:
            return None
        image_id = self._read_reference(self._roots.ref(reference.outright.canonical))
        return image_id if image_id is not None and self.has(image_id) else None


def _is_writer_alive(name: str) -> bool:
    """Whether the process that writes `<document>.<pid>-<random>.tmp` (core.linux.files) is still there."""
    return Path("/proc", name.rsplit(".", 2)[-2].partition("-")[0]).exists()


def _with_tag(key: str) -> str:
    """A name as docker repeats it when there is none: with the tag that it stands for."""
    try:
        return parse_reference(key).familiar
    except InvalidReference:
        return key


def no_such_image(key: str) -> NotFound:
    """Docker's words for it."""
    return NotFound(f"No such image: {key}", kind="image", key=key, hint="list the images that are here with `images`")
