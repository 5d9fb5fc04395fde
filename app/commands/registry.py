"""`registry ls`, `tags`, `inspect`, `rm` and `copy`: what lies in registries, without a copy of it here."""

from __future__ import annotations

import json

from app.commands.definition import Command, Invocation
from app.commands.flags import flag
from app.commands.language import explain
from app.commands.ps import ellipsis
from app.commands.table import Row, row_printer
from app.commands.template import Template
from app.commands.template_functions import go_json
from app.commands.transfer import keyring_of, layer_lines
from app.format import human_size, rfc3339_nano
from app.keyring import FileKeyring
from app.registry_facts import (
    TagFacts,
    collection_note,
    known_servers,
    plan_deletion,
    platforms_of,
    tag_facts,
)
from core.errors import EngineError, InvalidInput
from core.model.reference import parse_reference
from core.model.registry import RemoteManifest

_FORMAT = flag("--format string", "'table', 'table TEMPLATE', 'json' or a Go template")
_DIGEST_CELLS = 19
"""`sha256:` and twelve digits."""


def _repository(text: str) -> str:
    """`host/path` of a name without tag and digest.

    Raises: InvalidInput: it has one of them, or is no name.
    """
    reference = parse_reference(text, default_tag="")
    if reference.tag or reference.digest:
        raise InvalidInput(f"{text}: a repository has no tag", hint=f"write {reference.familiar_name}")
    return f"{reference.host}/{reference.path}"


def _list(invocation: Invocation) -> int:
    return _list_repositories(invocation) if invocation.arguments else _list_servers(invocation)


def _list_servers(invocation: Invocation) -> int:
    flags, backend = invocation.flags, invocation.backend
    show = row_printer(
        flags.text("format"),
        table="Server KnownFrom",
        titles={"Server": "SERVER", "KnownFrom": "KNOWN FROM"},
        quiet="Server" if flags.truth("quiet") else "",
    )
    ring, info = keyring_of(invocation), backend.system.info()
    logins = ring.servers() if isinstance(ring, FileKeyring) else ()
    servers = known_servers(logins, info.registry_mirrors, info.insecure_registries, backend.images.list())
    show(invocation.io, [{"Server": one.host, "KnownFrom": ", ".join(one.because)} for one in servers])
    return 0


def _list_repositories(invocation: Invocation) -> int:
    flags, host = invocation.flags, invocation.arguments[0].rstrip("/")
    show = row_printer(
        flags.text("format"),
        table="Repository",
        titles={"Repository": "REPOSITORY"},
        quiet="Repository" if flags.truth("quiet") else "",
    )
    names = invocation.backend.registries.repositories(host, keyring_of(invocation))
    show(invocation.io, [{"Repository": f"{host}/{name}"} for name in names])
    return 0


def _tags(invocation: Invocation) -> int:
    flags, registries, keyring = invocation.flags, invocation.backend.registries, keyring_of(invocation)
    quiet = flags.truth("quiet")
    show = row_printer(
        flags.text("format"),
        table="Tag Digest Size Platforms",
        titles={"Tag": "TAG", "Digest": "DIGEST", "Size": "SIZE", "Platforms": "PLATFORMS"},
        quiet="Tag" if quiet else "",
    )
    repository = _repository(invocation.arguments[0])
    tags = registries.tags(repository, keyring)
    if quiet:
        show(invocation.io, [{"Tag": tag} for tag in tags])
        return 0
    facts = tag_facts(registries, repository, tags, keyring)
    show(invocation.io, [_tag_row(one, truncate=not flags.truth("no-trunc")) for one in facts])
    for one in facts:
        if one.problem:
            invocation.io.complain(f"WARNING: {one.tag}: {one.problem}")
    return 0


def _tag_row(facts: TagFacts, *, truncate: bool) -> Row:
    manifest = facts.manifest
    if manifest is None:
        return {"Tag": facts.tag, "Digest": "<unknown>", "Size": "", "Platforms": ""}
    platforms = platforms_of(manifest)
    return {
        "Tag": facts.tag,
        "Digest": manifest.digest[:_DIGEST_CELLS] if truncate else manifest.digest,
        "Size": human_size(manifest.size_bytes),
        "Platforms": ellipsis(platforms, 40) if truncate else platforms,
    }


def manifest_document(manifest: RemoteManifest) -> dict[str, object]:
    """What `registry inspect` shows; an index has Manifests, an image has Layers."""
    document: dict[str, object] = {
        "Reference": manifest.reference,
        "Digest": manifest.digest,
        "MediaType": manifest.media_type,
        "Platform": manifest.platform,
        "Size": manifest.size_bytes,
        "Created": rfc3339_nano(manifest.created_ns),
    }
    if manifest.images:
        document["Manifests"] = [manifest_document(image) for image in manifest.images]
    else:
        document["Layers"] = [
            {"MediaType": layer.media_type, "Digest": layer.digest, "Size": layer.size_bytes}
            for layer in manifest.layers
        ]
    return document


def _inspect(invocation: Invocation) -> int:
    flags, io = invocation.flags, invocation.io
    if flags.truth("raw") and flags.text("format"):
        raise InvalidInput("conflicting options: cannot specify both --raw and --format")
    layout = flags.text("format")
    template = Template(layout) if layout not in ("", "json") else None
    manifest = invocation.backend.registries.manifest(invocation.arguments[0], keyring_of(invocation))
    if flags.truth("raw"):
        if io.out_is_tty:
            io.text(manifest.raw.decode("utf-8", "surrogateescape") + "\n")
        else:  # the very bytes, which hash to the digest
            io.out.write(manifest.raw)
            io.out.flush()
        return 0
    document = manifest_document(manifest)
    if template is not None:
        io.line(template.render(document))
    else:
        io.line(go_json(document) if layout else json.dumps(document, indent=4, ensure_ascii=False))
    return 0


def _remove(invocation: Invocation) -> int:
    registries, keyring, io = invocation.backend.registries, keyring_of(invocation), invocation.io
    code = 0
    for name in invocation.arguments:
        try:
            reference = parse_reference(name, default_tag="")
            if not (reference.tag or reference.digest):
                raise InvalidInput(
                    f"{name}: which of its manifests?", hint=f"name one: {reference.familiar_name}:TAG or @DIGEST"
                )
            deletion = plan_deletion(registries, reference.canonical, keyring)
            registries.delete(f"{reference.host}/{reference.path}@{deletion.digest}", keyring)
        except EngineError as error:
            explain(error, io)
            code = 1
            continue
        for tag in deletion.tags:
            io.line(f"Untagged: {reference.familiar_name}:{tag}")
        io.line(f"Deleted: {reference.familiar_name}@{deletion.digest}")
        io.complain(collection_note(deletion, human_size(deletion.freed_bytes)))
    return code


def _copy(invocation: Invocation) -> int:
    io, (source, target) = invocation.io, invocation.arguments
    if parse_reference(target).digest:
        raise InvalidInput("cannot copy to a digest reference", hint="write the target as HOST/NAME[:TAG]")
    with layer_lines(invocation, quiet=invocation.flags.truth("quiet")) as lines:
        pushed = invocation.backend.registries.copy(source, target, keyring_of(invocation), lines.report, io.cancel)
    io.line(f"{pushed.reference}: digest: {pushed.digest} size: {pushed.size_bytes}")
    return 0


LS = Command(
    run=_list,
    summary="List the registries that are known here, or the repositories of one",
    usage=("[HOST]",),
    flags=(_FORMAT, flag("-q, --quiet", "Only show names")),
    most=1,
    completes=("registry",),
)
TAGS = Command(
    run=_tags,
    summary="List the tags of a repository in its registry",
    usage=("REPOSITORY",),
    flags=(_FORMAT, flag("--no-trunc", "Don't truncate output"), flag("-q, --quiet", "Only show tags")),
    least=1,
    most=1,
    completes=("repository",),
)
INSPECT = Command(
    run=_inspect,
    summary="Show what a reference means in its registry, without pulling it",
    usage=("NAME[:TAG|@DIGEST]",),
    flags=(
        flag("-f, --format string", "'json' or a Go template"),
        flag("--raw", "Print the manifest's own bytes"),
    ),
    least=1,
    most=1,
    completes=("image",),
)
RM = Command(
    run=_remove,
    summary="Delete manifests from a registry, with all tags that mean them",
    usage=("NAME:TAG|NAME@DIGEST [NAME...]",),
    description="Delete manifests from a registry, with all tags that mean them.\n\n"
    "The layers stay on the registry's disk until it collects garbage; what that would free is said.",
    least=1,
    most=None,
)
COPY = Command(
    run=_copy,
    summary="Copy an image, all platforms of it, from one registry to another",
    usage=("SOURCE[:TAG|@DIGEST] TARGET[:TAG]",),
    description="Copy an image, all platforms of it, from one registry to another, through no local copy",
    flags=(flag("-q, --quiet", "Suppress verbose output"),),
    least=2,
    most=2,
    completes=("image", "image"),
)
