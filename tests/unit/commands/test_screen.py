"""A person's terminal obeys colours and nothing else that a container prints."""

from app.commands.screen import ScreenFilter


def cleaned(*reads: bytes) -> bytes:
    screen = ScreenFilter()
    return b"".join(screen.clean(piece) for piece in reads)


def test_ST10_colours_lines_and_tabs_pass():
    text = "\x1b[1;31mred\x1b[0m\tx\r\n修改\n".encode()
    assert cleaned(text) == text


def test_ST10_titles_clipboards_and_cursor_moves_are_shown_not_obeyed():
    out = cleaned(b"\x1b]52;c;aGk=\x07\x1b[2J\x1b[10;5H\x9b0m\x00\x1bc")
    assert out.decode().isprintable()
    assert b"]52;c;aGk=" in out


def test_ST10_a_sequence_cut_by_a_read_is_still_one():
    assert cleaned(b"a\x1b", b"[3", b"1mb") == b"a\x1b[31mb"
    assert b"\x1b" not in cleaned(b"a\x1b", b"]0;x\x07")


def test_a_character_cut_by_a_read_is_still_one():
    data = "修".encode()
    assert cleaned(data[:1], data[1:]) == data
