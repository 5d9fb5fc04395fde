"""`:` — a line of the docker command language, with completion and the lines typed before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Label, OptionList
from textual.widgets.option_list import Option

from app.console.dialogs.overlay import Overlay
from app.console.seat import ask, seat
from core.about import NAME
from core.model.display import safe_text

_HISTORY: list[str] = []
_MOST_OFFERED = 8
_HINT = "ps -a, run -d IMAGE, logs NAME …   Tab completes"


class CommandLine(Overlay[str]):
    """Answers the line to run."""

    BINDINGS: ClassVar = [
        Binding("escape", "dismiss", "leave"),
        Binding("tab", "complete", "complete", priority=True),
        Binding("up", "past(-1)", "earlier", priority=True),
        Binding("down", "past(1)", "later", priority=True),
    ]
    DEFAULT_CSS = """
    CommandLine { align: left bottom; }
    CommandLine > Vertical { height: auto; background: $raised; }
    CommandLine Horizontal { height: 1; }
    CommandLine Label { width: auto; color: $accent; text-style: bold; padding: 0 1; background: $raised; }
    CommandLine Input { width: 1fr; background: $raised; }
    CommandLine OptionList {
        height: auto; max-height: 8; border: none; background: $surface; padding: 0 1; display: none;
    }
    CommandLine OptionList.open { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._place = len(_HISTORY)
        self._asked = 0

    def compose(self) -> ComposeResult:
        with Vertical():
            yield OptionList(markup=False)
            with Horizontal():
                yield Label(f": {NAME}", markup=False)
                yield Input(placeholder=_HINT, compact=True, select_on_focus=False)

    def on_mount(self) -> None:
        self.query_one(OptionList).can_focus = False
        self.query_one(Input).focus()

    def on_key(self, event: events.Key) -> None:
        """What is typed before the line has the focus belongs into it all the same."""
        if event.key == "enter" and self.focused is None:
            event.stop()
            self._submit(self.query_one(Input).value)
        elif event.is_printable and event.character:
            event.stop()
            self.query_one(Input).insert_text_at_cursor(event.character)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._submit(event.value)

    def _submit(self, text: str) -> None:
        line = text.strip().removeprefix(NAME + " ")
        if line and (not _HISTORY or _HISTORY[-1] != line):
            _HISTORY.append(line)
        self.dismiss(line)

    def action_past(self, step: int) -> None:
        self._place = max(0, min(len(_HISTORY), self._place + step))
        box = self.query_one(Input)
        box.value = _HISTORY[self._place] if self._place < len(_HISTORY) else ""
        box.cursor_position = len(box.value)

    def action_complete(self) -> None:
        text = self.query_one(Input).value
        backend = seat(self).actions.backend
        self._asked += 1
        mine = self._asked

        def candidates() -> list[str]:
            from app.commands.language import complete

            return complete(text, backend)

        ask(self, candidates, lambda found: self._offer(mine, text, found))

    def _offer(self, asked: int, text: str, found: Sequence[str]) -> None:
        box = self.query_one(Input)
        if asked != self._asked or box.value != text:
            return
        options = self.query_one(OptionList)
        options.clear_options()
        options.set_class(len(found) > 1, "open")
        begun = text.rpartition(" ")[2]
        common = _common_start(found)
        if len(common) >= len(begun) and found:
            box.value = text[: len(text) - len(begun)] + common + (" " if len(found) == 1 else "")
            box.cursor_position = len(box.value)
        shown = [safe_text(word) for word in found[:_MOST_OFFERED]]
        if len(found) > _MOST_OFFERED:
            shown[-1] = f"… {len(found) - _MOST_OFFERED + 1} more"
        options.add_options(Option(word) for word in shown)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        box = self.query_one(Input)
        text = box.value
        box.value = text[: len(text) - len(text.rpartition(" ")[2])] + str(event.option.prompt) + " "
        box.focus()


def _common_start(words: Sequence[str]) -> str:
    if not words:
        return ""
    first, last = min(words), max(words)
    for at, character in enumerate(first):
        if at >= len(last) or last[at] != character:
            return first[:at]
    return first
