"""What a config tells of an image's making, newest step first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from core.images.store import ImageRecord
from core.images.wire import ConfigDocument, HistoryRow, parse_stamp
from core.model.image import HistoryEntry, ImageLayer


def history_entries(
    document: ConfigDocument, layer_sizes: Sequence[int], ancestors: Sequence[tuple[str, tuple[str, ...]]]
) -> list[HistoryEntry]:
    """Rows newest first.

    Args: layer_sizes: bytes of each layer, lowest first. ancestors: id and tags of the image itself,
        its parent, and so on, as far as they are in the store: they name the newest rows, all older
        ones are <missing>.
    """
    rows: list[HistoryEntry] = []
    sizes = iter(layer_sizes)
    for row in document.history or ():
        empty = bool(row.empty_layer)
        rows.append(
            HistoryEntry(
                image_id="",
                created_ns=parse_stamp(row.created),
                created_by=row.created_by or "",
                comment=row.comment or "",
                size_bytes=0 if empty else next(sizes, 0),
                empty=empty,
            )
        )
    # a config may leave out its history: its layers are still steps
    rows.extend(
        HistoryEntry(image_id="", created_ns=parse_stamp(document.created), created_by="", comment="", size_bytes=size)
        for size in sizes
    )
    rows.reverse()
    return [_named(row, *ancestors[at]) if at < len(ancestors) else row for at, row in enumerate(rows)]


def image_layers(record: ImageRecord, document: ConfigDocument, users: Mapping[str, int]) -> list[ImageLayer]:
    """An image's layers, lowest first, each with the step that made it.

    Args: users: by chain id, how many images have a layer.
    """
    rows = [row for row in document.history or () if not row.empty_layer]
    rows += [HistoryRow()] * (len(record.layers) - len(rows))  # a config may leave out its history
    return [
        ImageLayer(
            chain_id=layer.chain_id,
            diff_id=layer.diff_id,
            blob=layer.blob,
            blob_bytes=layer.blob_bytes,
            media_type=layer.media_type,
            size_bytes=layer.size_bytes,
            created_by=row.created_by or row.comment or "",
            created_ns=parse_stamp(row.created),
            shared_by=users.get(layer.chain_id, 1),
        )
        for layer, row in zip(record.layers, rows, strict=False)
    ]


def _named(row: HistoryEntry, image_id: str, tags: tuple[str, ...]) -> HistoryEntry:
    return HistoryEntry(
        image_id=image_id,
        created_ns=row.created_ns,
        created_by=row.created_by,
        comment=row.comment,
        size_bytes=row.size_bytes,
        tags=tags,
        empty=row.empty,
    )


def ancestry(image_id: str, parent_of: Callable[[str], str]) -> list[str]:
    """An image and its parents that are in the store, newest first; a ring of forged parents ends it."""
    line: list[str] = []
    while image_id and image_id not in line:
        line.append(image_id)
        image_id = parent_of(image_id)
    return line
