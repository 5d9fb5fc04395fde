"""A question of one line at the bottom of a place: a filter, a search."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Label


class Prompt(Horizontal):
    """A sign and a line to type in; hidden until opened."""

    DEFAULT_CSS = """
    Prompt {
        height: 1; display: none; background: $raised;
        Label { width: auto; color: $accent; text-style: bold; padding: 0 1; background: $raised; }
        Input { background: $raised; width: 1fr; }
    }
    """

    class Typed(Message):
        """The text has changed."""

        def __init__(self, prompt: Prompt, text: str) -> None:
            super().__init__()
            self.prompt = prompt
            self.text = text

    class Done(Message):
        """Enter (kept) or Escape (not kept)."""

        def __init__(self, prompt: Prompt, text: str, kept: bool) -> None:
            super().__init__()
            self.prompt = prompt
            self.text = text
            self.kept = kept

    def __init__(self, sign: str, hint: str) -> None:
        super().__init__()
        self._sign = sign
        self._hint = hint
        self._open = False

    def compose(self) -> ComposeResult:
        yield Label(self._sign, markup=False)
        yield Input(placeholder=self._hint, compact=True, select_on_focus=False)

    def open(self, text: str = "") -> None:
        """Show it and take the keys."""
        self._open = True
        self.display = True
        box = self.query_one(Input)
        box.value = text
        box.cursor_position = len(text)
        self.screen.set_focus(box)  # at once: what is typed next belongs here already

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self._open:
            self.post_message(self.Typed(self, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._close(event.value, kept=True)

    def on_key(self, event: events.Key) -> None:
        if event.key == "escape":
            event.stop()
            self._close(self.query_one(Input).value, kept=False)

    def _close(self, text: str, *, kept: bool) -> None:
        self._open = False
        self.display = False
        self.post_message(self.Done(self, text, kept))
