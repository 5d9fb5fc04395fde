"""Which ids a user namespace is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.host.subordinate import default_map


def files(tmp_path: Path, uids: str, gids: str) -> tuple[str, str]:
    (tmp_path / "subuid").write_text(uids)
    (tmp_path / "subgid").write_text(gids)
    return str(tmp_path / "subuid"), str(tmp_path / "subgid")


def test_SN7_the_range_of_our_own_user_comes_first(tmp_path: Path) -> None:
    text = "dockremap:200000:65536\nwharf:300000:131072\n"
    assert default_map(*files(tmp_path, text, "wharf:400000:65536\n")) == (300000, 400000, 65536)


def test_SN7_dockers_user_is_the_second_choice(tmp_path: Path) -> None:
    text = "mike:100000:65536\ndockremap:200000:65536\n"
    assert default_map(*files(tmp_path, text, text)) == (200000, 200000, 65536)


@pytest.mark.parametrize(
    "text",
    ["", "wharf", "wharf:x:65536", "wharf:0:65536", "wharf:100000:1000", "wharf:4294967000:65536", "wharf:1:2:3:4"],
)
def test_SN7_a_broken_or_too_small_range_is_none(tmp_path: Path, text: str) -> None:
    uid, gid, size = default_map(*files(tmp_path, text, text))
    assert uid == gid > 524288
    assert uid + size <= 1879048192
    assert size == 65536


def test_SN7_without_files_there_is_a_range_too(tmp_path: Path) -> None:
    assert default_map(str(tmp_path / "a"), str(tmp_path / "b"))[2] == 65536
