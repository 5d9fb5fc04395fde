"""Docker Hub's search, which is older than the rest of its API.

GET https://index.docker.io/v1/search?q=…&n=…
{"results": [{"name": …, "description": …, "star_count": 0, "is_official": false, "is_automated": false}]}
"""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec

from core.errors import Integrity
from core.model.registry import SearchResult
from core.registry.answers import shown
from core.registry.client import Session

INDEX = "index.docker.io"
_LARGEST_BYTES = 4 * 1024 * 1024


class _Row(msgspec.Struct):
    name: str
    description: str | None = None
    star_count: int | None = None
    is_official: bool | None = None
    is_automated: bool | None = None


class _Results(msgspec.Struct):
    results: list[_Row] | None = None


def search_hub(session: Session, term: str, limit: int) -> list[SearchResult]:
    """Repositories by a word, in the index's order. Raises: Integrity: its answer can't be read."""
    server = session.origin(INDEX)
    url = f"{server.base}/v1/search?{urlencode({'q': term, 'n': limit})}"
    answer = server.ask("GET", url, (), what=f"search for {shown(term)}", expect=(200,))
    data = answer.read(_LARGEST_BYTES, "the list of what was found")
    try:
        rows = msgspec.json.decode(data, type=_Results).results or []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Integrity(f"{INDEX} gave a list that can't be read", hint="try again later") from None
    return [
        SearchResult(
            name=shown(row.name),
            description=shown(row.description or ""),
            stars=row.star_count or 0,
            is_official=bool(row.is_official),
            is_automated=bool(row.is_automated),
        )
        for row in rows[:limit]
    ]
