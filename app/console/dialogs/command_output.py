"""What a line of the command language says, in a pane as it comes; a program's terminal if it has one.

The line is run by the very code that runs `wharf …` in a shell; only its streams are ours: a
worker thread writes into a bounded buffer that the pane empties ten times a second, and what
would be joined to the shell's terminal (`run -it`, `exec -it`, `attach`) is joined to a pane.
"""

from __future__ import annotations

import io
import shlex
import threading
from typing import BinaryIO, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical

from app.console.dialogs.overlay import Overlay
from app.console.joined_terminal import JoinedTerminal
from app.console.relay import Relay
from app.console.seat import ask, seat
from app.console.shell import DETACHED
from app.console.widgets.pager import Pager
from app.console.widgets.terminal import TerminalPane
from core.about import NAME
from core.backend import Attachment
from core.model.display import log_spans, safe_text
from core.model.progress import CancelToken

_BUFFER_LINES = 10_000


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


class CommandOutput(Overlay[None]):
    """The output of one command as it comes; Escape cancels it first, then leaves."""

    BINDINGS: ClassVar = [
        Binding("escape,q", "leave", "cancel or leave"),
        Binding("y", "copy", "copy"),
    ]
    DEFAULT_CSS = """
    CommandOutput { align: center middle; }
    CommandOutput > #box {
        width: 100%; height: 92%; background: $background;
        border: round $border-blurred; border-title-color: $accent; border-subtitle-color: $text-muted;
    }
    CommandOutput TerminalPane { display: none; }
    CommandOutput.joined TerminalPane { display: block; }
    CommandOutput.joined Pager { display: none; }
    CommandOutput.joined.said Pager { display: block; height: 4; border-top: solid $line; }
    """

    def __init__(self, line: str) -> None:
        super().__init__()
        self._line = line
        self._cancel = CancelToken()
        self._sink = _Sink(self._cancel)
        self._open_line = b""
        self._done = False
        self._joined: JoinedTerminal | None = None

    def compose(self) -> ComposeResult:
        with Vertical(id="box") as box:
            box.border_title = f" {NAME} {safe_text(self._line)} ".replace("[", "\\[")
            box.border_subtitle = " running …  Esc cancels "
            yield TerminalPane()
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
        joined = self._joined = JoinedTerminal(Relay(self.app), self._pane_size(), self._join)

        def work() -> int:
            from app.commands.io import Io
            from app.commands.language import execute

            sink = cast("BinaryIO", self._sink)
            streams = Io(sink, sink, columns=columns, cancel=self._cancel, terminal=joined)
            return execute(words, console.actions.backend, streams)

        ask(self, work, lambda code: self._finish("", code), lambda error: self._finish(str(error), 1))

    # ------------------------------------------------------------------ a program's terminal

    def _pane_size(self) -> tuple[int, int]:
        """Rows and columns of the box's inside; exact enough to start a program with."""
        return max(2, int(self.size.height * 0.92) - 2), max(2, self.size.width - 2)

    def _join(self, attachment: Attachment, detach_keys: bytes) -> None:
        assert self._joined is not None
        if not self.is_attached:  # left before the program was there
            self._joined.over(left=True)
            return
        self._fetch()
        self.remove_class("said")
        self.add_class("joined")
        pane = self.query_one(TerminalPane)
        pane.open(lambda _rows, _columns: attachment, detach_keys)
        self.set_focus(pane)
        leaves = "Ctrl-P Ctrl-Q detaches   " if detach_keys else ""
        self._subtitle(f"{leaves}Ctrl-] leaves")

    def on_terminal_pane_ended(self, event: TerminalPane.Ended) -> None:
        if self._joined is not None:
            self._joined.over(left=event.why == DETACHED)
        self.set_focus(self.query_one(Pager))
        self._subtitle("running …  Esc cancels")

    def on_terminal_pane_left(self) -> None:
        self.dismiss(None)

    def on_unmount(self) -> None:
        """The pane, which goes first, has ended its session: the program hangs up, or goes on without us."""
        self._cancel.cancel()
        if self._joined is not None:
            self._joined.over(left=True)

    def _subtitle(self, words: str) -> None:
        self.query_one("#box", Vertical).border_subtitle = f" {words} "

    # ------------------------------------------------------------------ output

    def _fetch(self) -> None:
        data = self._sink.take()
        if not data:
            return
        self.add_class("said")
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
        self._subtitle(f"{words}   y copy   Esc leave")

    def action_leave(self) -> None:
        if self._done or self._cancel.is_cancelled:
            self._cancel.cancel()
            self.dismiss(None)
            return
        self._cancel.cancel()
        self._subtitle("cancelled   Esc leaves")

    def action_copy(self) -> None:
        shown = self.query_one(TerminalPane).text if self.has_class("joined") else self.query_one(Pager).text
        seat(self).copy(shown, "the output")


def _coloured(line: bytes) -> list[tuple[str, str]]:
    """A line as the pager wants it; a command's own output is plain."""
    return [(span.text, "text") for span in log_spans(line)[0]]
