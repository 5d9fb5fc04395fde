"""The terminal that programs in a container talk to: xterm's ways, as far as they use them.

Bytes in (`feed`), a grid of cells out; questions (DA, DSR, DECRQM …) are answered by us into
`take_reply`, never by the operator's own terminal, and nothing here can reach that one: titles
are kept as safe text, clipboard writes (OSC 52), device control strings and unknown sequences
are dropped. Speed comes from the tokeniser: one regular expression takes whole runs of text,
and a run becomes one slice assignment.

Sources: ECMA-48; DEC VT510 reference; xterm's ctlseqs.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

from app.console.vt.grid import Grid, Row
from core.model.display import char_width, safe_text
from core.model.ink import PLAIN, Ink, apply_sgr

_TOKEN = re.compile(
    "([^\x00-\x1f\x7f-\x9f]+)"  # 1 text
    "|\x1b\\[([<-?]?)([0-9:;]*)([ -/]*)([@-~])"  # 2 mark, 3 parameters, 4 intermediates, 5 final
    "|([\x00-\x1a\x1c-\x1f\x7f])"  # 6 control
    "|\x1b([ -/]+)([0-~])"  # 7 intermediates, 8 final
    "|\x1b([\\]PX^_])([^\x07\x1b\x18\x1a]*)(?:\x07|\x1b\\\\|\x18|\x1a)"  # 9 introducer, 10 string
    "|\x1b([0-OQ-WYZ\\\\`-~])"  # 11 final
)
_UNFINISHED = re.compile("\x1b(?:\\[[<-?]?[0-9:;]*[ -/]*|[ -/]*|[\\]PX^_][^\x07\x1b\x18\x1a]*\x1b?)\\Z")
_STRING_LIMIT = 65_536
"""An unfinished control string longer than this is not one; it is forgotten."""

_GRAPHICS = str.maketrans(
    "`abcdefghijklmnopqrstuvwxyz{|}~",
    "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·",
)
_ANSWER_VT220 = b"\x1b[?62;22c"
_ANSWER_SECONDARY = b"\x1b[>1;10;0c"


class Terminal:
    """A screen, its cursor and modes. Not thread-safe: feed it where it is drawn."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._reply = bytearray()
        self.columns = columns
        self.rows = rows
        self._main = Grid(columns, rows, scrollback=True)
        self._other = Grid(columns, rows, scrollback=False)
        self.grid = self._main
        self.title = ""
        self.bell_count = 0
        self._reset_modes()
        self._saved_main = self._saved_other = self._cursor_state()

    def _reset_modes(self) -> None:
        self.x = self.y = 0
        self.wrap_pending = False
        self.ink = PLAIN
        self.cursor_visible = True
        self.application_cursor_keys = False
        self.application_keypad = False
        self.bracketed_paste = False
        self.reverse_screen = False
        self.focus_reports = False
        self.mouse_mode = 0
        """0 none, else 9, 1000, 1002 or 1003 as a program asked."""
        self.mouse_sgr = False
        self._origin = False
        self._autowrap = True
        self._insert = False
        self._newline = False
        self._charsets = ["B", "B"]
        self._shift = 0
        self._last = " "
        self._tabs = set(range(8, self.columns, 8))

    # ------------------------------------------------------------------ the outside

    @property
    def on_alternate_screen(self) -> bool:
        """Whether a full-screen program has taken the other screen."""
        return self.grid is self._other

    def take_reply(self) -> bytes:
        """What the program must be told; empty mostly."""
        reply = bytes(self._reply)
        self._reply.clear()
        return reply

    def feed(self, data: bytes) -> None:
        """Draw what a program wrote. Any bytes will do; none raises."""
        text = self._rest + self._decoder.decode(data)
        self._rest = ""
        position, end, match_at = 0, len(text), _TOKEN.match
        draw, control, csi = self._draw, self._control, self._csi
        while position < end:
            match = match_at(text, position)
            if match is None:
                if _UNFINISHED.match(text, position):
                    if end - position <= _STRING_LIMIT:
                        self._rest = text[position:]
                    return
                position += 1
                continue
            position = match.end()
            kind = match.lastindex
            if kind == 1:
                draw(match[1])
            elif kind == 6:
                control(match[6])
            elif kind == 5:
                csi(match[2], match[3], match[4], match[5])
            elif kind == 8:
                self._escape_intermediate(match[7], match[8])
            elif kind == 10:
                self._string(match[9], match[10])
            else:
                self._escape(match[11])

    def resize(self, columns: int, rows: int) -> None:
        """Take a new size; at least one cell."""
        columns, rows = max(1, columns), max(1, rows)
        if (columns, rows) == (self.columns, self.rows):
            return
        y = self._main.resize(columns, rows, self.y if self.grid is self._main else self._saved_main[1])
        other_y = self._other.resize(columns, rows, self.y)
        self.y = y if self.grid is self._main else other_y
        self.x = min(self.x, columns - 1)
        self.wrap_pending = False
        self._tabs.update(range(-(-self.columns // 8) * 8, columns, 8))
        self.columns, self.rows = columns, rows

    # ------------------------------------------------------------------ text

    def _draw(self, text: str) -> None:
        if self._charsets[self._shift] == "0":
            text = text.translate(_GRAPHICS)
        self._last = text[-1]
        if not text.isascii():
            self._draw_cells(text)
            return
        columns = self.columns
        while text:
            if self.wrap_pending:
                self._wrap()
            piece = text[: columns - self.x]
            row = self.grid.lines[self.y]
            if self._insert:
                row.insert(self.x, len(piece), self.ink)
            row.put(self.x, piece, self.ink)
            self.grid.dirty.add(self.y)
            self.x += len(piece)
            if self.x < columns:
                return
            self.x = columns - 1
            self.wrap_pending = self._autowrap
            text = text[len(piece) :] if self._autowrap else text[-1:] * (len(text) > len(piece))

    def _draw_cells(self, text: str) -> None:
        """Characters that may be wide, or sit on the one before."""
        for character in text:
            width = 1 if character.isascii() else char_width(character)
            row = self.grid.lines[self.y]
            if width == 0:
                self._combine(row, character)
                continue
            if width > self.columns:
                continue
            if self.wrap_pending:
                self._wrap()
            elif width == 2 and self.x == self.columns - 1:
                if not self._autowrap:
                    continue
                row.erase(self.x, self.x + 1, self.ink)
                self._wrap()
            row = self.grid.lines[self.y]
            if self._insert:
                row.insert(self.x, width, self.ink)
            if width == 2:
                row.put(self.x, [character, ""], self.ink)
                row.wide = True
            else:
                row.put(self.x, character, self.ink)
            self.grid.dirty.add(self.y)
            self.x += width
            if self.x >= self.columns:
                self.x = self.columns - 1
                self.wrap_pending = self._autowrap

    def _combine(self, row: Row, mark: str) -> None:
        at = self.x if self.wrap_pending else self.x - 1
        if at > 0 and row.chars[at] == "":
            at -= 1
        if at >= 0 and len(row.chars[at]) < 3:
            row.chars[at] += mark
            self.grid.dirty.add(self.y)

    def _wrap(self) -> None:
        self.wrap_pending = False
        self.x = 0
        self._line_feed()

    def _line_feed(self) -> None:
        grid = self.grid
        if self.y == grid.bottom:
            grid.scroll_up(1, self._blank())
        elif self.y < self.rows - 1:
            self.y += 1

    def _blank(self) -> Ink:
        """Erased cells keep the background colour and nothing else."""
        return PLAIN if self.ink.background < 0 else Ink(background=self.ink.background)

    # ------------------------------------------------------------------ controls

    def _control(self, character: str) -> None:
        if character == "\n" or character == "\x0b" or character == "\x0c":
            self.wrap_pending = False
            self._line_feed()
            if self._newline:
                self.x = 0
        elif character == "\r":
            self.x = 0
            self.wrap_pending = False
        elif character == "\b":
            if self.x > 0 and not self.wrap_pending:
                self.x -= 1
            self.wrap_pending = False
        elif character == "\t":
            self._tab(1)
        elif character == "\x07":
            self.bell_count += 1
        elif character == "\x0e":
            self._shift = 1
        elif character == "\x0f":
            self._shift = 0

    def _tab(self, count: int) -> None:
        for _ in range(min(count, self.columns)):
            self.x = min((stop for stop in self._tabs if stop > self.x), default=self.columns - 1)
        self.x = min(self.x, self.columns - 1)

    def _escape(self, final: str) -> None:
        grid = self.grid
        if final == "7":
            self._save_cursor()
        elif final == "8":
            self._restore_cursor()
        elif final == "D":
            self.wrap_pending = False
            self._line_feed()
        elif final == "E":
            self.wrap_pending = False
            self.x = 0
            self._line_feed()
        elif final == "M":
            self.wrap_pending = False
            if self.y == grid.top:
                grid.scroll_down(1, self._blank())
            elif self.y > 0:
                self.y -= 1
        elif final == "H":
            self._tabs.add(self.x)
        elif final == "Z":
            self._reply += _ANSWER_VT220
        elif final in "=>":
            self.application_keypad = final == "="
        elif final == "c":
            self._reset()

    def _escape_intermediate(self, intermediates: str, final: str) -> None:
        if intermediates in ("(", ")"):
            self._charsets[intermediates == ")"] = final
        elif intermediates == "#" and final == "8":
            for row in self.grid.lines:
                row.put(0, ["E"] * self.columns, PLAIN)
                row.wide = False
            self.grid.top, self.grid.bottom = 0, self.rows - 1
            self.grid.touch(0, self.rows - 1)
            self.x = self.y = 0
            self.wrap_pending = False

    def _string(self, introducer: str, text: str) -> None:
        if introducer == "]":
            number, _, value = text.partition(";")
            if number in ("0", "2"):
                self.title = safe_text(value[:200])
        elif introducer == "P" and text.startswith("$q"):
            self._reply += b"\x1bP0$r\x1b\\"  # DECRQSS: "can't say"

    def _reset(self) -> None:
        history = self._main.history
        self._main = Grid(self.columns, self.rows, scrollback=True)
        self._main.history = history
        self._other = Grid(self.columns, self.rows, scrollback=False)
        self.grid = self._main
        self.title = ""
        self._reset_modes()
        self._saved_main = self._saved_other = self._cursor_state()

    # ------------------------------------------------------------------ CSI

    def _csi(self, mark: str, parameters: str, intermediates: str, final: str) -> None:
        if final == "m" and not mark and not intermediates:
            self.ink = apply_sgr(self.ink, parameters)
            return
        numbers = [min(int(part), 99_999) if part.isdigit() else 0 for part in parameters[:400].split(";")]
        if mark:
            self._private(mark, numbers, intermediates, final)
        elif intermediates:
            if intermediates == "!" and final == "p":
                self._soft_reset()
            elif intermediates == "$" and final == "p":
                self._report_mode("", numbers[0])
        else:
            handler = _CSI.get(final)
            if handler is not None:
                handler(self, numbers)

    def _private(self, mark: str, numbers: list[int], intermediates: str, final: str) -> None:
        if mark == "?" and final in "hl" and not intermediates:
            for number in numbers:
                self._set_private_mode(number, final == "h")
        elif mark == "?" and final in "JK":
            _CSI[final](self, numbers)
        elif mark == "?" and final == "n" and numbers[0] == 6:
            self._report_cursor("?")
        elif mark == "?" and final == "p" and intermediates == "$":
            self._report_mode("?", numbers[0])
        elif mark == ">" and final == "c":
            self._reply += _ANSWER_SECONDARY

    def _set_private_mode(self, number: int, on: bool) -> None:
        if number == 1:
            self.application_cursor_keys = on
        elif number == 5:
            self.reverse_screen = on
            self.grid.touch(0, self.rows - 1)
        elif number == 6:
            self._origin = on
            self._move(0, 0)
        elif number == 7:
            self._autowrap = on
            self.wrap_pending = False
        elif number == 25:
            self.cursor_visible = on
        elif number in (9, 1000, 1002, 1003):
            self.mouse_mode = number if on else 0
        elif number == 1004:
            self.focus_reports = on
        elif number == 1006:
            self.mouse_sgr = on
        elif number == 2004:
            self.bracketed_paste = on
        elif number == 1048:
            self._save_cursor() if on else self._restore_cursor()
        elif number in (47, 1047, 1049):
            self._switch_screen(on, with_cursor=number == 1049)

    def _switch_screen(self, alternate: bool, *, with_cursor: bool) -> None:
        if alternate and self.grid is self._main:
            if with_cursor:
                self._save_cursor()
            self.grid = self._other
            if with_cursor:
                self._other.erase_rows(0, self.rows, self._blank())
            self._other.top, self._other.bottom = self._main.top, self._main.bottom
        elif not alternate and self.grid is self._other:
            if not with_cursor:
                self._other.erase_rows(0, self.rows, PLAIN)
            self._main.top, self._main.bottom = self._other.top, self._other.bottom
            self.grid = self._main
            if with_cursor:
                self._restore_cursor()
        self.grid.touch(0, self.rows - 1)

    def _soft_reset(self) -> None:
        x, y = self.x, self.y
        self._reset_modes()
        self.x, self.y = x, y
        self.grid.top, self.grid.bottom = 0, self.rows - 1
        self._save_cursor()

    def _report_mode(self, mark: str, number: int) -> None:
        states = {
            1: self.application_cursor_keys,
            5: self.reverse_screen,
            6: self._origin,
            7: self._autowrap,
            25: self.cursor_visible,
            1000: self.mouse_mode == 1000,
            1002: self.mouse_mode == 1002,
            1003: self.mouse_mode == 1003,
            1004: self.focus_reports,
            1006: self.mouse_sgr,
            1049: self.grid is self._other,
            2004: self.bracketed_paste,
        }
        known = states if mark else {4: self._insert, 20: self._newline}
        value = (1 if known[number] else 2) if number in known else 0
        self._reply += f"\x1b[{mark}{number};{value}$y".encode()

    def _report_cursor(self, mark: str = "") -> None:
        row = self.y - (self.grid.top if self._origin else 0)
        self._reply += f"\x1b[{mark}{row + 1};{self.x + 1}R".encode()

    # ------------------------------------------------------------------ cursor

    def _cursor_state(self) -> tuple[int, int, Ink, bool, bool, list[str], int]:
        return (self.x, self.y, self.ink, self.wrap_pending, self._origin, self._charsets[:], self._shift)

    def _save_cursor(self) -> None:
        if self.grid is self._main:
            self._saved_main = self._cursor_state()
        else:
            self._saved_other = self._cursor_state()

    def _restore_cursor(self) -> None:
        saved = self._saved_main if self.grid is self._main else self._saved_other
        x, y, self.ink, self.wrap_pending, self._origin, charsets, self._shift = saved
        self.x, self.y = min(x, self.columns - 1), min(y, self.rows - 1)
        self._charsets = charsets[:]

    def _move(self, x: int, y: int) -> None:
        """Go to a place counted from the screen's corner, or the region's in origin mode."""
        self.wrap_pending = False
        if self._origin:
            y = min(y + self.grid.top, self.grid.bottom)
        self.x = max(0, min(x, self.columns - 1))
        self.y = max(0, min(y, self.rows - 1))

    def _move_rows(self, count: int) -> None:
        """Up or down; a region's edge stops what began inside it."""
        self.wrap_pending = False
        grid = self.grid
        if count < 0:
            limit = grid.top if self.y >= grid.top else 0
            self.y = max(limit, self.y + count)
        else:
            limit = grid.bottom if self.y <= grid.bottom else self.rows - 1
            self.y = min(limit, self.y + count)

    def _move_columns(self, count: int) -> None:
        self.wrap_pending = False
        self.x = max(0, min(self.x + count, self.columns - 1))

    # ------------------------------------------------------------------ the CSI functions

    def _erase_display(self, numbers: list[int]) -> None:
        grid, blank, how = self.grid, self._blank(), numbers[0]
        self.wrap_pending = False
        if how == 0:
            grid.lines[self.y].erase(self.x, self.columns, blank)
            grid.erase_rows(self.y + 1, self.rows, blank)
        elif how == 1:
            grid.erase_rows(0, self.y, blank)
            grid.lines[self.y].erase(0, self.x + 1, blank)
        elif how == 2:
            grid.erase_rows(0, self.rows, blank)
        elif how == 3 and grid.history is not None:
            grid.history.clear()
        grid.dirty.add(self.y)

    def _erase_line(self, numbers: list[int]) -> None:
        first, last = {0: (self.x, self.columns), 1: (0, self.x + 1), 2: (0, self.columns)}.get(numbers[0], (0, 0))
        self.wrap_pending = False
        self.grid.lines[self.y].erase(first, last, self._blank())
        self.grid.dirty.add(self.y)

    def _insert_lines(self, numbers: list[int]) -> None:
        if self.grid.top <= self.y <= self.grid.bottom:
            self.grid.scroll_down(numbers[0] or 1, self._blank(), first=self.y)
            self.x = 0
            self.wrap_pending = False

    def _delete_lines(self, numbers: list[int]) -> None:
        if self.grid.top <= self.y <= self.grid.bottom:
            self.grid.scroll_up(numbers[0] or 1, self._blank(), first=self.y)
            self.x = 0
            self.wrap_pending = False

    def _row_edit(self, edit: Callable[[Row, int, int, Ink], None], numbers: list[int]) -> None:
        self.wrap_pending = False
        count = min(numbers[0] or 1, self.columns - self.x)
        edit(self.grid.lines[self.y], self.x, count, self._blank())
        self.grid.dirty.add(self.y)

    def _set_region(self, numbers: list[int]) -> None:
        top = (numbers[0] or 1) - 1
        bottom = min((numbers[1] if len(numbers) > 1 else 0) or self.rows, self.rows) - 1
        if top < bottom:
            self.grid.top, self.grid.bottom = top, bottom
            self._move(0, 0)

    def _go_to(self, numbers: list[int]) -> None:
        column = (numbers[1] if len(numbers) > 1 else 0) or 1
        self._move(column - 1, (numbers[0] or 1) - 1)

    def _go_to_row(self, numbers: list[int]) -> None:
        self._move(self.x, (numbers[0] or 1) - 1)

    def _go_to_column(self, numbers: list[int]) -> None:
        self.wrap_pending = False
        self.x = max(0, min((numbers[0] or 1) - 1, self.columns - 1))

    def _start_of_row(self, count: int) -> None:
        self._move_rows(count)
        self.x = 0

    def _tab_back(self, numbers: list[int]) -> None:
        for _ in range(min(numbers[0] or 1, self.columns)):
            self.x = max((stop for stop in self._tabs if stop < self.x), default=0)

    def _clear_tabs(self, numbers: list[int]) -> None:
        if numbers[0] == 0:
            self._tabs.discard(self.x)
        elif numbers[0] == 3:
            self._tabs.clear()

    def _repeat(self, numbers: list[int]) -> None:
        self._draw(self._last * min(numbers[0] or 1, self.columns * self.rows))

    def _set_mode(self, numbers: list[int], on: bool) -> None:
        if 4 in numbers:
            self._insert = on
        if 20 in numbers:
            self._newline = on

    def _status(self, numbers: list[int]) -> None:
        if numbers[0] == 5:
            self._reply += b"\x1b[0n"
        elif numbers[0] == 6:
            self._report_cursor()

    def _attributes(self, numbers: list[int]) -> None:
        if numbers[0] == 0:
            self._reply += _ANSWER_VT220


_CSI: dict[str, Callable[[Terminal, list[int]], None]] = {
    "@": lambda t, n: t._row_edit(Row.insert, n),
    "A": lambda t, n: t._move_rows(-(n[0] or 1)),
    "B": lambda t, n: t._move_rows(n[0] or 1),
    "C": lambda t, n: t._move_columns(n[0] or 1),
    "D": lambda t, n: t._move_columns(-(n[0] or 1)),
    "E": lambda t, n: t._start_of_row(n[0] or 1),
    "F": lambda t, n: t._start_of_row(-(n[0] or 1)),
    "G": Terminal._go_to_column,
    "H": Terminal._go_to,
    "I": lambda t, n: t._tab(n[0] or 1),
    "J": Terminal._erase_display,
    "K": Terminal._erase_line,
    "L": Terminal._insert_lines,
    "M": Terminal._delete_lines,
    "P": lambda t, n: t._row_edit(Row.delete, n),
    "S": lambda t, n: t.grid.scroll_up(n[0] or 1, t._blank()),
    "T": lambda t, n: t.grid.scroll_down(n[0] or 1, t._blank()) if len(n) == 1 else None,
    "X": lambda t, n: t._row_edit(lambda row, x, count, ink: row.erase(x, x + count, ink), n),
    "Z": Terminal._tab_back,
    "`": Terminal._go_to_column,
    "a": lambda t, n: t._move_columns(n[0] or 1),
    "b": Terminal._repeat,
    "c": Terminal._attributes,
    "d": Terminal._go_to_row,
    "e": lambda t, n: t._move_rows(n[0] or 1),
    "f": Terminal._go_to,
    "g": Terminal._clear_tabs,
    "h": lambda t, n: t._set_mode(n, True),
    "l": lambda t, n: t._set_mode(n, False),
    "n": Terminal._status,
    "r": Terminal._set_region,
    "s": lambda t, n: t._save_cursor(),
    "u": lambda t, n: t._restore_cursor(),
}
