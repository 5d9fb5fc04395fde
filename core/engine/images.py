"""Images, as the seam offers them: records, layers and blobs brought together.

What makes, moves and removes images is imported by the call that needs it: most commands only look
one up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from core.backend import CommitWish
from core.engine.image_users import ContainerView, users_by_image
from core.errors import EngineError, InvalidInput, NotFound, wrapped
from core.images import wire
from core.images.catalogue import Catalogue, Names
from core.images.history import ancestry, history_entries, image_layers
from core.images.store import ImageRecord, ImageStore, LayerRecord
from core.model.container import Container
from core.model.ids import short_id
from core.model.image import HistoryEntry, Image, ImageLayer, Loaded, Package, Removed
from core.model.image_files import FileDifference, LayerContents
from core.model.progress import CancelToken, Report
from core.model.pruning import EVERYTHING, PruneFilter
from core.model.reference import parse_new_name, parse_reference
from core.model.registry import Keyring, Pulled, Pushed
from core.model.volume import FileEntry
from core.state import journal
from core.state.leases import Lease
from core.state.paths import Roots
from core.storage import gc
from core.storage.blobs import read_blob
from core.storage.overlay import image_lowers

if TYPE_CHECKING:
    from core.engine.image_removal import ImageRemoval
    from core.engine.registries import EngineRegistries

_Users = dict[str, list[Container]]


class EngineImages:
    """core.backend.Images over one data root."""

    def __init__(self, roots: Roots, containers: ContainerView, registries: EngineRegistries) -> None:
        self._roots = roots
        self._registries = registries
        self._containers = containers
        self._store = ImageStore(roots)
        if gc.has_crashed_operations(roots):
            with suppress(EngineError):
                self._removal().sweep()
        self._configs: dict[str, tuple[bytes, wire.ConfigDocument]] = {}
        self._catalogue = Catalogue(roots, self._store, self._listed)

    # looking

    def list(self, *, all: bool = False) -> Sequence[Image]:
        """Newest first; without `all`, no untagged image that others were made from."""
        images, names = self._catalogue.read()
        users = users_by_image(self._containers)
        parents = {image.parent_id for image in images}
        return sorted(
            (
                _told(image, names, users)
                for image in images
                if all or image.id not in parents or image.id in names.tags
            ),
            key=lambda image: (-image.created_ns, image.id),
        )

    def inspect(self, key: str) -> Image:
        """One image by reference, id or id prefix."""
        record = self._store.get(self._store.resolve(key))
        image = self._image(record, self._catalogue.names(), users_by_image(self._containers))
        lowers = image_lowers(self._roots, image.layers)
        return msgspec.structs.replace(image, layer_directories=tuple(map(str, lowers)))

    def find(self, key: str) -> Image:
        """One image without its names and users, which take a look at every reference and container."""
        return self._image(self._store.get(self._store.resolve(key)), Names(), {})

    def resolve(self, key: str) -> str:
        """The full id behind a key. Raises: NotFound, Conflict."""
        return self._store.resolve(key)

    def history(self, key: str) -> Sequence[HistoryEntry]:
        """How it was made, newest step first."""
        record = self._store.get(self._store.resolve(key))
        tags = self._catalogue.names().tags
        line = ancestry(record.id, self._parent_of)
        return history_entries(
            self._config(record.id)[1],
            [layer.size_bytes for layer in record.layers],
            [(image_id, tags.get(image_id, ())) for image_id in line],
        )

    def _parent_of(self, image_id: str) -> str:
        try:
            parent = self._store.get(image_id).parent_id
        except EngineError:
            return ""
        return parent if parent and self._store.has(parent) else ""

    def _image(self, record: ImageRecord, names: Names, users: _Users) -> Image:
        raw = self._config(record.id)[0]
        return msgspec.structs.replace(_told(self._listed(record), names, users), raw_config=raw)

    def _listed(self, record: ImageRecord) -> Image:
        """An image as lists show it, without its names and users."""
        document = self._config(record.id)[1]
        config = wire.run_config(document)
        comment = document.comment or ""
        if not comment and document.history:
            comment = document.history[-1].comment or ""
        return Image(
            id=record.id,
            tags=(),
            created_ns=wire.parse_stamp(document.created),
            size_bytes=sum(layer.size_bytes for layer in record.layers),
            author=document.author or "",
            architecture=document.architecture,
            os=document.os,
            parent_id=record.parent_id,
            comment=comment,
            config=config,
            layers=tuple(layer.chain_id for layer in record.layers),
            diff_ids=tuple(layer.diff_id for layer in record.layers),
            labels=config.labels,
        )

    def _config(self, image_id: str) -> tuple[bytes, wire.ConfigDocument]:
        """An image's config; content never changes under its digest, so it is read once."""
        found = self._configs.get(image_id)
        if found is None:
            raw = read_blob(self._roots, image_id, most=wire.LARGEST_DOCUMENT_BYTES)
            found = raw, wire.parse_config(raw, f"the config of image {short_id(image_id)}")
            self._configs[image_id] = found
        return found

    # naming and removing

    def tag(self, key: str, reference: str) -> None:
        """Give it one more name; the name leaves whatever had it."""
        name = parse_new_name(reference)
        image_id = self._store.resolve(key)
        self._store.set_reference(name, image_id)
        journal.append(self._roots.journal, "image", "tag", image_id, {"name": name.familiar})

    def remove(self, key: str, *, force: bool = False, keep_parents: bool = False) -> Sequence[Removed]:
        """Untag, and delete what nothing else needs; untagged parents go along unless they are to be kept."""
        return self._removal().remove(key, force=force, keep_parents=keep_parents)

    def prune(self, which: PruneFilter = EVERYTHING, *, all: bool = False) -> tuple[Sequence[Removed], int]:
        """Remove dangling (or all unused) images: what went, and the bytes freed."""
        if which == EVERYTHING:
            return self._removal().prune(every_unused=all)
        admitted = {image.id for image in self.list(all=True) if which.admits(image.labels, image.created_ns)}
        return self._removal().prune(every_unused=all, among=admitted)

    # registries

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
        """Fetch what a reference means in its registry (or all tags of its repository), and name it here."""
        from core.engine import image_pull
        from core.engine.remote_images import wanted_platform

        name = parse_reference(reference)
        if all_tags and (name.digest or reference.rpartition("/")[2].count(":")):
            raise InvalidInput("tag can't be used with --all-tags/-a", hint="name the repository alone")
        if name.familiar_name == "scratch":
            raise InvalidInput("'scratch' is a reserved name", hint="it means no image at all, and can't be pulled")
        with self._leaving_nothing():
            return image_pull.pull(
                self._roots,
                self._store,
                self._registries.client,
                name,
                keyring,
                report,
                cancel,
                platform=wanted_platform(platform),
                is_platform_asked=bool(platform),
                all_tags=all_tags,
            )

    def push(
        self, reference: str, keyring: Keyring, report: Report, cancel: CancelToken, *, all_tags: bool = False
    ) -> Sequence[Pushed]:
        """Send the image of that name (or all tags of the repository) to the registry that the name says."""
        from core.engine import image_push

        references = image_push.local_references(self._store, reference, all_tags=all_tags)
        client = self._registries.client
        return image_push.push(self._roots, self._store, client, references, keyring, report, cancel)

    # making

    def load(self, source: BinaryIO, report: Report, cancel: CancelToken) -> Sequence[Loaded]:
        """Read a docker-archive or OCI layout tar, plain, gzip or zstd."""
        from core.engine import image_transfer

        with self._leaving_nothing():
            return image_transfer.load(self._roots, self._store, source, report, cancel)

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
        from core.engine import image_transfer

        image_transfer.save(self._roots, self._store, keys, sink, report, cancel, format=format)

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
        from core.engine import image_making
        from core.storage.compression import plain_pieces

        def read(size: int) -> bytes:
            cancel.check()
            try:
                return source.read(size)
            except OSError as error:
                raise wrapped(error, "read", "the archive") from error

        with self._leaving_nothing():
            return image_making.import_tar(
                self._roots,
                self._store,
                lambda: plain_pieces(read, what="the archive"),
                reference,
                report,
                cancel,
                message=message or "Imported from -",
                changes=changes,
            )

    def commit(self, container: str, wish: CommitWish, report: Report, cancel: CancelToken) -> str:
        """Make an image of what a container has become; its id."""
        from core.engine import image_commit

        with self._leaving_nothing():
            return image_commit.commit(self._roots, self._store, self._containers, container, wish, report, cancel)

    def starter(self, reference: str, report: Report, cancel: CancelToken) -> str:
        """Make a usable image from this host's own tools, no network needed; its id."""
        from core.engine import image_making

        with self._leaving_nothing():
            return image_making.make_starter(self._roots, self._store, reference, report, cancel)

    def squash(self, key: str, reference: str, report: Report, cancel: CancelToken, *, base: str = "") -> str:
        """Make an image of one layer with the same files, config and history; its id.

        Args: base: an image whose layers it begins with, and which stay as they are.
        """
        from core.engine.image_squash import squash

        with self._leaving_nothing():
            return squash(self._roots, self._store, key, reference, report, cancel, base=base)

    def _removal(self) -> ImageRemoval:
        from core.engine.image_removal import ImageRemoval

        return ImageRemoval(self._roots, self._store, self._containers)

    @contextmanager
    def _leaving_nothing(self) -> Iterator[None]:
        """What a failed operation has stored already goes at once, not with the next sweep."""
        try:
            yield
        except BaseException:
            with suppress(EngineError):
                self._removal().sweep()
            raise

    # looking into layers

    def layers(self, key: str) -> Sequence[ImageLayer]:
        """Its layers, lowest first."""
        record = self._store.get(self._store.resolve(key))
        users = Counter(layer.chain_id for other in self._store.records() for layer in set(other.layers))
        return image_layers(record, self._config(record.id)[1], users)

    def contents(
        self, key: str, report: Report, cancel: CancelToken, *, digests: bool = False
    ) -> Sequence[LayerContents]:
        """What lies in each of its layers, lowest first; with the digests of files where asked for."""
        from core.engine.image_contents import read_contents

        with self._held_layers(key) as layers:
            return read_contents(self._roots, layers, report, cancel, digests=digests)

    def read_layer_file(self, key: str, layer: int, path: str, offset: int = 0, length: int = 65536) -> bytes:
        """Part of a file as one layer (0: the lowest) has it, whatever other layers say."""
        from core.engine.image_contents import read_layer_file

        with self._held_layers(key) as layers:
            if not 0 <= layer < len(layers):
                raise NotFound(
                    f"image {key} has no layer {layer}",
                    kind="layer",
                    key=str(layer),
                    hint=f"its layers are 0 to {len(layers) - 1}" if layers else "it has none",
                )
            return read_layer_file(self._roots, layers[layer], path, offset, length)

    def compare(self, first: str, second: str, report: Report, cancel: CancelToken) -> Sequence[FileDifference]:
        """How two file trees differ, sorted by path; each key is an image's, or else a container's."""
        from core.engine import image_compare

        return image_compare.compare(self._roots, self._store, self._containers, first, second, report, cancel)

    def packages(self, key: str, report: Report, cancel: CancelToken) -> Sequence[Package]:
        """Software that its package databases list, sorted by manager and name."""
        from core.engine.image_packages import read_packages

        with self._held_layers(key) as layers:
            return read_packages(self._roots, [layer.chain_id for layer in layers], f"image {key}", cancel)

    def export(self, key: str, report: Report, cancel: CancelToken) -> Iterator[bytes]:
        """Its whole file tree as one tar."""
        from core.engine.files import export_image

        with self._held_layers(key) as layers:
            yield from export_image(self._roots, [layer.chain_id for layer in layers], f"image {key}", report, cancel)

    @contextmanager
    def _held_layers(self, key: str) -> Iterator[Sequence[LayerRecord]]:
        """An image's layers, which nobody takes away meanwhile."""
        from core.engine.image_contents import hold_layers

        image_id = self._store.resolve(key)
        try:
            with Lease(self._roots.leases, f"image {image_id}") as lease:
                layers = self._store.get(image_id).layers
                hold_layers(lease, layers)
                yield layers
        finally:
            if not self._store.has(image_id):  # whoever removed it meanwhile had to leave what we held
                with suppress(EngineError):
                    self._removal().sweep()

    # browsing

    def list_dir(self, key: str, path: str) -> Sequence[FileEntry]:
        """A directory of its file tree."""
        from core.engine.files import list_image_dir

        record = self._store.get(self._store.resolve(key))
        return list_image_dir(self._roots, [layer.chain_id for layer in record.layers], path, f"image {key}")

    def read_file(self, key: str, path: str, offset: int = 0, length: int = 65536) -> bytes:
        """Part of a file of its tree."""
        from core.engine.files import read_image_file

        record = self._store.get(self._store.resolve(key))
        layers = [layer.chain_id for layer in record.layers]
        return read_image_file(self._roots, layers, path, offset, length, f"image {key}")

    def find_files(self, key: str, path: str, text: str) -> Sequence[FileEntry]:
        """What has a text in its name, at any depth below a directory of it."""
        from core.engine.files import find_image_files

        layers = [layer.chain_id for layer in self._store.get(self._store.resolve(key)).layers]
        return find_image_files(self._roots, layers, path, text, f"image {key}")

    def copy_out(self, key: str, path: str, cancel: CancelToken | None = None) -> Iterator[bytes]:
        """A tar of a file or tree of it."""
        from core.engine.files import copy_image_out

        image_id = self._store.resolve(key)
        with Lease(self._roots.leases, f"image {image_id}"):
            layers = [layer.chain_id for layer in self._store.get(image_id).layers]
            yield from copy_image_out(self._roots, layers, path, f"image {key}", cancel or CancelToken())


def _told(image: Image, names: Names, users: _Users) -> Image:
    """An image with its names and users."""
    tags, digests = names.tags.get(image.id, ()), names.digests.get(image.id, ())
    used_by = tuple(container.id for container in users.get(image.id, ()))
    if not tags and not digests and not used_by:
        return image
    return msgspec.structs.replace(image, tags=tags, digests=digests, used_by=used_by)
