"""Rename: another name for a container."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widget import Widget

from app.console.command_text import command_text
from app.console.dialogs.dialog import Dialog, Field
from core.errors import InvalidSpec
from core.model.container import Container
from core.model.display import safe_text
from core.model.ids import is_name


class RenameDialog(Dialog[str]):
    """Answers the new name."""

    DO_WORDS = "Rename  ⏎"

    def __init__(self, container: Container) -> None:
        super().__init__()
        self._container = container

    def title_words(self) -> str:
        return f" Rename {safe_text(self._container.name)} "

    def fields(self) -> Iterable[Widget]:
        yield Field("New name", "name", value=safe_text(self._container.name))

    def command(self) -> str:
        return command_text("rename", safe_text(self._container.name), self.value("name") or "NAME")

    def act(self) -> None:
        name = self.value("name")
        if not is_name(name):
            raise InvalidSpec(f"name {name!r}: letters, digits, _ . and - only, two at least")
        self.seat.actions.rename(self._container, name)
        self.dismiss(name)
