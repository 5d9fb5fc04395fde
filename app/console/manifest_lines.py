"""A manifest of a registry in lines for a pager: what it is, its layers or its platforms, and its own bytes. Pure."""

from __future__ import annotations

import json

from app import short
from app.console.inspection import Lines, document_lines, moment
from app.console.widgets.strips import meter
from app.registry_facts import platforms_of
from core.model.display import safe_lines, safe_text
from core.model.registry import RemoteManifest

_BAR_CELLS = 12
_DIGEST_CELLS = 19
_MOST_RAW_LINES = 20_000


def summary_lines(manifest: RemoteManifest) -> Lines:
    """What it is."""
    kind = "index of several images" if manifest.images else "image"
    facts = [
        ("is", f"{kind}, {'OCI' if '.oci.' in manifest.media_type else 'Docker'} format"),
        ("digest", manifest.digest),
        ("platform", platforms_of(manifest) or "not told"),
        ("size", f"{short.size(manifest.size_bytes)} packed" if manifest.size_bytes else ""),
        ("made", moment(manifest.created_ns) if manifest.created_ns else ""),
    ]
    return [[(f"{title:<9} ", "muted"), (safe_text(text), "text")] for title, text in facts if text]


def layer_lines(manifest: RemoteManifest) -> Lines:
    """Its layers, lowest first; of an index those of every image."""
    if not manifest.images:
        return _layers(manifest)
    lines: Lines = []
    for image in manifest.images:
        title = safe_text(image.platform or image.media_type)
        size = short.size(image.size_bytes) if image.size_bytes else ""
        lines.append(
            [("▸ ", "accent"), (f"{title:<20}", "text"), (f" {size:>6}  ", "text"), (image.digest[:19], "faint")]
        )
        lines += [[("  ", "text"), *line] for line in _layers(image)]
    return lines


def _layers(manifest: RemoteManifest) -> Lines:
    largest = max((layer.size_bytes for layer in manifest.layers), default=0) or 1
    return [
        [
            (f"{number:>3} ", "muted"),
            (f"{layer.digest[:_DIGEST_CELLS]}  ", "text"),
            (f"{short.size(layer.size_bytes):>6} ", "text"),
            (meter(layer.size_bytes / largest, _BAR_CELLS), "accent"),
            (f" {safe_text(layer.media_type.rpartition('.')[2])}", "faint"),
        ]
        for number, layer in enumerate(manifest.layers, 1)
    ]


def raw_lines(manifest: RemoteManifest) -> Lines:
    """The registry's document: as JSON in colours, or as it is where it is none."""
    try:
        return document_lines(json.loads(manifest.raw))
    except (ValueError, RecursionError):
        return [[(line, "text")] for line in safe_lines(manifest.raw)[:_MOST_RAW_LINES]]
