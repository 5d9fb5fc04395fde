"""`volume create`, `ls`, `rm`, `update`; and in and out as archives: `export`, `import`, `backup`."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress

from app.commands.definition import Command, Invocation
from app.commands.filters import check_filter, matches_name, read_filters, read_truth
from app.commands.flags import flag, refused
from app.commands.language import explain
from app.commands.outfile import input_file, output_file
from app.commands.preferences import preferred_format
from app.commands.progress import ProgressLine
from app.commands.table import Row, row_printer
from app.format import human_size
from core.errors import EngineError, InvalidInput, NotFound, Unsupported, WrongState
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


def _pairs(texts: Sequence[str], what: str) -> dict[str, str]:
    found = {}
    for text in texts:
        key, _, value = text.partition("=")
        if not key:
            raise InvalidInput(f"invalid {what} '{text}': empty name")
        found[key] = value
    return found


def _create(invocation: Invocation) -> int:
    labels = _pairs(invocation.flags.many("label"), "label")
    options = _pairs(invocation.flags.many("opt"), "option")
    name = invocation.flags.text("name")
    if name and invocation.arguments:
        raise InvalidInput("conflicting options: cannot specify a volume-name through both --name and as an argument")
    name = invocation.arguments[0] if invocation.arguments else name
    volume = invocation.backend.volumes.create(
        name, labels=labels, driver=invocation.flags.text("driver"), options=options
    )
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


def _update(invocation: Invocation) -> int:
    flags, name = invocation.flags, invocation.arguments[0]
    if flags.text("availability"):
        raise Unsupported("can only update cluster volumes", hint="labels of a local one: --label-add, --label-rm")
    added, removed = _pairs(flags.many("label-add"), "label"), flags.many("label-rm")
    if not added and not removed:
        raise InvalidInput("nothing to update", hint="write --label-add KEY=VALUE or --label-rm KEY")
    invocation.backend.volumes.update(name, add_labels=added, remove_labels=removed)
    invocation.io.line(name)
    return 0


def _export(invocation: Invocation) -> int:
    io, name = invocation.io, invocation.arguments[0]
    invocation.backend.volumes.inspect(name)  # before a file is begun
    with output_file(invocation.flags.text("output"), io) as sink, ProgressLine(io) as progress:
        for piece in invocation.backend.volumes.export(name, progress.report, io.cancel):
            sink.write(piece)
    return 0


def _import(invocation: Invocation) -> int:
    volumes, io = invocation.backend.volumes, invocation.io
    name, path = invocation.arguments
    with input_file(path, invocation) as source:  # before a volume is made
        try:
            volumes.inspect(name)
            is_new = False
        except NotFound:
            volumes.create(name)
            is_new = True
        try:
            with ProgressLine(io) as progress:
                volumes.import_tar(name, source, progress.report, io.cancel)
        except BaseException:
            if is_new:
                volumes.remove(name, force=True)
            raise
    io.line(name)
    return 0


def _backup(invocation: Invocation) -> int:
    """One archive a volume, named after it and the moment; each complete or not there."""
    volumes, io, flags = invocation.backend.volumes, invocation.io, invocation.flags
    names = [volume.name for volume in volumes.list()] if flags.truth("all") else list(invocation.arguments)
    if flags.truth("all") == bool(invocation.arguments):
        raise InvalidInput("name the volumes to back up, or write --all", hint="volume ls lists what there is")
    directory = flags.text("output") or "."
    if not os.path.isdir(directory):
        raise InvalidInput(f"invalid output path: directory {directory} does not exist", hint="make it first")
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    code = 0
    for name in names:
        path = os.path.join(directory, f"{name}-{stamp}.tar" + (".gz" if flags.truth("gzip") else ""))
        try:
            volume = volumes.inspect(name)
            with _at_rest(invocation, volume) if flags.truth("pause") else nullcontext():
                _back_up(invocation, name, path)
        except EngineError as error:
            explain(error, io)
            code = 1
        else:
            io.line(path)
    return code


def _back_up(invocation: Invocation, name: str, path: str) -> None:
    io = invocation.io
    with output_file(path, io) as sink, ProgressLine(io) as progress:
        packer = gzip.GzipFile(fileobj=sink, mode="wb", mtime=0) if path.endswith(".gz") else nullcontext(sink)
        with packer as packed:
            for piece in invocation.backend.volumes.export(name, progress.report, io.cancel):
                packed.write(piece)


@contextmanager
def _at_rest(invocation: Invocation, volume: Volume) -> Iterator[None]:
    """Freeze the running containers that use a volume, so that its files fit together."""
    containers = invocation.backend.containers
    frozen = []
    try:
        for key in volume.used_by:
            if containers.inspect(key).status == "running":
                containers.pause(key)
                frozen.append(key)
        yield
    finally:
        for key in frozen:
            with suppress(NotFound, WrongState):  # ended meanwhile
                containers.unpause(key)


CREATE = Command(
    run=_create,
    summary="Create a volume",
    usage=("[VOLUME]",),
    flags=(
        flag("-d, --driver string", "Specify volume driver name", default="local"),
        flag("--label list", "Set metadata for a volume"),
        flag("--name string", "Specify volume name", hidden=True),
        flag("-o, --opt map", "Set driver specific options"),
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
UPDATE = Command(
    run=_update,
    summary="Update a volume's labels",
    usage=("VOLUME",),
    flags=(
        flag("--availability string", "Cluster Volume availability (cluster volumes only)"),
        flag("--label-add list", "Add or update a volume label (key=value)"),
        flag("--label-rm list", "Remove a volume label if exists"),
    ),
    least=1,
    most=1,
    completes=("volume",),
)
EXPORT = Command(
    run=_export,
    summary="Export a volume's contents as a tar archive (streamed to STDOUT by default)",
    usage=("VOLUME",),
    flags=(flag("-o, --output string", "Write to a file, instead of STDOUT"),),
    least=1,
    most=1,
    completes=("volume",),
)
IMPORT = Command(
    run=_import,
    summary="Import a tar archive into a volume",
    usage=("VOLUME file|-",),
    description="Import a tar archive, plain or compressed, into a volume. A volume that is not there is made;\n"
    "in one that is, files of the archive replace those of the same name and all others stay.",
    least=2,
    most=2,
    completes=("volume", "file"),
)
BACKUP = Command(
    run=_backup,
    summary="Write volumes to tar archives, one for each",
    usage=("VOLUME [VOLUME...]",),
    description="Write volumes to tar archives, one for each, named after the volume and the moment (UTC).\n"
    "Running containers that use a volume are paused meanwhile. `volume import` reads an archive back.",
    flags=(
        flag("-a, --all", "Back up all volumes"),
        flag("-o, --output string", "Directory to write to (default: the current one)"),
        flag("-p, --pause", "Pause containers that use it meanwhile", default="true"),
        flag("-z, --gzip", "Compress with gzip"),
    ),
    most=None,
    completes=("volume",),
)
