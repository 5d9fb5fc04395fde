"""`images`, `history`, `tag` and `rmi`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fnmatch import fnmatchcase

from app.commands.definition import Command, Invocation
from app.commands.filters import check_filter, read_filters, read_truth
from app.commands.flags import flag
from app.commands.language import explain
from app.commands.preferences import preferred_format
from app.commands.ps import ellipsis
from app.commands.table import Row, row_printer
from app.format import ago, human_size, local_stamp, rfc3339_seconds
from core.errors import EngineError, InvalidInput, NotFound
from core.model.ids import short_id
from core.model.image import HistoryEntry, Image, Removed
from core.model.pruning import has_labels
from core.model.reference import ImageRef, parse_reference

TITLES = {
    "ID": "IMAGE ID",
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "Containers": "CONTAINERS",
    "VirtualSize": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
}
_HISTORY_TITLES = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}
_NONE = "<none>"
_FILTERS = ("before", "dangling", "label", "reference", "since", "until")


def _check_platform(text: str) -> None:
    import os

    from core.model.platform import machine_platform, parse_platform

    machine = os.uname().machine
    if parse_platform(text, machine) != machine_platform(machine):
        raise InvalidInput("an image has one platform here, this machine's")


PLATFORM = flag("--platform string", "Platform of the image: this machine's", check=_check_platform)


def image_row(image: Image, repository: str, tag: str, digest: str, now_ns: int, *, truncate: bool) -> Row:
    """One line of `images`."""
    return {
        "ID": short_id(image.id) if truncate else image.id,
        "Repository": repository,
        "Tag": tag,
        "Digest": digest,
        "CreatedSince": ago(image.created_ns, now_ns) if image.created_ns else "N/A",
        "CreatedAt": local_stamp(image.created_ns),
        "Size": human_size(image.size_bytes),
        "Containers": "N/A",
        "VirtualSize": human_size(image.size_bytes, 4),
        "SharedSize": "N/A",
        "UniqueSize": "N/A",
    }


def names_of(image: Image, *, digests: bool = False) -> list[tuple[str, str, str]]:
    """Repository, tag and digest of each row that an image takes, by docker's rules.

    A repository that is known by digest alone has no tag; its digests are told apart only where they are shown.
    """
    tags: dict[str, list[str]] = {}
    known: dict[str, list[str]] = {}
    for text in image.tags:
        reference = parse_reference(text, default_tag=_NONE)
        tags.setdefault(reference.familiar_name, []).append(reference.tag)
    for text in image.digests:
        repository, _, digest = text.partition("@")
        known.setdefault(repository, []).append(digest)
    found = []
    for repository in [*tags, *(name for name in known if name not in tags)]:
        shown = known.get(repository) if digests else None
        found += [(repository, tag, digest) for tag in tags.get(repository, [_NONE]) for digest in shown or [_NONE]]
    return found or [(_NONE, _NONE, _NONE)]


def _list(invocation: Invocation) -> int:
    flags = invocation.flags
    filters = read_filters(flags.many("filter"), _FILTERS)
    digests = flags.truth("digests")
    if flags.truth("tree"):
        return _tree(invocation, filters)
    show = row_printer(
        preferred_format(invocation, "imagesFormat"),
        table=f"Repository Tag {'Digest ' if digests else ''}ID CreatedSince Size",
        titles=TITLES,
        quiet="ID" if flags.truth("quiet") else "",
    )
    truncate = not flags.truth("no-trunc")
    wanted = [*invocation.arguments, *filters.get("reference", ())]
    now_ns = time.time_ns()
    rows = [
        image_row(image, repository, tag, digest, now_ns, truncate=truncate)
        for image in _chosen(invocation, filters)
        for repository, tag, digest in names_of(image, digests=digests)
        if not wanted or any(fits_reference(pattern, repository, tag, digest) for pattern in wanted)
    ]
    show(invocation.io, rows)
    return 0


def _tree(invocation: Invocation, filters: dict[str, list[str]]) -> int:
    from app.commands.image_tree import print_tree

    for name in ("digests", "no-trunc", "quiet", "format"):
        if invocation.flags.given(name):
            raise InvalidInput(f"--{name} is not yet supported with --tree")
    wanted = [*invocation.arguments, *filters.get("reference", ())]
    images = [
        image
        for image in _chosen(invocation, filters)
        if not wanted
        or any(fits_reference(pattern, *name) for pattern in wanted for name in names_of(image, digests=True))
    ]
    print_tree(invocation, images)
    return 0


def _chosen(invocation: Invocation, filters: dict[str, list[str]]) -> Iterator[Image]:
    images = invocation.backend.images
    dangling = read_truth("dangling", filters.get("dangling", ()))
    newest = min((images.inspect(key).created_ns for key in filters.get("before", ())), default=None)
    oldest = max((images.inspect(key).created_ns for key in filters.get("since", ())), default=None)
    for text in filters.get("until", ()):
        from app.format import parse_moment

        moment = parse_moment(text, time.time_ns())
        if moment is None:
            raise InvalidInput(f"invalid filter 'until={text}'", hint="write a date or a time such as 24h")
        newest = moment if newest is None else min(newest, moment)
    for image in images.list(all=invocation.flags.truth("all")):
        if dangling is not None and dangling != (not image.tags and not image.digests):
            continue
        if newest is not None and image.created_ns >= newest:
            continue
        if oldest is not None and image.created_ns <= oldest:
            continue
        if has_labels(image.labels, filters.get("label", ())):
            yield image


def fits_reference(pattern: str, repository: str, tag: str, digest: str = "") -> bool:
    """Docker's reference match: `*` does not cross a slash; a pattern with no tag takes every tag."""
    if repository == _NONE:
        return False
    pattern, _, wanted_digest = pattern.partition("@")
    name, colon, wanted_tag = pattern.rpartition(":")
    if not colon or "/" in wanted_tag:
        name, wanted_tag = pattern, "*"
    parts, wanted = repository.split("/"), name.split("/")
    if len(parts) != len(wanted) or not fnmatchcase(tag, wanted_tag):
        return False
    if wanted_digest and not fnmatchcase(digest, wanted_digest):
        return False
    return all(fnmatchcase(part, glob) for part, glob in zip(parts, wanted, strict=True))


def _history(invocation: Invocation) -> int:
    flags = invocation.flags
    human, truncate = flags.truth("human"), not flags.truth("no-trunc")
    show = row_printer(
        flags.text("format"),
        table=f"ID {'CreatedSince' if human else 'CreatedAt'} CreatedBy Size Comment",
        titles=_HISTORY_TITLES,
        quiet="ID" if flags.truth("quiet") else "",
    )
    now_ns = time.time_ns()
    entries = invocation.backend.images.history(invocation.arguments[0])
    show(invocation.io, [_history_row(entry, now_ns, human, truncate) for entry in entries])
    return 0


def _history_row(entry: HistoryEntry, now_ns: int, human: bool, truncate: bool) -> Row:
    created_by = entry.created_by.replace("\t", " ")
    image = entry.image_id or "<missing>"
    return {
        "ID": short_id(image) if truncate and entry.image_id else image,
        "CreatedSince": ago(entry.created_ns, now_ns) if entry.created_ns else "N/A",
        "CreatedAt": rfc3339_seconds(entry.created_ns),
        "CreatedBy": ellipsis(created_by, 45) if truncate else created_by,
        "Size": human_size(entry.size_bytes) if human else str(entry.size_bytes),
        "Comment": entry.comment,
    }


def parse_name(text: str) -> ImageRef:
    """Read the name an image is to get.

    Raises: InvalidReference: not a name, or one that holds a digest.
    """
    reference = parse_reference(text)
    if reference.digest:
        raise InvalidInput("refusing to create a tag with a digest reference", hint="write it as name[:tag]")
    return reference


def _tag(invocation: Invocation) -> int:
    source, target = invocation.arguments
    parse_name(target)
    invocation.backend.images.tag(source, target)
    return 0


def removed_lines(removed: Removed) -> list[str]:
    """What `rmi` prints of one thing that went."""
    lines = [f"Untagged: {removed.untagged}"] if removed.untagged else []
    return lines + ([f"Deleted: {removed.deleted}"] if removed.deleted else [])


def _remove(invocation: Invocation) -> int:
    force, keep_parents = invocation.flags.truth("force"), invocation.flags.truth("no-prune")
    code = 0
    for name in invocation.arguments:
        try:
            for removed in invocation.backend.images.remove(name, force=force, keep_parents=keep_parents):
                for line in removed_lines(removed):
                    invocation.io.line(line)
        except EngineError as error:
            explain(error, invocation.io)
            if not (force and isinstance(error, NotFound)):
                code = 1
    return code


IMAGES = Command(
    run=_list,
    summary="List images",
    usage=("[REPOSITORY[:TAG]]",),
    flags=(
        flag("-a, --all", "Show all images (default hides intermediate images)"),
        flag("--digests", "Show digests"),
        flag("-f, --filter filter", "Filter output based on conditions provided", check=check_filter),
        flag("--format string", "'table', 'table TEMPLATE', 'json' or a Go template"),
        flag("--no-trunc", "Don't truncate output"),
        flag("-q, --quiet", "Only show image IDs"),
        flag("--tree", "List images with their platforms as a tree"),
    ),
    most=1,
    completes=("image",),
)
HISTORY = Command(
    run=_history,
    summary="Show the history of an image",
    usage=("IMAGE",),
    flags=(
        flag("--format string", "'table', 'table TEMPLATE', 'json' or a Go template"),
        flag("-H, --human", "Print sizes and dates in human readable format", default="true"),
        flag("--no-trunc", "Don't truncate output"),
        flag("-q, --quiet", "Only show image IDs"),
        PLATFORM,
    ),
    least=1,
    most=1,
    completes=("image",),
)
TAG = Command(
    run=_tag,
    summary="Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    usage=("SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",),
    least=2,
    most=2,
    completes=("image", "word"),
)
RMI = Command(
    run=_remove,
    summary="Remove one or more images",
    usage=("IMAGE [IMAGE...]",),
    flags=(
        flag("-f, --force", "Force removal of the image"),
        flag("--no-prune", "Do not delete untagged parents"),
        PLATFORM,
    ),
    least=1,
    most=None,
    completes=("image",),
)
