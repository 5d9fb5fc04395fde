"""Commit: what a container has become → an image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.widget import Widget
from textual.widgets import Label

from app.console.command_text import command_text
from app.console.dialogs.dialog import Dialog, Field
from app.console.dialogs.tick import Tick
from app.console.seat import ask
from core.backend import CommitWish
from core.model.container import Change, Container
from core.model.display import clip, safe_text
from core.model.reference import parse_reference


class CommitDialog(Dialog[str]):
    """Answers the reference wished for."""

    DO_WORDS = "Commit  ⏎"

    def __init__(self, container: Container) -> None:
        super().__init__()
        self._container = container

    def title_words(self) -> str:
        return f" Commit {safe_text(self._container.name)} → image "

    def fields(self) -> Iterable[Widget]:
        yield Field("Name", "name", hint="shop/api:9.4")
        yield Field("Message", "message", hint="what has changed")
        yield Field("Author", "author")
        yield Field("Change", "change", hint='CMD ["sh"]   (one Dockerfile line)')
        yield Tick("pause it meanwhile", True, id="pause")
        yield Label("looking for changed files …", id="changes", markup=False, classes="quiet")

    def on_mount(self) -> None:
        super().on_mount()
        key = self._container.id
        ask(
            self,
            lambda: self.seat.actions.backend.containers.changes(key),
            self._show_changes,
            lambda error: self._tell_changes(f"changed files: {error.message}"),
        )

    def _show_changes(self, changes: Sequence[Change]) -> None:
        files = [change for change in changes if change.kind != "C"] or list(changes)
        if not files:
            self._tell_changes("nothing has changed: the image will equal the old one")
            return
        names = "  ".join(f"{change.kind} {safe_text(change.path)}" for change in files[:12])
        self._tell_changes(clip(f"{len(files)} changed: {names}", 200))

    def _tell_changes(self, words: str) -> None:
        self.query_one("#changes", Label).update(words)

    def wish(self) -> CommitWish:
        """The commit as the fields say it."""
        name, change = self.value("name"), self.value("change")
        if name:
            parse_reference(name)
        return CommitWish(
            reference=name,
            author=self.value("author"),
            message=self.value("message"),
            changes=(change,) if change else (),
            pause=self.ticked("pause"),
        )

    def command(self) -> str:
        wish = self.wish()
        words = ["commit"]
        words += ["-m", wish.message] if wish.message else []
        words += ["-a", wish.author] if wish.author else []
        words += ["-c", *wish.changes] if wish.changes else []
        words += [] if wish.pause else ["--pause=false"]
        return command_text(*words, safe_text(self._container.name), *([wish.reference] if wish.reference else []))

    def act(self) -> None:
        wish = self.wish()
        self.seat.actions.commit(self._container, wish, self.command())
        self.dismiss(wish.reference)
