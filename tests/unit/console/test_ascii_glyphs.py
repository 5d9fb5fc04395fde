"""The console in ASCII: the same cells, other signs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.cells import cell_len

from app.console.ascii_glyphs import in_ascii, wants_ascii

PROJECT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("text", ["● api-1", "▾ usr/lib/", "size ▁▂▃▄▅▆▇█", "名前 x", "\U0001f680!", "é·—", "plain"])
def test_a_text_keeps_its_width(text: str) -> None:
    assert in_ascii(text).isascii()
    assert len(in_ascii(text)) == cell_len(text)


def test_signs_that_mean_different_things_stay_different() -> None:
    states = [in_ascii(sign) for sign in "●◐✖○‖↻"]
    assert len(set(states)) == len(states)
    assert in_ascii("▾") != in_ascii("▸")


def test_every_sign_that_the_console_draws_has_one() -> None:
    drawn: set[str] = set()
    for path in sorted((PROJECT / "app" / "console").rglob("*.py")):
        if "vt" not in path.parts:  # a terminal's own character sets are the programs' business
            drawn |= set(re.findall(r"[\u2010-\u2bff]", path.read_text()))
    assert {sign for sign in drawn if in_ascii(sign) == "?"} <= {"␀"}


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"LANG": "C.UTF-8"}, False),
        ({"LANG": "de_DE.ISO-8859-1"}, True),
        ({"LC_ALL": "C.utf8", "LANG": "de_DE.ISO-8859-1"}, False),
        ({"LANG": "C"}, False),
        ({"LANG": "C.UTF-8", "WHARF_CONSOLE_ASCII": "on"}, True),
        ({"LANG": "x.ISO-8859-1", "WHARF_CONSOLE_ASCII": "off"}, False),
    ],
)
def test_ascii_is_asked_for_by_switch_or_locale(environment: dict[str, str], wanted: bool) -> None:
    assert wants_ascii(environment) is wanted
