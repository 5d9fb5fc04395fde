"""`images --tree`: an image, its further names and its platform, with what it takes unpacked and packed."""

from __future__ import annotations

from collections.abc import Sequence

from app.commands.definition import Invocation
from app.commands.ps import ellipsis
from app.format import human_size
from core.model.ids import short_id
from core.model.image import Image

_TITLES = ("IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "EXTRA")
_LEAST_NAME = 20
_IN_USE = "U"

_Cells = tuple[str, str, str, str, str]


def print_tree(invocation: Invocation, images: Sequence[Image]) -> None:
    """Write the tree: as wide as the terminal allows, names cut rather than lines broken."""
    io = invocation.io
    rows: list[_Cells] = []
    for image in images:
        packed = sum(layer.blob_bytes for layer in invocation.backend.images.layers(image.id))
        rows += image_rows(image, packed)
    others = [max(len(cells[column]) for cells in [_TITLES, *rows]) for column in range(1, 5)]
    room = max(_LEAST_NAME, io.columns - sum(others) - 3 * len(others)) if io.out_is_tty else 10_000
    width = min(room, max(len(cells[0]) for cells in [_TITLES, *rows]))
    io.line(f"{'':<{width}}   U: in use".rstrip())
    for cells in [_TITLES, *rows]:
        name = ellipsis(cells[0], width)
        numbers = f"{cells[2]:>{others[1]}}   {cells[3]:>{others[2]}}"
        io.line(f"{name:<{width}}   {cells[1]:<{others[0]}}   {numbers}   {cells[4]}".rstrip())


def image_rows(image: Image, packed_bytes: int) -> list[_Cells]:
    """An image's lines: every name of it, and below the last one its platform."""
    identity, size, packed = short_id(image.id), human_size(image.size_bytes), human_size(packed_bytes)
    names = list(image.tags) or list(image.digests) or ["<untagged>"]
    extra = _IN_USE if image.used_by else ""
    rows: list[_Cells] = [(name, identity, size, packed, extra) for name in names]
    platform = f"{image.os or 'linux'}/{image.architecture or 'unknown'}"
    return [*rows, (f"└─ {platform}", identity, size, packed, extra)]
