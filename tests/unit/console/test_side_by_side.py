"""Two versions of a file in two columns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.console.side_by_side import Row, compare_files, counted, next_change


def signs(old: bytes | None, new: bytes | None) -> str:
    return "".join(row.sign for row in compare_files(old, new))


def test_lines_stand_beside_what_they_replace():
    rows = compare_files(b"a\nsize = 8\nc\nd\n", b"a\nsize = 32\nc\nnew\nd\n")
    assert rows == [
        Row("=", 1, "a", 1, "a"),
        Row("~", 2, "size = 8", 2, "size = 32"),
        Row("=", 3, "c", 3, "c"),
        Row("+", None, "", 4, "new"),
        Row("=", 4, "d", 5, "d"),
    ]
    assert counted(rows) == (2, 1)


def test_a_file_that_was_not_there_or_is_gone_is_all_new_or_all_old():
    assert signs(None, b"a\nb\n") == "++"
    assert signs(b"a\nb\n", None) == "--"
    assert signs(b"", b"") == ""


def test_lines_that_differ_in_what_can_not_be_seen_differ_all_the_same():
    assert signs(b"a\r\nb\n", b"a\nb\n") == "~="
    assert signs(b"\tx\n", b"        x\n") == "~"


def test_binary_files_are_compared_by_bytes():
    rows = compare_files(b"\0" * 8 + b"12345678", b"\0" * 8 + b"1234567A" + b"x")
    assert [row.sign for row in rows] == ["=", "~", "+"]
    assert rows[1].old == "31323334 35363738 12345678"
    assert rows[2].old_number is None


def test_what_a_file_says_is_inert():
    (row,) = compare_files(b"\x1b[2J", "\u202egpj.exe".encode())
    assert "\x1b" not in row.old
    assert "\u202e" not in row.new


def test_one_steps_from_change_to_change():
    rows = compare_files(b"a\nb\nc\nd\ne\n", b"A\nB\nc\nd\nE\n")
    assert next_change(rows, -1, 1) == 0
    assert next_change(rows, 0, 1) == 4
    assert next_change(rows, 4, 1) is None
    assert next_change(rows, 4, -1) == 0


def test_a_file_made_to_be_slow_is_bounded():
    old = b"a\nb\n" * 60_000
    assert len(compare_files(old, b"b\na\n" * 60_000)) < 7_000


@given(st.lists(st.sampled_from("abcd"), max_size=30), st.lists(st.sampled_from("abcd"), max_size=30))
def test_each_column_is_its_file_whole_and_in_order(old, new):
    rows = compare_files("\n".join([*old, ""]).encode(), "\n".join([*new, ""]).encode())
    assert [row.old for row in rows if row.old_number] == old
    assert [row.new for row in rows if row.new_number] == new
    assert [row.old_number for row in rows if row.old_number] == list(range(1, len(old) + 1))
    assert all(row.old == row.new for row in rows if row.sign == "=")
