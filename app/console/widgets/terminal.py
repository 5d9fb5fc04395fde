"""A terminal in a pane: the emulator's grid drawn, keys and mouse sent on to the program."""

from __future__ import annotations

from collections.abc import Callable

from rich.segment import Segment
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from app.console.relay import Relay
from app.console.seat import seat
from app.console.shell import ShellSession
from app.console.vt.grid import Row
from app.console.vt.keys import encode_key, encode_mouse, encode_paste
from app.console.vt.terminal import Terminal
from app.console.widgets.strips import Cells
from core.backend import Attachment
from core.model.ink import REVERSE, Ink

LEAVE_KEY = "ctrl+right_square_bracket"
_FRAME_S = 1 / 30


class TerminalPane(Widget, can_focus=True):
    """One session. Every key goes to the program, save Ctrl-] which leaves the pane."""

    KEY_WORDS = (("^]", "leave the shell"), ("⇧PgUp", "scroll back"))

    DEFAULT_CSS = """
    TerminalPane { width: 1fr; height: 1fr; }
    """

    class Left(Message):
        """Ctrl-]: the person wants the console back."""

    class Ended(Message):
        """The program is gone."""

        def __init__(self, why: str) -> None:
            super().__init__()
            self.why = why

    def __init__(self, again: str = "") -> None:
        super().__init__()
        self._again = again
        """How to open another session, for when one has ended."""
        self._detach_keys = b""
        self.terminal = Terminal(80, 24)
        self._session: ShellSession | None = None
        self._wanted: Callable[[int, int], Attachment] | None = None
        """A session asked for while the pane had no size yet."""
        self._typed_ahead: list[events.Key | events.Paste] = []
        """What was typed meanwhile: the session gets it first."""
        self._back = 0
        """Rows scrolled back into history."""
        self._frame_due = False
        self._cursor_row = 0
        self.ended = ""

    # ------------------------------------------------------------------ session

    def open(self, attach: Callable[[int, int], Attachment], detach_keys: bytes = b"") -> None:
        """Begin a session; `attach(rows, columns)` is called in a thread."""
        self.shut()
        self._typed_ahead.clear()
        self._detach_keys = detach_keys
        self._wanted = attach
        if self.size.width:
            self._begin()

    def _begin(self) -> None:
        """Start what was asked for, now that the pane has its size."""
        if self._wanted is None:
            return
        attach, self._wanted = self._wanted, None
        columns, rows = self.size.width, self.size.height
        self.terminal = Terminal(columns, rows)
        self._back, self.ended = 0, ""
        self._session = ShellSession(
            lambda: attach(rows, columns), Relay(self.app), self._draw, self._over, self._detach_keys
        )
        typed, self._typed_ahead = self._typed_ahead, []
        for event in typed:
            self._pass_on(event)
        self.refresh()

    def shut(self) -> None:
        """End the session, if there is one."""
        self._wanted = None
        if self._session is not None:
            self._session.close()
            self._session = None

    @property
    def is_open(self) -> bool:
        """Whether a program is there to type to."""
        return self._wanted is not None or (self._session is not None and not self.ended)

    @property
    def text(self) -> str:
        """What the program's screen shows."""
        return "\n".join(row.text().rstrip() for row in self.terminal.grid.lines).rstrip()

    def on_unmount(self) -> None:
        self.shut()

    def _draw(self, data: bytes) -> None:
        before = self.terminal.grid.scrolled_off
        self.terminal.feed(data)
        reply = self.terminal.take_reply()
        if reply and self._session is not None:
            self._session.write(reply)
        if self._back:  # what is being read stays where it is
            history = self.terminal.grid.history
            self._back = min(self._back + self.terminal.grid.scrolled_off - before, len(history) if history else 0)
        if not self._frame_due:
            self._frame_due = True
            self.set_timer(_FRAME_S if len(data) > 4096 else 0.002, self._frame)

    def _frame(self) -> None:
        """Repaint the rows that have changed since the last frame."""
        self._frame_due = False
        grid = self.terminal.grid
        dirty, grid.dirty = grid.dirty, set()
        if self._back:
            self.refresh()
            return
        for y in dirty | {self._cursor_row, self.terminal.y}:
            self.refresh(Region(0, y, self.size.width, 1))
        self._cursor_row = self.terminal.y

    def _over(self, why: str) -> None:
        self.ended = why
        self._session = None
        self.refresh()
        self.post_message(self.Ended(why))

    # ------------------------------------------------------------------ the person

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        if event.key == LEAVE_KEY:
            self.post_message(self.Left())
            return
        if event.key in ("shift+pageup", "shift+pagedown"):
            self._scroll_back(self.size.height // 2 * (1 if event.key.endswith("up") else -1))
            return
        self._scroll_back(-self._back)
        self._pass_on(event)

    def _pass_on(self, event: events.Key | events.Paste) -> None:
        """To the program; what is typed before the pane has its size waits until there is one."""
        if self._session is None:
            if self._wanted is not None:
                self._typed_ahead.append(event)
        elif isinstance(event, events.Paste):
            self._session.write(encode_paste(event.text, bracketed=self.terminal.bracketed_paste))
        else:
            application = self.terminal.application_cursor_keys
            character = event.character if event.is_printable else None
            self._session.write(encode_key(event.key, character, application_cursor=application))

    def check_consume_key(self, key: str, character: str | None) -> bool:
        return key != LEAVE_KEY

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        self._pass_on(event)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._mouse(event, {1: 0, 2: 1, 3: 2}.get(event.button, 0), released=False)

    def on_mouse_up(self, event: events.MouseUp) -> None:
        self._mouse(event, {1: 0, 2: 1, 3: 2}.get(event.button, 0), released=True)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, 64, b"\x1b[A", 3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, 65, b"\x1b[B", -3)

    def _mouse(self, event: events.MouseEvent, button: int, *, released: bool) -> None:
        event.stop()
        if self._session is None or not self.terminal.mouse_mode:
            return
        if released and self.terminal.mouse_mode == 9:
            return
        report = encode_mouse(button, event.x, event.y, released=released, sgr=self.terminal.mouse_sgr)
        self._session.write(report)

    def _wheel(self, event: events.MouseEvent, button: int, arrow: bytes, rows: int) -> None:
        if self.terminal.mouse_mode:
            self._mouse(event, button, released=False)
            return
        event.stop()
        if self.terminal.on_alternate_screen and self._session is not None:
            self._session.write(arrow * 3)
        else:
            self._scroll_back(rows)

    def _scroll_back(self, rows: int) -> None:
        history = self.terminal.grid.history
        back = max(0, min(self._back + rows, len(history) if history is not None else 0))
        if back != self._back:
            self._back = back
            self.refresh()

    def on_resize(self) -> None:
        columns, rows = self.size
        if not columns or not rows:
            return  # hidden: the program keeps the window it had
        self._begin()
        self.terminal.resize(columns, rows)
        if self._session is not None:
            self._session.resize(rows, columns)
        self.refresh()

    def on_focus(self) -> None:
        if self.terminal.focus_reports and self._session is not None:
            self._session.write(b"\x1b[I")
        self.refresh()

    def on_blur(self) -> None:
        if self.terminal.focus_reports and self._session is not None:
            self._session.write(b"\x1b[O")
        self.refresh()

    # ------------------------------------------------------------------ drawing

    def _row(self, y: int) -> Row | None:
        grid = self.terminal.grid
        if self._back and grid.history is not None:
            at = len(grid.history) - self._back + y
            if at < len(grid.history):
                return grid.history[at]
            y = at - len(grid.history)
        return grid.lines[y] if 0 <= y < len(grid.lines) else None

    def render_line(self, y: int) -> Strip:
        palette, width, terminal = seat(self).palette, self.size.width, self.terminal
        if self.ended and y == self.size.height - 1:
            cells = Cells(width, palette.style("muted", "raised"))
            return cells.put(f" {self.ended}   {self._again}").strip()
        row = self._row(y)
        if row is None:
            return Strip.blank(width, palette.style("text"))
        segments: list[Segment] = []
        inks, chars = row.inks, row.chars
        start, count = 0, len(chars)
        for at in range(1, count + 1):
            if at == count or inks[at] is not inks[start]:
                ink = inks[start]
                if terminal.reverse_screen:
                    ink = Ink(ink.foreground, ink.background, ink.attributes ^ REVERSE)
                segments.append(Segment("".join(chars[start:at]), palette.ink(ink)))
                start = at
        strip = Strip(segments)
        shows_cursor = terminal.cursor_visible and self.has_focus and not self._back and not self.ended
        if shows_cursor and y == terminal.y and terminal.x < count:
            at = terminal.x - (chars[terminal.x] == "" and terminal.x > 0)
            under = chars[at] or " "
            cursor = Segment(under, palette.style("background", "accent"))
            strip = Strip([*strip.crop(0, at), cursor, *strip.crop(at + cursor.cell_length)])
        if self._back and y == 0:
            note = f" {self._back} rows back "
            strip = Strip(
                [
                    *strip.crop(0, max(0, width - len(note))),
                    Segment(note, palette.style("background", "warn")),
                ]
            )
        return strip.adjust_cell_length(width, palette.style("text"))
