"""One registry: its repositories; Enter shows a repository's tags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.widget import Widget

from app.console.actions import sentence
from app.console.command_text import command_text
from app.console.dialogs.login import LoginDialog
from app.console.registry_work import RegistryWork
from app.console.screens.list_place import ListPlace
from app.console.screens.remote_tags import RemoteTagsPlace
from app.console.seat import ask
from app.console.widgets.path_bar import PathBar
from app.console.widgets.resource_table import Column, ResourceTable
from app.registry_facts import speakable
from core.errors import EngineError, Unauthorized, Unsupported
from core.model.display import safe_text
from core.model.reference import parse_reference
from core.model.registry import DOCKER_HUB


class RepositoriesPlace(ListPlace):
    """What a registry's catalog lists."""

    PLACE = "repositories"
    TAB = "images"

    def __init__(self, host: str) -> None:
        super().__init__()
        self._host = host
        self._names: list[str] = []

    def body(self) -> Iterable[Widget]:
        yield PathBar("Registries", self._host)
        yield ResourceTable(_COLUMNS, lambda name: name)
        yield self.filter_prompt()

    def on_mount(self) -> None:
        super().on_mount()
        self.action_again()

    def fill(self) -> None:
        self.table.set_items(self._names)

    def action_again(self) -> None:
        self.table.empty_words = f"asking {safe_text(self._host)} …"
        self.table.refresh()
        backend, work = self.seat.actions.backend, RegistryWork(self.seat.actions)
        ask(self, lambda: backend.registries.repositories(self._host, work.keyring()), self._show, self._failed)

    def _show(self, names: Sequence[str]) -> None:
        self._names = speakable(f"{self._host}/", names)
        self.table.empty_words = f"Nothing lies in {safe_text(self._host)} yet."
        self.fill()

    def _failed(self, error: EngineError) -> None:
        """A registry that shows no catalog still has what images here are named after."""
        words = f"✖ {sentence(error)}"
        if isinstance(error, Unauthorized):
            words += "   i logs in"
        elif isinstance(error, Unsupported) or self._host == DOCKER_HUB:
            words += "   P searches"
            self._names = self._named_here()
        self.table.empty_words = words
        self.fill()
        self.table.refresh()

    def _named_here(self) -> list[str]:
        found = set()
        for tag in (tag for image in self.seat.store.images for tag in image.tags):
            try:
                reference = parse_reference(tag)
            except EngineError:
                continue  # the name of an older store
            if reference.host == self._host:
                found.add(reference.path)
        return sorted(found)

    @property
    def _repository(self) -> str | None:
        """The one under the cursor, with its host."""
        return f"{self._host}/{self.table.current}" if self.table.current is not None else None

    # ------------------------------------------------------------------ keys

    def action_open(self) -> None:
        if self._repository is not None:
            self.app.push_screen(RemoteTagsPlace(self._repository))

    def action_pull(self) -> None:
        self.seat.pull_dialog(parse_reference(self._repository).familiar_name if self._repository else self._prefix())

    def _prefix(self) -> str:
        return "" if self._host == DOCKER_HUB else f"{self._host}/"

    def action_login(self) -> None:
        self.app.push_screen(LoginDialog(self._host), lambda host: self.action_again() if host else None)

    def copy_entries(self, item: str) -> Sequence[tuple[str, str]]:
        name = safe_text(f"{self._host}/{item}")
        return [("name", name), ("tags command", command_text("registry", "tags", name))]


_COLUMNS: list[Column[str]] = [
    Column(
        "name",
        "REPOSITORY",
        24,
        lambda name: (safe_text(name), "text"),
        lambda name: name,
        grows=True,
        text=safe_text,
    )
]
