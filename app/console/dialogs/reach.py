"""Why can't I reach it: the way to a container's port, tried step by step."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Label

from app.console.actions import sentence
from app.console.command_text import command_text
from app.console.dialogs.dialog import Dialog, Field
from app.console.seat import ask
from app.reach import SIGNS, first_port, verdict_sentence
from core.errors import EngineError
from core.model.container import Container
from core.model.display import safe_text
from core.model.network import PathStep
from core.model.ports import parse_port

_CELLS = 70
_TITLE_CELLS = 11


class ReachCard(Dialog[None]):
    """Tries at once what is most likely meant; Enter tries again, or another port."""

    DO_WORDS = "Try  ⏎"

    DEFAULT_CSS = """
    ReachCard #steps { height: auto; max-height: 14; margin: 1 0 0 0; }
    ReachCard #steps Label { width: 1fr; height: auto; }
    ReachCard .ok { color: $text; }
    ReachCard .failed { color: $error; text-style: bold; }
    ReachCard .unknown { color: $warning; }
    ReachCard .skipped, ReachCard .hint { color: $muted; }
    """

    def __init__(self, container: Container) -> None:
        super().__init__()
        self._container = container

    def title_words(self) -> str:
        return f" Why can't I reach {safe_text(self._container.name)} "

    def fields(self) -> Iterable[Widget]:
        yield Field("Its port", "port", value=first_port(self._container), hint="80, or 53/udp")
        yield VerticalScroll(id="steps", can_focus=False)

    def on_mount(self) -> None:
        super().on_mount()
        if self.value("port"):
            self._try()

    def command(self) -> str:
        return command_text("why", "--port", self.value("port") or "PORT", safe_text(self._container.name))

    def act(self) -> None:
        number, protocol = parse_port(self.value("port"))
        self._show([Label("trying …", classes="skipped")])
        networks, key = self.seat.actions.backend.networks, self._container.id
        ask(self, lambda: networks.trace(key, number, protocol), self._traced, self._failed)

    def _traced(self, steps: Sequence[PathStep]) -> None:
        width = min(_CELLS, self.size.width - 8)
        labels = []
        for step in steps:
            title = f"{SIGNS.get(step.verdict, '?')} {safe_text(step.name):<{_TITLE_CELLS}}"
            text = textwrap.fill(safe_text(step.text), width, initial_indent=title, subsequent_indent=" " * len(title))
            labels.append(Label(text, markup=False, classes=step.verdict))
            if step.hint:
                indent = " " * len(title)
                hint = textwrap.fill(safe_text(step.hint), width, initial_indent=indent, subsequent_indent=indent)
                labels.append(Label(hint, markup=False, classes="hint"))
        labels.append(Label(f"\n{verdict_sentence(steps)}", markup=False, classes="ok"))
        self._show(labels)

    def _failed(self, error: EngineError) -> None:
        self._show([Label(sentence(error), markup=False, classes="failed")])

    def _show(self, labels: Sequence[Label]) -> None:
        box = self.query_one("#steps")
        box.remove_children()
        box.mount(*labels)
