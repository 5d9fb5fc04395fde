"""The index of a tar: what can be looked up in it, what it leaves to unpacking, and that the same gives the same."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.trees import tartree
from core.trees.erofs import write_image
from core.trees.erofs_read import TreeFile
from core.trees.source import Source
from core.trees.tarread import Limits
from core.trees.tartree import Attributes, Inexpressible, TarTree
from tests.archives import directory, hardlink, member, symlink, tar
from tests.trees import ACL, CAPABILITY, nasty


def tree_of(data: bytes, **limits: int) -> TarTree:
    tree = TarTree(Attributes(0o755, 0, 0, 5), limits=Limits(**limits))
    rest = [data]
    tree.read(Source(lambda _size: rest.pop() if rest else b""))
    return tree


def index(data: bytes, path: Path) -> Path:
    with path.open("wb") as output:
        write_image(tree_of(data).root, len(data), output.fileno())
    return path


def test_every_name_is_found_as_the_archive_has_it(tmp_path: Path) -> None:
    data = tar(
        [
            directory("d", 0o1777, uid=7, gid=8, mtime=9),
            *(member(f"d/{'n' * (number % 60)}{number}", b"x" * number, mtime=number) for number in range(700)),
            symlink("link", "d"),
            member("null", type=b"3", devmajor=1, devminor=3),
            directory("opaque"),
            member("opaque/.wh..wh..opq"),
            member(".wh.gone"),
            member("d/\udcff\udce9", b"bytes"),
        ]
    )
    with TreeFile(index(data, tmp_path / "tree")) as found:
        root, inner = found.find(b""), found.find(b"d")
        assert root
        assert inner
        assert (root.mode, root.mtime_ns) == (stat.S_IFDIR | 0o755, 5)
        assert (inner.mode, inner.uid, inner.gid, inner.mtime_ns) == (stat.S_IFDIR | 0o1777, 7, 8, 9_000_000_000)
        for number in range(700):
            file = found.find(f"d/{'n' * (number % 60)}{number}".encode())
            assert file
            assert (file.size, file.mtime_ns) == (number, number * 1_000_000_000)
        device, whiteout, opaque = found.find(b"null"), found.find(b"gone"), found.find(b"opaque")
        assert device
        assert whiteout
        assert opaque
        assert (device.device, whiteout.device, stat.S_ISCHR(whiteout.mode)) == (1 << 8 | 3, 0, True)
        assert (found.is_opaque(opaque), found.is_opaque(inner)) == (True, False)
        assert found.find(b"d/\xff\xe9")
        for missing in (b"no", b"d/no", b"link/n1", b"null/x", b"d/" + b"z" * 300, b"!", b"~"):
            assert found.find(missing) is None


def test_the_same_tar_gives_the_same_index(tmp_path: Path) -> None:
    data = nasty()
    assert index(data, tmp_path / "one").read_bytes() == index(data, tmp_path / "two").read_bytes()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=6), st.integers(0, 6000))
def test_a_damaged_index_is_told_and_never_believed(
    tmp_path_factory: pytest.TempPathFactory, hits: list[tuple[int, int]], length: int
) -> None:
    data = tar([directory("d"), *(member(f"d/{at}", b"x") for at in range(30)), directory("e")])
    path = index(data, tmp_path_factory.mktemp("damaged") / "tree")
    found = bytearray(path.read_bytes())
    for at, value in hits:
        found[1600 + at % (len(found) - 1600)] = value
    path.write_bytes(found if length > 4000 else found[:length])
    try:
        with TreeFile(path) as tree:
            for name in (b"", b"d", b"d/7", b"e/x"):
                if (there := tree.find(name)) is not None:
                    tree.is_opaque(there)
    except ValueError:
        pass


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([symlink("l", "d"), member("l/f")], "reached through a link"),
        ([symlink("l", "d"), hardlink("h", "l/f")], "through a symbolic one"),
        ([member(".wh.w"), hardlink("h", "w")], "hard link to a whiteout"),
        ([member("f", pax_headers={"SCHILY.xattr.user.big": "v" * 4000})], "attributes of"),
        ([member("f", pax_headers={"SCHILY.xattr.system.posix_acl_access": "nonsense"})], "may not be valid"),
        ([member("f", pax_headers={"SCHILY.xattr.system.posix_acl_default": ACL})], "is no directory"),
        ([member("f", type=b"6", pax_headers={"SCHILY.xattr.security.capability": CAPABILITY})], "security.capability"),
        (
            [directory("d", pax_headers={"SCHILY.xattr.system.posix_acl_access": ACL}), directory("d")],
            "comes twice",
        ),
    ],
)
def test_what_is_left_to_unpacking(members: list[object], why: str) -> None:
    with pytest.raises(Inexpressible, match=why):
        tree_of(tar(members))  # type: ignore[arg-type]


def test_a_tree_that_would_take_too_much_memory_is_left_to_unpacking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tartree, "MOST_NODES", 500)
    deep = tar([member("/".join([f"{at}", *"abcdefghij"]), b"") for at in range(60)])
    with pytest.raises(Inexpressible, match="more than 500 files"):
        tree_of(deep)
    monkeypatch.setattr(tartree, "MOST_NODES", 10_000)
    monkeypatch.setattr(tartree, "MOST_BYTES", 20_000)
    with pytest.raises(Inexpressible, match="20000 bytes of names"):
        tree_of(tar([symlink(f"l{at}", "x" * 1000) for at in range(30)]))


def test_a_sparse_file_whose_holes_are_no_blocks_is_left_to_unpacking() -> None:
    made = tar([member("f", b"d" * 100, pax_headers={"GNU.sparse.map": "10,100", "GNU.sparse.size": "5000"})])
    with pytest.raises(Inexpressible, match="no blocks"):
        tree_of(made)
    many = "0,512,1048576,512,4294966784,512"
    made = tar([member("f", b"d" * 1536, pax_headers={"GNU.sparse.map": many, "GNU.sparse.size": "4294967296"})])
    with pytest.raises(Inexpressible, match="indexes"), open(os.memfd_create("x"), "wb") as output:
        write_image(tree_of(made).root, len(made), output.fileno())
