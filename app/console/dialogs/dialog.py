"""What all dialogs share: labelled fields, the command they amount to, an error line, buttons.

Keyboard and mouse are each complete: Tab and arrows move, Enter does it, Escape leaves, `y`
outside a text field (Ctrl-Y anywhere) copies the command.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import Button, Checkbox, Input, Label

from app.console.actions import sentence
from app.console.dialogs.overlay import Overlay
from app.console.seat import Seat, seat
from core.errors import EngineError

Answer = TypeVar("Answer")


_FOLD_CELLS = 70


def _folded(text: str) -> str:
    """Text in lines of at most the box's width, broken anywhere: paths are longer than words."""
    return "\n".join(text[at : at + _FOLD_CELLS] for at in range(0, len(text), _FOLD_CELLS))


class Field(Horizontal):
    """A label and a line to type in."""

    def __init__(self, label: str, name: str, *, value: str = "", hint: str = "", **options: Any) -> None:
        super().__init__(classes="field")
        self._label = label
        self._input = Input(value=value, placeholder=hint, id=name, compact=True, **options)

    def compose(self) -> ComposeResult:
        yield Label(self._label, markup=False, classes="name")
        yield self._input


class Dialog(Overlay[Answer]):
    """One question. A subclass gives title, fields, command and what Enter does."""

    BINDINGS: ClassVar = [
        Binding("escape", "leave", "leave"),
        Binding("y,ctrl+y", "copy_command", "copy the command"),
        Binding("down", "app.focus_next", "next", show=False),
        Binding("up", "app.focus_previous", "previous", show=False),
    ]
    TITLE_WORDS = ""
    DO_WORDS = "OK"
    DANGEROUS = False

    DEFAULT_CSS = """
    Dialog { align: center middle; }
    Dialog > #box {
        width: 76; max-width: 96%; height: auto; max-height: 96%;
        background: $surface; border: round $border-blurred; padding: 0 1;
        border-title-color: $accent; border-title-style: bold;
    }
    Dialog.dangerous > #box { border: round $error; border-title-color: $error; }
    Dialog #fields { height: auto; max-height: 100%; }
    Dialog .field { height: 1; }
    Dialog .name { width: 12; color: $muted; }
    Dialog .field Input { width: 1fr; background: $raised; }
    Dialog .field Input:focus { background: $selected; }
    Dialog .words { width: 1fr; height: auto; color: $text; }
    Dialog .quiet { width: 1fr; height: auto; color: $muted; }
    Dialog .ticks {
        height: auto; margin: 0 0 0 12; layout: grid; grid-size: 2; grid-rows: 1; grid-gutter: 0 1;
    }
    Dialog #command { height: auto; max-height: 4; color: $accent; margin: 1 0 0 0; }
    Dialog #error { height: auto; min-height: 1; color: $error; }
    Dialog #buttons { height: 1; }
    Dialog #buttons Button { margin: 0 2 0 0; min-width: 10; height: 1; border: none; }
    Dialog #do, Dialog #do:hover, Dialog #do:focus { color: $background; background: $accent; }
    Dialog.dangerous #do, Dialog.dangerous #do:hover, Dialog.dangerous #do:focus { background: $error; }
    Dialog #buttons Button:focus { text-style: bold underline; }
    """

    @property
    def seat(self) -> Seat:
        """The console."""
        return seat(self)

    def compose(self) -> ComposeResult:
        self.set_class(self.DANGEROUS, "dangerous")
        with Vertical(id="box") as box:
            box.border_title = self.title_words().replace("[", "\\[")
            with VerticalScroll(id="fields", can_focus=False):
                yield from self.fields()
            yield Label("", id="command", markup=False)
            yield Label("", id="error", markup=False)
            with Horizontal(id="buttons"):
                yield Button(self.DO_WORDS, id="do", compact=True, variant="error" if self.DANGEROUS else "primary")
                yield Button("Cancel  Esc", id="leave", compact=True)
                yield Button("Copy command  y", id="copy", compact=True)

    def on_mount(self) -> None:
        self.refresh_command()

    def on_key(self, event: events.Key) -> None:
        """What is typed before anything has the focus belongs into the first field all the same."""
        if self.focused is not None and not isinstance(self.focused, Input):
            return  # a field takes its keys itself: what comes here was sent before it had the focus
        boxes = self.query(Input)
        if event.key == "enter" and self.focused is None:
            event.stop()
            self._try()
        elif event.is_printable and event.character and boxes:
            event.stop()
            boxes.first().insert_text_at_cursor(event.character)

    # ------------------------------------------------------------------ for subclasses

    def title_words(self) -> str:
        """The words in the frame; safe text."""
        return self.TITLE_WORDS

    def fields(self) -> Iterable[Widget]:
        """The widgets between title and command."""
        return ()

    def command(self) -> str:
        """The command that this dialog stands for just now; may raise EngineError."""
        raise NotImplementedError

    def act(self) -> None:
        """Do it; an EngineError is shown and the dialog stays."""
        raise NotImplementedError

    def value(self, name: str) -> str:
        """What is in a text field, trimmed."""
        return self.query_one(f"#{name}", Input).value.strip()

    def ticked(self, name: str) -> bool:
        """Whether a box is ticked."""
        return self.query_one(f"#{name}", Checkbox).value

    # ------------------------------------------------------------------ the rest

    def refresh_command(self) -> None:
        """Show what the command is now."""
        try:
            text, error = self.command(), ""
        except EngineError as problem:
            text, error = "", sentence(problem)
        self.query_one("#command", Label).update(_folded(text))
        self.query_one("#copy").display = bool(text or error)
        self._say(error)

    def _say(self, error: str) -> None:
        self.query_one("#error", Label).update(_folded(error))

    def on_input_changed(self, event: Input.Changed) -> None:
        self.refresh_command()

    def on_checkbox_changed(self, event: Checkbox.Changed) -> None:
        self.refresh_command()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._try()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "do":
            self._try()
        elif event.button.id == "copy":
            self.action_copy_command()
        elif event.button.id == "leave":
            self.action_leave()

    def _try(self) -> None:
        try:
            self.act()
        except EngineError as error:
            self._say(sentence(error))

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_copy_command(self) -> None:
        try:
            self.seat.copy(self.command(), "the command")
        except EngineError as error:
            self._say(sentence(error))
