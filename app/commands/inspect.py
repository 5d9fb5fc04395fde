"""`inspect`: everything about an object, as JSON or through a template."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from app.commands.definition import Command, Invocation
from app.commands.documents import Document, container_document, image_document, volume_document
from app.commands.flags import flag, refused
from app.commands.language import explain
from app.commands.network_documents import network_document
from app.commands.template import Template, TemplateError
from app.commands.template_functions import go_json
from core.errors import EngineError, InvalidInput, NotFound

_KINDS = ("container", "image", "network", "volume")


def _readers(invocation: Invocation) -> dict[str, Callable[[str], Document]]:
    backend = invocation.backend
    size = invocation.flags.has("size") and invocation.flags.truth("size")
    return {
        "container": lambda name: container_document(backend.containers.inspect(name, size=size)),
        "image": lambda name: image_document(backend.images.inspect(name)),
        "network": lambda name: network_document(backend.networks.inspect(name)),
        "volume": lambda name: volume_document(backend.volumes.inspect(name)),
    }


def _any(invocation: Invocation) -> int:
    kind = invocation.flags.text("type")
    if not kind:
        return _show(invocation, _KINDS)
    if kind not in _KINDS:
        raise InvalidInput(f'unknown type: "{kind}"', hint=f"one of {', '.join(_KINDS)}")
    return _show(invocation, (kind,))


def _show(invocation: Invocation, kinds: Sequence[str]) -> int:
    io, layout = invocation.io, invocation.flags.text("format")
    template = Template(layout) if layout and layout != "json" else None
    documents: list[Document] = []
    refusals: list[EngineError] = []
    readers = _readers(invocation)
    for name in invocation.arguments:
        try:
            documents.append(_find(name, kinds, readers))
        except EngineError as error:
            refusals.append(error)
    if template is not None:
        for document in documents:
            try:
                io.line(template.render(document))
            except TemplateError as error:
                refusals.append(error)
    elif layout == "json":
        for document in documents:
            io.line(go_json(document))
    else:
        io.text(json.dumps(documents, indent=4, ensure_ascii=False) + "\n")
    for refusal in refusals:
        explain(refusal, io)
    return 1 if refusals else 0


def _find(name: str, kinds: Sequence[str], readers: dict[str, Callable[[str], Document]]) -> Document:
    for kind in kinds:
        try:
            return readers[kind](name)
        except NotFound:
            if len(kinds) == 1:
                raise
        except InvalidInput:  # not even a possible name of that kind
            if len(kinds) == 1:
                raise
    raise NotFound(
        f"no such object: {name}",
        kind="object",
        key=name,
        hint="ps -a, images, network ls and volume ls list what there is",
    )


_FORMAT = flag("-f, --format string", "'json' or a Go template")
_SIZE = flag("-s, --size", "Display total file sizes if the type is container")

INSPECT = Command(
    run=_any,
    summary="Return low-level information on containers, images, networks and volumes",
    usage=("NAME|ID [NAME|ID...]",),
    flags=(_FORMAT, _SIZE, flag("--type string", "Only inspect objects of the given type")),
    least=1,
    most=None,
    completes=("object",),
)
CONTAINER_INSPECT = Command(
    run=lambda invocation: _show(invocation, ("container",)),
    summary="Display detailed information on one or more containers",
    usage=("CONTAINER [CONTAINER...]",),
    flags=(_FORMAT, _SIZE),
    least=1,
    most=None,
    completes=("container",),
)
IMAGE_INSPECT = Command(
    run=lambda invocation: _show(invocation, ("image",)),
    summary="Display detailed information on one or more images",
    usage=("IMAGE [IMAGE...]",),
    flags=(_FORMAT, refused("--platform string", "an image has one platform in this version")),
    least=1,
    most=None,
    completes=("image",),
)
NETWORK_INSPECT = Command(
    run=lambda invocation: _show(invocation, ("network",)),
    summary="Display detailed information on one or more networks",
    usage=("NETWORK [NETWORK...]",),
    flags=(_FORMAT, flag("-v, --verbose", "Verbose output for diagnostics (swarm networks have some)")),
    least=1,
    most=None,
    completes=("network",),
)
VOLUME_INSPECT = Command(
    run=lambda invocation: _show(invocation, ("volume",)),
    summary="Display detailed information on one or more volumes",
    usage=("VOLUME [VOLUME...]",),
    flags=(_FORMAT,),
    least=1,
    most=None,
    completes=("volume",),
)
