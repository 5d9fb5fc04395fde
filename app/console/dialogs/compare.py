"""Compare with …: the other image, or a container."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widget import Widget
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from app.console.command_text import command_text
from app.console.dialogs.dialog import Dialog, Field
from app.console.filtering import parse_filter
from core.errors import InvalidInput
from core.model.display import clip, safe_text

_MOST_SHOWN = 200


class CompareDialog(Dialog[str]):
    """Answers the other one's key: an image's name, or a container's."""

    DO_WORDS = "Compare  ⏎"
    DEFAULT_CSS = """
    CompareDialog OptionList, CompareDialog OptionList:focus {
        height: auto; max-height: 10; border: none; background: $raised; padding: 0;
    }
    """

    def __init__(self, first: str) -> None:
        super().__init__()
        self._first = first
        self._offered: list[str] = []

    def title_words(self) -> str:
        return f" Compare {safe_text(self._first)} with … "

    def fields(self) -> Iterable[Widget]:
        yield Field("Other", "other", hint="an image or a container; type a part of its name")
        yield OptionList(id="others", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self._offer("")

    def _offer(self, text: str) -> None:
        store, test = self.seat.store, parse_filter(text)
        images = [(tag, "image") for image in store.images for tag in image.tags if tag != self._first]
        containers = [(one.name, "container") for one in store.containers.values()]
        fitting = [pair for pair in (*images, *containers) if test is None or test({"name": pair[0], "kind": pair[1]})]
        self._offered = [name for name, _kind in fitting[:_MOST_SHOWN]]
        others = self.query_one(OptionList)
        others.clear_options()
        others.add_options(Option(clip(f"{kind:<10} {safe_text(name)}", 68)) for name, kind in fitting[:_MOST_SHOWN])
        if self._offered:
            others.highlighted = 0

    def on_input_changed(self, event: Input.Changed) -> None:
        self._offer(event.value)
        super().on_input_changed(event)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        self.refresh_command()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._offered[event.option_index])

    def _other(self) -> str:
        """What was typed, if it is all of a name, else the first or highlighted one that fits."""
        typed, at = self.value("other"), self.query_one(OptionList).highlighted
        if typed in self._offered:
            return typed
        return self._offered[at] if at is not None and at < len(self._offered) else ""

    def command(self) -> str:
        return safe_text(command_text("image", "diff", self._first, self._other() or "OTHER"))

    def act(self) -> None:
        if not self._other():
            raise InvalidInput("other: there is none of that name", hint="choose one of the list")
        self.dismiss(self._other())
