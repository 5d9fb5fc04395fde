"""Fetching images from registries.

        manifest ─▶ index? the image for us ─▶ config ─▶ layers ─┬─ fetched, several at once, in their order ─┐
                                                                 └─ unpacked one by one as they arrive ◀──────┘
                                                        ─▶ record and references: the commit point

Mirrors are asked first, and whatever goes wrong there leads to the next server. What was fetched
stays in ingest/ until the image is there (core/storage/downloads.py): a pull that was killed,
cancelled or had no room left goes on where it ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from core import about
from core.engine.image_making import layer_record
from core.engine.remote_images import RemoteImage, find_image
from core.errors import (
    Cancelled,
    DigestMismatch,
    EngineError,
    Integrity,
    LimitExceeded,
    NotFound,
    RemoteError,
    TimedOut,
    Unauthorized,
    Unsupported,
)
from core.images import wire
from core.images.origins import Origin, remember_origin
from core.images.store import ImageRecord, ImageStore, LayerRecord
from core.linux.checkpoints import checkpoint
from core.model.ids import short_id
from core.model.platform import Platform
from core.model.progress import CancelToken, Progress, Report
from core.model.reference import ImageRef
from core.model.registry import Keyring, Pulled
from core.registry.client import RegistryClient, Server
from core.registry.crew import Crew, Task
from core.registry.endpoint import endpoints_of
from core.registry.repository import Repository
from core.registry.transfer import fetch_blob
from core.state import journal
from core.state.leases import Lease
from core.state.paths import Roots
from core.storage.blobs import has_blob, ingest, read_blob
from core.storage.downloads import Download, arrived_bytes, claim, let_go
from core.storage.gc import INGEST
from core.storage.layers import chain_ids, has_layer, read_layer
from core.storage.unpacking import unpack_blob

T = TypeVar("T")
_SHARED_POLL_S = 0.05
_NEXT_SERVER = (RemoteError, Integrity, TimedOut, NotFound, LimitExceeded, Unsupported)
"""What one server's fault may be: the next one is asked."""


def pull(
    roots: Roots,
    store: ImageStore,
    client: RegistryClient,
    reference: ImageRef,
    keyring: Keyring,
    report: Report,
    cancel: CancelToken,
    *,
    platform: Platform,
    is_platform_asked: bool,
    all_tags: bool,
) -> list[Pulled]:
    """Fetch a reference, or all tags of its repository, and name what came."""
    puller = _Pull(roots, store, client, keyring, platform, is_platform_asked)
    with Crew(report, cancel, puller.wake) as crew:
        puller.crew = crew
        work = partial(puller.every_tag, reference) if all_tags else lambda: [puller.one(reference)]
        return crew.wait(crew.start(work))[0]


class _Pull:
    """One call's work; its methods run in the crew's threads."""

    crew: Crew

    def __init__(
        self,
        roots: Roots,
        store: ImageStore,
        client: RegistryClient,
        keyring: Keyring,
        platform: Platform,
        is_platform_asked: bool,
    ) -> None:
        self._roots = roots
        self._store = store
        self._client = client
        self._keyring = keyring
        self._session = client.session(keyring)
        self._platform = platform
        self._is_platform_asked = is_platform_asked
        self._what = ""

    def wake(self) -> None:
        """Break off what anybody waits for."""
        self._session.transport.abort()

    def every_tag(self, reference: ImageRef) -> list[Pulled]:
        tags = self._from_any(reference, lambda server: server.repository(reference.path).tags())
        if not tags:
            raise NotFound(f"{reference.familiar_name} has no tags", kind="repository", key=reference.familiar_name)
        return [self.one(ImageRef(reference.host, reference.path, tag)) for tag in tags]

    def one(self, reference: ImageRef) -> Pulled:
        self._what = reference.familiar
        pulled = self._from_any(reference, lambda server: self._pull(server, reference))
        self._tell("", f"Digest: {pulled.digest}")
        return pulled

    def _from_any(self, reference: ImageRef, ask: Callable[[Server], T]) -> T:
        """What the first server gives that has it; the origin's refusal where none has."""
        refusals: list[str] = []
        for endpoint in endpoints_of(reference.host, self._client.settings):
            # connections of their own for each: what still waits for a server that has failed is broken off
            self._session = self._client.session(self._keyring, self.crew.stop)
            try:
                with self._session:
                    self.crew.stop.check()
                    return ask(self._session.server(endpoint))
            except EngineError as error:
                self.crew.stop.check()
                if not endpoint.is_mirror:
                    error.hint = "; ".join(filter(None, (error.hint, *refusals))) or None
                    raise
                if not isinstance(error, _NEXT_SERVER):
                    raise
                refusals.append(f"mirror {endpoint.host}: {error.message}")
        raise AssertionError("the origin is always asked")

    def _tell(self, part: str, status: str, done: int = 0, total: int | None = None) -> None:
        self.crew.tell(Progress(what=self._what, part=part, status=status, done_bytes=done, total_bytes=total))

    # one image

    def _pull(self, server: Server, reference: ImageRef) -> Pulled:
        repository = server.repository(reference.path)
        image = self._find(repository, reference)
        label = reference.canonical if reference.digest else reference.tag
        self._tell("", f"{label}: Pulling from {reference.path}")
        with Lease(self._roots.leases, INGEST) as lease:
            raw_config = self._config(repository, image, lease)
            checkpoint("pull:config")
            config = wire.parse_config(raw_config, f"the config of {reference.familiar}")
            self._check_platform(config, reference, was_chosen=image.top.digest != image.manifest.digest)
            diff_ids = (config.rootfs and config.rootfs.diff_ids) or []
            if len(diff_ids) != len(image.parsed.layers):
                raise Integrity(
                    f"{reference.familiar}: its manifest has {len(image.parsed.layers)} layers, "
                    f"its config {len(diff_ids)}",
                    hint="the image is broken; nothing of it was kept",
                )
            layers, is_fetched = self._layers(repository, image, diff_ids, lease)
            record, was_here = self._record(image, layers, len(raw_config))
            if record.manifest == image.manifest.digest:
                ingest(self._roots, lease, [image.manifest.raw], expected=record.manifest)
            checkpoint("pull:layers")
            lease.add(f"image {record.id}")
            named = [] if reference.digest else [reference]
            meant = {} if not was_here else self._store.references()
            is_new = is_fetched or any(meant.get(one.canonical) != record.id for one in named) or not was_here
            named.append(ImageRef(reference.host, reference.path, "", reference.digest or image.top.digest))
            self._store.put(record, named)
            checkpoint("pull:named")
        let_go(self._roots, [layer.digest for layer in image.parsed.layers])
        checkpoint("pull:let-go")
        for layer, descriptor in zip(layers, image.parsed.layers, strict=True):
            if layer.blob != descriptor.digest:
                continue  # what the registry has under that digest was never looked at
            origin = Origin(
                host=reference.host,
                path=reference.path,
                blob=descriptor.digest,
                blob_bytes=descriptor.size,
                media_type=descriptor.mediaType,
            )
            remember_origin(self._roots, layer.diff_id, origin)
        journal.append(self._roots.journal, "image", "pull", reference.familiar, {"name": reference.familiar_name})
        return Pulled(
            reference=reference.familiar, image_id=record.id, digest=reference.digest or image.top.digest, is_new=is_new
        )

    def _find(self, repository: Repository, reference: ImageRef) -> RemoteImage:
        try:
            return find_image(repository, reference.digest or reference.tag, reference.familiar, self._platform)
        except Unauthorized as error:
            if "denied" in error.message:
                raise Unauthorized(
                    f"pull access denied for {reference.familiar_name}, repository does not exist or may require "
                    f"'{about.NAME} login': {error.message}",
                    status=error.status,
                    hint=error.hint,
                ) from None
            raise

    def _config(self, repository: Repository, image: RemoteImage, lease: Lease) -> bytes:
        descriptor = image.parsed.config
        lease.add(f"blob {descriptor.digest}")
        if has_blob(self._roots, descriptor.digest):
            return read_blob(self._roots, descriptor.digest, most=wire.LARGEST_DOCUMENT_BYTES)
        raw = repository.read_blob(descriptor.digest, most=wire.LARGEST_DOCUMENT_BYTES, what="the image's config")
        if descriptor.size != len(raw):
            raise DigestMismatch(f"the config has {len(raw)} bytes, its manifest says {descriptor.size}")
        ingest(self._roots, lease, [raw], expected=descriptor.digest)
        return raw

    def _check_platform(self, config: wire.ConfigDocument, reference: ImageRef, *, was_chosen: bool) -> None:
        """Whether it is for whom it should be; what an index offered for a platform is believed, as docker does."""
        if config.os not in ("", "linux"):
            raise Unsupported(f"{reference.familiar} is for {config.os[:40]!r}, not for linux")
        actual = Platform(config.os or "linux", config.architecture)
        if (
            self._is_platform_asked
            and not was_chosen
            and (actual.os, actual.architecture)
            != (
                self._platform.os,
                self._platform.architecture,
            )
        ):
            raise NotFound(
                f"image with reference {reference.familiar} was found but does not match the specified platform: "
                f"wanted {self._platform}, actual: {actual}",
                kind="image",
                key=reference.familiar,
            )

    def _record(self, image: RemoteImage, layers: Sequence[LayerRecord], size: int) -> tuple[ImageRecord, bool]:
        """The image's record, and whether it was here before. Its manifest counts where its blobs are the image's."""
        blobs = [layer.blob for layer in layers]
        manifest = image.manifest.digest if blobs == [layer.digest for layer in image.parsed.layers] else ""
        image_id = image.parsed.config.digest
        parent_id = ""
        was_here = self._store.has(image_id)
        if was_here:
            try:
                before = self._store.get(image_id)
                parent_id = before.parent_id
                manifest = before.manifest or manifest if before.layers == tuple(layers) else manifest
            except EngineError:
                was_here = False  # damaged: it is written anew
        record = ImageRecord(
            id=image_id,
            config_bytes=size,
            layers=tuple(layers),
            parent_id=parent_id,
            manifest=manifest,
            stored_ns=time.time_ns(),
        )
        return record, was_here

    # layers

    def _layers(
        self, repository: Repository, image: RemoteImage, diff_ids: Sequence[str], lease: Lease
    ) -> tuple[list[LayerRecord], bool]:
        """All layers, fetched where they are not here; whether one was."""
        chains = chain_ids(diff_ids)
        descriptors = image.parsed.layers
        lease.add(*(f"layer {chain}" for chain in chains), *(f"blob {layer.digest}" for layer in descriptors))
        lease.add(f"blob {image.manifest.digest}")
        ready = [self._is_here(chain, lease) for chain in chains]
        is_whole = all(ready) and self._store.has(image.parsed.config.digest)
        for layer, is_ready in [] if is_whole else zip(descriptors, ready, strict=True):
            self._tell(short_id(layer.digest), "Already exists" if is_ready else "Pulling fs layer")
        halt = CancelToken()
        missing = [layer for layer, is_ready in zip(descriptors, ready, strict=True) if not is_ready]
        lanes = self._client.settings.downloads
        for layer in missing[lanes:]:
            self._tell(short_id(layer.digest), "Waiting")
        works = [partial(self._fetch, repository, layer, lease, halt) for layer in missing]
        tasks = self.crew.start_in_lanes(works, lanes)
        arriving = iter(tasks)
        layers: list[LayerRecord] = []
        try:
            for chain, diff_id, layer, is_ready in zip(chains, diff_ids, descriptors, ready, strict=True):
                if not is_ready:
                    self.crew.join(next(arriving))
                    self._unpack(layer.digest, diff_id, layers[-1].chain_id if layers else "", lease)
                layers.append(layer_record(self._roots, read_layer(self._roots, chain)))
        except BaseException:
            halt.cancel()
            self.wake()
            self._await(tasks)
            raise
        return layers, bool(missing)

    def _await(self, tasks: Sequence[Task[None]]) -> None:
        """Until nobody uses the lease any more; the crew's stop wakes whoever waits for a network."""
        for task in tasks:
            while not task.is_done.wait(0.05) and not self.crew.stop.is_cancelled:
                pass

    def _is_here(self, chain: str, lease: Lease) -> bool:
        """Whether a layer is unpacked, and its archive kept."""
        if not has_layer(self._roots, chain):
            return False
        blob = read_layer(self._roots, chain).blob
        lease.add(f"blob {blob}")
        return has_blob(self._roots, blob)

    def _unpack(self, blob: str, diff_id: str, parent: str, lease: Lease) -> None:
        part = short_id(blob)
        self._tell(part, "Extracting")
        unpack_blob(
            self._roots,
            lease,
            blob=blob,
            parent=parent,
            diff_id=diff_id,
            report=lambda done: self._tell(part, "Extracting", done),
            cancel=self.crew.stop,
        )
        checkpoint("pull:unpacked")
        self._tell(part, "Pull complete")

    def _fetch(self, repository: Repository, layer: wire.Descriptor, lease: Lease, halt: CancelToken) -> None:
        """Have a blob here, whoever fetches it."""
        part = short_id(layer.digest)
        told = partial(self._told, part, layer.size)
        with self.crew.turn(self._client.downloads, lambda: self._tell(part, "Waiting")):
            while not has_blob(self._roots, layer.digest):
                halt.check()
                download = claim(self._roots, layer.digest)
                if download is None:  # another pull is at it, in this process or in another one
                    told("Downloading", min(layer.size, arrived_bytes(self._roots, layer.digest)))
                    if self.crew.stop.wait(_SHARED_POLL_S):
                        raise Cancelled("cancelled")
                    continue
                with download:
                    if not has_blob(self._roots, layer.digest):
                        self._fetch_into(download, repository, layer, lease, halt)
        self._tell(part, "Download complete", layer.size, layer.size)

    def _told(self, part: str, size: int, status: str, done: int) -> None:
        self._tell(part, status, done, size)

    def _fetch_into(
        self, download: Download, repository: Repository, layer: wire.Descriptor, lease: Lease, halt: CancelToken
    ) -> None:
        part = short_id(layer.digest)
        if download.size > layer.size or (download.is_shared and download.size != layer.size):
            download.restart()
        while True:
            began_at = download.size
            fetch_blob(repository, layer.digest, layer.size, download, partial(self._told, part, layer.size), halt)
            self._tell(part, "Verifying Checksum")
            try:
                download.publish(lease, layer.size)
                return
            except DigestMismatch:
                if not began_at:
                    raise
                # what somebody else had left there was not it (a power cut, a registry that lied): all of it anew
