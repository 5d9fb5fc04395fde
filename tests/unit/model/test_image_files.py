"""Layers laid on one another: what shows, what is wasted, what differs."""

from __future__ import annotations

import pytest

from core.model.image_files import (
    OPAQUE,
    WHITEOUT,
    FileTree,
    LayerContents,
    LayerEntry,
    count_waste,
    differences,
    needed_digests,
)


def layer(*entries: LayerEntry) -> LayerContents:
    return LayerContents(chain_id="", diff_id="", entries=entries)


def file(path: str, content: str = "", **fields: object) -> LayerEntry:
    fields = {"mode": 0o644, "size_bytes": len(content), "digest": content, **fields}
    return LayerEntry(path=path, kind="file", **fields)  # type: ignore[arg-type]


def made(path: str, kind: str, **fields: object) -> LayerEntry:
    return LayerEntry(path=path, kind=kind, **fields)  # type: ignore[arg-type]


def test_a_layer_replaces_adds_and_hides() -> None:
    tree = FileTree(
        [
            layer(made("etc", "dir", mode=0o755), file("etc/a", "1"), file("etc/b", "2"), file("opt/deep/x", "3")),
            layer(file("etc/a", "new"), made("etc/b", WHITEOUT), made("opt", WHITEOUT), file("srv/y")),
        ]
    )
    assert list(tree) == ["etc", "etc/a", "srv", "srv/y"]
    assert (tree.standing["etc/a"].entry.digest, tree.standing["etc/a"].layer) == ("new", 1)
    assert tree.standing["etc"].layer == 0
    assert tree.names("") == ["etc", "srv"]


def test_an_opaque_directory_shows_its_own_alone_wherever_the_mark_stands() -> None:
    below = layer(file("d/old"), file("d/sub/older"))
    for marked in (
        layer(made("d", OPAQUE), file("d/new")),
        layer(file("d/new"), made("d", OPAQUE)),
    ):
        assert list(FileTree([below, marked])) == ["d", "d/new"]
    assert list(FileTree([below, layer(made("", OPAQUE), file("only"))])) == ["only"]


def test_a_whiteout_hides_what_lies_below_not_what_its_own_layer_brings() -> None:
    tree = FileTree([layer(file("x", "old"), file("x2")), layer(file("x", "new"), made("x", WHITEOUT))])
    assert tree.standing["x"].entry.digest == "new"


def test_a_file_in_the_place_of_a_directory_takes_its_content_away() -> None:
    tree = FileTree([layer(file("d/a"), file("d/b/c")), layer(made("d", "symlink", link="/elsewhere"))])
    assert list(tree) == ["d"]


def test_a_hard_link_is_the_file_it_is_another_name_of_even_after_that_has_gone() -> None:
    tree = FileTree(
        [
            layer(file("a", "content"), made("b", "hardlink", link="a")),
            layer(file("a", "other")),
        ]
    )
    assert (tree.standing["b"].entry.kind, tree.standing["b"].entry.digest) == ("file", "content")
    assert tree.standing["b"].entry.path == "b"
    lost = FileTree([layer(made("b", "hardlink", link="nowhere"))])
    assert lost.standing["b"].entry.kind == "hardlink"


def test_bytes_below_a_directory_count_everything_in_it() -> None:
    tree = FileTree([layer(file("d/a", "12345"), file("d/e/f", "678"), file("g", "9"))])
    assert tree.bytes_below("d") == 8
    assert tree.bytes_below("") == 9
    assert tree.bytes_below("nothing") == 0


def test_waste_is_what_layers_bring_again_or_delete() -> None:
    waste = count_waste(
        [
            layer(made("d", "dir"), file("d/big", "x" * 100), file("same", "y" * 10), file("once", "z" * 50)),
            layer(file("same", "w" * 30)),
            layer(made("d", WHITEOUT)),
        ]
    )
    # every appearance: big 100, same 10 and 30, once 50, and 100 that the deletion of d hides
    assert [(file.path, file.total_bytes, file.times) for file in waste.files] == [("/same", 40, 2)]
    assert waste.wasted_bytes == 40
    assert waste.efficiency == pytest.approx((100 + 10 + 50 + 100) / (100 + 40 + 50 + 100))


def test_a_file_that_is_deleted_counts_twice() -> None:
    waste = count_waste([layer(file("big", "x" * 100)), layer(made("big", WHITEOUT))])
    assert [(file.path, file.total_bytes, file.times) for file in waste.files] == [("/big", 200, 2)]
    assert waste.efficiency == 0.5
    assert count_waste([]).efficiency == 1.0
    assert count_waste([layer(file("empty")), layer(file("empty"))]).files == ()


def test_differences_are_told_by_what_a_file_is_not_by_its_time() -> None:
    first = FileTree(
        [
            layer(
                file("same", "s", mtime_s=1),
                file("content", "a"),
                file("mode", "m"),
                file("gone", "bye"),
                made("link", "symlink", link="x"),
                made("kind", "dir", mode=0o755),
                file("capable", "c"),
                made("dev", "char", device="1:3"),
            )
        ]
    )
    second = FileTree(
        [
            layer(
                file("same", "s", mtime_s=2),
                file("content", "b"),
                file("mode", "m", mode=0o755),
                file("new", "hello"),
                made("link", "symlink", link="y"),
                file("kind", "now a file"),
                file("capable", "c", attributes="cap"),
                made("dev", "char", device="1:5"),
            )
        ]
    )
    assert [(d.kind, d.path, d.size_before, d.size_after) for d in differences(first, second)] == [
        ("C", "/capable", 1, 1),
        ("C", "/content", 1, 1),
        ("C", "/dev", 0, 0),
        ("D", "/gone", 3, 0),
        ("C", "/kind", 0, 10),
        ("C", "/link", 0, 0),
        ("C", "/mode", 1, 1),
        ("A", "/new", 0, 5),
    ]
    assert differences(first, first) == []


def test_files_of_shared_layers_are_read_only_where_one_has_to_be_told_from_another() -> None:
    base = layer(file("a", "1", digest=""), file("b", "22", digest=""), file("c", "3", digest=""))
    first = FileTree([base])
    second = FileTree([base, layer(file("a", "9"), file("b", "999"))])
    assert needed_digests(first, second, 1) == {0}  # a may be the same; b can't
    assert needed_digests(first, FileTree([base, layer(file("b", "999"))]), 1) == set()
    assert [d.path for d in differences(first, FileTree([base, layer(file("b", "999"))]), 1)] == ["/b"]
