"""What is done to a manifest in its registry: deleted, with what goes along said first, or copied to another one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual.widget import Widget
from textual.widgets import Input, Label

from app import short
from app.console.actions import sentence
from app.console.command_text import command_text
from app.console.dialogs.delete import DeleteDialog
from app.console.dialogs.dialog import Dialog, Field
from app.console.jobs import Job
from app.console.registry_work import RegistryWork
from app.console.seat import ask
from app.keyring import host_of
from app.registry_facts import Deletion, collection_note
from core.errors import EngineError, InvalidInput
from core.model.display import safe_text
from core.model.reference import parse_reference


class DeleteManifest(DeleteDialog):
    """Looks first what goes along: until that is known there is nothing to agree to."""

    def __init__(self, repository: str, tag: str, deleted: Callable[[object], None]) -> None:
        super().__init__()
        self._repository = repository
        self._reference = f"{repository}@{tag}" if tag.startswith("sha256:") else f"{repository}:{tag}"
        self._deleted = deleted
        self._deletion: Deletion | None = None

    def title_words(self) -> str:
        return f" Delete {safe_text(self._reference[-60:])} from its registry "

    def fields(self) -> Iterable[Widget]:
        yield Label("looking what goes with it …", id="goes", markup=False, classes="words")
        yield Label("", id="stays", markup=False, classes="quiet")

    def on_mount(self) -> None:
        super().on_mount()
        work = RegistryWork(self.seat.actions)
        ask(self, lambda: work.plan_deletion(self._reference), self._show, self._failed)

    def _show(self, deletion: Deletion) -> None:
        self._deletion = deletion
        tags = ", ".join(safe_text(tag) for tag in deletion.tags) or "no tag"
        self.query_one("#goes", Label).update(f"{deletion.digest[:19]} goes, and with it: {tags}")
        self.query_one("#stays", Label).update(collection_note(deletion, short.size(deletion.freed_bytes)))

    def _failed(self, error: EngineError) -> None:
        self.query_one("#goes", Label).update(sentence(error))

    def command(self) -> str:
        return command_text("registry", "rm", self._reference)

    def act(self) -> None:
        if self._deletion is None:
            raise InvalidInput("what goes with it is not known yet", hint="wait for the registry's answer")
        RegistryWork(self.seat.actions).delete(self._repository, self._deletion, self._deleted)
        self.dismiss(True)


class CopyManifest(Dialog[Job]):
    """Answers the job that has begun."""

    DO_WORDS = "Copy  ⏎"

    def __init__(self, source: str) -> None:
        super().__init__()
        self._source = source

    def title_words(self) -> str:
        return f" Copy {safe_text(self._source[-60:])} "

    def fields(self) -> Iterable[Widget]:
        reference = parse_reference(self._source)
        path = reference.path + (f":{reference.tag}" if reference.tag else "")
        yield Field("To", "target", hint=f"HOST/{path}")
        yield Label("All platforms go, through no copy here.", markup=False, classes="quiet")

    def command(self) -> str:
        return command_text("registry", "copy", self._source, self.value("target") or "TARGET")

    def act(self) -> None:
        if not self.value("target"):
            raise InvalidInput("to: where?", hint="write it as HOST/NAME[:TAG]")
        target = parse_reference(self.value("target"))
        if target.digest:
            raise InvalidInput("cannot copy to a digest reference", hint="write it as HOST/NAME[:TAG]")
        self.dismiss(RegistryWork(self.seat.actions).copy(self._source, target))


class OtherRegistry(Dialog[str]):
    """Answers the host of a registry that nothing here speaks of."""

    TITLE_WORDS = " Look into a registry "
    DO_WORDS = "Open  ⏎"

    def fields(self) -> Iterable[Widget]:
        yield Field("Host", "host", hint="registry.example:5000")

    def command(self) -> str:
        return command_text("registry", "ls", host_of(self.value("host")) or "HOST")

    def act(self) -> None:
        host = host_of(self.query_one("#host", Input).value.strip())
        parse_reference(f"{host}/x") if host else None
        if not host or parse_reference(f"{host}/x").host != host:
            raise InvalidInput(f"host {safe_text(host)!r}: that is none", hint="write it with a dot or a :PORT")
        self.dismiss(host)
