"""Paths inside a root never leave it, whatever lies there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.linux import inroot


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "secret").write_text("host")
    inside = tmp_path / "root"
    inside.mkdir()
    (inside / "up").symlink_to("../../secret")
    (inside / "absolute").symlink_to("/etc")
    (inside / "loop").symlink_to("loop")
    (inside / "etc").mkdir()
    (inside / "etc" / "passwd").write_text("inside")
    (inside / "file").write_text("x")
    descriptor = os.open(inside, os.O_PATH | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def text(root: int, path: str) -> str:
    descriptor = inroot.open_in_root(root, path, os.O_RDONLY)
    with os.fdopen(descriptor) as file:
        return file.read()


@pytest.mark.parametrize("path", ["up", "../secret", "../../../secret", "/../secret", "etc/../../secret"])
def test_SF1_dots_and_links_end_at_the_root(root: int, path: str) -> None:
    with pytest.raises(FileNotFoundError):
        text(root, path)


def test_absolute_links_are_taken_from_the_root(root: int) -> None:
    assert text(root, "absolute/passwd") == "inside"


def test_loops_and_magic_links_are_refused(root: int, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="symbolic"):
        text(root, "loop")
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    with pytest.raises(OSError, match="symbolic"):
        inroot.open_in_root(proc, "self/root/etc")
    os.close(proc)


def test_mount_points_are_made_inside_and_their_kind_is_checked(root: int, tmp_path: Path) -> None:
    os.close(inroot.make_mount_point(root, "/a/b/c", directory=True))
    os.close(inroot.make_mount_point(root, "/absolute/new.conf", directory=False))
    assert (tmp_path / "root/a/b/c").is_dir()
    assert (tmp_path / "root/etc/new.conf").is_file()
    with pytest.raises(NotADirectoryError):
        inroot.make_mount_point(root, "/file", directory=True)
    with pytest.raises(IsADirectoryError):
        inroot.make_mount_point(root, "/etc", directory=False)
    with pytest.raises(OSError, match=r"\.\."):
        inroot.make_directories(root, "new/../../x")
