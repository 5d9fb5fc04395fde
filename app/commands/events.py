"""`events`: what happens to containers, images and volumes, as it happens."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.commands.definition import Command, Invocation
from app.commands.filters import check_filter, read_filters
from app.commands.flags import flag
from app.commands.go_values import OpenMap, Record
from app.commands.template import Template
from app.commands.template_functions import go_json
from app.format import parse_moment, rfc3339_fixed
from core.errors import Cancelled, InvalidInput
from core.model.events import Event
from core.model.pruning import has_labels

_FILTERS = ("container", "daemon", "event", "image", "label", "network", "scope", "type", "volume")
_BEGINNINGS = ("exec_create", "exec_start", "health_status")
"""Actions that carry more behind a colon: asked for by name, any of them fits."""


def read_moment(invocation: Invocation, name: str) -> int | None:
    """A flag such as --since, in nanoseconds since 1970; None where it was not given.

    Raises: InvalidInput: with docker's words.
    """
    text = invocation.flags.text(name)
    if not text:
        return None
    moment = parse_moment(text, time.time_ns())
    if moment is None:
        raise InvalidInput(
            f'invalid value for "{name}": failed to parse value as time or duration: "{text}"',
            hint="write for example 10m, 2026-11-21T04:30:00 or seconds since 1970",
        )
    return moment


def event_line(event: Event) -> str:
    """An event as docker prints it."""
    attributes = ", ".join(f"{key}={event.attributes[key]}" for key in sorted(event.attributes))
    stamp = rfc3339_fixed(event.at_ns, local=True)
    return f"{stamp} {event.kind} {event.action} {event.actor}" + (f" ({attributes})" if attributes else "")


def event_document(event: Event) -> Record:
    """An event as docker's JSON has it, with the names that templates ask for beside it."""
    old: dict[str, object] = {}
    if event.kind in ("container", "image"):
        old["status"] = event.action
        if event.actor:
            old["id"] = event.actor
        if "image" in event.attributes:
            old["from"] = event.attributes["image"]
    fields: dict[str, object] = {
        **old,
        "Type": event.kind,
        "Action": event.action,
        "Actor": {"ID": event.actor, "Attributes": OpenMap(event.attributes)},
        "scope": "local",
        "time": event.at_ns // 10**9,
        "timeNano": event.at_ns,
    }
    hidden = {"Status": event.action, "ID": event.actor, "From": old.get("from", "")}
    return Record(fields, {**hidden, "Scope": "local", "Time": fields["time"], "TimeNano": event.at_ns})


def event_filter(given: tuple[str, ...]) -> Callable[[Event], bool]:
    """Docker's filters: values of one name are alternatives, labels and several names all count.

    Raises: InvalidInput: an unknown name.
    """
    filters = read_filters(given, _FILTERS)
    tests = [(_TESTS.get(name, _named(name)), values) for name, values in filters.items()]
    return lambda event: all(fits(event, values) for fits, values in tests)


def _of_action(event: Event, values: list[str]) -> bool:
    if any(value in _BEGINNINGS for value in values):
        return any(event.action.startswith(value) for value in values)
    return event.action in values


def _of_image(event: Event, values: list[str]) -> bool:
    name = event.attributes.get("name" if event.kind == "image" else "image", "")
    short = name.rpartition(":")[0] if "/" not in name.rpartition(":")[2] else name
    return any(value in (event.actor, name, short or name) for value in values)


def _named(kind: str) -> Callable[[Event, list[str]], bool]:
    """Objects of a kind whose id or name begins so."""

    def fits(event: Event, values: list[str]) -> bool:
        names = (event.actor, event.attributes.get("name", ""))
        return event.kind == kind and any(name.startswith(value) for value in values for name in names)

    return fits


_TESTS: dict[str, Callable[[Event, list[str]], bool]] = {
    "event": _of_action,
    "image": _of_image,
    "label": lambda event, values: has_labels(event.attributes, values),
    "scope": lambda _event, values: "local" in values,
    "type": lambda event, values: event.kind in values,
}


def _run(invocation: Invocation) -> int:
    io, layout = invocation.io, invocation.flags.text("format")
    wanted = event_filter(invocation.flags.many("filter"))
    template = Template(layout) if layout and layout != "json" else None
    since_ns, until_ns = read_moment(invocation, "since"), read_moment(invocation, "until")
    if since_ns is not None and until_ns is not None and since_ns > until_ns:
        raise InvalidInput("`since` time cannot be after `until` time", hint="a length of time counts back from now")
    try:
        for event in invocation.backend.system.events(since_ns=since_ns, until_ns=until_ns, cancel=io.cancel):
            if not wanted(event):
                continue
            if template is not None:
                io.line(template.render(event_document(event)))
            elif layout == "json":
                io.line(go_json(event_document(event), for_html=True))
            else:
                io.line(event_line(event))
    except Cancelled:
        pass
    return 0


EVENTS = Command(
    run=_run,
    summary="Get real time events from the engine's journal",
    flags=(
        flag("-f, --filter filter", "Filter output based on conditions provided", check=check_filter),
        flag("--format string", "'json' or a Go template"),
        flag("--since string", "Show all events created since timestamp"),
        flag("--until string", "Stream events until this timestamp"),
    ),
)
