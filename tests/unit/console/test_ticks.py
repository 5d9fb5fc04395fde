"""What stays out of a commit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.console.difference_tree import difference_tree
from app.console.ticks import ALL, NONE, SOME, Ticks
from core.model.image_files import FileDifference

PATHS = ("/app", "/app/a", "/app/b", "/app/sub/c", "/app/sub/d", "/etc/conf", "/tmp/x")


def ticks() -> Ticks:
    return Ticks(difference_tree(FileDifference(path=path, kind="A", size_after=10) for path in PATHS))


def test_everything_goes_in_at_first():
    one = ticks()
    assert one.left_out() == ()
    assert one.counted() == (6, 6, 60)


def test_one_file_stays_out_and_its_directory_shows_it():
    one = ticks()
    one.toggle("app/sub/c")
    assert one.left_out() == ("/app/sub/c",)
    assert [one.state(path) for path in ("app/sub/c", "app/sub", "app", "", "etc")] == [NONE, SOME, SOME, SOME, ALL]
    assert one.counted() == (5, 6, 50)


def test_a_directory_stays_out_as_one_path_and_comes_back_whole():
    one = ticks()
    one.toggle("app")
    one.toggle("tmp/x")
    assert one.left_out() == ("/app", "/tmp")
    one.toggle("app/a")
    assert one.left_out() == ("/app/b", "/app/sub", "/tmp")
    one.toggle("app")  # partly ticked: all of it
    assert one.left_out() == ("/tmp",)


@given(st.lists(st.sampled_from([path.strip("/") for path in PATHS] + ["app/sub", "etc", ""]), max_size=12))
def test_paths_left_out_cover_exactly_what_is_not_ticked(toggled):
    one = ticks()
    for path in toggled:
        one.toggle(path)
    leaves = [path for path in PATHS if path != "/app"]
    off = [path for path in leaves if one.state(path.strip("/")) == NONE]
    covered = [path for path in leaves if any((path + "/").startswith(out + "/") for out in one.left_out())]
    assert covered == off
    assert one.counted()[:2] == (len(leaves) - len(off), len(leaves))


def test_nothing_to_tick():
    assert Ticks(difference_tree(())).counted() == (0, 0, 0)
