"""The image workbench: layers, files, previews and diffs, comparing, and everything that can be done to an image."""

from __future__ import annotations

import json
from pathlib import Path

from textual.widgets import Input, OptionList

from app.console.widgets.tree_table import TreeTable
from core.backend import CommitWish
from core.model.image_files import LayerContents, LayerEntry
from tests.tui.conftest import Open, Screen
from tests.tui.fake_backend import make_image, seeded


async def click_sign(screen: Screen, words: str) -> None:
    """Click on the first cell of some words."""
    await screen.shows(words)
    for y, line in enumerate(screen.text().split("\n")):
        if words in line:
            await screen.pilot.click(offset=(line.index(words), y))
            await screen.pilot.pause()
            return


async def test_layers_files_and_waste_of_an_image(console: Open) -> None:
    async with console() as screen:
        await screen.press("2", "enter")
        await screen.shows("shop/api:9.2", "unique 40M", "3 layers", "used by 1", "wasted 4.0M (1.9%)")
        await screen.shows("3 RUN pip install -r req.txt", "2 COPY . /app", "1 FROM debian:12", "+ uncommitted (api-1)")
        await screen.shows("LAYER 3", "changed only", "cache.bin", "− 4.0M", "pip.log")
        await screen.shows("in this image alone", "packed 20M")
        await screen.press("down")
        await screen.shows("LAYER 2", "waste 4.0M", "main.py")
        await screen.press("w")
        await screen.shows("efficiency", "4.0M in 3 files that upper layers replace or delete", "/app/cache.bin")
        await screen.press("slash")
        await screen.type("conf")
        await screen.press("enter")
        await screen.gone("/app/cache.bin")
        await screen.press("enter")  # to the file, in the lowest layer that holds it
        await screen.shows("LAYER 1", "waste 20B", "── etc/app.conf")


async def test_what_images_say_of_themselves_is_inert(console: Open) -> None:
    async with console() as screen:
        await screen.press("2", "enter")
        await screen.shows("␛[2J[red]", "old‹202E›name")
        await screen.press("p")
        await screen.shows("evil␛[2J", "requests", "2.31.0", "Apache-2.0")
        await screen.click_text("VERSION")
        await screen.shows("VERSION▴")
        await screen.press("h")
        await screen.shows("how it was made")
        assert "\x1b" not in screen.text()
        assert "\u202e" not in screen.text()


async def test_a_file_is_shown_beside_what_it_was_by_keyboard(console: Open) -> None:
    async with console() as screen:
        await screen.press("2", "enter")
        await screen.shows("pip.log")
        await screen.press("down", "tab", "end")
        await screen.shows("etc/app.conf", "old │ new   +1 −1", "size = 8", "size = 32")
        await screen.press("enter", "escape", "home", "down")
        await screen.shows("00 01 02 03")
        await screen.press("H")
        await screen.shows("␀␁␂")


async def test_files_by_mouse_and_in_a_small_terminal(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("2", "enter")
        await screen.click_text("COPY . /app")
        await screen.shows("main.py")
        await click_sign(screen, "▾ app/")
        await screen.gone("main.py")
        await click_sign(screen, "▸ app/")
        await screen.click_text("main.py", times=2)
        await screen.shows("print('hello')")
        await screen.gone("LAYERS")
        await screen.press("escape")
        await screen.shows("LAYERS", "cache.bin")
        await screen.press("escape")
        await screen.shows("UNIQUE")


async def test_changed_only_or_all_and_the_whole_image(console: Open) -> None:
    async with console() as screen:
        await screen.press("2", "enter")
        await screen.shows("pip.log")
        assert "libc.so" not in screen.text()
        await screen.click_text("changed only")
        await screen.shows("all files", "pip.log", "libc.so.6@", "− 50B", "名前.txt ")
        await screen.click_text("the whole image")
        await screen.shows("WHOLE IMAGE", "main.py")
        await screen.gone("cache.bin")
        await screen.press("tab", "slash")
        await screen.type("LIBC")
        await screen.press("enter")
        await screen.gone("main.py")
        await screen.shows("libc.so.6@", "/LIBC")
        await screen.press("escape")
        await screen.shows("main.py")


async def test_what_a_container_has_changed_is_the_topmost_layer(console: Open) -> None:
    async with console() as screen:
        await screen.press("I")
        await screen.shows("UNCOMMITTED api-1", "pool.py", "+ 18K", "app.conf")
        await screen.called("compare")
        await screen.click_text("app.conf")
        await screen.shows("size = 32", "size = 64", "fast = yes")
        await screen.click_text("old‹202E›name")
        await screen.shows("deleted here")
        await screen.press("c")
        await screen.shows("Commit api-1 → image")


async def test_the_cursor_stays_when_the_layers_have_been_read_meanwhile(console: Open) -> None:
    async with console() as screen:
        screen.backend.layers_readable.clear()
        await screen.press("I")
        await screen.shows("+ 18K")
        await screen.press("tab", "end")
        await screen.shows("── etc/old")
        screen.backend.layers_readable.set()
        await screen.shows("wasted 4.0M")
        await screen.press("space")
        assert screen.app.screen.query_one(TreeTable).current.path.startswith("etc/old")


async def test_commit_leaves_out_what_is_not_ticked(console: Open, copied: list[str]) -> None:
    async with console() as screen:
        await screen.press("c")
        await screen.shows("changes: 2 of 2")
        await screen.type("shop/api:9.4")
        await screen.press("tab", "tab", "tab", "tab", "tab", "down", "space")
        await screen.shows("changes: 1 of 2, 0B, 1 left out", "--leave-out /app")
        await screen.press("ctrl+y")
        assert copied == ["wharf commit --leave-out /app api-1 shop/api:9.4"]
        await screen.click_text("Commit  ⏎")
        await screen.called("commit", "api-1", CommitWish(reference="shop/api:9.4", left_out=("/app",)))


async def test_commit_is_ticked_by_mouse(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("c")
        await screen.shows("changes: 2 of 2")
        await click_sign(screen, "✓ ▾ etc/")
        await screen.shows("--leave-out /etc", "1 left out")
        await click_sign(screen, "· ▾ etc/")
        await screen.gone("--leave-out")


async def test_buttons_show_their_command_and_do_it_by_mouse_and_by_keyboard(console: Open, copied: list[str]) -> None:
    async with console() as screen:
        await screen.press("2", "enter")
        await screen.shows("[n Run…]", "[c Commit api-1…]")
        await screen.press("shift+tab", "right")
        await screen.shows("$ wharf tag shop/api:9.2 NAME")
        await screen.press("y")
        assert copied == ["wharf tag shop/api:9.2 NAME"]
        await screen.press("enter")
        await screen.shows("One more name for shop/api:9.2")
        await screen.press("escape")
        await screen.click_text("[z Squash…]")
        await screen.shows("Squash shop/api:9.2", "wharf image squash shop/api:9.2 shop/api:9.2-squashed")
        await screen.click_text("Squash  ⏎")
        await screen.called("squash", "shop/api:9.2", "shop/api:9.2-squashed", "")
        await screen.shows("squashed as shop/api:9.2-squashed")


async def test_buttons_without_room_are_in_a_menu(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("2", "enter")
        await screen.click_text("[⋯]")
        await screen.shows("z  Squash…", "d  Delete…")
        await screen.click_text("Unpack…")
        await screen.shows("Unpack shop/api:9.2", "wharf image unpack shop/api:9.2 /")


async def test_compare_by_choosing_the_other_one(console: Open) -> None:
    async with console() as screen:
        await screen.press("2", "enter", "C")
        await screen.shows("Compare shop/api:9.2 with …", "image      postgres:16", "container  db")
        await screen.type("postg")
        await screen.shows("wharf image diff shop/api:9.2 postgres:16")
        await screen.press("enter")
        await screen.called("compare", "shop/api:9.2", "postgres:16")
        await screen.shows("shop/api:9.2  →  postgres:16", "1 added  1 changed  1 removed")
        await screen.press("s")
        await screen.called("compare", "postgres:16", "shop/api:9.2")
        await screen.shows("postgres:16  →  shop/api:9.2")
        await screen.press("y")
        await screen.shows("wharf image diff postgres:16 shop/api:9.2")
        await screen.press("escape", "escape")
        await screen.shows("LAYERS")


async def test_compare_two_marked_by_mouse(console: Open) -> None:
    async with console() as screen:
        await screen.press("2", "space", "space")
        await screen.click_text("compare")
        await screen.shows("shop/api:9.2  →  postgres:16")


async def test_right_click_offers_what_can_be_done(console: Open) -> None:
    async with console() as screen:
        await screen.press("2", "enter")
        await screen.click_text("FROM debian", button=3)
        await screen.shows("What to do", "compare with another", "squash into one layer")
        await screen.click_text("w  waste")
        await screen.shows("efficiency")
        await screen.press("l")
        await screen.click_text("libc.so", button=3)
        await screen.shows("all or changed", "text or hex")
        await screen.click_text("copy path")
        await screen.shows("path  /usr/lib/libc.so")


async def test_images_as_a_tree_with_digests_and_unique_sizes(console: Open) -> None:
    backend = seeded()
    backend.all_images.append(make_image("shop/api:9.1", size_mib=180))
    async with console(backend=backend) as screen:
        await screen.press("2")
        await screen.shows("UNIQUE", "40M")
        await screen.press("T")
        await screen.shows("▾ shop/api  (2)", "9.1", "9.2")
        await screen.press("home")
        await screen.click_text("▾ shop/api", times=2)
        await screen.gone("9.1")
        await screen.press("slash")
        await screen.type("busy")
        await screen.press("enter")
        await screen.shows("▾ busybox", "latest")
        await screen.gone("postgres")
        await screen.press("escape", "D")
        await screen.shows("DIGEST")
        await screen.press("T")
        await screen.shows("shop/api:9.1")


async def test_deleted_images_can_be_brought_back(console: Open) -> None:
    async with console() as screen:
        await screen.press("2", "d")
        await screen.shows("keep it aside", "212M in 3 layers: 2 go, 1 layer that other images share stays.")
        await screen.press("enter")
        await screen.called("save", ("shop/api:9.2",))
        await screen.called("rmi", "shop/api:9.2", False)
        await screen.shows("removed shop/api:9.2: U brings it back")
        await screen.press("U")
        await screen.called("load", b"first")
        await screen.shows("shop/api:9.2 is back")


async def test_save_of_many_compressed_and_elsewhere(console: Open, tmp_path: Path) -> None:
    async with console() as screen:
        await screen.press("2", "space", "space", "S")
        await screen.shows("Save 2 images: shop/api:9.2 postgres:16", "free  ")
        screen.app.screen.query_one("#path", Input).value = str(tmp_path / "both.tar.gz")
        await screen.shows("wharf save shop/api:9.2 postgres:16 | gzip > ")
        await screen.click_text("Save  ⏎")
        await screen.called("save", ("shop/api:9.2", "postgres:16"), "docker-archive")
        await screen.until(lambda: (tmp_path / "both.tar.gz").exists(), "file")
        import gzip

        assert gzip.decompress((tmp_path / "both.tar.gz").read_bytes()) == b"first half second half"


async def test_load_says_what_is_in_an_archive_before_it_is_loaded(console: Open, tmp_path: Path) -> None:
    import io
    import tarfile

    manifest = json.dumps([{"RepoTags": ["shop/api:9.1", "x:\x1b[2J"]}]).encode()
    with tarfile.open(tmp_path / "shop.tar", "w") as archive:
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(manifest)
        archive.addfile(entry, io.BytesIO(manifest))
    layout = tmp_path / "layout"
    layout.mkdir()
    (layout / "oci-layout").write_text("{}")
    index = {"manifests": [{"annotations": {"org.opencontainers.image.ref.name": "web:3"}}]}
    (layout / "index.json").write_text(json.dumps(index))
    async with console() as screen:
        await screen.press("2", "L")
        await screen.shows("shop.tar", "layout/")
        options = screen.app.screen.query_one(OptionList)
        options.highlighted = next(n for n, option in enumerate(options.options) if "shop.tar" in str(option.prompt))
        await screen.shows("shop.tar holds shop/api:9.1, x:␛[2J")
        options.highlighted = next(n for n, option in enumerate(options.options) if "layout/" in str(option.prompt))
        await screen.shows("layout holds web:3")
        options.focus()
        await screen.press("enter", "enter")
        await screen.called("load")
        await screen.shows("loaded loaded:1")


async def test_packages_are_written_as_a_document(console: Open, tmp_path: Path) -> None:
    async with console() as screen:
        await screen.press("2", "enter", "b")
        await screen.shows("Packages of shop/api:9.2 as a file", "wharf image sbom --format spdx-json shop/api:9.2 > ")
        await screen.click_text("CycloneDX")
        await screen.shows("--format cyclonedx-json", "api-9.2.cdx.json")


async def test_reading_can_be_left_while_it_goes_on(console: Open) -> None:
    async with console((80, 24)) as screen:
        screen.backend.slow.set()
        await screen.press("2", "enter")
        await screen.shows("layer 1 … 0%", "COPY . /app")
        await screen.press("down", "i")
        await screen.shows('"architecture"')
        await screen.press("escape")
        await screen.shows("UNIQUE")


async def test_a_layer_of_20000_files_is_opened_and_searched(console: Open) -> None:
    entries = tuple(
        LayerEntry(path=f"top/d{outer:03}/f{inner:03}", kind="file", size_bytes=inner)
        for outer in range(200)
        for inner in range(100)
    )
    backend = seeded()
    backend.layer_contents = [
        *backend.layer_contents[:2],
        LayerContents(chain_id="3" * 64, diff_id="d", entries=entries),
    ]
    async with console(backend=backend) as screen:
        await screen.press("2", "enter")
        await screen.shows("20000 files")
        await screen.press("tab", "end")
        await screen.shows("d199/")
        await screen.press("right", "right", "slash")
        await screen.type("d150/f09")
        await screen.press("enter")
        await screen.shows("f099", "f090")
        await screen.gone("d199")
