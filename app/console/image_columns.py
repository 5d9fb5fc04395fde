"""The columns of an image's lists: what is wasted, which packages are in it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from app import short
from app.console.widgets.resource_table import Column
from core.model.display import safe_text
from core.model.image import Package


class HiddenFile(NamedTuple):
    """A path of which upper layers hide something."""

    path: str
    hidden_bytes: int
    layers: int
    """How many layers hold it."""


WASTE_COLUMNS: list[Column[HiddenFile]] = [
    Column(
        "path",
        "PATH",
        20,
        lambda one: (safe_text("/" + one.path), "text"),
        lambda one: one.path,
        grows=True,
        text=lambda one: safe_text("/" + one.path),
    ),
    Column("layers", "LAYERS", 6, lambda one: (str(one.layers), "muted"), lambda one: -one.layers, align=">"),
    Column(
        "hidden",
        "HIDDEN",
        6,
        lambda one: (short.size(one.hidden_bytes), "warn"),
        lambda one: -one.hidden_bytes,
        align=">",
    ),
]


def _column(
    key: str, title: str, cells: int, read: Callable[[Package], str], tone: str, *, grows: bool = False, wide: int = 0
) -> Column[Package]:
    def shown(package: Package) -> str:
        return safe_text(read(package))

    return Column(key, title, cells, lambda one: (shown(one), tone), read, grows=grows, from_width=wide, text=shown)


PACKAGE_COLUMNS: list[Column[Package]] = [
    _column("name", "NAME", 20, lambda one: one.name, "text", grows=True),
    _column("version", "VERSION", 18, lambda one: one.version, "accent", grows=True),
    _column("from", "FROM", 5, lambda one: one.manager, "muted"),
    _column("arch", "ARCH", 6, lambda one: one.architecture, "faint", wide=70),
    _column("license", "LICENSE", 16, lambda one: one.license, "faint", wide=90),
    _column("path", "LISTED IN", 20, lambda one: one.path, "faint", grows=True, wide=110),
]
