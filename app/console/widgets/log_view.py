"""A container's log: a window onto lines by number, following or standing still.

Drawn are the lines on screen and no others. Following never fights scrolling: whoever scrolls up
stays there, and the end is followed again from the end only. What the container wrote passes
through core.model.display; only its colours are kept.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from app import short
from app.console import keymap
from app.console.log_levels import ERRORS, LevelCounts
from app.console.log_source import LogSource
from app.console.relay import Relay
from app.console.seat import seat
from app.console.widgets.prompt import Prompt
from app.console.widgets.strips import Cells
from core.backend import LogView
from core.model.display import log_spans
from core.model.ink import PLAIN
from core.model.logs import LogLine
from core.model.progress import CancelToken

_LEVELS = re.compile(r"\b(?:(FATAL|CRITICAL|PANIC|ERROR|ERR)|(WARNING|WARN)|(INFO|NOTICE))\b|\b(DEBUG|TRACE)\b")
_LEVEL_TONES = ("fail", "warn", "ok", "faint")


class LogLines(Widget, can_focus=True):
    """The lines themselves, and one line of status below them."""

    DEFAULT_CSS = """
    LogLines { width: 1fr; height: 1fr; }
    """
    BINDINGS: ClassVar = [Binding(key.keys, key.action, key.words, show=key.on_line) for key in keymap.LOG_KEYS]

    def __init__(self) -> None:
        super().__init__()
        self._source: LogSource | None = None
        self._top = 0
        self.following = True
        self.wrapped = False
        self.timed = False
        self._left = 0
        self._pattern: re.Pattern[str] | None = None
        self._raw_pattern = b""
        self._shown_pattern = ""
        self._hit: int | None = None
        self._search_note = ""
        self._search_cancel = CancelToken()
        self._strips: dict[int, list[Strip]] = {}
        self._window: list[Strip] = []
        self._status_hits: list[tuple[int, int, str]] = []
        self.counts_levels = False
        """Whether errors and warnings are counted."""
        self.why_empty = ""
        """What to say while there is no line."""

    # ------------------------------------------------------------------ content

    def open(self, key: str) -> None:
        """Show another container's log, from its end."""
        containers = seat(self).actions.backend.containers
        self.open_view(lambda: containers.log_view(key))

    def open_view(self, view: Callable[[], LogView]) -> None:
        """Show another log, from its end; `view` is called in a thread."""
        self.shut()
        self._top, self._left, self.following = 0, 0, True
        self._hit, self._search_note = None, ""
        self._source = LogSource(view, Relay(self.app), self._changed, counts=self.counts_levels)
        self._forget_strips()

    def shut(self) -> None:
        """Show no log."""
        self._search_cancel.cancel()
        if self._source is not None:
            self._source.close()
            self._source = None
        self._forget_strips()

    def on_unmount(self) -> None:
        self.shut()

    @property
    def line_count(self) -> int:
        """Lines of the log so far."""
        return self._source.count if self._source else 0

    def _changed(self) -> None:
        self._strips.clear()
        self.refresh()

    def _forget_strips(self) -> None:
        self._strips.clear()
        self.refresh()

    # ------------------------------------------------------------------ moving

    @property
    def _page(self) -> int:
        return max(1, self.size.height - 1)

    def scroll_lines(self, count: int) -> None:
        """Move the window by lines; reaching the end means following it."""
        if self.following and count < 0:
            self._top = self._first_at_end()
        if count < 0:
            self.following = False
        if not self.following:
            self._top = max(0, self._top + count)
            if self._top >= self._first_at_end() and count > 0:
                self.following = True
        self.refresh()

    def go_to_line(self, number: int) -> None:
        """Stand still with a line a third down the window."""
        self.following = False
        self._top = max(0, min(number - self._page // 3, self.line_count - 1))
        self.refresh()

    def go_to_moment(self, at_ns: int) -> None:
        """Stand still at the first line not older than a moment."""
        if self._source is not None:
            self._source.line_at(at_ns, self.go_to_line)

    def action_follow(self) -> None:
        self.following = True
        self.refresh()

    def action_top(self) -> None:
        self.following = False
        self._top = 0
        self.refresh()

    def action_wrap(self) -> None:
        self.wrapped = not self.wrapped
        self._left = 0
        self._forget_strips()

    def action_times(self) -> None:
        self.timed = not self.timed
        self._forget_strips()

    def on_key(self, event: events.Key) -> None:
        page = max(1, self._page - 1)
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -page, "pagedown": page}
        steps |= {"ctrl+b": -page, "ctrl+f": page}
        if event.key in steps:
            event.stop()
            self.scroll_lines(steps[event.key])
        elif event.key in ("left", "right") and not self.wrapped:
            event.stop()
            self._left = max(0, self._left + (8 if event.key == "right" else -8))
            self._forget_strips()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_lines(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_lines(-3)

    def on_resize(self) -> None:
        self._forget_strips()

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    # ------------------------------------------------------------------ searching

    def action_search(self) -> None:
        self.screen.query_one("#log-prompt", Prompt).open()

    def search(self, text: str, *, shown: str = "") -> None:
        """Find the last line that matches, from the window's end backwards."""
        self._search_cancel.cancel()
        if not text:
            self._pattern, self._search_note, self._hit = None, "", None
            self._forget_strips()
            return
        try:
            self._pattern = re.compile(text, re.IGNORECASE)
        except re.error:
            text = re.escape(text)
            self._pattern = re.compile(text, re.IGNORECASE)
        self._raw_pattern = text.encode("utf-8", "surrogateescape")
        self._shown_pattern = shown or f"/{text}"
        start = self.line_count - 1 if self.following else self._top + self._page - 1
        self._seek(max(0, start), backwards=True)

    def action_errors(self) -> None:
        """Find the last line that tells of an error; n and N go on from there."""
        self.search(f"(?-i:{ERRORS})", shown="errors")

    async def on_click(self, event: events.Click) -> None:
        if event.y == self.size.height - 1:
            for start, end, action in self._status_hits:
                if start <= event.x < end:
                    event.stop()
                    await self.run_action(action)

    def action_next(self, direction: int) -> None:
        if self._pattern is None:
            return
        at = self._hit if self._hit is not None else self._top
        self._seek(at + direction, backwards=direction < 0)

    def _seek(self, first: int, *, backwards: bool) -> None:
        if self._source is None or first < 0:
            self._search_note = "no more hits"
            self.refresh()
            return
        self._search_cancel.cancel()
        cancel = self._search_cancel = CancelToken()
        self._search_note = "searching …"

        def found(number: int | None) -> None:
            if cancel.is_cancelled:
                return
            if number is None:
                self._search_note = "no more hits"
            else:
                self._hit, self._search_note = number, f"hit in line {number + 1:,}"
                self.go_to_line(number)
            self._forget_strips()

        self._source.search(self._raw_pattern, first, cancel, found, backwards=backwards)
        self.refresh()

    # ------------------------------------------------------------------ drawing

    def _first_at_end(self) -> int:
        """The first line of the window that shows the end."""
        count = self.line_count
        if not self.wrapped:
            return max(0, count - self._page)
        rows, number = 0, count
        while number > 0 and rows < self._page:
            number -= 1
            rows += len(self._line_strips(number))
        return number + (rows > self._page)

    def _line_strips(self, number: int) -> list[Strip]:
        found = self._strips.get(number)
        if found is not None:
            return found
        line = self._source.line(number) if self._source else None
        if line is None:
            return [Strip.blank(self.size.width, seat(self).palette.style("faint"))]
        strips = self._draw(number, line)
        if len(self._strips) > 2_000:
            self._strips.clear()
        self._strips[number] = strips
        return strips

    def _draw(self, number: int, line: LogLine) -> list[Strip]:
        palette, width = seat(self).palette, self.size.width
        hit = number == self._hit
        on = "selected" if hit else "background"
        prefix = [Segment("▎" if line.stream == 2 else " ", palette.style("fail", on))]
        if self.timed:
            prefix.append(Segment(short.clock(line.at_ns, millis=True) + " ", palette.style("faint", on)))
        body: list[Segment] = []
        for text, ink in log_spans(line.data)[0]:
            if ink == PLAIN:
                body += self._accented(text, on)
            else:
                body.append(Segment(text, palette.ink(ink, on)))
        room = max(1, width - 1 - sum(segment.cell_length for segment in prefix))
        whole = Strip(body)
        base = palette.style("text", on)
        if self.wrapped and whole.cell_length > room:
            cuts = range(0, whole.cell_length, room)
            indent = [Segment(" " * (width - 1 - room), base)]
            return [
                Strip([*(indent if at else prefix), *whole.crop(at, at + room)]).extend_cell_length(width, base)
                for at in cuts
            ]
        cut = whole.crop(self._left, self._left + room)
        strip = Strip([*prefix, *cut]).extend_cell_length(width, base)
        if whole.cell_length > self._left + room:
            strip = Strip([*strip.crop(0, width - 1), Segment("›", palette.style("faint", on))], width)
        return [strip]

    def _accented(self, text: str, on: str) -> list[Segment]:
        """Plain text with its level words, or what was searched for, made to stand out."""
        palette = seat(self).palette
        pattern = self._pattern or _LEVELS
        segments: list[Segment] = []
        position = 0
        for match in pattern.finditer(text):
            if match.end() == match.start():
                continue
            if self._pattern is not None:
                style = palette.style("background", "warn", "bold")
            else:
                style = palette.style(_LEVEL_TONES[(match.lastindex or 1) - 1], on, "bold")
            segments.append(Segment(text[position : match.start()], palette.style("text", on)))
            segments.append(Segment(match[0], style))
            position = match.end()
        segments.append(Segment(text[position:], palette.style("text", on)))
        return segments

    def render_line(self, y: int) -> Strip:
        if y == self.size.height - 1:
            return self._status()
        if y < len(self._window):
            return self._window[y]
        return Strip.blank(self.size.width, seat(self).palette.style("text"))

    def render_lines(self, crop: Region) -> list[Strip]:
        self._window = self._layout()
        return super().render_lines(crop)

    def _layout(self) -> list[Strip]:
        count, page, palette = self.line_count, self._page, seat(self).palette
        if count == 0:
            source = self._source
            words = (source.trouble or self.why_empty) if source and source.ready else ""
            folded = textwrap.wrap(words, max(8, self.size.width - 2))[:page]
            return [Cells(self.size.width, palette.style("muted")).gap(1).put(row).strip() for row in folded]
        first = self._first_at_end() if self.following else min(self._top, max(0, count - 1))
        rows: list[Strip] = []
        number = first
        while number < count and len(rows) < page:
            rows += self._line_strips(number)
            number += 1
        if self.following and len(rows) > page:
            rows = rows[-page:]
        return rows[:page]

    def _status(self) -> Strip:
        palette, count = seat(self).palette, self.line_count
        cells = Cells(self.size.width, palette.style("muted", "surface"))
        if self.following:
            cells.put(" ▸ following", palette.style("ok", "surface", "bold"))
        else:
            cells.put(" ‖ ", palette.style("warn", "surface", "bold"))
            share = 100 * min(count, self._top + self._page) // count if count else 100
            cells.put(f"line {self._top + 1:,}  {share}%", palette.style("text", "surface"))
        cells.put(f"  {count:,} line{'' if count == 1 else 's'}")
        self._levels(cells)
        if self._search_note:
            cells.put(f"  {self._search_note}")
        if self._pattern is not None:
            cells.put(f"  {self._shown_pattern}", palette.style("warn", "surface"))
        self._status_hits = cells.hits
        return cells.strip()

    def _levels(self, cells: Cells) -> None:
        """`E 14  W 92`, as far as there are any; the errors can be clicked."""
        palette, levels = seat(self).palette, self._source.levels if self._source else LevelCounts()
        more = "+" if levels.at_least else ""
        if levels.errors:
            cells.gap(2).button(f"E {levels.errors:,}{more}", palette.style("fail", "surface", "bold"), "errors")
        if levels.warnings:
            cells.gap(2).put(f"W {levels.warnings:,}{more}", palette.style("warn", "surface", "bold"))


class LogPane(Vertical):
    """The lines with the search prompt under them."""

    DEFAULT_CSS = """
    LogPane { width: 1fr; height: 1fr; }
    """

    def compose(self) -> ComposeResult:
        lines = LogLines()
        lines.counts_levels = True
        yield lines
        prompt = Prompt("/", "text or regular expression; Enter finds backwards, n and N go on")
        prompt.id = "log-prompt"
        yield prompt

    @property
    def lines(self) -> LogLines:
        """The lines themselves."""
        return self.query_one(LogLines)

    def on_prompt_done(self, event: Prompt.Done) -> None:
        event.stop()
        self.screen.set_focus(self.lines)
        if event.kept:
            self.lines.search(event.text)
