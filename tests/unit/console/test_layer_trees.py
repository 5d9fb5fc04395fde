"""Layers laid over each other: what each changes, what is hidden, and the rows that a person sees of it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from app.console.file_tree import CountedTree, Outline
from app.console.filtering import parse_filter
from app.console.layer_trees import LayerTrees
from core.model.image_files import LayerContents, LayerEntry


def layer(*entries: LayerEntry) -> LayerContents:
    return LayerContents(chain_id="c", diff_id="d", entries=entries)


def file(path: str, size: int = 10) -> LayerEntry:
    return LayerEntry(path=path, kind="file", size_bytes=size, mode=0o644)


def directory(path: str, mode: int = 0o755) -> LayerEntry:
    return LayerEntry(path=path, kind="dir", mode=mode)


def without(path: str, kind: str = "whiteout") -> LayerEntry:
    return LayerEntry(path=path, kind=kind)


def shape(tree: CountedTree) -> dict[str, tuple[str, int, int]]:
    return {path: (node.change, node.size_bytes, node.waste) for path, node in tree.nodes.items() if path}


THREE = (
    layer(directory("etc"), file("etc/conf", 100), file("etc/old", 50), directory("cache"), file("cache/a", 7)),
    layer(directory("etc"), file("etc/conf", 120), file("app", 5), without("cache")),
    layer(without("etc/old"), file("app", 6), directory("etc", 0o700)),
)


def test_a_layer_tells_what_it_added_changed_and_deleted():
    trees = LayerTrees(THREE)
    assert trees.changes[0] == dict.fromkeys(("etc", "etc/conf", "etc/old", "cache", "cache/a"), "A")
    assert trees.changes[1] == {"cache": "D", "etc/conf": "M", "app": "A"}
    assert trees.changes[2] == {"etc/old": "D", "app": "M", "etc": "M"}
    tree = trees.changed(1)
    assert shape(tree) == {"etc": ("", 120, 0), "etc/conf": ("M", 120, 0), "app": ("A", 5, 5), "cache": ("D", 7, 0)}
    assert tree.nodes["etc/conf"].size_before == 100
    assert tree.root.size_bytes == 125  # what went is no part of what is there


def test_bytes_that_upper_layers_hide_are_counted_where_they_lie():
    trees = LayerTrees(THREE)
    assert trees.hidden == [{"cache/a": 7, "etc/conf": 100, "etc/old": 50}, {"app": 5}, {}]
    assert trees.hidden_bytes == 162
    assert trees.hidden_files()[:2] == [("etc/conf", 100, 2), ("etc/old", 50, 1)]
    assert 0 < trees.efficiency < 1
    lowest = trees.changed(0)
    assert lowest.nodes["etc"].waste == 150
    assert lowest.root.waste == 157


def test_the_whole_shows_what_the_top_shows():
    trees = LayerTrees(THREE)
    assert {path for path in trees.whole().nodes if path} == {"etc", "etc/conf", "app"}
    assert trees.whole().nodes["etc/conf"].size_bytes == 120
    below = trees.seen_from(1)
    assert shape(below)["etc/old"] == ("", 50, 50)
    assert below.nodes["cache"].change == "D"


def test_a_file_is_traced_to_the_layer_it_replaced():
    trees = LayerTrees(THREE)
    assert trees.version_below(1, "etc/conf") == 0
    assert trees.version_below(2, "app") == 1
    assert trees.version_below(1, "app") is None
    assert trees.owner("etc/conf") == 1
    assert trees.owner("nothing") is None


def test_an_opaque_directory_deletes_all_that_was_in_it_and_not_what_its_own_layer_brings():
    trees = LayerTrees((THREE[0], layer(directory("etc"), file("etc/conf", 1), without("etc", "opaque"))))
    assert trees.changes[1] == {"etc/conf": "M", "etc/old": "D"}
    assert {path for path in trees.whole().nodes if path} == {"etc", "etc/conf", "cache", "cache/a"}


def test_a_directory_that_becomes_a_file_hides_all_that_was_in_it():
    trees = LayerTrees((THREE[0], layer(file("etc", 3), file("cache/b", 1))))
    assert trees.hidden[0] == {"etc/conf": 100, "etc/old": 50}
    assert trees.changes[1]["etc"] == "M"
    assert sorted(path for path in trees.whole().nodes if path) == ["cache", "cache/a", "cache/b", "etc"]


def test_a_path_as_deep_as_it_gets_is_no_trouble():
    deep = "/".join("d" * 2_000)
    trees = LayerTrees((layer(file(deep, 4)), layer(without("d"))))
    assert trees.hidden[0] == {deep: 4}
    assert trees.changed(0).root.size_bytes == 4


_DIRECTORIES, _FILES = ["a", "a/x", "b", "c"], ["a/y", "a/x/z", "b/x", "c"]


def _drawn(kind: str, paths: list[str]) -> st.SearchStrategy[LayerEntry]:
    return st.builds(LayerEntry, path=st.sampled_from(paths), kind=st.just(kind), size_bytes=st.integers(0, 9))


_ENTRIES = st.lists(
    _drawn("dir", _DIRECTORIES)
    | _drawn("file", _FILES)
    | _drawn("whiteout", [*_DIRECTORIES, *_FILES])
    | _drawn("opaque", _DIRECTORIES),
    max_size=5,
)


@settings(max_examples=150)
@given(st.lists(_ENTRIES, min_size=1, max_size=4))
def test_laying_over_each_other_equals_the_plain_rules_applied_to_a_flat_list(drawn):
    shown: dict[str, LayerEntry] = {}
    for entries in drawn:
        for one in entries:
            if one.kind in ("whiteout", "opaque"):
                top = one.path + "/"
                gone = [path for path in shown if path.startswith(top) or (one.kind, path) == ("whiteout", one.path)]
                for path in gone:
                    del shown[path]
        for one in entries:
            if one.kind in ("whiteout", "opaque"):
                continue
            for above in _above(one.path):
                if above not in shown:
                    shown[above] = directory(above)
            if one.kind == "file" or shown.get(one.path, one).kind == "file":
                for path in [path for path in shown if path.startswith(one.path + "/")]:
                    del shown[path]
            shown[one.path] = one
    trees = LayerTrees([layer(*entries) for entries in drawn])
    got = {path: node for path, node in trees.whole().nodes.items() if path}
    assert set(got) == set(shown)
    assert {path: one.size_bytes for path, one in got.items() if one.kind == "file"} == {
        path: one.size_bytes for path, one in shown.items() if one.kind == "file"
    }


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


# ---------------------------------------------------------------------- rows


def big_tree(directories: int = 1_000, files: int = 100) -> CountedTree:
    tree = CountedTree()
    for outer in range(directories):
        for inner in range(files):
            tree.put(f"top/d{outer:04}/f{inner:03}", "file").size_bytes = inner
    return tree.count()


def test_only_what_is_open_becomes_rows():
    outline = Outline(LayerTrees(THREE).whole())
    assert [node.path for node in outline.rows()] == ["etc", "app"]
    outline.toggle("etc")
    assert [(node.path, node.depth) for node in outline.rows()] == [("etc", 0), ("etc/conf", 1), ("app", 0)]
    outline.toggle("etc")
    assert len(outline.rows()) == 2
    outline.open_all_below("")
    assert len(outline.rows()) == 3


def test_rows_are_ordered_among_their_own_kin():
    outline = Outline(LayerTrees(THREE).changed(0))
    outline.open_all_below("")
    by_size = [node.path for node in outline.rows(lambda node: node.size_bytes)]
    assert by_size == ["cache", "cache/a", "etc", "etc/old", "etc/conf"]
    backwards = [node.path for node in outline.rows(lambda node: node.size_bytes, reverse=True)]
    assert backwards == ["etc", "etc/conf", "etc/old", "cache", "cache/a"]


def test_finding_shows_hits_with_their_parents_whatever_is_closed():
    outline = Outline(LayerTrees(THREE).changed(0))
    outline.find(parse_filter("conf"), "conf")
    assert [node.path for node in outline.rows()] == ["etc", "etc/conf"]
    outline.find(parse_filter("!etc !cache"))
    assert outline.rows() == []
    outline.find(parse_filter("change=A kind=file ~old"))
    assert [node.path for node in outline.rows()] == ["etc", "etc/old"]
    outline.find(None)
    assert len(outline.rows()) == 2


def test_a_small_tree_opens_by_itself_and_a_big_one_only_as_far_as_it_fits():
    outline = Outline(LayerTrees(THREE).changed(0))
    outline.open_first(20)
    assert len(outline.rows()) == 5
    outline = Outline(big_tree(50, 4))
    outline.open_first(20)
    assert len(outline.rows()) == 51  # the one directory at the top, and what is in it


def test_a_hundred_thousand_files_are_searched_and_listed_from_an_index():
    outline = Outline(big_tree())
    outline.find(parse_filter("d0999/f09"), "d0999/f09")
    assert len(outline.rows()) == 12
