"""Laying an image's layers together into one, or those that lie above another image's.

The new layer is packed from the image as its containers see it: what comes from the layers that are
squashed, and marks for what of the base they have deleted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from core.engine.files import pack_image_paths
from core.engine.image_contents import hold_layers, read_contents
from core.engine.image_making import put_image, store_layer
from core.errors import InvalidInput
from core.images import wire
from core.images.store import ImageStore, LayerRecord
from core.model.image_files import FileTree, LayerContents
from core.model.progress import CancelToken, Report
from core.model.reference import parse_new_name
from core.state import journal
from core.state.leases import Lease
from core.state.paths import Roots
from core.storage.blobs import read_blob
from core.storage.gc import INGEST


def squash(
    roots: Roots, store: ImageStore, key: str, reference: str, report: Report, cancel: CancelToken, *, base: str
) -> str:
    """Make an image of one layer on top of the base's; its id.

    Raises: InvalidInput: the image does not begin with the base's layers, or has no more than those.
    """
    name = parse_new_name(reference) if reference else None
    with Lease(roots.leases, INGEST) as lease:
        image_id = store.resolve(key)
        base_id = store.resolve(base) if base else ""
        lease.add(f"image {image_id}", *([f"image {base_id}"] if base_id else []))
        layers = store.get(image_id).layers
        hold_layers(lease, layers)
        kept = store.get(base_id).layers if base_id else ()
        _check_base(key, layers, base, kept)
        contents = read_contents(roots, layers, report, cancel, digests=False)
        what = f"image {key}"
        chains = [layer.chain_id for layer in layers]
        layer = store_layer(
            roots,
            lease,
            pack_image_paths(roots, chains, chosen_paths(contents, len(kept)), what, cancel),
            parent=kept[-1].chain_id if kept else "",
            what=f"squashing {what}",
            report=report,
            cancel=cancel,
        )
        document = json.loads(read_blob(roots, image_id, most=wire.LARGEST_DOCUMENT_BYTES))
        squashed = _squashed(document, [*kept, layer], f"merge {image_id} to {base_id or 'scratch'}")
        new_id = put_image(roots, store, lease, squashed, [*kept, layer], reference=name)
    if name:
        journal.append(roots.journal, "image", "tag", new_id, {"name": name.familiar})
    return new_id


def _check_base(key: str, layers: Sequence[LayerRecord], base: str, kept: Sequence[LayerRecord]) -> None:
    if [layer.chain_id for layer in layers[: len(kept)]] != [layer.chain_id for layer in kept]:
        raise InvalidInput(
            f"image {key} was not made from {base}: it does not begin with its layers",
            hint="`image layers` shows what an image is made of",
        )
    if len(layers) == len(kept):
        above = f" above those of {base}" if base else ""
        raise InvalidInput(f"image {key} has no layers{above}: there is nothing to squash")


def chosen_paths(contents: Sequence[LayerContents], kept: int) -> list[str]:
    """What the new layer is made of, a directory before its content: `+path` for what shows of the layers
    above the lowest `kept` ones, with the directories that lead there; `-path` for what they have deleted."""
    below = FileTree(contents[:kept])
    tree = FileTree(contents)
    chosen: dict[str, str] = {}
    for path, standing in tree.standing.items():
        if standing.layer < kept:
            continue
        while path and path not in chosen:
            chosen[path] = "+"
            path = path.rpartition("/")[0]
    for path in below.standing:
        directory = path.rpartition("/")[0]
        if tree.get(path) is not None:
            continue
        parent = tree.get(directory) if directory else None
        if directory and (parent is None or parent.entry.kind != "dir"):
            continue  # it went with its directory
        chosen[path] = "-"
        while directory and directory not in chosen:
            chosen[directory] = "+"
            directory = directory.rpartition("/")[0]
    return [chosen[path] + path for path in sorted(chosen, key=lambda path: path.split("/"))]


def _squashed(document: dict[str, Any], layers: Sequence[LayerRecord], comment: str) -> dict[str, Any]:
    """The config with the new layers: the steps that lie in the new one have none of their own any more."""
    now = wire.format_stamp(time.time_ns())
    history: list[dict[str, Any]] = []
    left = len(layers) - 1
    for row in document.get("history") or []:
        if row.get("empty_layer"):
            history.append(row)
        elif left:
            left -= 1
            history.append(row)
        else:
            history.append({**row, "empty_layer": True})
    history.append({"created": now, "comment": comment})
    rootfs = {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}
    return {**document, "created": now, "history": history, "rootfs": rootfs}
