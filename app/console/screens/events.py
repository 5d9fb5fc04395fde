"""Events: what has happened, as it happens; Enter opens what it happened to."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from textual.containers import Vertical
from textual.widget import Widget

from app.console import event_words
from app.console.command_text import command_text
from app.console.screens.container import ContainerPlace
from app.console.screens.image import ImagePlace
from app.console.screens.list_place import ListPlace
from app.console.screens.network import NetworkPlace
from app.console.screens.volume import VolumePlace
from app.console.store import KeptEvent
from app.console.widgets.resource_table import Column, ResourceTable
from core.model.display import safe_text


class EventsPlace(ListPlace):
    """The newest at the top and in view; or, following, at the bottom as a log has it."""

    PLACE = "events"
    TAB = "events"
    TOPICS = frozenset({"events"})

    def __init__(self) -> None:
        super().__init__()
        self._oldest_first = False
        self._with_exec = False
        """Whether processes added to containers are shown: health checks make three events each."""
        self._newest = 0
        """The number of the newest event that has been shown."""

    def body(self) -> Iterable[Widget]:
        with Vertical(classes="body"):
            yield ResourceTable(_columns(), lambda kept: str(kept.number))
        yield self.filter_prompt()

    def fill(self) -> None:
        store, table = self.seat.store, self.table
        if "events" in store.loaded:
            table.empty_words = "nothing fits the filter" if table.filter_text else "Nothing has happened yet."
        current = table.current
        stays = current is None or current.number >= self._newest
        kept = [one for one in store.events if self._with_exec or not one.event.action.startswith("exec_")]
        table.set_items(kept if self._oldest_first else reversed(kept))
        self._newest = kept[-1].number if kept else 0
        if stays:  # who looks at the newest wants to see what comes; who has moved away stays there
            table.go_to_end(last=self._oldest_first)

    # ------------------------------------------------------------------ keys

    def action_follow(self) -> None:
        """Turn the order round, and look at the newest."""
        self._oldest_first = not self._oldest_first
        self.table.sort(None)
        self._changed()
        self.table.go_to_end(last=self._oldest_first)
        self.seat.store.put_notice("following: the newest at the bottom" if self._oldest_first else "newest first")

    def action_exec(self) -> None:
        """Show what was run inside containers too, or not."""
        self._with_exec = not self._with_exec
        self._changed()
        what = "shown" if self._with_exec else "left out; E shows them"
        self.seat.store.put_notice(f"processes added to containers are {what}")

    def action_open(self) -> None:
        kept: KeptEvent | None = self.table.current
        if kept is None:
            return
        store, event = self.seat.store, kept.event
        if event.kind == "container" and store.container(event.actor) is not None:
            self.app.push_screen(ContainerPlace(event.actor))
        elif event.kind == "image" and (image := store.image_named(event.actor)) is not None:
            self.app.push_screen(ImagePlace(image.id))
        elif event.kind == "volume" and any(volume.name == event.actor for volume in store.volumes):
            self.app.push_screen(VolumePlace(event.actor))
        elif event.kind == "network" and store.network(event.actor) is not None:
            self.app.push_screen(NetworkPlace(event.actor))
        else:
            store.put_notice(f"{safe_text(event.kind)} {event_words.name(event)} is not there any more", "warn")

    def action_why(self) -> None:
        kept: KeptEvent | None = self.table.current
        if kept is not None and kept.event.kind == "container":
            self.seat.show_why(kept.event.actor)

    def copy_entries(self, item: KeptEvent) -> Sequence[tuple[str, str]]:
        event = item.event
        since = f"{event.at_ns // 10**9}.{event.at_ns % 10**9:09d}"
        entries = (
            ("name", event_words.name(event)),
            ("id", safe_text(event.actor)),
            ("details", event_words.details(event)),
            ("events since then", command_text("events", "--since", since)),
        )
        return [(f"{words:<19}{value[:48]}", value) for words, value in entries if value]


def _columns() -> list[Column[KeptEvent]]:
    def kind(kept: KeptEvent) -> str:
        return safe_text(kept.event.kind)

    def action(kept: KeptEvent) -> str:
        return event_words.action(kept.event)[0]

    def name(kept: KeptEvent) -> str:
        return event_words.name(kept.event)

    def details(kept: KeptEvent) -> str:
        return event_words.details(kept.event)

    def at(kept: KeptEvent) -> tuple[str, str]:
        return event_words.moment(kept.event, time.time_ns()), "muted"

    return [
        Column("time", "TIME", 12, at, lambda kept: kept.number),
        Column("type", "TYPE", 9, lambda kept: (kind(kept), "muted"), kind, text=kind),
        Column("action", "ACTION", 16, lambda kept: event_words.action(kept.event), action, text=action),
        Column("name", "NAME", 20, lambda kept: (name(kept), "text"), name, text=name),
        Column("details", "DETAILS", 8, lambda kept: (details(kept), "muted"), details, grows=True, text=details),
    ]
