"""The frame differ beside Textual's own output: both streams emulated, every cell compared."""

from __future__ import annotations

import pytest
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.screen import Screen

from app.console import frame
from app.console.console import Console
from app.console.vt.grid import Row
from app.console.vt.terminal import Terminal
from core.model.ink import REVERSE, STRIKE, UNDERLINE, Ink
from tests.tui.fake_backend import seeded


class BothWays(Console):
    """Every frame drawn twice: as Textual would, and through the differ."""

    def prepare(self, columns: int, rows: int) -> None:
        self.console._color_system = ColorSystem.TRUECOLOR
        self.differ = frame.FrameDiffer(self.console, erases=True)
        self.differ.ground = self.palette.style("text")
        self.stock, self.ours = Terminal(columns, rows), Terminal(columns, rows)
        self.frames = self.stock_bytes = self.our_bytes = 0
        self.wrong: list[str] = []
        for terminal in (self.stock, self.ours):
            terminal.feed(b"\x1b[?7l")

    def _display(self, screen: Screen[object], renderable: object) -> None:
        if isinstance(renderable, CompositorUpdate) and hasattr(self, "differ"):
            self._both(renderable)
        super()._display(screen, renderable)

    def _both(self, update: CompositorUpdate) -> None:
        stock_render = {LayoutUpdate: frame._stock_layout, ChopsUpdate: frame._stock_chops}[type(update)]
        stock = stock_render(update, self.console)
        frame._differs[self.console] = self.differ
        ours = update.render_segments(self.console)
        self.stock.feed(stock.replace("\n", "\r\n").encode())
        self.ours.feed(ours.encode())
        self.frames += 1
        self.stock_bytes += len(stock.encode())
        self.our_bytes += len(ours.encode())
        for y, (theirs, mine) in enumerate(zip(self.stock.grid.lines, self.ours.grid.lines, strict=True)):
            if theirs.chars != mine.chars:
                self.wrong.append(f"frame {self.frames} row {y}: {theirs.text()!r} / {mine.text()!r}")
                continue
            seen, drawn = visible(theirs), visible(mine)
            if seen != drawn:
                x = next(x for x, ink in enumerate(seen) if ink != drawn[x])
                self.wrong.append(f"frame {self.frames} cell {x},{y}: {theirs.inks[x]} / {mine.inks[x]}")


def visible(row: Row) -> list[Ink]:
    """The inks of a row's cells, as far as one sees them: a blank has no foreground."""
    return [
        Ink(-1, ink.background) if char == " " and not ink.attributes & (REVERSE | UNDERLINE | STRIKE) else ink
        for char, ink in zip(row.chars, row.inks, strict=True)
    ]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_differ_shows_what_textual_shows_in_every_frame(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv(frame.OFF_SWITCH, raising=False)
    backend = seeded()
    backend.log_lines["api-1"] += ["日本語 wide ｱ text é\n".encode(), b"\x1b[7mreverse\x1b[0m\n"] * 10
    app = BothWays(backend)
    app.prepare(*size)
    async with app.run_test(size=size) as pilot:
        for keys in (
            *(["down"], ["down"], ["slash"], ["d", "b"], ["escape"], ["enter"], ["pageup"], ["w"], ["i"]),
            *(["pagedown"], ["t"], ["f"], ["m"], ["e"], ["l", "s", "enter"], ["ctrl+right_square_bracket"]),
            *(["z"], ["ctrl+right_square_bracket"], ["escape"], ["n"], ["tab", "x"], ["escape"]),
            *(
                ["2"],
                ["enter"],
                ["f"],
                ["escape"],
                ["3"],
                ["enter"],
                ["escape"],
                ["4"],
                ["enter"],
                ["escape"],
                ["5"],
                ["1"],
            ),
            *(["question_mark"], ["escape"], ["colon"], ["escape"], ["ctrl+t"], ["ctrl+t"], ["ctrl+t"]),
        ):
            await pilot.press(*keys)
            await pilot.pause(0.06)
            if keys == ["2"]:
                self_made = app.differ.ground
                app.differ.forget()
                app.screen.refresh(layout=True)
                await pilot.pause(0.06)
                assert app.differ.ground is self_made
        await pilot.pause(1.5)
    assert app.wrong == []
    assert app.frames > 60
    assert app.our_bytes * 4 < app.stock_bytes, f"{app.our_bytes} of {app.stock_bytes}"


def segments(*pieces: tuple[str, str]) -> list[Segment]:
    return [Segment(text, Style.parse(style)) for text, style in pieces]


def make_differ() -> frame.FrameDiffer:
    from rich.console import Console as RichConsole

    return frame.FrameDiffer(RichConsole(color_system="truecolor"))


def test_an_unchanged_frame_costs_nothing() -> None:
    differ = make_differ()
    piece = [(3, 2, segments(("hello", "bold red")))]
    assert differ.frame(piece) == "\x1b[3;4H\x1b[1;31mhello\x1b[0m"
    assert differ.frame(piece) == ""
    differ.forget()
    assert "hello" in differ.frame(piece)


def test_one_changed_cell_sends_one_cell() -> None:
    differ = make_differ()
    differ.frame([(0, 0, segments(("cpu 12.1% and more", "")))])
    assert differ.frame([(0, 0, segments(("cpu 12.2% and more", "")))]) == "\x1b[1;8H2"


def test_only_the_colour_that_differs_is_sent() -> None:
    differ = make_differ()
    sent = differ.frame([(0, 0, segments(("a", "bold red on blue"), ("b", "bold green on blue")))])
    assert sent == "\x1b[1H\x1b[1;31;44ma\x1b[32mb\x1b[0m"


def test_a_whole_frame_erases_once_and_sends_no_blanks() -> None:
    differ = make_differ()
    differ._erases = True
    differ.ground = Style.parse("white on blue")
    rows = [(0, row, segments(("a" + " " * 20, "red on blue"))) for row in range(3)]
    assert differ.frame(rows) == "\x1b[37;44m\x1b[2J\x1b[1H\x1b[31ma\r\na\r\na\x1b[0m"
    assert differ.frame(rows) == ""
    changed = [(0, 1, segments(("  ", "green on blue"), ("x ", "white on red")))]
    assert differ.frame(changed) == "\x1b[2H\x1b[32;44m  \x1b[37;41mx \x1b[0m"


def test_wide_characters_at_the_edge_of_a_run_are_sent_whole() -> None:
    terminal = Terminal(12, 1)
    differ = make_differ()
    for text in ("日本語abc", "日x語abc ", "xx本語abc", "日本語日本", "ab日語 日本"):
        terminal.feed(differ.frame([(0, 0, segments((text, "red")))]).encode())
        assert terminal.grid.lines[0].text().startswith(text.rstrip())


def test_links_are_opened_and_closed_around_their_run() -> None:
    sent = make_differ().frame([(0, 0, segments(("see ", ""), ("here", "link https://x.invalid"), (".", "")))])
    assert sent == "\x1b[1Hsee \x1b]8;;https://x.invalid\x1b\\here\x1b]8;;\x1b\\."


def test_off_switch_leaves_textual_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console as RichConsole

    monkeypatch.setenv(frame.OFF_SWITCH, "off")
    console = RichConsole(color_system="truecolor")
    assert frame.install(console) is None
    assert console not in frame._differs


def test_the_private_classes_are_those_of_the_pinned_textual() -> None:
    import textual

    assert textual.__version__ == "8.2.8"
    assert frame._stock_layout.__name__ == frame._stock_chops.__name__ == "render_segments"
