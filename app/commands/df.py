"""`system df`: what images, containers and volumes take of the disk."""

from __future__ import annotations

import time
from collections.abc import Sequence

from app.commands.definition import Command, Invocation
from app.commands.flags import flag
from app.commands.images import TITLES as IMAGE_TITLES
from app.commands.images import image_row, names_of
from app.commands.ps import TITLES as CONTAINER_TITLES
from app.commands.ps import container_row
from app.commands.table import Row, columns_of, row_printer
from app.commands.volume import TITLES as VOLUME_TITLES
from app.commands.volume import volume_row
from app.format import human_size
from core.model.usage import DiskUsage

_TITLES = {
    "Type": "TYPE",
    "TotalCount": "TOTAL",
    "Active": "ACTIVE",
    "Size": "SIZE",
    "Reclaimable": "RECLAIMABLE",
}
_CACHE_TITLES = ("CACHE ID", "CACHE TYPE", "SIZE", "CREATED", "LAST USED", "USAGE", "SHARED")
_ACTIVE = ("running", "paused", "restarting")


def usage_rows(usage: DiskUsage) -> list[Row]:
    """The four lines of the summary. Nothing is built here, so the build cache is empty."""
    in_use = [one for one in usage.images if one.image.used_by]
    active = [container for container in usage.containers if container.status in _ACTIVE]
    mounted = [volume for volume in usage.volumes if volume.used_by]
    containers_bytes = sum(container.size_rw_bytes or 0 for container in usage.containers)
    volumes_bytes = sum(volume.size_bytes or 0 for volume in usage.volumes)
    return [
        _usage_row(
            "Images",
            len(usage.images),
            len(in_use),
            usage.layers_bytes,
            usage.layers_bytes - sum(one.unique_bytes for one in in_use),
        ),
        _usage_row(
            "Containers",
            len(usage.containers),
            len(active),
            containers_bytes,
            containers_bytes - sum(container.size_rw_bytes or 0 for container in active),
        ),
        _usage_row(
            "Local Volumes",
            len(usage.volumes),
            len(mounted),
            volumes_bytes,
            volumes_bytes - sum(volume.size_bytes or 0 for volume in mounted),
        ),
        _usage_row("Build Cache", 0, 0, 0, 0),
    ]


def _usage_row(kind: str, total: int, active: int, size: int, reclaimable: int) -> Row:
    share = f" ({reclaimable * 100 // size}%)" if size else ""
    return {
        "Type": kind,
        "TotalCount": str(total),
        "Active": str(active),
        "Size": human_size(size, 4),
        "Reclaimable": human_size(reclaimable, 4) + share,
    }


def _image_rows(usage: DiskUsage, now_ns: int, *, truncate: bool) -> list[Row]:
    rows = []
    for one in usage.images:
        repository, tag, digest = names_of(one.image)[0]
        row = image_row(one.image, repository, tag, digest, now_ns, truncate=truncate)
        row |= {
            "Digest": "" if digest == "<none>" else digest,
            "Containers": str(len(one.image.used_by)),
            "SharedSize": human_size(one.shared_bytes, 4),
            "UniqueSize": human_size(one.unique_bytes, 4),
        }
        rows.append(row)
    return rows


def _container_rows(usage: DiskUsage, now_ns: int, *, truncate: bool) -> list[Row]:
    rows = [container_row(container, now_ns, truncate=truncate) for container in usage.containers]
    for row, container in zip(rows, usage.containers, strict=True):
        row["Size"] = human_size(container.size_rw_bytes or 0)  # without what it shares with its image
    return rows


def _df(invocation: Invocation) -> int:
    layout, verbose = invocation.flags.text("format"), invocation.flags.truth("verbose")
    if verbose:
        return _details(invocation, layout)
    show = row_printer(layout, table="Type TotalCount Active Size Reclaimable", titles=_TITLES)
    show(invocation.io, usage_rows(invocation.backend.system.disk_usage()))
    return 0


def _details(invocation: Invocation, layout: str) -> int:
    io, now_ns = invocation.io, time.time_ns()
    usage = invocation.backend.system.disk_usage()
    is_table = layout in ("", "table")
    from app.commands.go_values import Record

    images = [Record(row) for row in _image_rows(usage, now_ns, truncate=is_table)]
    containers = _container_rows(usage, now_ns, truncate=is_table)
    volumes = [volume_row(volume, measured=True) for volume in usage.volumes]
    if not is_table:
        from app.commands.template import Template
        from app.commands.template_functions import row_json

        document: dict[str, Sequence[Row]] = {
            "Images": images,
            "Containers": containers,
            "Volumes": volumes,
            "BuildCache": [],
        }
        if layout == "json":
            lists = (f'"{name}":[{",".join(row_json(row) for row in rows)}]' for name, rows in document.items())
            io.line("{" + ",".join(lists) + "}")
        else:
            io.line(Template(layout).render(Record(document)))
        return 0

    def section(title: str, fields: str, titles: dict[str, str], rows: Sequence[Row]) -> None:
        io.text(f"{title}\n\n")
        row_printer("", table=fields, titles=titles)(io, rows)

    fields = "Repository Tag ID CreatedSince Size SharedSize UniqueSize Containers"
    section("Images space usage:", fields, IMAGE_TITLES, images)
    fields = "ID Image Command LocalVolumes Size RunningFor Status Names"
    section("\nContainers space usage:", fields, CONTAINER_TITLES, containers)
    section("\nLocal Volumes space usage:", "Name Links Size", VOLUME_TITLES, volumes)
    io.text("\nBuild cache usage: 0B\n\n")
    io.text(columns_of([_CACHE_TITLES]))
    return 0


DF = Command(
    run=_df,
    summary="Show disk usage",
    flags=(
        flag("--format string", "'table', 'table TEMPLATE', 'json' or a Go template"),
        flag("-v, --verbose", "Show detailed information on space usage"),
    ),
)
