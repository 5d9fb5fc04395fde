"""`image layers`, `image waste`, `image diff` and `image sbom`: what an image is made of, and how two differ."""

from __future__ import annotations

import time

from app.commands.definition import Command, Invocation
from app.commands.flags import flag
from app.commands.images import names_of
from app.commands.progress import ProgressLine
from app.commands.ps import ellipsis
from app.commands.table import Row, row_printer
from app.format import ago, human_size
from core.about import NAME, VERSION
from core.errors import EngineError, InvalidInput
from core.model.durations import SECOND_NS
from core.model.ids import short_id
from core.model.image import Image, ImageLayer
from core.model.image_files import FileDifference

_FORMAT = flag("--format string", "'table', 'table TEMPLATE', 'json' or a Go template")
_LAYER_TITLES = {
    "Number": "LAYER",
    "DiffID": "DIFF ID",
    "ChainID": "CHAIN ID",
    "Digest": "DIGEST",
    "MediaType": "MEDIA TYPE",
    "CreatedSince": "CREATED",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "PackedSize": "PACKED SIZE",
    "SharedBy": "SHARED BY",
}
_WASTE_TITLES = {"Path": "PATH", "Size": "SIZE", "Count": "COUNT"}
_DIFF_TITLES = {"Kind": "CHANGE", "Path": "PATH", "SizeBefore": "BEFORE", "SizeAfter": "AFTER", "Size": "SIZE"}
_SBOM_FORMATS = ("table", "spdx-json", "cyclonedx-json")
_SBOM_TITLES = {"Name": "NAME", "Version": "VERSION", "Type": "TYPE", "License": "LICENSE"}


def _layers(invocation: Invocation) -> int:
    flags = invocation.flags
    show = row_printer(
        flags.text("format"),
        table="Number DiffID CreatedBy Size PackedSize SharedBy",
        titles=_LAYER_TITLES,
        quiet="DiffID" if flags.truth("quiet") else "",
    )
    now_ns, truncate = time.time_ns(), not flags.truth("no-trunc")
    found = invocation.backend.images.layers(invocation.arguments[0])
    show(invocation.io, [_layer_row(number, layer, now_ns, truncate) for number, layer in enumerate(found)])
    return 0


def _layer_row(number: int, layer: ImageLayer, now_ns: int, truncate: bool) -> Row:
    created_by = layer.created_by.replace("\t", " ")
    others = layer.shared_by - 1
    return {
        "Number": str(number),
        "DiffID": short_id(layer.diff_id) if truncate else layer.diff_id,
        "ChainID": short_id(layer.chain_id) if truncate else layer.chain_id,
        "Digest": short_id(layer.blob) if truncate else layer.blob,
        "MediaType": layer.media_type,
        "CreatedSince": ago(layer.created_ns, now_ns) if layer.created_ns else "N/A",
        "CreatedBy": ellipsis(created_by, 45) if truncate else created_by,
        "Size": human_size(layer.size_bytes),
        "PackedSize": human_size(layer.blob_bytes),
        "SharedBy": f"{others} other{'s' if others != 1 else ''}" if others else "",
    }


def _waste(invocation: Invocation) -> int:
    from core.model.image_files import count_waste

    io, flags = invocation.io, invocation.flags
    layout = flags.text("format")
    show = row_printer(layout, table="Count Size Path", titles=_WASTE_TITLES)
    with ProgressLine(io) as progress:
        layers = invocation.backend.images.contents(invocation.arguments[0], progress.report, io.cancel)
    waste = count_waste(layers)
    most = flags.number("limit")
    shown = waste.files[:most] if most > 0 else waste.files
    if layout in ("", "table"):
        io.line(f"Efficiency: {waste.efficiency * 100:.1f} %")
        io.line(f"Wasted: {human_size(waste.wasted_bytes)} in {len(waste.files)} files")
        if not shown:
            return 0
        io.line()
    show(io, [{"Count": str(f.times), "Size": human_size(f.total_bytes), "Path": f.path} for f in shown])
    return 0


def _diff(invocation: Invocation) -> int:
    io = invocation.io
    show = row_printer(invocation.flags.text("format"), table="Kind Size Path", titles=_DIFF_TITLES)
    first, second = invocation.arguments
    with ProgressLine(io) as progress:
        found = invocation.backend.images.compare(first, second, progress.report, io.cancel)
    show(io, [_difference_row(one) for one in found])
    return 0


def _difference_row(one: FileDifference) -> Row:
    before, after = human_size(one.size_before), human_size(one.size_after)
    sizes = {"A": after, "D": before}
    size = sizes.get(one.kind, after if one.size_before == one.size_after else f"{before} -> {after}")
    return {"Kind": one.kind, "Path": one.path, "SizeBefore": before, "SizeAfter": after, "Size": size}


def _sbom(invocation: Invocation) -> int:
    io, images = invocation.io, invocation.backend.images
    key, kind = invocation.arguments[0], invocation.flags.text("format")
    image = images.inspect(key)
    with ProgressLine(io) as progress:
        packages = images.packages(image.id, progress.report, io.cancel)
    if kind == "table":
        rows: list[Row] = [
            {"Name": one.name, "Version": one.version, "Type": one.manager, "License": one.license} for one in packages
        ]
        row_printer("", table="Name Version Type License", titles=_SBOM_TITLES)(io, rows)
        return 0
    import json

    from core.model import sbom

    distribution = sbom.parse_os_release(_os_release(invocation, image))
    name = _name_of(image)
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(image.created_ns // SECOND_NS))
    if kind == "spdx-json":
        tool = f"{NAME}-{VERSION}"
        document = sbom.spdx_document(image, name, packages, distribution, created=created, tool=tool)
    else:
        document = sbom.cyclonedx_document(image, name, packages, distribution, created=created, tool=(NAME, VERSION))
    io.line(json.dumps(document, indent=2))
    return 0


def _os_release(invocation: Invocation, image: Image) -> bytes:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            return invocation.backend.images.read_file(image.id, path)
        except EngineError:
            continue  # it has none, or is one layer of something else
    return b""


def _name_of(image: Image) -> str:
    repository, tag, _ = names_of(image)[0]
    return image.id if repository == "<none>" else f"{repository}:{tag}" if tag != "<none>" else repository


def _check_sbom_format(text: str) -> None:
    if text not in _SBOM_FORMATS:
        raise InvalidInput(f"the formats are {', '.join(_SBOM_FORMATS)}")


LAYERS = Command(
    run=_layers,
    summary="Show the layers of an image, the lowest first",
    usage=("IMAGE",),
    flags=(_FORMAT, flag("--no-trunc", "Don't truncate output"), flag("-q, --quiet", "Only show diff ids")),
    least=1,
    most=1,
    completes=("image",),
)
WASTE = Command(
    run=_waste,
    summary="Show how much of an image's layers is never seen, and which files take it",
    usage=("IMAGE",),
    description="Show how much of an image's layers is never seen, and which files take it.\n\n"
    "A file counts in every layer that brings it, and a deletion by what it hides. The efficiency is the\n"
    "least that each path needs, of all that it takes.",
    flags=(_FORMAT, flag("-n, --limit int", "Number of files to show, 0 for all", default="20")),
    least=1,
    most=1,
    completes=("image",),
)
DIFF = Command(
    run=_diff,
    summary="Show how the files of two images, or of an image and a container, differ",
    usage=("IMAGE|CONTAINER IMAGE|CONTAINER",),
    description="Show how the files of two images, or of an image and a container, differ.\n\n"
    "A was added, C changed, D deleted. Files are compared by kind, owner, mode and content; times and what\n"
    "is in a directory make no difference of its own.",
    flags=(_FORMAT,),
    least=2,
    most=2,
    completes=("image", "image"),
)
SBOM = Command(
    run=_sbom,
    summary="List the software that an image's package databases name",
    usage=("IMAGE",),
    description="List the software that an image's package databases name: dpkg, apk, rpm (SQLite), pip and npm.\n\n"
    "The same image always gives the same document.",
    flags=(flag("--format string", "table, spdx-json or cyclonedx-json", default="table", check=_check_sbom_format),),
    least=1,
    most=1,
    completes=("image",),
)
