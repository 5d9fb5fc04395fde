"""The why-card: a container's reasons, what speaks for them, and the next steps as commands to choose."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Label, OptionList
from textual.widgets.option_list import Option

from app import short
from app.console.dialogs.overlay import Overlay
from app.console.seat import ask, seat
from app.console.standing import standing_of
from app.why.find import find_reasons, plain_word
from app.why.reason import Reason, Step
from app.why.signs import Signs, gather
from core.errors import EngineError
from core.model.container import Container
from core.model.display import safe_text

_MOST_REASONS = 3
_MOST_STEPS = 5
_CELLS = 84


class WhyCard(Overlay[Step]):
    """Answers the step to do. What the store knows is there at once, the log a moment later."""

    BINDINGS: ClassVar = [
        Binding("escape,q", "dismiss", "leave"),
        Binding("y", "copy", "copy the command"),
    ]
    DEFAULT_CSS = """
    WhyCard { align: center middle; }
    WhyCard > #card {
        width: 84; max-width: 96%; height: auto; max-height: 96%; background: $surface; padding: 0 1;
        border: round $border-blurred; border-title-color: $accent; border-subtitle-color: $text-muted;
    }
    WhyCard #reasons { height: auto; max-height: 60%; }
    WhyCard .sentence { width: 1fr; height: auto; color: $text; text-style: bold; }
    WhyCard .evidence { width: 1fr; height: 1; color: $muted; text-wrap: nowrap; text-overflow: ellipsis; }
    WhyCard .apart { margin: 1 0 0 0; }
    WhyCard OptionList {
        width: 1fr; height: auto; max-height: 12; border: none; background: $surface; padding: 0; margin: 1 0 0 0;
    }
    WhyCard OptionList:focus { border: none; }
    """

    def __init__(self, container: Container, signs: Signs, now_ns: int) -> None:
        super().__init__()
        self._container = container
        self._now_ns = now_ns
        self._reasons = self._find(signs)
        self._steps: list[Step] = []

    def _find(self, signs: Signs) -> list[Reason]:
        found = find_reasons(self._container, signs, self._now_ns)
        return found[:_MOST_REASONS] or [plain_word(self._container)]

    def compose(self) -> ComposeResult:
        with Vertical(id="card") as card:
            sign, _tone = short.glyph(standing_of(self._container))
            card.border_title = f" Why  {sign} {safe_text(self._container.name)} ".replace("[", "\\[")
            card.border_subtitle = " ⏎ do it   y copy the command   Esc leave "
            yield VerticalScroll(id="reasons", can_focus=False)
            yield OptionList(markup=False)

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()
        self._show()
        backend, container = seat(self).actions.backend, self._container
        ask(self, lambda: gather(backend, container), self._gathered, self._nothing_more)

    def _gathered(self, signs: Signs) -> None:
        self._reasons = self._find(signs)
        self._show()

    def _nothing_more(self, _error: EngineError) -> None:
        """What was known before is shown already; it may be gone by now."""

    def _show(self) -> None:
        labels: list[Label] = []
        for number, reason in enumerate(self._reasons):
            labels.append(Label(reason.sentence, markup=False, classes="sentence apart" if number else "sentence"))
            labels += [Label(row, markup=False, classes="evidence") for row in _rows(reason)]
        box = self.query_one("#reasons")
        box.remove_children()
        box.mount(*labels)
        self._steps = list({step.text: step for reason in self._reasons for step in reason.steps}.values())[
            :_MOST_STEPS
        ]
        options = self.query_one(OptionList)
        chosen = options.highlighted or 0
        options.clear_options()
        options.add_options(self._option(number, step) for number, step in enumerate(self._steps, 1))
        options.highlighted = min(chosen, len(self._steps) - 1) if self._steps else None

    def _option(self, number: int, step: Step) -> Option:
        accent = Style(color=seat(self).palette.colour("accent"))
        width = min(_CELLS, self.size.width) - 8
        command = textwrap.fill(safe_text(step.text), width, initial_indent="   ", subsequent_indent="     ")
        return Option(Text.assemble(f"{number}  {step.words}\n", (command, accent)))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._steps[event.option_index])

    def on_key(self, event: events.Key) -> None:
        if event.key.isdigit() and 1 <= int(event.key) <= len(self._steps):
            event.stop()
            self.dismiss(self._steps[int(event.key) - 1])

    def action_copy(self) -> None:
        number = self.query_one(OptionList).highlighted
        if number is not None:
            seat(self).copy(self._steps[number].text, "the command")


def _rows(reason: Reason) -> Sequence[str]:
    width = max((len(one.title) for one in reason.evidence), default=0)
    return [
        f"{one.title if not number else '':<{width}}  {line}"
        for one in reason.evidence
        for number, line in enumerate(one.lines)
    ]
