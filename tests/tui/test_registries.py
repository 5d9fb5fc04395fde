"""Pull, push, log in, and the registry browser: by keyboard and by mouse, at every size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from textual.widgets import Input

from core.errors import Unreachable
from core.model.registry import Credentials
from tests.tui.conftest import Open, Screen

SIZES = [(80, 24), (120, 40)]
PASSWORD = "c4nary-password"


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's config.json of somebody who has logged in to localhost:5000."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"auths": {"localhost:5000": {"auth": "bXV5dTpyaWdodA=="}}}))
    return file


def kept(config: Path) -> str:
    return config.read_text()


def spoil(config: Path) -> None:
    config.write_text("{,}")


def fits(screen: Screen, size: tuple[int, int]) -> None:
    for line in screen.text().split("\n"):
        assert len(line) <= size[0]


# ---------------------------------------------------------------------- pull


@pytest.mark.parametrize("size", SIZES)
async def test_G2_pull_searches_while_one_types_and_offers_tags(console: Open, size: tuple[int, int]) -> None:
    async with console(size) as screen:
        await screen.press("2", "P")
        await screen.shows("Pull an image", "wharf pull 'NAME[:TAG]'")
        await screen.type("ngin")
        await screen.called("search", "ngin", 25)
        await screen.shows("found, ✓ official:", "✓ nginx", "★20000", "Official build [of]␛[2J", "muyu/nginx")
        fits(screen, size)
        # one by one only where the machine is so slow that whoever types seems to rest
        searched = [call[1] for call in screen.backend.calls if call[0] == "search"]
        assert len(searched) < len("ngin")
        await screen.press("down", "enter")
        await screen.shows("its tags:", "1.27", "wharf pull nginx:latest")
        await screen.press("down", "enter")
        await screen.shows("wharf pull nginx:1.27")
        await screen.press("enter")
        await screen.called("pull", "docker.io/library/nginx:1.27", "", False)
        await screen.shows("pulled nginx:1.27")


async def test_G2_what_is_typed_while_a_search_is_slow_is_searched_once_and_last(console: Open) -> None:
    async with console((80, 24)) as screen:
        screen.backend.registries.answers.clear()
        await screen.press("2", "P")
        await screen.type("bu")
        await screen.called("search", "bu")
        for letters in ("sy", "bo", "x"):
            await screen.type(letters)
            await screen.pilot.pause(0.4)
        await screen.press(*["backspace"] * 7)
        await screen.type("nginx")
        await screen.pilot.pause(0.4)
        screen.backend.registries.answers.set()
        await screen.shows("✓ nginx", "muyu/nginx")
        searched = [call[1] for call in screen.backend.calls if call[0] == "search"]
        assert searched == ["bu", "nginx"]


async def test_G2_pull_goes_on_behind_and_a_cancel_says_what_is_kept(console: Open) -> None:
    async with console((120, 40)) as screen:
        screen.backend.slow.set()
        await screen.press("2", "P")
        await screen.type("nginx")
        await screen.press("enter")
        await screen.shows("pull nginx:latest", "Already exists", "Downloading", "16M of 40M", "Esc: it goes on behind")
        await screen.press("escape")
        await screen.gone("it goes on behind")
        await screen.shows("1 of 2 layers", "X cancel")
        await screen.press("J")
        await screen.shows("it goes on behind", "$ wharf pull nginx:latest")
        await screen.press("X")
        await screen.shows("pull nginx:latest: cancelled, what came is kept for the next pull")
        screen.backend.slow.clear()


async def test_G2_pull_by_mouse_with_platform_and_all_tags(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("2")
        await screen.click_text("P pull")
        await screen.shows("Pull an image")
        screen.app.screen.query_one("#image", Input).value = "localhost:5000/shop/api"
        screen.app.screen.query_one("#platform", Input).value = "linux/arm64"
        await screen.click_text("all tags (-a)")
        await screen.shows("wharf pull -a --platform linux/arm64 localhost:5000/shop/api")
        await screen.click_text("Pull  ⏎")
        await screen.called("pull", "localhost:5000/shop/api", "linux/arm64", True)


async def test_G2_what_pull_can_not_do_is_said_in_the_dialog(console: Open, copied: list[str]) -> None:
    async with console((80, 24)) as screen:
        screen.backend.registries.problem = Unreachable("Get https://index.docker.io/v1/: no route to host")
        await screen.press("2", "P", "enter")
        await screen.shows("image: which one?")
        await screen.type("Nginx")
        await screen.shows("✖ Get https://index.docker.io/v1/: no route to host", "repository name must be lowercase")
        screen.app.screen.query_one("#image", Input).value = "nginx:1"
        screen.app.screen.query_one("#tag", Input).value = "2"
        await screen.shows("tag: the image has one already")
        screen.app.screen.query_one("#tag", Input).value = ""
        await screen.shows("wharf pull nginx:1")
        await screen.press("ctrl+y")
        assert copied == ["wharf pull nginx:1"]
        await screen.press("escape")
        await screen.gone("Pull an image")
        assert not [call for call in screen.backend.calls if call[0] == "pull"]


async def test_A1_a_run_of_an_image_that_is_not_here_pulls_it_first(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("n")
        screen.app.screen.query_one("#image", Input).value = "nginx:1.27"
        await screen.shows("wharf run -d -it nginx:1.27")
        await screen.press("enter")
        await screen.called("pull", "docker.io/library/nginx:1.27", "", False)
        await screen.called("create")


# ---------------------------------------------------------------------- push


async def test_G2_push_by_keyboard_under_another_name(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("2", "greater_than_sign")
        await screen.shows("Push shop/api:9.2", "to Docker Hub, without a login", "wharf push shop/api:9.2")
        screen.app.screen.query_one("#name", Input).value = "localhost:5000/shop/api:9.2"
        await screen.shows(
            "to localhost:5000 as muyu", "wharf tag shop/api:9.2 localhost:5000/shop/api:9.2 && wharf push"
        )
        await screen.press("enter")
        await screen.called("tag", "shop/api:9.2", "localhost:5000/shop/api:9.2")
        await screen.called("push", "localhost:5000/shop/api:9.2", False)
        await screen.shows("pushed localhost:5000/shop/api:9.2")


async def test_G2_push_by_mouse(console: Open) -> None:
    async with console((120, 40)) as screen:
        await screen.press("2")
        await screen.click_text("postgres:16", button=3)
        await screen.click_text("push")
        await screen.shows("Push postgres:16")
        await screen.click_text("all tags of that name")
        await screen.shows("wharf push -a postgres")
        await screen.click_text("Push  ⏎")
        await screen.called("push", "docker.io/library/postgres", True)


# ---------------------------------------------------------------------- login


async def test_G2_ST9_login_keeps_the_password_and_never_shows_it(
    console: Open, config: Path, copied: list[str]
) -> None:
    async with console((80, 24)) as screen:
        await screen.press("2", "R")
        await screen.shows("REGISTRY", "docker.io", "localhost:5000", "login", "2 repositories")
        await screen.press("i")
        await screen.shows("Log in to a registry", "wharf login")
        await screen.type("muyu")
        await screen.press("tab")
        await screen.type("wrong")
        await screen.shows("wharf login -u muyu", "•••••")
        assert "wrong" not in screen.text()
        await screen.press("enter")
        await screen.shows("failed with status: 401 Unautho")
        assert "index.docker.io" not in kept(config)
        screen.app.screen.query_one("#password", Input).value = "right"
        await screen.press("ctrl+y", "enter")
        await screen.called("login", "docker.io", Credentials(username="muyu", password="right"))
        await screen.shows("docker.io: Login Succeeded; the password lies unencrypted in")
        assert copied == ["wharf login -u muyu"]
        assert list(json.loads(kept(config))["auths"]) == ["https://index.docker.io/v1/", "localhost:5000"]


async def test_G2_logout_by_mouse(console: Open, config: Path) -> None:
    async with console((120, 40)) as screen:
        await screen.press("2", "R")
        await screen.click_text("localhost:5000")
        await screen.click_text("u log out")
        await screen.shows("logged out of localhost:5000")
        assert json.loads(kept(config)) == {"auths": {}}


async def test_G2_a_broken_config_is_said_and_not_overwritten(console: Open, config: Path) -> None:
    spoil(config)
    async with console((120, 40)) as screen:
        await screen.press("2", "R", "i")
        await screen.shows("Log in to a registry")
        await screen.type("muyu")
        screen.app.screen.query_one("#password", Input).value = "right"
        await screen.press("enter")
        await screen.shows("line 1 column 2")
        assert kept(config) == "{,}"


# ---------------------------------------------------------------------- the browser


@pytest.mark.parametrize("size", SIZES)
async def test_G4_from_registries_to_a_manifest_and_back_by_keyboard(console: Open, size: tuple[int, int]) -> None:
    async with console(size) as screen:
        await screen.press("2", "R")
        await screen.shows("docker.io", "answers; P searches it", "localhost:5000", "2 repositories")
        fits(screen, size)
        await screen.press("down", "enter")
        await screen.shows("REPOSITORY", "shop/api", "shop/multi")
        await screen.press("enter")
        await screen.shows("TAG", "9.2", "latest", "1.0", "38M", "linux/amd64")
        assert "old" not in screen.text().replace("old-job", ""), "a tag that nobody can name is left out"
        fits(screen, size)
        await screen.press("down", "enter")
        await screen.shows("localhost:5000/shop/api:9.2", "38M packed", "30M", "8.0M", "Raw")
        await screen.press("i")
        await screen.shows('"schemaVersion"', "␛[2J[red]")
        await screen.press("escape", "escape", "escape", "escape")
        await screen.shows("IMAGE", "shop/api:9.2")


async def test_G4_an_index_shows_its_platforms(console: Open) -> None:
    async with console((120, 40)) as screen:
        await screen.press("2", "R")
        await screen.click_text("localhost:5000", times=2)
        await screen.click_text("shop/multi", times=2)
        await screen.shows("linux/amd64, linux/arm64")
        await screen.press("enter")
        await screen.shows("index of several images", "▸ linux/amd64", "▸ linux/arm64")


async def open_tags(screen: Screen) -> None:
    await screen.press("2", "R")
    await screen.shows("2 repositories")
    await screen.press("down", "enter")
    await screen.shows("shop/api")
    await screen.press("enter")
    await screen.shows("latest", "38M")


@pytest.mark.parametrize("size", SIZES)
async def test_G4_deleting_says_first_what_goes_with_it_and_what_stays(console: Open, size: tuple[int, int]) -> None:
    async with console(size) as screen:
        await open_tags(screen)
        await screen.press("down", "d")
        await screen.shows(
            "from its registry", "goes, and with it: 9.2, latest", "1 layer, 8.0M, stays on the registry's disk"
        )
        await screen.shows("wharf registry rm localhost:5000/shop/api:9.2")
        await screen.press("enter")
        await screen.called("registry rm")
        await screen.gone("latest")
        await screen.shows("1.0")


async def test_G4_a_deletion_is_left_by_escape(console: Open) -> None:
    async with console((80, 24)) as screen:
        await open_tags(screen)
        await screen.click_text("delete")
        await screen.shows("goes, and with it")
        await screen.press("escape")
        await screen.gone("from its registry")
        assert not [call for call in screen.backend.calls if call[0] == "registry rm"]


async def test_G4_copying_to_another_registry(console: Open) -> None:
    async with console((120, 40)) as screen:
        await open_tags(screen)
        await screen.press("C", "enter")
        await screen.shows("to: where?")
        await screen.type("other.example/shop/api:1.0")
        await screen.shows("wharf registry copy localhost:5000/shop/api:1.0 other.example/shop/api")
        await screen.press("enter")
        await screen.called("registry copy", "localhost:5000/shop/api:1.0", "other.example/shop/api:1.0")
        await screen.shows("copied to other.example/shop/api:1.0")


async def test_G4_pulling_from_the_browser(console: Open) -> None:
    async with console((80, 24)) as screen:
        await open_tags(screen)
        await screen.press("P")
        await screen.shows("wharf pull localhost:5000/shop/api:1.0")
        await screen.press("enter")
        await screen.called("pull", "localhost:5000/shop/api:1.0", "", False)


@pytest.mark.parametrize("size", SIZES)
async def test_G4_a_registry_out_of_reach_is_greyed_with_the_reason(console: Open, size: tuple[int, int]) -> None:
    async with console(size) as screen:
        screen.backend.registries.problem = Unreachable("Get https://x/v2/: no route to host")
        await screen.press("2", "R")
        await screen.shows("✖ Get https://x/v2/: no")
        await screen.press("down", "enter")
        await screen.shows("✖ Get https://x/v2/: no route to host")
        screen.backend.registries.problem = None
        await screen.press("r")
        await screen.shows("shop/api")


async def test_G4_docker_hub_shows_what_images_here_are_named_after(console: Open) -> None:
    async with console((120, 40)) as screen:
        await screen.press("2", "R")
        await screen.shows("docker.io")
        await screen.press("enter")
        await screen.shows("library/busybox", "library/postgres", "shop/api")


async def test_G4_a_registry_that_nothing_speaks_of(console: Open, copied: list[str]) -> None:
    async with console((80, 24)) as screen:
        await screen.press("2", "R", "n")
        await screen.shows("Look into a registry")
        await screen.type("nowhere")
        await screen.press("enter")
        await screen.shows("that is none")
        screen.app.screen.query_one("#host", Input).value = "https://elsewhere.example:5000/v2/"
        await screen.shows("wharf registry ls elsewhere.example:5000")
        await screen.press("enter")
        await screen.shows("✖ Get https://elsewhere.example:5000/v2/: no route to host")
