"""`container prune`, `image prune`, `network prune`, `volume prune` and `system prune`: one path for all.

Each kind knows what its warning says, which filters it takes, and what it prints of what went; asking,
filtering and adding up are the same for all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from app.commands.definition import Command, Invocation
from app.commands.filters import check_filter, read_filters, read_truth
from app.commands.flags import Flag, flag
from app.commands.images import removed_lines
from app.format import human_size, parse_moment
from core.errors import InvalidInput
from core.model.pruning import PruneFilter

_LABELS = ("label", "label!")


class _Pruned(msgspec.Struct):
    """What went of one kind."""

    title: str
    lines: Sequence[str]
    freed_bytes: int


_Deed = Callable[[Invocation, PruneFilter], _Pruned]


def _containers(invocation: Invocation, which: PruneFilter) -> _Pruned:
    ids, freed_bytes = invocation.backend.containers.prune(which)
    return _Pruned("Deleted Containers:", ids, freed_bytes)


def _networks(invocation: Invocation, which: PruneFilter) -> _Pruned:
    return _Pruned("Deleted Networks:", invocation.backend.networks.prune(which), 0)


def _images(invocation: Invocation, which: PruneFilter, *, all: bool) -> _Pruned:
    removed, freed_bytes = invocation.backend.images.prune(which, all=all)
    lines = [line[0].lower() + line[1:] for one in removed for line in removed_lines(one)]
    return _Pruned("Deleted Images:", lines, freed_bytes)


def _volumes(invocation: Invocation, which: PruneFilter, *, all: bool) -> _Pruned:
    names, freed_bytes = invocation.backend.volumes.prune(which, all=all)
    return _Pruned("Deleted Volumes:", names, freed_bytes)


def _read_filter(filters: dict[str, list[str]]) -> PruneFilter:
    until_ns = None
    for text in filters.get("until", ())[-1:]:
        until_ns = parse_moment(text, time.time_ns())
        if until_ns is None:
            raise InvalidInput(
                f'failed to parse value as time or duration: "{text}"', hint="write for example 24h or 2026-11-20"
            )
    return PruneFilter(
        until_ns=until_ns,
        labels=tuple(filters.get("label", ())),
        without_labels=tuple(filters.get("label!", ())),
    )


def _carry_out(
    invocation: Invocation,
    warning: str,
    filters: dict[str, list[str]],
    deeds: Sequence[_Deed],
    *,
    makes_room: bool = True,
) -> int:
    """Ask unless -f was given, do it, and say what went and how much room that made."""
    which = _read_filter(filters)
    io = invocation.io
    question = f"WARNING! {warning}\nAre you sure you want to continue? [y/N] "
    if not invocation.flags.truth("force") and not io.ask(question):
        return 0
    freed_bytes = 0
    for deed in deeds:
        pruned = deed(invocation, which)
        freed_bytes += pruned.freed_bytes
        if pruned.lines:
            io.line(pruned.title)
            for line in pruned.lines:
                io.line(line)
            io.line()
    if makes_room:
        io.line(f"Total reclaimed space: {human_size(freed_bytes, 4)}")
    return 0


def _prune_containers(invocation: Invocation) -> int:
    filters = read_filters(invocation.flags.many("filter"), (*_LABELS, "until"))
    return _carry_out(invocation, "This will remove all stopped containers.", filters, [_containers])


def _prune_images(invocation: Invocation) -> int:
    filters = read_filters(invocation.flags.many("filter"), (*_LABELS, "until"))
    everything = invocation.flags.truth("all")
    kind = "images without at least one container associated to them" if everything else "dangling images"
    return _carry_out(
        invocation, f"This will remove all {kind}.", filters, [lambda call, which: _images(call, which, all=everything)]
    )


def _prune_networks(invocation: Invocation) -> int:
    filters = read_filters(invocation.flags.many("filter"), (*_LABELS, "until"))
    warning = "This will remove all custom networks not used by at least one container."
    return _carry_out(invocation, warning, filters, [_networks], makes_room=False)


def _prune_volumes(invocation: Invocation) -> int:
    filters = read_filters(invocation.flags.many("filter"), (*_LABELS, "all"))
    everything = invocation.flags.truth("all") or read_truth("all", filters.get("all", ())) or False
    kind = "all local volumes" if everything else "anonymous local volumes"
    return _carry_out(
        invocation,
        f"This will remove {kind} not used by at least one container.",
        filters,
        [lambda call, which: _volumes(call, which, all=everything)],
    )


def _prune_system(invocation: Invocation) -> int:
    flags = invocation.flags
    everything, volumes = flags.truth("all"), flags.truth("volumes")
    filters = read_filters(flags.many("filter"), (*_LABELS, "until"))
    if volumes and "until" in filters:
        raise InvalidInput('the "until" filter is not supported with "--volumes"', hint="leave one of the two out")
    items = ["all stopped containers", "all networks not used by at least one container"]
    deeds: list[_Deed] = [_containers, _networks]
    if volumes:
        items.append("all anonymous volumes not used by at least one container")
        deeds.append(lambda call, which: _volumes(call, which, all=False))
    items.append(
        "all images without at least one container associated to them" if everything else "all dangling images"
    )
    deeds.append(lambda call, which: _images(call, which, all=everything))
    warning = "This will remove:\n" + "".join(f"  - {item}\n" for item in items)
    if flags.many("filter"):
        warning += "\n  Items to be pruned will be filtered with:\n"
        warning += "".join(f"  - {text}\n" for text in flags.many("filter"))
    return _carry_out(invocation, warning, filters, deeds)


def _filter(example: str) -> Flag:
    return flag("--filter filter", f'Provide filter values (e.g. "{example}")', check=check_filter)


_FORCE = flag("-f, --force", "Do not prompt for confirmation")

CONTAINERS = Command(
    run=_prune_containers, summary="Remove all stopped containers", flags=(_filter("until=24h"), _FORCE)
)
IMAGES = Command(
    run=_prune_images,
    summary="Remove unused images",
    flags=(
        flag("-a, --all", "Remove all unused images, not just dangling ones"),
        _filter("until=24h"),
        _FORCE,
    ),
)
NETWORKS = Command(run=_prune_networks, summary="Remove all unused networks", flags=(_filter("until=24h"), _FORCE))
VOLUMES = Command(
    run=_prune_volumes,
    summary="Remove unused local volumes",
    flags=(
        flag("-a, --all", "Remove all unused volumes, not just anonymous ones"),
        _filter("label=keep"),
        _FORCE,
    ),
)
SYSTEM = Command(
    run=_prune_system,
    summary="Remove unused data",
    flags=(
        flag("-a, --all", "Remove all unused images, not just dangling ones"),
        _filter("label=key=value"),
        _FORCE,
        flag("--volumes", "Prune anonymous volumes"),
    ),
)
