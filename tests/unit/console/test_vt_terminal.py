"""The emulator against golden screens, against pyte where pyte is right, and against noise."""

from __future__ import annotations

import random

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.console.vt.terminal import Terminal
from core.model.ink import BOLD, REVERSE, Ink, rgb


def screen(data: str | bytes, columns: int = 20, rows: int = 5) -> Terminal:
    terminal = Terminal(columns, rows)
    terminal.feed(data.encode() if isinstance(data, str) else data)
    return terminal


def text(terminal: Terminal) -> list[str]:
    return [row.text() for row in terminal.grid.lines]


def test_text_wraps_at_the_edge_only_when_more_comes() -> None:
    terminal = screen("abcde", columns=5)
    assert (terminal.x, terminal.y) == (4, 0)
    terminal.feed(b"f")
    assert text(terminal)[:2] == ["abcde", "f"]


def test_without_autowrap_the_last_cell_is_overwritten() -> None:
    assert text(screen("\x1b[?7labcdefgh", columns=5))[0] == "abcdh"


def test_alternate_screen_gives_the_old_one_back() -> None:
    terminal = screen("hello\x1b[?1049h\x1b[Hvim\x1b[2;3Hx")
    assert terminal.on_alternate_screen
    assert text(terminal)[0] == "vim"
    terminal.feed(b"\x1b[?1049l")
    assert text(terminal)[0] == "hello"
    assert (terminal.x, terminal.y) == (5, 0)


def test_scroll_region_leaves_the_rest_alone() -> None:
    terminal = screen("1\r\n2\r\n3\r\n4\r\n5\x1b[2;4r\x1b[4;1H\nx")
    assert text(terminal) == ["1", "3", "4", "x", "5"]
    terminal.feed(b"\x1b[2;1H\x1bMy")
    assert text(terminal) == ["1", "y", "3", "4", "5"]


def test_only_whole_screen_scrolling_feeds_the_history() -> None:
    terminal = screen("1\r\n2\r\n3\r\n4\r\n5\r\n6")
    assert terminal.grid.history is not None
    assert [row.text() for row in terminal.grid.history] == ["1"]


def test_insert_and_delete_lines_and_characters() -> None:
    assert text(screen("a\r\nb\r\nc\x1b[2;1H\x1b[Lx"))[:4] == ["a", "x", "b", "c"]
    assert text(screen("a\r\nb\r\nc\x1b[1;1H\x1b[M"))[:2] == ["b", "c"]
    assert text(screen("abcdef\x1b[1;2H\x1b[2@"))[0] == "a  bcdef"
    assert text(screen("abcdef\x1b[1;2H\x1b[2P"))[0] == "adef"
    assert text(screen("abcdef\x1b[1;2H\x1b[4hxy"))[0] == "axybcdef"
    assert text(screen("abcdef\x1b[1;2H\x1b[2X"))[0] == "a  def"


def test_colours_of_every_kind() -> None:
    terminal = screen("\x1b[1;38;5;208;48;2;1;2;3mA\x1b[7;38:2::9:8:7mB\x1b[0mC\x1b[91mD")
    inks = terminal.grid.lines[0].inks
    assert inks[0] == Ink(208, rgb(1, 2, 3), BOLD)
    assert inks[1] == Ink(rgb(9, 8, 7), rgb(1, 2, 3), BOLD | REVERSE)
    assert inks[2] == Ink()
    assert inks[3] == Ink(9)


def test_erasing_keeps_the_background_colour() -> None:
    terminal = screen("\x1b[44m\x1b[2J\x1b[1m\x1b[K")
    assert terminal.grid.lines[2].inks[3] == Ink(background=4)
    assert terminal.grid.lines[0].inks[3] == Ink(background=4)


def test_wide_characters_take_two_cells_and_never_split() -> None:
    terminal = screen("日本\x1b[1;2Hx", columns=6)
    assert terminal.grid.lines[0].chars == [" ", "x", "本", "", " ", " "]
    terminal = screen("abcde日", columns=6)
    assert text(terminal)[:2] == ["abcde", "日"]


def test_combining_marks_join_the_letter_before() -> None:
    assert screen("e\u0301x").grid.lines[0].chars[:2] == ["e\u0301", "x"]


def test_line_drawing_charset() -> None:
    assert text(screen("\x1b(0lqk\x1b(Bq"))[0] == "┌─┐q"
    assert text(screen("\x1b)0a\x0eq\x0fq"))[0] == "a─q"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("\x1b[c", b"\x1b[?62;22c"),
        ("\x1b[>c", b"\x1b[>1;10;0c"),
        ("\x1b[5n", b"\x1b[0n"),
        ("\x1b[3;4H\x1b[6n", b"\x1b[3;4R"),
        ("\x1b[?2004h\x1b[?2004$p", b"\x1b[?2004;1$y"),
        ("\x1b[?31337$p", b"\x1b[?31337;0$y"),
        ("\x1bP$qm\x1b\\", b"\x1bP0$r\x1b\\"),
    ],
)
def test_ST11_questions_are_answered_by_the_emulator(question: str, answer: bytes) -> None:
    terminal = screen(question)
    assert terminal.take_reply() == answer
    assert terminal.take_reply() == b""
    assert "".join(text(terminal)) == ""


def test_ST11_clipboard_writes_and_titles_stay_inside() -> None:
    terminal = screen("\x1b]52;c;ZXZpbA==\x07\x1b]0;hi\u202e\x9bthere\x07ok")
    assert text(terminal)[0] == "ok"
    assert terminal.take_reply() == b""
    assert terminal.title == "hi‹202E›‹009B›there"


def test_vims_modify_other_keys_is_not_a_colour() -> None:
    terminal = screen("\x1b[>4;2mplain")
    assert terminal.grid.lines[0].inks[0] == Ink()
    assert text(terminal)[0] == "plain"


def test_sequences_may_come_in_any_pieces() -> None:
    data = "a\x1b[31mb\x1b]0;t\x1b\\é日\x1b[2;2Hz\x1bP$qm\x1b\\".encode()
    whole = screen(data)
    split = Terminal(20, 5)
    for byte in data:
        split.feed(bytes([byte]))
    assert [row.chars for row in split.grid.lines] == [row.chars for row in whole.grid.lines]
    assert split.take_reply() == whole.take_reply()


def test_an_endless_control_string_is_forgotten() -> None:
    terminal = screen(b"\x1b]0;" + b"x" * 200_000)
    terminal.feed(b"y" * 10)
    assert len(terminal._rest) <= 65_536


def test_resize_keeps_the_text_and_the_cursor_inside() -> None:
    terminal = screen("1\r\n2\r\n3\r\n4\r\n5")
    terminal.resize(10, 3)
    assert text(terminal) == ["3", "4", "5"]
    assert terminal.y == 2
    terminal.resize(30, 5)
    assert text(terminal) == ["1", "2", "3", "4", "5"]


PIECES = [
    *[
        "hello world ",
        "x",
        "0123456789" * 3,
        "\r\n",
        "\r",
        "\n",
        "\b",
        "\t",
        "\x1b7",
        "\x1b8",
        "\x1bM",
        "\x1bD",
    ],
    *[f"\x1b[{n}{final}" for n in ("", "2", "7") for final in "ABCDGdLMPX@"],
    *[f"\x1b[{n}{final}" for n in ("", "1", "2") for final in "JK"],
    *[
        "\x1b[3;7H",
        "\x1b[H",
        "\x1b[2;6r",
        "\x1b[1m",
        "\x1b[0m",
        "\x1b[32m",
    ],
    *["\x1b[1;41m", "\x1bH"],
]
NOISE = [
    *PIECES,
    "\x1b[4h",
    "\x1b[4l",
    "\x1bE",
    "\x1b[r",
    "\x1b[?6h",
    "\x1b[?6l",
    "\x1b[3g",
    "日本",
    "e\u0301",
    "\x1b[?1049h",
    "\x1b[?1049l",
]


@pytest.mark.parametrize("seed", range(60))
def test_random_screens_match_pyte(seed: int) -> None:
    chooser = random.Random(seed)
    terminal, oracle = Terminal(24, 8), pyte.Screen(24, 8)
    stream = pyte.Stream(oracle)
    told: list[str] = []
    saved = False
    for _ in range(120):
        piece = chooser.choice(PIECES)
        if terminal.wrap_pending and not piece[0].isalnum() and piece not in ("\r\n", "\x1b[H", "\x1b[3;7H"):
            continue  # here pyte's cursor stands one column outside the screen, xterm's does not
        if piece.endswith("@") or (piece == "\x1b8" and terminal.grid.top):
            continue  # pyte keeps what an insertion pushes out, and restores into the region
        if not terminal.grid.top <= terminal.y <= terminal.grid.bottom:
            piece = "\x1b[3;7H"  # and pyte pulls a cursor that is outside the region into it
        if (piece == "\x1b8") != saved and piece in ("\x1b7", "\x1b8"):
            continue  # pyte keeps a stack of saved cursors, terminals keep one
        saved = piece == "\x1b7" if piece in ("\x1b7", "\x1b8") else saved
        told.append(piece)
        terminal.feed(piece.encode())
        stream.feed(piece)
        assert [row.text() for row in terminal.grid.lines] == [line.rstrip(" ") for line in oracle.display], repr(
            "".join(told)
        )


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(NOISE).map(str.encode)), max_size=30))
def test_no_bytes_raise_and_the_grid_keeps_its_shape(pieces: list[bytes]) -> None:
    terminal = Terminal(13, 4)
    for number, piece in enumerate(pieces):
        terminal.feed(piece)
        if number % 7 == 3:
            terminal.resize(1 + len(piece) % 20, 1 + len(piece) % 6)
    assert len(terminal.grid.lines) == terminal.rows
    for row in terminal.grid.lines:
        assert len(row.chars) == len(row.inks) == terminal.columns
    assert 0 <= terminal.x < terminal.columns
    assert 0 <= terminal.y < terminal.rows
