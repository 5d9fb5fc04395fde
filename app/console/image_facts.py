"""An image in lines for a pager: what it is, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app import short
from app.console.inspection import Lines, moment
from app.console.widgets.strips import meter
from core.model.container import Container
from core.model.display import safe_text
from core.model.ids import short_id
from core.model.image import HistoryEntry, Image


def image_name(image: Image) -> str:
    """Its first name, or its short id where it has none."""
    return image.tags[0] if image.tags else short_id(image.id)


def summary_lines(image: Image, containers: Mapping[str, Container]) -> Lines:
    """What the image is: names, size, what it runs, and who uses it."""
    config = image.config
    users = [containers[key].name if key in containers else short_id(key) for key in image.used_by]
    facts = [
        ("names", "  ".join(image.tags) or "none (dangling)"),
        ("id", short_id(image.id)),
        ("made", moment(image.created_ns) + (f" by {image.author}" if image.author else "")),
        (
            "size",
            f"{short.size(image.size_bytes)} in {len(image.layers)} layer{'' if len(image.layers) == 1 else 's'}"
            f"  {image.os}/{image.architecture}",
        ),
        ("runs", " ".join((*config.entrypoint, *config.cmd)) or "nothing by itself"),
        ("user", config.user),
        ("directory", config.working_dir),
        ("volumes", "  ".join(config.volumes)),
        ("ports", "  ".join(config.exposed_ports)),
        ("comment", image.comment),
        ("used by", ", ".join(users)),
    ]
    lines: Lines = [[(f"{name:<10}", "muted"), (safe_text(value), "text")] for name, value in facts if value]
    lines += [
        [("          " if number else "variables ", "muted"), (safe_text(text), "faint")]
        for number, text in enumerate(config.env[:12])
    ]
    return lines


def history_lines(entries: Sequence[HistoryEntry]) -> Lines:
    """One line a step, newest first: size as a bar of the biggest, and what made it."""
    biggest = max((entry.size_bytes for entry in entries), default=0) or 1
    lines: Lines = [[("how it was made, newest first", "muted")]]
    for entry in entries:
        bar = meter(entry.size_bytes / biggest, 6) if entry.size_bytes else "      "
        made_by = safe_text(" ".join(entry.created_by.split())) or "–"
        comment = f"  # {safe_text(entry.comment)}" if entry.comment else ""
        lines.append(
            [
                (f"{short.size(entry.size_bytes) if entry.size_bytes else '–':>6} ", "text"),
                (bar + " ", "accent"),
                (made_by, "muted" if entry.empty else "text"),
                (comment, "faint"),
            ]
        )
    return lines
