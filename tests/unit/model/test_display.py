"""What comes from containers is shown inert, visible and of known width."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from core.model.display import LOG_LINE_CELLS, Span, clip, log_spans, safe_lines, safe_text, text_width
from core.model.ink import BOLD, PLAIN, Ink

HOSTILE = [
    (b"\x1b[2J", "␛[2J"),
    (b"\x1b]52;c;ZXZpbA==\x07", "␛]52;c;ZXZpbA==␇"),
    (b"\x1bP$q\x1b\\", "␛P$q␛\\"),
    ("\x9b31m".encode(), "‹009B›31m"),
    (b"a\bb\rc\x00\x7f", "a␈b␍c␀␡"),
    ("user\u202etxt.exe".encode(), "user‹202E›txt.exe"),
    ("a\u200bb\ufeff".encode(), "a‹200B›b‹FEFF›"),
    ("a\u2028b".encode(), "a‹2028›b"),
    (b"caf\xe9\xff", "caf\\xe9\\xff"),
    (b"two\nlines\there", "two␊lines␉here"),
    ("\u0301x".encode(), "◌\u0301x"),
]


@pytest.mark.parametrize(("data", "shown"), HOSTILE)
def test_ST10_controls_and_overrides_become_visible(data: bytes, shown: str) -> None:
    assert safe_text(data) == shown


def test_ST10_marks_do_not_pile_up() -> None:
    assert safe_text("e" + "\u0301" * 50) == "e\u0301\u0301"


def test_ST10_a_huge_log_line_is_cut_with_a_note() -> None:
    spans, _ink = log_spans(b"x" * 1_000_000 + b"\n")
    assert sum(len(span.text) for span in spans) < LOG_LINE_CELLS + 60
    assert spans[-1].text == f" … {1_000_000 - LOG_LINE_CELLS} bytes more"


def test_markup_of_theirs_stays_text() -> None:
    assert safe_text("[link=http://x]y[/] [@click=app.quit]z") == "[link=http://x]y[/] [@click=app.quit]z"


def test_log_lines_keep_their_colours_and_nothing_else() -> None:
    spans, ink = log_spans(b"\x1b[1;31mred\x1b[0m\tok\x1b[2J\x1b]0;x\x07\r\n")
    assert spans == [Span("red", Ink(1, -1, BOLD)), Span("        ok␛[2J␛]0;x␇", PLAIN)]
    assert ink == PLAIN


def test_a_colour_left_open_is_handed_on() -> None:
    _spans, ink = log_spans(b"\x1b[32mgreen\n")
    assert ink == Ink(2)


def test_lines_are_split_and_tabs_widened() -> None:
    assert safe_lines(b"a\tb\r\nc\x07") == ["a       b", "c␇"]


@given(st.binary(max_size=300))
def test_ST10_no_bytes_get_anything_invisible_through(data: bytes) -> None:
    for text in (safe_text(data), "".join(span.text for span in log_spans(data)[0])):
        for character in text:
            assert unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
            assert unicodedata.bidirectional(character) not in (
                *("LRE", "RLE", "LRO", "RLO", "PDF"),
                *("LRI", "RLI", "FSI", "PDI"),
            )


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_safe_text_is_stable(text: str) -> None:
    assert safe_text(safe_text(text)) == safe_text(text)


@given(st.text(alphabet="abcé日本語ｱ한 ☃😀", max_size=40), st.integers(0, 50))
def test_widths_agree_with_the_renderer_and_clip_keeps_them(text: str, cells: int) -> None:
    safe = safe_text(text)
    assert text_width(safe) == cell_len(safe)
    assert text_width(clip(safe, cells)) <= cells
