"""Graphs, tables, themes, keys, logs and shells, without a screen around them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.console import first_frame, keymap, settings, theme_file, theme_glance
from app.console.container_columns import SHAPES, share_width
from app.console.log_levels import LevelCounter, LevelCounts
from app.console.log_source import BLOCK, LogSource
from app.console.shell import ShellSession
from app.console.standing import standing_of
from app.console.theme import Palette
from app.console.vt.keys import encode_key, encode_mouse, encode_paste
from app.console.vt.terminal import Terminal
from app.console.widgets.graph import braille, buckets, nice_top
from app.console.widgets.strips import Cells, fit, meter, sparkline
from core.errors import InvalidInput, NotFound
from core.model.container import Container
from core.model.glance import Glance, Glimpse
from core.model.ink import BOLD, REVERSE, Ink, apply_sgr, rgb
from core.model.logs import LogLine
from tests.tui.fake_backend import FakeAttachment, FakeBackend, make_container, seeded

# ---------------------------------------------------------------------- graphs and strips


def test_braille_fills_from_below_and_the_newest_is_at_the_right() -> None:
    assert braille([0, 4], 2, 1, 4) == ["⠀⣸"]
    assert braille([4, 4, 4, 4], 2, 2, 8) == ["⠀⠀", "⣿⣿"]


@given(st.lists(st.floats(0, 1e12), max_size=200), st.integers(1, 40), st.integers(1, 6))
def test_braille_always_has_the_asked_size(values: list[float], cells: int, rows: int) -> None:
    drawn = braille(buckets(values, cells * 2, len(values)), cells, rows, nice_top(max(values, default=0), 1))
    assert [len(row) for row in drawn] == [cells] * rows


def test_buckets_keep_the_peaks_and_stand_still_until_one_is_full() -> None:
    values = [0.0, 0, 9, 0, 0, 0, 0, 5]
    assert buckets(values, 4, 8) == [0, 9, 0, 5]
    assert buckets([*values[1:], 1], 4, 9, step=2) == [9, 0, 5, 1]
    assert buckets([*values[2:], 1, 2], 4, 10, step=2) == [9, 0, 5, 2][-4:]


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=300), st.integers(1, 50), st.integers(0, 1000))
def test_buckets_fit_and_lose_no_recent_peak(values: list[float], count: int, forgotten: int) -> None:
    fitted = buckets(values, count, len(values) + forgotten)
    assert 1 <= len(fitted) <= count
    assert max(fitted) >= max(values[-max(1, len(values) // 2) :][-count:])


def test_sparkline_shows_the_newest_and_never_nothing_for_something() -> None:
    assert sparkline([0, 100, 1], 5, 100) == "  ▁█▁"
    assert sparkline([], 3, 100) == "   "
    assert len(sparkline(list(range(60)), 8, 60)) == 8


def test_fit_counts_cells_not_characters() -> None:
    assert fit("日本語", 5) == "日本…"
    assert fit("ab", 4, ">") == "  ab"
    assert meter(0.5, 4) == "██  "


@given(st.text(alphabet="ab日é", max_size=30), st.integers(1, 20))
def test_a_line_is_exactly_as_wide_as_it_should_be(text: str, width: int) -> None:
    from rich.style import Style

    strip = Cells(width, Style()).put(text).gap(1).put("x", cells=3).strip()
    assert sum(segment.cell_length for segment in strip) == width


def test_columns_share_the_width_and_drop_out_when_it_is_small() -> None:
    for width in (40, 80, 120, 200):
        shapes = [shape for shape in SHAPES.values() if width >= shape.from_width]
        widths = share_width(shapes, width)
        if width >= 80:
            assert width - 2 <= 2 + 1 + sum(widths) + len(widths) <= width + 1


# ---------------------------------------------------------------------- themes, settings, keys


def test_all_shipped_themes_are_whole() -> None:
    themes, complaints = theme_file.load_themes(Path("/nonexistent"))
    assert complaints == []
    assert len(themes) >= 2
    for theme in themes.values():
        palette = Palette(theme)
        for meaning in theme_file.Colours.__struct_fields__[:-1]:
            palette.style(meaning)
        palette.style("series11")


@pytest.mark.parametrize(
    "text",
    [
        "name = ",
        'name = "x"',
        'name = "x"\n[colors]\nbackground = "#12"',
        "\x00",
        'name = "x"\n[colors]\nnew = "#000000"',
    ],
)
def test_a_broken_theme_is_named_and_left_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    themes, complaints = theme_file.load_themes(tmp_path)
    assert theme_glance.DEFAULT_THEME in themes
    assert len(complaints) == 1
    assert complaints[0].startswith("theme mine.toml: ")


def test_settings_are_optional_and_a_broken_file_says_which(tmp_path: Path) -> None:
    assert settings.read_settings(tmp_path) == settings.Settings()
    (tmp_path / "console.toml").write_text('theme = "sixteen"\n[keys]\nstop = "ctrl+s"\n')
    assert settings.read_settings(tmp_path).keys == {"stop": "ctrl+s"}
    (tmp_path / "console.toml").write_text("colour = 3\n")
    with pytest.raises(InvalidInput, match=r"console\.toml: .*colour"):
        settings.read_settings(tmp_path)


def test_keys_are_unique_in_every_place() -> None:
    for place, keys in keymap.PLACES.items():
        seen: dict[str, str] = {}
        for key in (*keys, *keymap.GLOBAL):
            for name in key.keys.split(","):
                assert name not in seen, f"{place}: {name} is {seen[name]} and {key.id}"
                seen[name] = key.id


def test_overrides_apply_everywhere_or_in_one_place() -> None:
    result = keymap.overrides("", {"stop": "x1", "images.run": "R"})
    assert result == {"containers.stop": "x1", "container.stop": "x1", "images.run": "R"}
    assert keymap.overrides("k9s", {})["containers.stop"] == "ctrl+s"


# ---------------------------------------------------------------------- colours and keys of terminals


@pytest.mark.parametrize(
    ("parameters", "ink"),
    [
        ("", Ink()),
        ("1;31", Ink(1, -1, BOLD)),
        ("38;5;208", Ink(208)),
        ("38;2;1;2;3", Ink(rgb(1, 2, 3))),
        ("48:2::1:2:3", Ink(-1, rgb(1, 2, 3))),
        ("97;107", Ink(15, 15)),
        ("7;27", Ink()),
        ("38;5;999", Ink()),
        ("38", Ink()),
        ("4:3", Ink(-1, -1, 8)),
        ("99999999999", Ink()),
    ],
)
def test_sgr(parameters: str, ink: Ink) -> None:
    assert apply_sgr(Ink(), parameters) == ink


@given(st.text(alphabet="0123456789;:", max_size=40))
def test_no_sgr_raises(parameters: str) -> None:
    assert isinstance(apply_sgr(Ink(3, 4, REVERSE), parameters), Ink)


@pytest.mark.parametrize(
    ("key", "character", "sent"),
    [
        ("a", "a", b"a"),
        ("enter", "\r", b"\r"),
        ("ctrl+c", "\x03", b"\x03"),
        ("ctrl+p", "\x10", b"\x10"),
        ("up", None, b"\x1b[A"),
        ("ctrl+left", None, b"\x1b[1;5D"),
        ("f5", None, b"\x1b[15~"),
        ("shift+f1", None, b"\x1b[1;2P"),
        ("delete", None, b"\x1b[3~"),
        ("alt+b", None, b"\x1bb"),
        ("é", "é", "é".encode()),
        ("ctrl+shift+f13", None, b""),
    ],
)
def test_keys_are_sent_as_xterm_sends_them(key: str, character: str | None, sent: bytes) -> None:
    assert encode_key(key, character) == sent


def test_application_mode_mouse_and_paste() -> None:
    assert encode_key("up", None, application_cursor=True) == b"\x1bOA"
    assert encode_mouse(0, 4, 2, released=False, sgr=True) == b"\x1b[<0;5;3M"
    assert encode_mouse(0, 4, 2, released=True, sgr=False) == b"\x1b[M#%#"
    assert encode_paste("a\n\x1b[201~b", bracketed=True) == b"\x1b[200~a\rb\x1b[201~"


# ---------------------------------------------------------------------- the thread behind a log


class DirectRelay:
    """A relay that receives at once, one thread at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.timers: list[object] = []

    def __call__(self, receive: object, *values: object) -> bool:
        with self.lock:
            receive(*values)  # type: ignore[operator]
        return True

    def later(self, seconds: float, receive: object) -> None:
        threading.Timer(seconds, receive).start()  # type: ignore[arg-type]


class PatientRelay(DirectRelay):
    """A relay that keeps what it was given until it is told to work."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[tuple[object, tuple[object, ...]]] = []

    def __call__(self, receive: object, *values: object) -> bool:
        self.kept.append((receive, values))
        return True

    def later(self, seconds: float, receive: object) -> None:
        self.kept.append((receive, ()))

    def work(self) -> None:
        kept, self.kept = self.kept, []
        for receive, values in kept:
            receive(*values)  # type: ignore[operator]


def wait_for(true: object) -> None:
    deadline = time.monotonic() + 10
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


def test_log_source_fetches_by_block_and_follows_growth() -> None:
    backend = seeded()
    backend.log_lines["api-1"] = [b"line %d\n" % number for number in range(10)]
    source = LogSource(lambda: backend.containers.log_view("api-1"), DirectRelay(), lambda: None)  # type: ignore[arg-type]
    wait_for(lambda: source.ready)
    assert source.count == 10
    wait_for(lambda: source.line(9) is not None)
    backend.log_lines["api-1"] += [b"line %d\n" % number for number in range(10, 1000)]
    wait_for(lambda: source.count == 1000)
    wait_for(lambda: (line := source.line(999)) is not None and line.data == b"line 999\n")
    wait_for(lambda: (line := source.line(BLOCK - 1)) is not None and line.data == b"line 255\n")
    source.close()


def test_log_source_sees_an_unfinished_line_grow() -> None:
    backend = seeded()
    lines = backend.log_lines["api-1"] = [b"progress: 1"]
    source = LogSource(lambda: backend.containers.log_view("api-1"), DirectRelay(), lambda: None)  # type: ignore[arg-type]
    wait_for(lambda: source.line(0) is not None)
    lines[0] = b"progress: 1 2"
    wait_for(lambda: (line := source.line(0)) is not None and line.data == b"progress: 1 2")
    source.close()


class Lines:
    """As much of a LogView as a counter looks at."""

    def __init__(self, *lines: bytes) -> None:
        self.data = list(lines)

    def lines(self, first: int, count: int) -> list[LogLine]:
        return [LogLine(0, 1, data) for data in self.data[first : first + count]]


def test_levels_are_counted_slice_by_slice_and_anew_after_a_cut() -> None:
    view, counter = Lines(*[b"ERROR\n", b"WARN\n", b"fine\n"] * 1_000), LevelCounter()
    rounds = 0
    while counter.go_on(view, len(view.data)):  # type: ignore[arg-type]
        rounds += 1
    assert rounds > 1
    assert counter.counts == LevelCounts(1_000, 1_000)
    view.data = [b"a WARNING\n"]
    assert counter.go_on(view, 1)  # type: ignore[arg-type]
    assert counter.counts == LevelCounts(0, 1)
    view.data += [b"x\n"] * 50_000
    counter.go_on(view, len(view.data))  # type: ignore[arg-type]
    assert counter.counts == LevelCounts(0, 1, at_least=True)


def test_log_source_says_why_there_is_no_log() -> None:
    source = LogSource(lambda: FakeBackend().containers.log_view("gone"), DirectRelay(), lambda: None)  # type: ignore[arg-type]
    wait_for(lambda: source.trouble)
    assert source.trouble == "no such container: gone"


# ---------------------------------------------------------------------- the threads behind a shell


def test_shell_reader_waits_while_much_is_undrawn() -> None:
    attachment = FakeAttachment()
    attachment._out = [b"x" * 65_536 for _ in range(100)]
    drawn: list[int] = []
    ended: list[str] = []
    relay = PatientRelay()
    session = ShellSession(
        lambda: attachment,  # type: ignore[arg-type, return-value]
        relay,  # type: ignore[arg-type]
        lambda data: drawn.append(len(data)),
        ended.append,
    )
    wait_for(lambda: len(attachment._out) < 98)
    time.sleep(0.2)
    assert len(attachment._out) > 90, "the reader ran ahead of the drawing"
    attachment.end()
    wait_for(lambda: relay.work() or ended)
    assert sum(drawn) == 100 * 65_536
    assert max(drawn) <= 2 * 65_536
    assert ended == ["ended with 0"]
    session.close()


def test_shell_that_cannot_start_says_why() -> None:
    def fail() -> FakeAttachment:
        raise NotFound("no such container: x", kind="container", key="x")

    ended: list[str] = []
    ShellSession(fail, DirectRelay(), lambda data: None, ended.append)  # type: ignore[arg-type]
    wait_for(lambda: ended)
    assert ended == ["no such container: x"]


# ---------------------------------------------------------------------- the first frame


def seen(*containers: Container) -> Glance:
    glimpses = tuple(
        Glimpse(one.name, one.config.image_name, standing_of(one), one.settings.limits.memory_bytes)
        for one in containers
    )
    return Glance(glimpses, len(glimpses), 3, 2, 4)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
def test_first_frame_shows_real_state_in_its_place(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    colours = theme_glance.glance_colours()
    shipped = theme_file.load_themes(Path("/nonexistent"))[0][theme_glance.DEFAULT_THEME].colors
    assert colours is not None
    assert {name: getattr(shipped, name) for name in shipped.__struct_fields__ if name != "series"}.items() <= (
        colours.items()
    )
    for paint in (first_frame.Paint(colours), first_frame.Paint(None)):
        text = first_frame.compose(seen(*seeded().containers.list(all=True)), *size, paint)
        terminal = Terminal(*size)
        terminal.feed(text.encode())
        rows = [row.text() for row in terminal.grid.lines]
        assert rows[0].startswith(" wharf  ")
        assert "1 Containers 5" in rows[1]
        assert "6 Host" in rows[1]
        assert "NAME" in rows[2]
        assert rows[3].startswith("  ● api-1")
        assert any("✖ cron" in row and "OOM" in row and "256M" in row for row in rows)


def test_ST10_first_frame_lets_no_name_out() -> None:
    evil = make_container("evil\x1b[2J", "i\x1b]0;x\x07")
    text = first_frame.compose(seen(evil, make_container("港" * 90)), 80, 24, first_frame.Paint(None))
    assert "\x1b]0;" not in text
    assert "evil␛[2J" in text


def test_first_frame_is_painted_before_what_is_slow_to_load_is_loaded() -> None:
    code = (
        "import sys, app.main, app.console.application, app.console.first_frame, core.state.glance\n"
        "print(*{name.partition('.')[0] for name in sys.modules} & {'msgspec', 'textual', 'rich', 'pathlib'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
