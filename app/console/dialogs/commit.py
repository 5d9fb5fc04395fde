"""Commit: what a container has become → an image; what is not ticked stays out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.widget import Widget
from textual.widgets import Label

from app import short
from app.console.command_text import command_text
from app.console.dialogs.dialog import Dialog, Field
from app.console.dialogs.tick import Tick
from app.console.difference_tree import change_tree
from app.console.file_tree import CountedTree
from app.console.seat import ask
from app.console.ticks import Ticks
from app.console.widgets.tick_tree import TickTree
from core.backend import CommitWish
from core.model.container import Change, Container
from core.model.display import safe_text
from core.model.progress import CancelToken, silent
from core.model.reference import parse_reference


class CommitDialog(Dialog[str]):
    """Answers the reference wished for."""

    DO_WORDS = "Commit  ⏎"
    DEFAULT_CSS = """
    CommitDialog > #box { width: 92; }
    """

    def __init__(self, container: Container) -> None:
        super().__init__()
        self._container = container
        self._cancel = CancelToken()
        self._is_measured = False

    def title_words(self) -> str:
        return f" Commit {safe_text(self._container.name)} → image "

    def fields(self) -> Iterable[Widget]:
        yield Field("Name", "name", hint="shop/api:9.4")
        yield Field("Message", "message", hint="what has changed")
        yield Field("Author", "author")
        yield Field("Change", "change", hint='CMD ["sh"]   (one Dockerfile line)')
        yield Tick("pause it meanwhile", True, id="pause")
        yield Label("looking for changed files …", id="changes", markup=False, classes="quiet")
        yield TickTree(id="tree")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(TickTree).display = False
        changes, key = self.seat.actions.backend.containers.changes, self._container.id

        def look() -> tuple[Sequence[Change], Ticks]:
            found = changes(key)
            return found, Ticks(change_tree(found, ()))

        ask(self, look, self._show_changes, lambda error: self._tell(f"changed files: {error.message}"))

    def on_unmount(self) -> None:
        super().on_unmount()
        self._cancel.cancel()

    def _show_changes(self, answer: tuple[Sequence[Change], Ticks]) -> None:
        changes, ticks = answer
        if not changes:
            self._tell("nothing has changed: the image will equal the old one")
            return
        self.query_one(TickTree).display = True
        self.query_one(TickTree).take(ticks)
        self._count()
        self._measure(changes)

    def _measure(self, changes: Sequence[Change]) -> None:
        """Learn the sizes, which takes longer; without the image they are measured against there are none."""
        images, container = self.seat.actions.backend.images, self._container

        def compare() -> CountedTree:
            return change_tree(changes, images.compare(container.config.image_id, container.id, silent, self._cancel))

        def show(tree: CountedTree) -> None:
            self._is_measured = True
            self.query_one(TickTree).measured(tree)
            self._count()

        ask(self, compare, show, lambda _error: None)

    def on_tick_tree_ticked(self, event: TickTree.Ticked) -> None:
        event.stop()
        self._count()
        self.refresh_command()

    def _count(self) -> None:
        going, every, size_bytes = self.query_one(TickTree).ticks.counted()
        out = f", {every - going} left out" if going < every else ""
        size = f", {short.size(size_bytes)}" if self._is_measured else ""
        self._tell(f"changes: {going} of {every}{size}{out}     untick (␣) what must stay out")

    def _tell(self, words: str) -> None:
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
            left_out=self.query_one(TickTree).ticks.left_out(),
        )

    def command(self) -> str:
        wish = self.wish()
        words = ["commit"]
        words += ["-m", wish.message] if wish.message else []
        words += ["-a", wish.author] if wish.author else []
        words += ["-c", *wish.changes] if wish.changes else []
        words += [] if wish.pause else ["--pause=false"]
        words += [word for path in wish.left_out for word in ("--leave-out", path)]
        command = command_text(*words, self._container.name, *([wish.reference] if wish.reference else []))
        return safe_text(command)

    def act(self) -> None:
        wish = self.wish()
        self.seat.actions.images.commit(self._container, wish, self.command())
        self.dismiss(wish.reference)
