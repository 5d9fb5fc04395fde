"""`:` — the docker command language in the console, with completion, its output in a pane.

The line is run by the very code that runs `wharf …` in a shell; only its streams are ours: a
worker thread writes into a bounded buffer that the pane empties ten times a second.
"""

from __future__ import annotations

import io
import shlex
import threading
from collections.abc import Sequence
from typing import BinaryIO, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList
from textual.widgets.option_list import Option

from app.console.seat import ask, seat
from app.console.widgets.pager import Pager
from core.about import NAME
from core.model.display import log_spans, safe_text
from core.model.progress import CancelToken

_HISTORY: list[str] = []
_MOST_OFFERED = 8
_HINT = "ps -a, run -d IMAGE, logs NAME …   Tab completes"
_BUFFER_LINES = 10_000


class CommandLine(ModalScreen[str]):
    """Answers the line to run."""

    BINDINGS: ClassVar = [
        Binding("escape", "dismiss", "leave"),
        Binding("tab", "complete", "complete", priority=True),
        Binding("up", "past(-1)", "earlier", priority=True),
        Binding("down", "past(1)", "later", priority=True),
    ]
    DEFAULT_CSS = """
    CommandLine { align: left bottom; background: transparent; }
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


class _Sink(io.RawIOBase):
    """What a command writes, until the pane fetches it; blocks the command rather than grow."""

    def __init__(self, cancel: CancelToken) -> None:
        super().__init__()
        self._cancel = cancel
        self._lock = threading.Condition()
        self._bytes = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        with self._lock:
            while len(self._bytes) > 1_000_000 and not self._cancel.is_cancelled:
                self._lock.wait(0.2)
            self._bytes += data
        return len(data)

    def take(self) -> bytes:
        """Everything written since the last time."""
        with self._lock:
            data = bytes(self._bytes)
            self._bytes.clear()
            self._lock.notify_all()
        return data


class CommandOutput(ModalScreen[None]):
    """The output of one command as it comes; Escape cancels it first, then leaves."""

    BINDINGS: ClassVar = [
        Binding("escape,q", "leave", "cancel or leave"),
        Binding("y", "copy", "copy"),
    ]
    DEFAULT_CSS = """
    CommandOutput { align: center middle; background: $background 60%; }
    CommandOutput > #box {
        width: 96%; height: 90%; background: $background;
        border: round $border-blurred; border-title-color: $accent; border-subtitle-color: $text-muted;
    }
    """

    def __init__(self, line: str) -> None:
        super().__init__()
        self._line = line
        self._cancel = CancelToken()
        self._sink = _Sink(self._cancel)
        self._open_line = b""
        self._done = False

    def compose(self) -> ComposeResult:
        with Vertical(id="box") as box:
            box.border_title = f" {NAME} {safe_text(self._line)} ".replace("[", "\\[")
            box.border_subtitle = " running …  Esc cancels "
            yield Pager()

    def on_mount(self) -> None:
        pager = self.query_one(Pager)
        pager.follows = True
        pager.focus()
        try:
            words = shlex.split(self._line)
        except ValueError as error:
            self._finish(f"{error}".lower(), 125)
            return
        console = seat(self)
        columns = max(40, self.size.width - 8)
        self.set_interval(0.1, self._fetch)

        def work() -> int:
            from app.commands.io import Io
            from app.commands.language import execute

            sink = cast("BinaryIO", self._sink)
            return execute(words, console.actions.backend, Io(sink, sink, columns=columns, cancel=self._cancel))

        ask(self, work, lambda code: self._finish("", code), lambda error: self._finish(str(error), 1))

    def _fetch(self) -> None:
        data = self._sink.take()
        if not data:
            return
        pager = self.query_one(Pager)
        *whole, rest = (self._open_line + data).split(b"\n")
        if self._open_line:
            pager.replace_last(_coloured(whole[0] if whole else rest))
            whole = whole[1:] if whole else whole
            fresh = [*whole, rest] if rest and (self._open_line + data).count(b"\n") else whole
        else:
            fresh = [*whole, rest] if rest else whole
        self._open_line = rest
        pager.append([_coloured(line) for line in fresh], most=_BUFFER_LINES)

    def _finish(self, problem: str, code: int) -> None:
        self._fetch()
        self._done = True
        if problem:
            self.query_one(Pager).append([[(problem, "fail")]])
        words = "done" if code == 0 else f"exit code {code}"
        self.query_one("#box", Vertical).border_subtitle = f" {words}   y copy   Esc leave "

    def action_leave(self) -> None:
        if self._done or self._cancel.is_cancelled:
            self._cancel.cancel()
            self.dismiss(None)
            return
        self._cancel.cancel()
        self.query_one("#box", Vertical).border_subtitle = " cancelled   Esc leaves "

    def action_copy(self) -> None:
        seat(self).copy(self.query_one(Pager).text, "the output")


def _coloured(line: bytes) -> list[tuple[str, str]]:
    """A line as the pager wants it; a command's own output is plain."""
    return [(span.text, "text") for span in log_spans(line)[0]]
