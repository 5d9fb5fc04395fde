"""Making an image of what a container has become."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from core.backend import CommitWish
from core.engine.files import layer_tar
from core.engine.image_making import layer_record, put_image, unpack_stored
from core.engine.image_users import ContainerView
from core.errors import InvalidInput, LimitExceeded
from core.images import wire
from core.images.changes import apply_changes
from core.images.store import ImageStore, LayerRecord
from core.linux.checkpoints import checkpoint
from core.model.container import ContainerConfig
from core.model.progress import CancelToken, Progress, Report
from core.model.reference import parse_new_name
from core.state import journal
from core.state.leases import Lease
from core.state.paths import Roots
from core.storage.blobs import BlobWriter, read_blob
from core.storage.gc import INGEST
from core.storage.layers import MOST_LAYERS, read_layer

EMPTY_TAR = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
"""Of an archive with nothing but its end mark: a commit without changes makes no layer."""


def commit(
    roots: Roots,
    store: ImageStore,
    containers: ContainerView,
    key: str,
    wish: CommitWish,
    report: Report,
    cancel: CancelToken,
) -> str:
    """Make an image of what a container has become: its image's layers and one of its changes."""
    name = parse_new_name(wish.reference) if wish.reference else None
    apply_changes({}, wish.changes)  # a line that can't be read is refused before anything is frozen
    left_out = [_relative(path) for path in wish.left_out]
    with Lease(roots.leases, INGEST) as lease:
        with BlobWriter(roots) as writer:
            with containers.held(key, pause=wish.pause) as held:
                container = held.container
                lease.add(f"image {container.config.image_id}", *(f"layer {c}" for c in container.config.layers))
                below = base_layers(roots, store, container.config)
                lease.add(*(f"blob {layer.blob}" for layer in below))
                what = f"container {container.name}"
                for piece in layer_tar(roots, held.tree, cancel, left_out):
                    writer.write(piece)
                    checkpoint("commit:frozen")
                    report(Progress(what=f"committing {what}", done_bytes=writer.size))
            is_empty = writer.digest == EMPTY_TAR
            # not before the container is let go: locks have an order
            blob = None if is_empty else writer.publish(lease)
        layers = list(below)
        if blob is not None:
            if len(layers) >= MOST_LAYERS:
                raise LimitExceeded(f"max depth exceeded: an image can have {MOST_LAYERS} layers")
            parent = layers[-1].chain_id if layers else ""
            layers.append(unpack_stored(roots, lease, blob, parent=parent, what=what, report=report, cancel=cancel))
        checkpoint("commit:unpacked")
        base = _base_document(roots, store, container.config.image_id)
        document = _committed(container.config, base, wish, layers, is_empty=is_empty)
        image_id = put_image(
            roots,
            store,
            lease,
            document,
            layers,
            reference=name,
            parent_id=container.config.image_id if base else "",
        )
    checkpoint("commit:named")
    if name:
        journal.append(roots.journal, "image", "tag", image_id, {"name": name.familiar})
    journal.append(
        roots.journal,
        "container",
        "commit",
        container.id,
        {
            **container.config.labels,
            "image": container.config.image_name,
            "comment": wish.message,
            "imageID": image_id,
            "imageRef": name.familiar if name else "",
            "name": container.name,
        },
    )
    return image_id


def _relative(path: str) -> str:
    """A path to leave out, as the layer's tar would name it."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not path.startswith("/") or not parts or ".." in parts or "\0" in path:
        raise InvalidInput(f"can't leave out {path!r}", hint="name an absolute path below /, without ..")
    return "/".join(parts)


def base_layers(roots: Roots, store: ImageStore, config: ContainerConfig) -> tuple[LayerRecord, ...]:
    """Layers of a container's image, also when the image itself has been removed by force."""
    if store.has(config.image_id):
        return store.get(config.image_id).layers
    return tuple(layer_record(roots, read_layer(roots, chain)) for chain in config.layers)


def _base_document(roots: Roots, store: ImageStore, image_id: str) -> dict[str, Any]:
    if not store.has(image_id):
        return {}
    document: dict[str, Any] = json.loads(read_blob(roots, image_id, most=wire.LARGEST_DOCUMENT_BYTES))
    return document


def _committed(
    config: ContainerConfig,
    base: dict[str, Any],
    wish: CommitWish,
    layers: Sequence[LayerRecord],
    *,
    is_empty: bool,
) -> dict[str, Any]:
    """The new config: the container's, over what of the base's a container does not change."""
    before = base.get("config") or {}
    volumes = dict(before.get("Volumes") or {})
    volumes.update({mount.target: {} for mount in config.mounts if mount.anonymous})
    run_config: dict[str, Any] = {
        "User": config.user,
        "ExposedPorts": {port: {} for port in config.exposed_ports},
        "Env": list(config.env),
        "Entrypoint": list(config.entrypoint),
        "Cmd": list(config.command),
        "Volumes": dict(sorted(volumes.items())),
        "WorkingDir": config.working_dir,
        "Labels": dict(sorted(config.labels.items())),
        "StopSignal": config.stop_signal,
        "Healthcheck": wire.health_fields(config.health) if config.health else None,
        "Shell": before.get("Shell"),
    }
    now = wire.format_stamp(time.time_ns())
    row: dict[str, Any] = {"created": now}
    if wish.author:
        row["author"] = wish.author
    row["created_by"] = " ".join(config.command)
    if wish.message:
        row["comment"] = wish.message
    if is_empty:
        row["empty_layer"] = True
    document: dict[str, Any] = {"architecture": base.get("architecture") or wire.architecture()}
    if wish.author:
        document["author"] = wish.author
    if wish.message:
        document["comment"] = wish.message
    return {
        **document,
        "config": apply_changes({key: value for key, value in run_config.items() if value}, wish.changes),
        "container": config.id,
        "created": now,
        "history": [*(base.get("history") or []), row],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
    }
