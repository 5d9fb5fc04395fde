"""`volume create`, `ls` and `rm`."""

from __future__ import annotations

from app.commands.definition import Command, Invocation
from app.commands.filters import check_filter, matches_name, read_filters, read_truth
from app.commands.flags import flag, refused
from app.commands.language import explain
from app.commands.preferences import preferred_format
from app.commands.table import Row, row_printer
from app.format import human_size
from core.errors import EngineError, InvalidInput
from core.model.pruning import has_labels
from core.model.volume import Volume

TITLES = {
    "Driver": "DRIVER",
    "Name": "VOLUME NAME",
    "Scope": "SCOPE",
    "Mountpoint": "MOUNTPOINT",
    "Labels": "LABELS",
    "Links": "LINKS",
    "Size": "SIZE",
    "Availability": "AVAILABILITY",
    "Group": "GROUP",
    "Status": "STATUS",
}
_FILTERS = ("dangling", "driver", "label", "name")


def volume_row(volume: Volume, *, measured: bool = False) -> Row:
    """A volume's fields; links and size are known to `system df` alone, as docker has it."""
    from app.commands.go_values import Record

    row = Record(
        {
            "Driver": volume.driver,
            "Name": volume.name,
            "Scope": "local",
            "Mountpoint": volume.mountpoint,
            "Labels": ",".join(f"{key}={value}" for key, value in volume.labels.items()),
            "Links": str(len(volume.used_by)) if measured else "N/A",
            "Size": human_size(volume.size_bytes or 0) if measured else "N/A",
            "Availability": "N/A",
            "Group": "N/A",
            "Status": "N/A",
        }
    )
    row.hidden["Label"] = lambda name: volume.labels.get(name, "")
    return row


def _create(invocation: Invocation) -> int:
    labels = {}
    for text in invocation.flags.many("label"):
        key, _, value = text.partition("=")
        if not key:
            raise InvalidInput(f"invalid label '{text}': empty name")
        labels[key] = value
    name = invocation.flags.text("name")
    if name and invocation.arguments:
        raise InvalidInput("conflicting options: cannot specify a volume-name through both --name and as an argument")
    name = invocation.arguments[0] if invocation.arguments else name
    volume = invocation.backend.volumes.create(name, labels=labels, driver=invocation.flags.text("driver"))
    invocation.io.line(volume.name)
    return 0


def _list(invocation: Invocation) -> int:
    flags = invocation.flags
    filters = read_filters(flags.many("filter"), _FILTERS)
    dangling = read_truth("dangling", filters.get("dangling", ()))
    show = row_printer(
        preferred_format(invocation, "volumesFormat"),
        table="Driver Name",
        titles=TITLES,
        quiet="Name" if flags.truth("quiet") else "",
    )
    rows = []
    for volume in invocation.backend.volumes.list():
        if dangling is not None and dangling == bool(volume.used_by):
            continue
        if "name" in filters and not any(matches_name(pattern, volume.name) for pattern in filters["name"]):
            continue
        if "driver" in filters and volume.driver not in filters["driver"]:
            continue
        if has_labels(volume.labels, filters.get("label", ())):
            rows.append(volume_row(volume))
    show(invocation.io, rows)
    return 0


def _remove(invocation: Invocation) -> int:
    force = invocation.flags.truth("force")
    code = 0
    for name in invocation.arguments:
        try:
            invocation.backend.volumes.remove(name, force=force)
        except EngineError as error:
            explain(error, invocation.io)
            code = 1
        else:
            invocation.io.line(name)
    return code


CREATE = Command(
    run=_create,
    summary="Create a volume",
    usage=("[VOLUME]",),
    flags=(
        flag("-d, --driver string", "Specify volume driver name", default="local"),
        flag("--label list", "Set metadata for a volume"),
        flag("--name string", "Specify volume name", hidden=True),
        refused("-o, --opt map", "driver options come in a later version"),
    ),
    most=1,
    completes=("word",),
)
LS = Command(
    run=_list,
    summary="List volumes",
    flags=(
        flag("-f, --filter filter", 'Provide filter values (e.g. "dangling=true")', check=check_filter),
        flag("--format string", "'table', 'table TEMPLATE', 'json' or a Go template"),
        flag("-q, --quiet", "Only display volume names"),
        refused("--cluster", "there are no cluster volumes", allowed=("false",)),
    ),
)
RM = Command(
    run=_remove,
    summary="Remove one or more volumes",
    description="Remove one or more volumes. You cannot remove a volume that is in use by a container.",
    usage=("VOLUME [VOLUME...]",),
    flags=(flag("-f, --force", "Force the removal of one or more volumes"),),
    least=1,
    most=None,
    completes=("volume",),
)
