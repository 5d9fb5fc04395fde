"""Untagging and deleting images by docker's rules and in its words (moby: daemon/images/image_delete.go)."""

from __future__ import annotations

from collections.abc import Sequence, Set
from contextlib import suppress

from core.engine.image_users import ContainerView, users_by_image
from core.errors import Conflict, NoSpace, NotFound
from core.images.origins import forget_origins
from core.images.store import ImageRecord, ImageStore
from core.model.container import Container, Running
from core.model.ids import short_id
from core.model.image import Removed
from core.model.reference import parse_reference
from core.state import journal
from core.state.leases import live_holds
from core.state.paths import Roots
from core.storage import gc
from core.storage.downloads import forget_downloads
from core.storage.layers import read_layer


class ImageRemoval:
    """Removes images of one store."""

    def __init__(self, roots: Roots, store: ImageStore, containers: ContainerView) -> None:
        self._roots = roots
        self._store = store
        self._containers = containers

    def remove(self, key: str, *, force: bool, keep_parents: bool) -> list[Removed]:
        """Untag, and delete what nothing else needs."""
        image_id = self._store.resolve(key)
        users = users_by_image(self._containers).get(image_id, [])
        references = self._references_of(image_id)
        removed: list[Removed] = []
        named = self._named_by(key, image_id)
        if named is not None:
            if not force and users and _is_single(references):
                raise Conflict(
                    f'conflict: unable to remove repository reference "{key}" (must force) - '
                    f"container {short_id(users[0].id)} is using its referenced image {short_id(image_id)}",
                    hint="remove the container first, or force it",
                )
            self._untag(named, image_id, removed)
            left = [name for name in references if name != named]
            for digest in _left_alone(named, left):
                self._untag(digest, image_id, removed)
                left.remove(digest)
            if left:
                return removed
        elif references and _is_single(references):
            self._check_conflicts(image_id, users, force=force, ignore_references=True)
            for name in references:
                self._untag(name, image_id, removed)
        try:
            self._check_conflicts(image_id, users, force=force)
        except Conflict:
            if named is not None and (users or self._has_children(image_id)):
                return removed  # its last name went, as was asked for; who needs the rest keeps it alive
            raise
        self._sweep_after(self._delete(image_id, removed, ancestors=not keep_parents), removed)
        return removed

    def _named_by(self, key: str, image_id: str) -> str | None:
        """The canonical reference that a key spells, or None if it is an id."""
        if image_id.removeprefix("sha256:").startswith(key.removeprefix("sha256:")):
            return None
        canonical = parse_reference(key).outright.canonical
        return canonical if self._store.references().get(canonical) == image_id else None

    def _references_of(self, image_id: str) -> list[str]:
        return sorted(name for name, meant in self._store.references().items() if meant == image_id)

    def _untag(self, canonical: str, image_id: str, removed: list[Removed]) -> None:
        if self._store.drop_reference(canonical, image_id):
            familiar = parse_reference(canonical).familiar
            removed.append(Removed(untagged=familiar))
            self._note("untag", image_id)

    def _note(self, action: str, image_id: str) -> None:
        with suppress(NoSpace):  # removing must work on a full disk: an event is less than that
            journal.append(self._roots.journal, "image", action, image_id, {"name": image_id})

    def _has_children(self, image_id: str) -> bool:
        return any(record.parent_id == image_id for record in self._store.records())

    def _check_conflicts(
        self, image_id: str, users: Sequence[Container], *, force: bool, ignore_references: bool = False
    ) -> None:
        """What stands against deletion: hard reasons always, soft ones unless forced."""

        def conflict(reason: str, *, hard: bool, hint: str) -> Conflict:
            how = "cannot be forced" if hard else "must be forced"
            return Conflict(f"conflict: unable to delete {short_id(image_id)} ({how}) - {reason}", hint=hint)

        if self._has_children(image_id):
            raise conflict("image has dependent child images", hard=True, hint="remove those first")
        for container in users:
            if isinstance(container.state, Running):
                raise conflict(
                    f"image is being used by running container {short_id(container.id)}",
                    hard=True,
                    hint="stop and remove the container first",
                )
        if force:
            return
        if not ignore_references and self._references_of(image_id):
            raise conflict("image is referenced in multiple repositories", hard=False, hint="name a tag, or force it")
        if users:
            raise conflict(
                f"image is being used by stopped container {short_id(users[0].id)}",
                hard=False,
                hint="remove the container first, or force it",
            )

    def _delete(self, image_id: str, removed: list[Removed], *, ancestors: bool = True) -> list[ImageRecord]:
        """Take away names and record, and those of untagged parents; the records that went. A sweep is due then."""
        try:
            record = self._store.get(image_id)
        except NotFound:
            return []
        for canonical in self._references_of(image_id):
            self._untag(canonical, image_id, removed)
        if not self._store.forget_unnamed(image_id):
            return []  # somebody has named it again meanwhile
        self._note("delete", image_id)
        removed.append(Removed(deleted=image_id))
        gone = [record]
        if ancestors and record.parent_id and self._store.has(record.parent_id):
            users = users_by_image(self._containers).get(record.parent_id, [])
            try:
                if not self._references_of(record.parent_id):
                    self._check_conflicts(record.parent_id, users, force=False)
                    gone += self._delete(record.parent_id, removed)
            except Conflict:
                pass  # the parent is still needed
        return gone

    def _sweep_after(self, gone: Sequence[ImageRecord], removed: list[Removed]) -> int:
        """Sweep, and tell each layer that went behind the last image that had it, as docker does; bytes freed."""
        swept = self.sweep()
        left = set(swept.layers)
        for record in reversed(gone):
            layers = [layer.chain_id for layer in reversed(record.layers) if layer.chain_id in left]
            left.difference_update(layers)
            at = removed.index(Removed(deleted=record.id)) + 1
            removed[at:at] = [Removed(deleted=chain) for chain in layers]
        return swept.freed_bytes

    def sweep(self) -> gc.Swept:
        """Delete content and layers that neither an image, nor a container, nor a living operation needs."""
        if gc.INGEST not in live_holds(self._roots.leases):
            self._store.roll_back()
        return gc.sweep(self._roots, self._reachable)

    def _reachable(self, holds: set[str]) -> gc.Reachable | None:
        """All that images and containers need; called under the exclusive store lock."""
        if any(hold.startswith("image ") and not self._store.has(hold.partition(" ")[2]) for hold in holds):
            return (
                None  # somebody makes a container of an image that just lost its record: which layers, only they know
            )
        keep = gc.Reachable(blobs=set(), layers=set())
        for image_id in self._store.ids():
            record = self._store.get(image_id)  # a record that can't be read stops the sweep: better dirt than loss
            keep.blobs.add(record.id)
            if record.manifest:
                keep.blobs.add(record.manifest)
            for layer in record.layers:
                keep.blobs.add(layer.blob)
                keep.layers.add(layer.chain_id)
        for container in self._containers.all():
            for chain in (*container.config.layers, *(c for mount in container.config.mounts for c in mount.layers)):
                keep.layers.add(chain)
                with suppress(NotFound):  # gone already: then nothing says any more which blob it was
                    keep.blobs.add(read_layer(self._roots, chain).blob)  # commit and save need it
        return keep

    def prune(self, *, every_unused: bool, among: Set[str] | None = None) -> tuple[list[Removed], int]:
        """Remove dangling (or all unused) images: what went, and the bytes freed.

        Args: among: only these ids.
        """
        removed: list[Removed] = []
        gone: list[ImageRecord] = []
        users = users_by_image(self._containers)
        for image_id in self._store.ids():
            named = bool(self._references_of(image_id))
            if users.get(image_id) or (named and not every_unused) or (among is not None and image_id not in among):
                continue
            try:
                self._check_conflicts(image_id, (), force=True)
            except Conflict:
                continue  # images were made from it
            gone += self._delete(image_id, removed)
        freed = self._sweep_after(gone, removed)
        if among is None:
            freed += forget_downloads(self._roots)
            forget_origins(self._roots, {layer.diff_id for one in self._store.records() for layer in one.layers})
        with suppress(NoSpace):
            journal.append(self._roots.journal, "image", "prune", "", {"reclaimed": str(freed)})
        return removed, freed


def _left_alone(named: str, left: Sequence[str]) -> list[str]:
    """Digests of a repository whose last tag has just gone: they go with it."""
    gone = parse_reference(named)
    same = [ref for name in left if (ref := parse_reference(name)).familiar_name == gone.familiar_name]
    if not gone.tag or any(ref.tag for ref in same):
        return []
    return [ref.canonical for ref in same]


def _is_single(references: Sequence[str]) -> bool:
    """Whether an image has at most one tag, and digests of that tag's repository only."""
    refs = [parse_reference(name) for name in references]
    return sum(bool(ref.tag) for ref in refs) <= 1 and len({ref.familiar_name for ref in refs}) == 1
