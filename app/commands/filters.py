"""`--filter name=value`, as the list and prune commands take it."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import InvalidInput


def check_filter(text: str) -> None:
    """Refuse what is not `name=value`.

    Raises: InvalidInput: with docker's words.
    """
    if "=" not in text:
        raise InvalidInput("bad format of filter (expected name=value)")


def read_filters(given: Sequence[str], known: Sequence[str]) -> dict[str, list[str]]:
    """Sort filters by name; several values of one name are alternatives, several names all count.

    Raises: InvalidInput: an unknown name; the message lists the known ones.
    """
    found: dict[str, list[str]] = {}
    for text in given:
        name, _, value = text.partition("=")
        name = name.strip().lower()
        if name not in known:
            raise InvalidInput(f"invalid filter '{name}'", hint=f"there are: {', '.join(known)}")
        found.setdefault(name, []).append(value.strip())
    return found


def matches_name(pattern: str, name: str) -> bool:
    """Whether a regular expression is found in a name.

    Raises: InvalidInput: it is none.
    """
    import re

    try:
        return re.search(pattern, name) is not None
    except re.error as error:
        raise InvalidInput(f"invalid filter 'name={pattern}': {error}", hint="write a regular expression") from None


def read_truth(name: str, values: Sequence[str]) -> bool | None:
    """A filter that is true or false; None when it was not given.

    Raises: InvalidInput: neither.
    """
    if not values:
        return None
    if values[-1].lower() in ("true", "1"):
        return True
    if values[-1].lower() in ("false", "0"):
        return False
    raise InvalidInput(f"invalid filter '{name}=[{' '.join(values)}]'", hint="write true or false")
