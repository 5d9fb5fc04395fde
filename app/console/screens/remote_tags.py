"""One repository of a registry: its tags, and beside them the layers of the one under the cursor."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from textual.containers import Horizontal
from textual.widget import Widget

from app import short
from app.console.actions import sentence
from app.console.command_text import command_text
from app.console.dialogs.job_card import JobCard
from app.console.dialogs.registry import CopyManifest, DeleteManifest
from app.console.jobs import Job
from app.console.manifest_lines import layer_lines, summary_lines
from app.console.registry_work import RegistryWork
from app.console.relay import Relay
from app.console.screens.list_place import ListPlace
from app.console.screens.remote_manifest import RemoteManifestPlace
from app.console.seat import ask
from app.console.widgets.pager import Pager
from app.console.widgets.path_bar import PathBar
from app.console.widgets.resource_table import Column, ResourceTable
from app.registry_facts import TagFacts, platforms_of, speakable, tag_facts
from core.errors import EngineError
from core.model.display import safe_text
from core.model.reference import parse_reference


class RemoteTagsPlace(ListPlace):
    """Tags come first, and what they mean one by one, as the registry answers."""

    PLACE = "tags"
    TAB = "images"

    def __init__(self, repository: str) -> None:
        super().__init__()
        self._repository = repository
        self._tags: dict[str, TagFacts] = {}

    def body(self) -> Iterable[Widget]:
        host, _, path = self._repository.partition("/")
        yield PathBar("Registries", host, path)
        with Horizontal(classes="body"):
            yield ResourceTable(_COLUMNS, lambda facts: facts.tag)
            side = Pager()
            side.add_class("side")
            side.can_focus = False
            yield side
        yield self.filter_prompt()

    def on_mount(self) -> None:
        super().on_mount()
        self.action_again()

    def fill(self) -> None:
        self.table.set_items(self._tags.values())

    def action_again(self) -> None:
        self.table.empty_words = f"asking for tags of {safe_text(self._repository)} …"
        self.table.refresh()
        work = RegistryWork(self.seat.actions)
        ask(self, lambda: work.tags(self._repository), self._show, self._failed)

    def _show(self, answered: Sequence[str]) -> None:
        tags = speakable(f"{self._repository}:", answered)
        self._tags = {tag: self._tags.get(tag, TagFacts(tag, None)) for tag in tags}
        self.table.empty_words = f"{safe_text(self._repository)} has no tags (any more)."
        self.fill()
        self.table.refresh()
        if not tags:
            return
        registries, work = self.seat.actions.backend.registries, RegistryWork(self.seat.actions)
        hand = Relay(self.app)

        def look() -> None:
            tag_facts(registries, self._repository, tags, work.keyring(), lambda facts: hand(self._came, facts))

        ask(self, look, lambda _none: None)

    def _came(self, facts: TagFacts) -> None:
        if self.is_attached and facts.tag in self._tags:
            self._tags[facts.tag] = facts
            self.fill()
            self.table.redraw()
            if self.table.current is not None and self.table.current.tag == facts.tag:
                self._draw_side()

    def _failed(self, error: EngineError) -> None:
        self._tags = {}
        self.table.empty_words = f"✖ {sentence(error)}"
        self.fill()
        self.table.refresh()

    def on_resource_table_highlighted(self, event: ResourceTable.Highlighted) -> None:
        self._draw_side()

    def _draw_side(self) -> None:
        facts, pager = self.table.current, self.query_one(Pager)
        if facts is None:
            pager.show([])
        elif facts.manifest is None:
            pager.show([[(f"✖ {safe_text(facts.problem)}" if facts.problem else "asking …", "muted")]])
        else:
            pager.show([*summary_lines(facts.manifest), [], *layer_lines(facts.manifest)])

    # ------------------------------------------------------------------ keys

    @property
    def _reference(self) -> str | None:
        """The tag under the cursor, with its repository."""
        return f"{self._repository}:{self.table.current.tag}" if self.table.current is not None else None

    def action_open(self) -> None:
        facts = self.table.current
        if facts is not None and facts.manifest is not None:
            self.app.push_screen(RemoteManifestPlace(self._repository, facts.tag, facts.manifest))

    def action_pull(self) -> None:
        tag = self.table.current.tag if self.table.current is not None else ""
        self.seat.pull_dialog(parse_reference(self._repository).familiar_name, tag)

    def action_copy_to(self) -> None:
        def begun(job: Job | None) -> None:
            if job is not None:
                self.app.push_screen(JobCard(job))

        if self._reference is not None:
            self.app.push_screen(CopyManifest(self._reference), begun)

    def action_delete(self) -> None:
        if self.table.current is not None:
            self.app.push_screen(
                DeleteManifest(self._repository, self.table.current.tag, lambda _digest: self._look_again())
            )

    def _look_again(self) -> None:
        if self.is_attached:
            self.action_again()

    def copy_entries(self, item: TagFacts) -> Sequence[tuple[str, str]]:
        name = parse_reference(f"{self._repository}:{item.tag}").familiar
        entries = [("name", safe_text(name)), ("pull command", command_text("pull", name))]
        if item.manifest is not None:
            entries.insert(1, ("digest", item.manifest.digest))
        return entries


def _digest(facts: TagFacts) -> tuple[str, str]:
    if facts.manifest is None:
        return (f"✖ {safe_text(facts.problem)}", "fail") if facts.problem else ("…", "faint")
    return facts.manifest.digest[7:19], "faint"


def _size(facts: TagFacts) -> tuple[str, str]:
    return (short.size(facts.manifest.size_bytes), "text") if facts.manifest is not None else ("", "text")


def _age(facts: TagFacts) -> tuple[str, str]:
    made_ns = facts.manifest.created_ns if facts.manifest is not None else 0
    return (short.ago(made_ns, time.time_ns()), "muted") if made_ns else ("–", "faint")


def _platforms(facts: TagFacts) -> tuple[str, str]:
    return (safe_text(platforms_of(facts.manifest)), "muted") if facts.manifest is not None else ("", "text")


_COLUMNS: list[Column[TagFacts]] = [
    Column(
        "tag",
        "TAG",
        16,
        lambda one: (safe_text(one.tag), "text"),
        lambda one: one.tag,
        grows=True,
        text=lambda one: safe_text(one.tag),
    ),
    Column("digest", "DIGEST", 12, _digest, lambda one: _digest(one)[0], text=lambda one: _digest(one)[0]),
    Column("size", "SIZE", 6, _size, lambda one: one.manifest.size_bytes if one.manifest is not None else 0, align=">"),
    Column("age", "AGE", 4, _age, lambda one: -one.manifest.created_ns if one.manifest is not None else 0, align=">"),
    Column(
        "platforms",
        "PLATFORMS",
        14,
        _platforms,
        lambda one: _platforms(one)[0],
        grows=True,
        from_width=60,
        text=lambda one: _platforms(one)[0],
    ),
]
