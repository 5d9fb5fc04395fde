"""References, images, layers and blobs: whether each thing that is named is there, and whole.

What can be made again is: a layer from its archive, an image's record from its config and its layers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec

from core.engine.fsck.mounted_layers import digest_of_file, index_difference, put_blob_back
from core.engine.fsck.survey import Survey
from core.engine.fsck.trouble import Trouble, damage, leftover, loss
from core.engine.image_making import layer_record
from core.errors import EngineError, Integrity, NotFound
from core.images import wire
from core.images.store import ImageRecord, LayerRecord
from core.linux.erofs import TAR, TREE
from core.model.ids import is_full_id, short_id
from core.model.progress import CancelToken
from core.model.reference import parse_reference
from core.state.damaged import set_aside
from core.state.documents import read_struct, write_struct
from core.state.leases import Lease
from core.state.locks import Rank, locked
from core.storage.blobs import all_blobs, read_blob
from core.storage.drivers import can_mount
from core.storage.gc import INGEST, Reachable, sweep
from core.storage.layers import (
    INCOMPLETE,
    MOUNTED,
    UNPACKED,
    Index,
    Layer,
    chain_ids,
    index_of,
    layer_or_none,
    read_layer,
    what_is_missing,
)
from core.storage.unpacking import unpack_blob

_NO_LAYERS = "0" * 64
_LOAD = "load the image again, or remove it"


class _Need(msgspec.Struct, frozen=True):
    """A layer that something stands on, as far as it is described by what does."""

    chain: str
    parent: str
    record: LayerRecord | None
    """None: only containers know of it."""


class ContentCheck:
    """One look at what images are made of.

    Args: deep: hash every blob and measure every layer, which reads the whole store.
    """

    def __init__(self, survey: Survey, *, deep: bool, cancel: CancelToken) -> None:
        self._survey = survey
        self._roots = survey.roots
        self._deep = deep
        self._cancel = cancel
        self._bad_blobs: dict[str, str] = {}
        """Digest of each missing or damaged one, and what is the matter."""

    def troubles(self) -> Iterator[Trouble]:
        """Everything found, what others depend on first."""
        yield from self._blobs()
        yield from self._broken_images()
        for image_id, record in self._survey.images.items():
            yield from self._image(image_id, record)
        yield from self._references()
        for need in self._needs().values():
            self._cancel.check()
            yield from self._layer(need)
        yield from self._strange_layers()
        if self._survey.is_whole:
            yield from self._unneeded()

    # ── blobs ──────────────────────────────────────────────────────────────────────────────────

    def _blobs(self) -> Iterator[Trouble]:
        sizes = {layer.blob: layer.blob_bytes for record in self._survey.images.values() for layer in record.layers} | {
            record.id: record.config_bytes for record in self._survey.images.values()
        }
        for digest, path in all_blobs(self._roots):
            self._cancel.check()
            if not wire.is_digest(digest) or path.parent.name != path.name[:2]:
                yield self._aside("blob", path.name[:100], path, "this is no place for content")
                continue
            why = self._what_is_wrong_with(digest, path, sizes.get(digest))
            if why:
                self._bad_blobs[digest] = why
                yield self._aside("blob", short_id(digest), path, why)

    def _what_is_wrong_with(self, digest: str, path: Path, size: int | None) -> str:
        there = os.stat(path, follow_symlinks=False)
        if not os.path.isfile(path) or path.is_symlink():
            return "it is not a plain file"
        if size is not None and there.st_size != size:
            return f"it has {there.st_size} bytes, not {size}"
        if self._deep:
            found = digest_of_file(path, self._cancel)
            if found != digest:
                return f"it hashes to {found}"
        return ""

    def _is_content_there(self, digest: str) -> bool:
        return digest not in self._bad_blobs and self._roots.blob(digest).exists()

    # ── images ─────────────────────────────────────────────────────────────────────────────────

    def _broken_images(self) -> Iterator[Trouble]:
        for image_id, broken in self._survey.broken_images.items():
            if broken.is_newer:
                yield loss("image", short_id(image_id), broken.why, "use the newer version")
                continue
            record = self._rebuilt(image_id)
            if record is None:
                yield self._aside("image", short_id(image_id), broken.path, broken.why)
            else:
                yield self._rewrite(image_id, broken.why, record)

    def _rewrite(self, image_id: str, why: str, record: ImageRecord) -> Trouble:
        path = self._roots.image(image_id)

        def mend() -> None:
            set_aside(self._roots, path, why)
            write_struct(path, "image", record)

        return damage(
            "image", short_id(image_id), why, "write its record anew, of its config and its layers as they are", mend
        )

    def _rebuilt(self, image_id: str) -> ImageRecord | None:
        """The record of an image as its config and its layers tell it; None if they don't."""
        try:
            raw = read_blob(self._roots, image_id, most=wire.LARGEST_DOCUMENT_BYTES)
            diff_ids = _diff_ids(raw, image_id)
            layers = [layer_record(self._roots, read_layer(self._roots, chain)) for chain in chain_ids(diff_ids)]
        except (EngineError, OSError):
            return None
        if [layer.diff_id for layer in layers] != list(diff_ids):
            return None
        stored_ns = os.stat(self._roots.blob(image_id)).st_mtime_ns
        return ImageRecord(id=image_id, config_bytes=len(raw), layers=tuple(layers), stored_ns=stored_ns)

    def _image(self, image_id: str, record: ImageRecord) -> Iterator[Trouble]:
        path = self._roots.image(image_id)
        try:
            diff_ids = _diff_ids(read_blob(self._roots, image_id, most=wire.LARGEST_DOCUMENT_BYTES), image_id)
        except NotFound:
            yield self._aside("image", short_id(image_id), path, "its config is missing from the store")
            return
        except Integrity as error:
            self._bad_blobs[image_id] = error.message
            yield self._aside("blob", short_id(image_id), self._roots.blob(image_id), error.message)
            return
        chains = chain_ids(diff_ids)
        if [layer.chain_id for layer in record.layers] != list(chains):
            rebuilt = self._rebuilt(image_id)
            why = "its record lists other layers than its config"
            if rebuilt is None:
                yield self._aside("image", short_id(image_id), path, why)
            else:
                yield self._rewrite(image_id, why, rebuilt)
            return
        if record.manifest and not self._is_content_there(record.manifest):
            without = msgspec.structs.replace(record, manifest="")
            yield damage(
                "image",
                short_id(image_id),
                f"the manifest it came with, {short_id(record.manifest)}, is missing",
                "forget that manifest; save makes a new one",
                lambda: write_struct(path, "image", without),
            )
        for layer in record.layers:
            if self._is_content_there(layer.blob) or not self._is_layer_whole(layer.chain_id):
                continue
            tar = self._roots.layer(layer.chain_id) / TAR
            if layer.blob == layer.diff_id and tar.exists():
                yield damage(
                    "image",
                    short_id(image_id),
                    f"the archive of its layer {short_id(layer.chain_id)} is missing among the blobs",
                    "put the tar that the layer is mounted from there again, if it is whole",
                    partial(put_blob_back, self._roots, layer.blob, tar, self._cancel),
                )
            else:
                yield loss(
                    "image",
                    short_id(image_id),
                    f"the archive of its layer {short_id(layer.chain_id)} is missing: it runs but can't be saved",
                    _LOAD,
                )

    # ── references ─────────────────────────────────────────────────────────────────────────────

    def _references(self) -> Iterator[Trouble]:
        for name, broken in self._survey.broken_references.items():
            shown = name.removesuffix(".json")
            if broken.is_newer:
                yield loss("reference", shown, broken.why, "use the newer version")
            else:
                yield self._aside("reference", shown, broken.path, broken.why)
        known = self._survey.images.keys() | self._survey.broken_images.keys()
        for name, record in self._survey.references.items():
            if record.image_id in known:
                continue
            familiar = _familiar(record.reference)
            rebuilt = self._rebuilt(record.image_id)
            why = f"the image it means, {short_id(record.image_id)}, is missing"
            if rebuilt is None:
                yield self._aside("reference", familiar, self._roots.refs / name, why)
            else:
                yield damage(
                    "reference",
                    familiar,
                    f"{why} from the list of images",
                    "write the image's record anew, of its config and its layers as they are",
                    partial(write_struct, self._roots.image(rebuilt.id), "image", rebuilt),
                )

    # ── layers ─────────────────────────────────────────────────────────────────────────────────

    def _needs(self) -> dict[str, _Need]:
        """Every layer that an image or a container stands on, lowest first."""
        needs: dict[str, _Need] = {}
        for record in self._survey.images.values():
            parent = ""
            for layer in record.layers:
                needs[layer.chain_id] = _Need(layer.chain_id, parent, layer)
                parent = layer.chain_id
        for config in self._survey.containers.values():
            parent = ""
            for chain in config.layers:
                needs.setdefault(chain, _Need(chain, parent, None))
                parent = chain
        return needs

    def _is_layer_whole(self, chain: str) -> bool:
        directory = self._roots.layer(chain)
        layer = layer_or_none(self._roots, chain)
        return layer is not None and not what_is_missing(directory, layer)

    def _layer(self, need: _Need) -> Iterator[Trouble]:
        directory = self._roots.layer(need.chain)
        key = short_id(need.chain)
        layer, why = self._read_layer(need)
        if layer is None and why.startswith("newer:"):
            yield loss("layer", key, why.removeprefix("newer:"), "use the newer version")
            return
        if layer is None and need.record is not None and (rewritten := self._rewritten(need, directory)):
            yield damage(
                "layer",
                key,
                why,
                "write layer.json anew, from the image's record",
                lambda: self._write_layer(directory, why, rewritten),
            )
            return
        if not why and self._deep and layer is not None:
            why = self._compared(layer, directory)
        if not why:
            return
        blob = need.record.blob if need.record else (layer.blob if layer else "")
        diff_id = need.record.diff_id if need.record else (layer.diff_id if layer else "")
        if blob and self._is_content_there(blob):
            yield damage(
                "layer",
                key,
                why,
                "set what is left of it aside and unpack it again from its archive",
                lambda: self._unpack_again(need, directory, why, blob, diff_id),
            )
            return
        users = self._survey.users_of(need.chain)
        if need.record is None or users:
            named = f"; container {short_id(users[0])} stands on it" if users else ""
            yield loss("layer", key, f"{why}, and so is its archive{named}", "load the image again")
        for image_id, record in self._survey.images.items():
            if any(other.chain_id == need.chain for other in record.layers):
                yield self._aside(
                    "image", short_id(image_id), self._roots.image(image_id), f"its layer {key} is lost: {why}"
                )

    def _rewritten(self, need: _Need, directory: Path) -> Layer | None:
        """What layer.json should say, if its files are there."""
        assert need.record is not None
        try:
            index = index_of(directory) if (directory / TREE).exists() else None
        except (OSError, EngineError):
            return None
        layer = _layer_of(need.record, need.parent, index)
        is_whole = not (directory / INCOMPLETE).exists() and not what_is_missing(directory, layer)
        return layer if is_whole else None

    def _is_out_of_place(self, layer: Layer) -> str:
        """A store may come from another host, or this one may have another kernel now."""
        if layer.index is None or (tried := can_mount(self._roots)).works:
            return ""
        return f"its tar can't be mounted on this host: {tried.why}"

    def _compared(self, layer: Layer, directory: Path) -> str:
        if layer.index is not None:
            return index_difference(layer, layer.index, directory, self._cancel)
        if not self._is_content_there(layer.blob):
            return ""
        from core.engine.fsck.layer_files import first_difference

        return first_difference(self._roots, layer.blob, directory / "diff", self._cancel)

    def _read_layer(self, need: _Need) -> tuple[Layer | None, str]:
        directory = self._roots.layer(need.chain)
        if not directory.is_dir():
            return None, "it is missing"
        if (directory / INCOMPLETE).exists():
            return None, "it is half-made"
        try:
            layer = read_struct(directory / "layer.json", "layer", Layer)
        except FileNotFoundError:
            return None, "layer.json is missing"
        except Integrity as error:
            return None, error.message
        except EngineError as error:
            return None, f"newer:{error.message}"
        if layer.chain_id != need.chain or layer.parent != need.parent:
            return None, "layer.json describes another layer"
        if why := what_is_missing(directory, layer) or self._is_out_of_place(layer):
            return layer, why
        # the same files may have come in another archive as well: either is good, if it is there
        is_gone = not self._roots.blob(layer.blob).exists()
        if is_gone and need.record is not None and self._is_content_there(need.record.blob):
            return None, "layer.json names an archive that is missing"
        return layer, ""

    def _write_layer(self, directory: Path, why: str, layer: Layer) -> None:
        set_aside(self._roots, directory / "layer.json", why)
        write_struct(directory / "layer.json", "layer", layer)

    def _unpack_again(self, need: _Need, directory: Path, why: str, blob: str, diff_id: str) -> None:
        with Lease(self._roots.leases, INGEST, f"blob {blob}", f"layer {need.chain}") as lease:
            with locked(self._roots.store_lock, Rank.STORE, what="the store", purpose="repairs a layer"):
                set_aside(self._roots, directory, why)  # running containers go on seeing it there
            unpack_blob(self._roots, lease, blob=blob, parent=need.parent, diff_id=diff_id, cancel=self._cancel)

    def _strange_layers(self) -> Iterator[Trouble]:
        for name in sorted(os.listdir(self._roots.layers)):
            if not is_full_id(name):
                yield self._aside("layer", name, self._roots.layers / name, "this is no name of a layer")

    # ── what nothing needs ─────────────────────────────────────────────────────────────────────

    def _unneeded(self) -> Iterator[Trouble]:
        keep = self._reachable()
        held = {hold.partition(" ")[2] for hold in self._survey.holds}
        if INGEST in self._survey.holds:
            return  # something is being made just now
        for name in sorted(os.listdir(self._roots.layers)):
            chain = f"sha256:{name}"
            if is_full_id(name) and name != _NO_LAYERS and chain not in keep.layers | held:
                yield leftover("layer", short_id(chain), "no image and no container needs it", self._sweep)
        for digest, _ in all_blobs(self._roots):
            if wire.is_digest(digest) and digest not in keep.blobs | held and digest not in self._bad_blobs:
                yield leftover("blob", short_id(digest), "no image and no container needs it", self._sweep)

    def _reachable(self) -> Reachable:
        keep = Reachable(blobs=set(), layers=set())
        for record in self._survey.images.values():
            keep.blobs |= {record.id, record.manifest, *(layer.blob for layer in record.layers)}
            keep.layers |= {layer.chain_id for layer in record.layers}
        for config in self._survey.containers.values():
            keep.layers.update(config.layers)
            for chain in config.layers:
                try:
                    keep.blobs.add(read_layer(self._roots, chain).blob)
                except EngineError:
                    continue
        return keep

    def _sweep(self) -> None:
        """Take away what nothing needs, as it is at that moment."""

        def reachable(_holds: set[str]) -> Reachable | None:
            now = Survey(self._roots)
            check = ContentCheck(now, deep=False, cancel=self._cancel)
            return check._reachable() if now.is_whole else None

        sweep(self._roots, reachable)

    def _aside(self, kind: str, key: str, path: Path, why: str) -> Trouble:
        return damage(kind, key, why, "move it to damaged/", lambda: set_aside(self._roots, path, why))


def _diff_ids(raw: bytes, image_id: str) -> Sequence[str]:
    document = wire.parse_config(raw, f"the config of image {short_id(image_id)}")
    return (document.rootfs and document.rootfs.diff_ids) or ()


def _layer_of(record: LayerRecord, parent: str, index: Index | None) -> Layer:
    return Layer(
        diff_id=record.diff_id,
        chain_id=record.chain_id,
        parent=parent,
        blob=record.blob,
        size_bytes=record.size_bytes,
        driver=MOUNTED if index else UNPACKED,
        index=index,
    )


def _familiar(canonical: str) -> str:
    try:
        return parse_reference(canonical).familiar
    except EngineError:
        return canonical
