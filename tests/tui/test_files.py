"""The file browser: on volumes, containers and images, with everything that can be done to a file."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from textual.widgets import Input, TextArea

from app.console.picture_facts import picture_facts
from tests.tui.conftest import Open
from tests.tui.fake_backend import FakeBackend, seeded


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"tEXt", b"Software\0a\x1bpainter") + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_volumes_say_size_type_and_who_uses_them(console: Open, size: tuple[int, int]) -> None:
    async with console(size) as screen:
        await screen.press("3")
        await screen.shows("● db-data", "◌ scratch", "nobody", "SIZE")
        for line in screen.text().split("\n"):
            assert len(line) <= size[0]


async def test_a_file_of_a_volume_is_edited(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("3", "enter")
        await screen.shows("readme.txt")
        screen.backend.files["/readme.txt"] = b"first line\n"
        await screen.click_text("readme.txt")
        await screen.press("E")
        await screen.until(lambda: screen.app.screen.query(TextArea), "the editor")
        await screen.shows("first line", "^s save")
        area = screen.app.screen.query_one(TextArea)
        await screen.until(lambda: not area.read_only, "the text")
        await screen.type("new ")
        await screen.shows("changed", "new first line")
        await screen.press("escape")
        await screen.shows("not written")
        await screen.press("ctrl+s")
        await screen.called("write", "/readme.txt", b"new first line\n")
        await screen.shows("written")
        await screen.press("escape")
        await screen.shows("readme.txt", "3 entries")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\xfe\n", "not text in UTF-8"),
        (b"a\x1b[2J\n", "control characters"),
        (b"one\r\ntwo\n", "mixes ways to end a line"),
        (b"x" * 1_100_000, "larger than 1 MiB"),
    ],
)
async def test_what_is_no_plain_text_is_not_edited(console: Open, data: bytes, words: str) -> None:
    backend = seeded()
    backend.files = {"/file": data}
    async with console((80, 24), backend) as screen:
        await screen.press("3", "enter")
        await screen.shows("1 entry")
        await screen.press("E")
        await screen.shows(words)
        assert not screen.app.screen.query(TextArea)
        assert not [call for call in backend.calls if call[0] == "write"]


async def test_a_deleted_file_comes_back(console: Open) -> None:
    async with console((80, 24)) as screen:
        before = dict(screen.backend.files)
        await screen.press("3", "enter")
        await screen.click_text("sub/")
        await screen.press("space", "D")
        await screen.shows("Delete 1 file of db-data", "U brings them back")
        await screen.press("enter")
        await screen.called("remove path", "/sub")
        await screen.shows("deleted sub: U brings it back", "2 entries")
        await screen.press("U")
        await screen.called("copy in", "/", True)
        await screen.shows("sub is back", "3 entries")
        assert screen.backend.files == before
        await screen.press("U")
        await screen.shows("nothing was deleted here")


async def test_a_file_deleted_for_good_is_gone(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("3", "enter")
        await screen.click_text("readme.txt")
        await screen.press("D")
        await screen.click_text("for good")
        await screen.click_text("Delete  ⏎")
        await screen.called("remove path", "/readme.txt")
        await screen.press("U")
        await screen.shows("nothing was deleted here")


async def test_files_are_found_at_any_depth(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("3", "enter")
        await screen.shows("readme.txt")
        await screen.press("F")
        await screen.shows("Find files by name")
        await screen.type("deep")
        await screen.press("enter")
        await screen.shows("sub/deep.txt", "1 with deep in the name")
        await screen.press("enter")
        await screen.shows("db-data /sub")
        await screen.press("escape")
        await screen.shows("readme.txt")


async def test_files_are_filtered_in_place(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("3", "enter")
        await screen.shows("blob.bin")
        await screen.press("slash")
        await screen.type("read")
        await screen.gone("blob.bin")
        await screen.press("enter", "escape")
        await screen.shows("blob.bin")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_files_are_copied_out_and_in_by_picking_them_on_both_sides(
    console: Open, tmp_path: Path, size: tuple[int, int]
) -> None:
    (tmp_path / "from-host.txt").write_text("host's\n")
    async with console(size) as screen:
        await screen.press("3", "enter")
        await screen.shows("readme.txt")
        await screen.press("C")
        await screen.shows("this host", "from-host.txt", "blob.bin")
        await screen.click_text("blob.bin")
        await screen.press("C")
        await screen.shows("Copy to this host", str(tmp_path)[:30])
        await screen.press("enter")
        await screen.shows("copied blob.bin to this host")
        assert (tmp_path / "blob.bin").read_bytes() == screen.backend.files["/blob.bin"]
        await screen.press("tab")
        await screen.click_text("from-host.txt")
        await screen.press("C")
        await screen.shows("Copy to db-data")
        await screen.press("enter")
        await screen.called("copy in", "/", False)
        await screen.until(lambda: screen.backend.files.get("/from-host.txt") == b"host's\n", "the copy")
        await screen.click_text("blob.bin")
        await screen.press("C")
        await screen.shows("There already, and replaced: blob.bin")
        await screen.press("escape", "escape", "escape")


async def test_a_containers_files_and_the_command_of_a_copy(console: Open, tmp_path: Path) -> None:
    async with console((120, 40)) as screen:
        await screen.press("enter", "b")
        await screen.shows("readme.txt", "api-1 /")
        await screen.click_text("readme.txt")
        await screen.press("C")
        await screen.shows("this host", "▐1 Containers")
        await screen.press("C")
        await screen.shows("wharf cp api-1:/readme.txt")
        await screen.press("escape")


async def test_an_images_files_can_be_looked_at_and_not_changed(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("2", "enter", "f")
        await screen.shows("readme.txt")
        for key in ("E", "D"):
            await screen.press("end", key)
            await screen.shows("it can't be changed")
            await screen.press("x")
        await screen.press("C")
        await screen.shows("this host")
        await screen.press("tab", "C")
        await screen.shows("nothing can be copied into it")


async def test_a_picture_says_what_it_is(console: Open) -> None:
    backend = seeded()
    backend.files = {"/logo.png": _png(640, 480)}
    async with console((80, 24), backend) as screen:
        await screen.press("3", "enter")
        await screen.shows("640 × 480", "RGB with alpha", "a␛painter")


async def test_a_volume_is_made_with_options(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("3", "n")
        await screen.type("memory")
        for name, value in (("type", "tmpfs"), ("o", "size=64m"), ("labels", "a=b")):
            screen.app.screen.query_one(f"#{name}", Input).value = value
        await screen.shows('missing required option: "device"')
        screen.app.screen.query_one("#device", Input).value = "tmpfs"
        await screen.shows("--opt type=tmpfs --opt device=tmpfs")
        await screen.press("enter")
        await screen.called("volume create", "memory", {"type": "tmpfs", "device": "tmpfs", "o": "size=64m"})


async def test_a_volume_is_exported_and_imported(console: Open, tmp_path: Path) -> None:
    async with console((80, 24)) as screen:
        await screen.press("3", "S")
        await screen.shows("Export volume db-data", "wharf volume export -o")
        await screen.press("enter")
        await screen.shows("exported to")
        assert (tmp_path / "db-data.tar").read_bytes() == b"a tar"
        await screen.press("S", "enter")
        await screen.shows("is there already")
        await screen.press("escape", "L")
        await screen.shows("Import an archive into a volume")
        screen.app.screen.query_one("#path", Input).value = str(tmp_path / "db-data.tar")
        await screen.press("enter")
        await screen.called("volume import", "db-data", b"a tar")
        await screen.press("L")
        screen.app.screen.query_one("#path", Input).value = "/no/such/file"
        await screen.press("enter")
        await screen.shows("is not a file that can be read")


@pytest.mark.parametrize(
    ("data", "facts"),
    [
        (b"GIF89a\x02\x00\x03\x00\xf7\x00\x00", {"format": "GIF89a", "size": "2 × 3", "colours": "256"}),
        (
            b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x0b\x08\x01\xe0\x02\x80\x03\x01\x11\x00",
            {"format": "JPEG", "size": "640 × 480", "colours": "3 channels, 8 bits each"},
        ),
        (
            b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00\x7f\x02\x00\xdf\x01\x00",
            {"format": "WebP", "size": "640 × 480", "animated": "yes"},
        ),
        (
            b"BM" + bytes(16) + struct.pack("<iiHH", 64, -32, 1, 24),
            {"format": "BMP", "size": "64 × 32", "depth": "24 bits a pixel"},
        ),
        (b"\x89PNG\r\n\x1a\n", {}),
        (b"GIF89a", {}),
        (b"plain text", {}),
    ],
)
def test_what_pictures_say_of_themselves(data: bytes, facts: dict[str, str]) -> None:
    assert dict(picture_facts(data)) == facts


def test_the_fake_is_a_file_source() -> None:
    backend = FakeBackend()
    assert [entry.name for entry in backend.volumes.find_files("x", "/", "deep")] == ["sub/deep.txt"]
