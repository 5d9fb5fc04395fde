"""`search`: repositories on Docker Hub, or in another registry by `HOST/TERM`."""

from __future__ import annotations

from app.commands.definition import Command, Invocation
from app.commands.filters import check_filter, read_filters, read_truth
from app.commands.flags import flag
from app.commands.ps import ellipsis
from app.commands.table import Row, row_printer
from app.commands.transfer import keyring_of
from core.errors import InvalidInput
from core.model.registry import SearchResult

_TITLES = {
    "Name": "NAME",
    "Description": "DESCRIPTION",
    "StarCount": "STARS",
    "IsOfficial": "OFFICIAL",
    "IsAutomated": "AUTOMATED",
}
_FILTERS = ("is-automated", "is-official", "stars")
_MOST = 100
_USUAL = 25


def _search(invocation: Invocation) -> int:
    flags = invocation.flags
    filters = read_filters(flags.many("filter"), _FILTERS)
    official = read_truth("is-official", filters.get("is-official", ()))
    automated = read_truth("is-automated", filters.get("is-automated", ()))
    stars = max((_stars(text) for text in filters.get("stars", ())), default=0)
    limit = flags.number("limit") or _USUAL
    if not 1 <= limit <= _MOST:
        raise InvalidInput(f"Limit {limit} is outside the range of [1, {_MOST}]")
    show = row_printer(flags.text("format"), table="Name Description StarCount IsOfficial", titles=_TITLES)
    found = invocation.backend.registries.search(invocation.arguments[0], keyring_of(invocation), limit=limit)
    kept = [
        one
        for one in found
        if official in (None, one.is_official) and automated in (None, one.is_automated) and one.stars >= stars
    ]
    kept.sort(key=lambda one: -one.stars)
    show(invocation.io, [_row(one, truncate=not flags.truth("no-trunc")) for one in kept])
    return 0


def _stars(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise InvalidInput(f"invalid filter 'stars={text}'", hint="write a number of stars")
    return int(text)


def _row(found: SearchResult, *, truncate: bool) -> Row:
    description = " ".join(found.description.split())
    return {
        "Description": ellipsis(description, 45) if truncate else description,
        "IsAutomated": "[OK]" if found.is_automated else "",
        "IsOfficial": "[OK]" if found.is_official else "",
        "Name": found.name,
        "StarCount": str(found.stars),
    }


SEARCH = Command(
    run=_search,
    summary="Search Docker Hub for images",
    usage=("TERM",),
    description="Search Docker Hub for images; HOST/TERM searches the catalog of another registry",
    flags=(
        flag("-f, --filter filter", "Filter output based on conditions provided", check=check_filter),
        flag("--format string", "'table', 'table TEMPLATE', 'json' or a Go template"),
        flag("--limit int", "Max number of search results"),
        flag("--no-trunc", "Don't truncate output"),
    ),
    least=1,
    most=1,
)
