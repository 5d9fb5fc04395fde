"""The rows of a layer list: uncommitted changes of containers, the layers, the whole image. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from app import short
from app.console.inspection import Lines, moment
from core.model.container import Container
from core.model.display import safe_text
from core.model.ids import short_id
from core.model.image import ImageLayer

WHOLE = "whole"
_SHELL = re.compile(r"^(?:RUN\s+)?(?:\|\d+\s+.*?)?/bin/sh -c\s+")
_NOTHING = re.compile(r"^#\(nop\)\s+")


class LayerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One thing whose files can be looked at."""

    key: str
    sign: str
    """A number, counted from the lowest; + for what is uncommitted."""
    words: str
    """Safe text."""
    size_bytes: int | None = None
    share: float = 0.0
    """Of the biggest layer, for its bar."""
    layer: int | None = None
    container: Container | None = None


def layer_rows(layers: Sequence[ImageLayer], total_bytes: int, users: Sequence[Container]) -> list[LayerRow]:
    """What containers have changed on top, then the layers from the top down, the whole image last."""
    biggest = max((layer.size_bytes for layer in layers), default=0) or 1
    rows = [
        LayerRow(key=user.id, sign="+", words=f"uncommitted ({safe_text(user.name)})", container=user) for user in users
    ]
    rows += [
        LayerRow(
            key=str(number),
            sign=str(number + 1),
            words=made_by(layer.created_by) or "–",
            size_bytes=layer.size_bytes,
            share=layer.size_bytes / biggest,
            layer=number,
        )
        for number, layer in reversed(list(enumerate(layers)))
    ]
    rows.append(LayerRow(key=WHOLE, sign="=", words="the whole image", size_bytes=total_bytes))
    return rows


def made_by(command: str) -> str:
    """The command that made a layer without the ceremony around it, in one line of safe text.

    `/bin/sh -c #(nop)  CMD ["sh"]` → `CMD ["sh"]`; `RUN /bin/sh -c make # buildkit` → `RUN make`.
    """
    text = " ".join(command.split()).removesuffix(" # buildkit")
    bare = _SHELL.sub("", text)
    if bare != text:
        text = _NOTHING.sub("", bare) if _NOTHING.match(bare) else f"RUN {bare}"
    return safe_text(text)


def layer_facts(layer: ImageLayer, width: int) -> Lines:
    """What there is to know of one layer: how it was made, whole, and what it is in the store."""
    command = made_by(layer.created_by)
    pieces = [command[at : at + width] for at in range(0, min(len(command), width * 3), width)] or [
        "made by nobody knows"
    ]
    lines: Lines = [[(piece, "text")] for piece in pieces]
    others = layer.shared_by - 1
    shared = f"shared with {others} other image{'' if others == 1 else 's'}" if others > 0 else "in this image alone"
    packed = f"packed {short.size(layer.blob_bytes)}" if layer.blob_bytes else ""
    lines.append([("   ".join(part for part in (shared, packed) if part), "muted")])
    if layer.created_ns:
        lines.append([(f"made {moment(layer.created_ns)}", "muted")])
    lines.append([(f"diff {short_id(layer.diff_id)}   blob {short_id(layer.blob)}", "faint")])
    lines.append([(safe_text(layer.media_type), "faint")])
    return lines
