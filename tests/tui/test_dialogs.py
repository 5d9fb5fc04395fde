"""Every dialog by keyboard and by mouse: the command it shows, the call it makes."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from textual.events import Key
from textual.widgets import Input

from app.console.actions import Actions
from core.backend import CommitWish
from core.errors import AlreadyExists
from core.model.limits import Limits
from tests.tui.conftest import Open
from tests.tui.fake_backend import identity


async def test_run_by_keyboard(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("n")
        await screen.shows("Run a container", "wharf run -d -it shop/api:9.2")
        await screen.press("tab")
        await screen.type("sleep 5")
        await screen.press("tab")
        await screen.type("job-1")
        await screen.press("tab")
        await screen.type("A=1")
        await screen.press("tab", "tab", "tab")
        await screen.type("80:80")
        await screen.press("tab")
        await screen.type("64m")
        await screen.shows("wharf run -d -it --name job-1 -m 64m -e A=1 -p 80:80")
        await screen.press("enter")
        await screen.called("create")
        spec = next(call for call in screen.backend.calls if call[0] == "create")[1]
        assert spec.name == "job-1"
        assert spec.command == ("sleep", "5")
        assert spec.env == ("A=1",)
        assert spec.limits == Limits(memory_bytes=64 * 1024 * 1024)
        await screen.shows("job-1 started")


async def test_run_by_mouse_and_bad_input_is_explained(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.click_text("new")
        await screen.shows("Run a container")
        screen.app.screen.query_one("#memory", Input).value = "lots"
        await screen.click_text("Run  ⏎")
        await screen.shows("invalid size: 'lots'")
        screen.app.screen.query_one("#memory", Input).value = ""
        screen.app.screen.query_one("#volumes", Input).value = "data:/data:ro /srv:/srv"
        await screen.click_text("read-only root")
        await screen.shows("--read-only -v data:/data:ro -v /srv:/srv")
        await screen.click_text("Run  ⏎")
        await screen.called("create")
        spec = next(call for call in screen.backend.calls if call[0] == "create")[1]
        assert spec.read_only
        assert [(mount.kind, mount.source, mount.read_only) for mount in spec.mounts] == [
            ("volume", "data", True),
            ("bind", "/srv", False),
        ]


async def test_run_dialog_leaves_by_escape_and_does_nothing(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("n")
        await screen.shows("Run a container")
        await screen.press("escape")
        await screen.gone("Run a container")
        assert not screen.backend.calls


async def test_commit_by_keyboard_shows_changes_and_command(console: Open, copied: list[str]) -> None:
    async with console((80, 24)) as screen:
        await screen.press("c")
        await screen.shows("Commit api-1 → image", "changes: 2 of 2, 18K", "pool.py", "old‹202E›name")
        await screen.type("shop/api:9.4")
        await screen.press("tab")
        await screen.type("fix pool size")
        await screen.shows("wharf commit -m 'fix pool size' api-1 shop/api:9.4")
        await screen.shows("changes: 2 of 2, 18K")
        await screen.press("ctrl+y")
        assert copied == ["wharf commit -m 'fix pool size' api-1 shop/api:9.4"]
        await screen.press("enter")
        await screen.called("commit", "api-1", CommitWish(reference="shop/api:9.4", message="fix pool size"))
        await screen.shows("committed as shop/api:9.4")


async def test_commit_by_mouse(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.click_text("db ", button=3)
        await screen.click_text("commit")
        await screen.shows("Commit db → image")
        await screen.click_text("pause it meanwhile")
        await screen.shows("wharf commit --pause=false db")
        await screen.click_text("Commit  ⏎")
        await screen.called("commit", "db", CommitWish(pause=False))


async def test_save_by_keyboard_writes_the_file(console: Open, tmp_path: Path) -> None:
    async with console((80, 24)) as screen:
        await screen.press("2", "S")
        await screen.shows("Save shop/api:9.2", "wharf save -o")
        await screen.press("enter")
        await screen.called("save", ("shop/api:9.2",), "docker-archive")
        await screen.shows("saved to")
        assert (tmp_path / "api-9.2.tar").read_bytes() == b"first half second half"


async def test_save_refuses_to_overwrite_unless_ticked(console: Open, tmp_path: Path) -> None:
    (tmp_path / "api-9.2.tar").write_bytes(b"precious")
    async with console((80, 24)) as screen:
        await screen.press("2", "S")
        await screen.shows("wharf save -o")
        await screen.press("enter")
        await screen.shows("choose another")
        assert (tmp_path / "api-9.2.tar").read_bytes() == b"precious"
        await screen.click_text("replace the file")
        await screen.click_text("OCI archive")
        await screen.shows("--format oci-archive")
        await screen.click_text("Save  ⏎")
        await screen.called("save", ("shop/api:9.2",), "oci-archive")


async def test_long_work_shows_progress_and_is_cancelled(console: Open, tmp_path: Path) -> None:
    async with console((120, 40)) as screen:
        screen.backend.slow.set()
        await screen.press("2", "S")
        await screen.shows("wharf save -o")
        await screen.press("enter")
        await screen.shows("◐ save shop/api:9.2", "0B of 40M", "X cancel")
        await screen.press("1")
        await screen.shows("worker-3", "◐ save shop/api:9.2")
        await screen.press("X")
        await screen.shows("cancelled, nothing was left behind")
        await screen.gone("◐ save")
        assert not [name for name in os.listdir(tmp_path) if ".tar" in name]


async def test_load_by_keyboard_and_from_what_was_found(console: Open, tmp_path: Path) -> None:
    (tmp_path / "shop.tar").write_bytes(b"tarball")
    async with console((80, 24)) as screen:
        await screen.press("2", "L")
        await screen.shows("Load images from a file", "shop.tar")
        await screen.press("tab", "enter")
        await screen.until(
            lambda: screen.app.screen.query_one("#path", Input).value == f"{tmp_path}/shop.tar", "chosen"
        )
        await screen.shows("wharf load -i /")
        await screen.press("enter")
        await screen.called("load", b"tarba")
        await screen.shows("loaded loaded:1")


async def test_load_by_mouse_and_missing_file(console: Open, tmp_path: Path) -> None:
    (tmp_path / "shop.tar").write_bytes(b"tarball")
    async with console((80, 24)) as screen:
        await screen.press("2", "L")
        await screen.type("/nowhere")
        await screen.click_text("Load  ⏎")
        await screen.shows("/nowhere is not a file")
        await screen.click_text("shop.tar")
        await screen.click_text("Load  ⏎")
        await screen.called("load", b"tarba")


async def test_tag_by_keyboard_and_by_mouse(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("2", "t")
        await screen.shows("One more name for shop/api:9.2")
        await screen.type("Bad Name")
        await screen.press("enter")
        await screen.shows("invalid reference format")
        screen.app.screen.query_one("#name", Input).value = "shop/api:stable"
        await screen.shows("wharf tag shop/api:9.2 shop/api:stable")
        await screen.click_text("Tag  ⏎")
        await screen.called("tag", "shop/api:9.2", "shop/api:stable")


async def test_delete_container_by_keyboard(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("d")
        await screen.shows("Delete 1 container", "still running: api-1", "wharf rm -f api-1")
        await screen.press("enter")
        await screen.called("remove", "api-1", True, False)
        await screen.gone("● api-1")


async def test_delete_marked_containers_by_mouse(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.click_text("cron")
        await screen.press("space", "space")
        await screen.click_text("delete")
        await screen.shows("Delete 2 containers", "cron, old-job", "wharf rm cron old-job")
        await screen.click_text("Delete  ⏎")
        await screen.called("remove", "cron", False, False)
        await screen.called("remove", "old-job", False, False)


async def test_delete_image_names_its_users_and_y_copies_the_command(console: Open, copied: list[str]) -> None:
    async with console((80, 24)) as screen:
        await screen.press("2", "d")
        await screen.shows("Delete 1 image", "Used by api-1.", "wharf rmi shop/api:9.2")
        await screen.press("y")
        assert copied == ["wharf rmi shop/api:9.2"]
        await screen.click_text("even if a stopped container uses it")
        await screen.click_text("Delete  ⏎")
        await screen.called("rmi", "shop/api:9.2", True)


async def test_volume_new_and_delete(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("3", "n")
        await screen.type("x")
        await screen.press("enter")
        await screen.shows("two at least")
        await screen.type("yz")
        await screen.press("enter")
        await screen.called("volume create", "xyz")
        await screen.click_text("scratch")
        await screen.press("d")
        await screen.shows("Delete 1 volume", "wharf volume rm scratch")
        await screen.press("enter")
        await screen.called("volume rm", "scratch")


async def test_kill_asks_with_the_signal(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("K")
        await screen.shows("Kill 1 container", "wharf kill api-1")
        screen.app.screen.query_one("#signal", Input).value = "HUP"
        await screen.shows("wharf kill -s HUP api-1")
        await screen.press("enter")
        await screen.called("kill", "api-1", "HUP")


async def test_rename_by_keyboard_and_by_mouse(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("R")
        await screen.shows("Rename api-1")
        screen.app.screen.query_one("#name", Input).value = "-"
        await screen.press("enter")
        await screen.shows("two at least")
        screen.app.screen.query_one("#name", Input).value = "api-2"
        await screen.shows("wharf rename api-1 api-2")
        await screen.click_text("Rename  ⏎")
        await screen.called("rename", identity("api-1"), "api-2")


@pytest.fixture
def performed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Command lines that were run in the background."""
    lines: list[list[str]] = []
    monkeypatch.setattr(Actions, "perform", lambda self, commands, done, *kinds: lines.extend(map(list, commands)))
    return lines


async def test_limits_are_changed_in_place_by_keyboard(console: Open, performed: list[list[str]]) -> None:
    async with console((80, 24)) as screen:
        await screen.click_text("db ")
        await screen.press("U")
        await screen.shows("Limits of db", "What is changed holds at once.", "512m", "wharf update db")
        await screen.type("1.5")
        await screen.shows("wharf update --cpus 1.5 db")
        screen.app.screen.query_one("#memory", Input).value = "1g"
        screen.app.screen.query_one("#restart", Input).value = "sometimes"
        await screen.shows("unknown policy 'sometimes'")
        await screen.press("enter")
        assert not performed
        screen.app.screen.query_one("#restart", Input).value = "on-failure:3"
        await screen.shows("wharf update --cpus 1.5 --memory 1g --restart on-failure:3 db")
        await screen.press("enter")
        await screen.gone("Limits of db")
        words = ["update", "--cpus", "1.5", "--memory", "1g", "--restart", "on-failure:3"]
        assert performed == [[*words, identity("db")]]


async def test_limits_by_mouse_and_what_can_not_be(console: Open, performed: list[list[str]]) -> None:
    async with console((100, 30)) as screen:
        await screen.click_text("cron", button=3)
        await screen.click_text("limits")
        await screen.shows("Limits of cron", "holds from its next start on")
        for name, text, problem in (
            ("memory", "", "a limit can be changed, not taken away"),
            ("memory", "1m", "Minimum memory limit allowed is 6MB"),
            ("cpus", "many", "failed to parse many"),
            ("pids-limit", "x", "'x' is no number"),
        ):
            box = screen.app.screen.query_one(f"#{name}", Input)
            before, box.value = box.value, text
            await screen.shows(problem)
            box.value = before
        await screen.click_text("Change  ⏎")
        await screen.gone("Limits of cron")
        assert performed == []


async def test_stop_start_pause_and_restart(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("p")
        await screen.called("pause", "api-1")
        await screen.shows("‖ api-1")
        await screen.press("p")
        await screen.called("unpause", "api-1")
        await screen.press("s")
        await screen.called("stop", "api-1")
        await screen.shows("○ api-1")
        await screen.press("s")
        await screen.called("start", "api-1")


async def test_a_refusal_is_one_line_that_stays_until_dismissed(console: Open) -> None:
    async with console((80, 24)) as screen:
        screen.backend.fail_with = AlreadyExists("no space for api-1", hint="free some")
        await screen.press("r")
        await screen.shows("✖ no space for api-1: free some")
        await screen.press("x")
        await screen.gone("no space for api-1")


async def test_copy_menu(console: Open, copied: list[str]) -> None:
    async with console((80, 24)) as screen:
        await screen.press("y")
        await screen.shows("shell command", "wharf exec -it api-1 sh")
        await screen.press("enter")
        assert copied == ["api-1"]
        await screen.press("y")
        await screen.click_text("logs command")
        assert copied == ["api-1", "wharf logs -f api-1"]


async def test_command_line_runs_the_docker_language(console: Open) -> None:
    async with console((120, 40)) as screen:
        await screen.press("colon")
        await screen.type("ps -a")
        await screen.press("enter")
        await screen.shows("CONTAINER ID", "shop/worker:2", "done")
        await screen.press("escape")
        await screen.gone("CONTAINER ID")
        await screen.press("colon")
        await screen.type("frobnicate")
        await screen.press("enter")
        await screen.shows("frobnicate", "exit code")


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("exec -it api-1 sh -l", ("exec", "api-1")),
        ("run -it --name fresh shop/api:9.2", ("start", "fresh")),
    ],
)
async def test_a_line_that_needs_a_terminal_opens_one(console: Open, line: str, call: tuple[str, str]) -> None:
    async with console((80, 24)) as screen:
        await screen.press("colon")
        await screen.type(line)
        await screen.press("enter")
        await screen.called(*call)
        await screen.shows("/ # ", "Ctrl-] leaves")
        shell = screen.backend.shells[0]
        await screen.type("ls q")
        await screen.press("escape", "enter")
        await screen.until(lambda: shell.typed == b"ls q\x1b\r", "typed")
        await screen.until(lambda: shell.size == (20, 78), f"size, not {shell.size}")
        shell.end()
        await screen.shows("ended with 0", "done   y copy")
        await screen.press("escape")
        await screen.gone("done   y copy")


async def test_a_terminal_in_the_pane_is_left_by_detach_keys_and_by_its_own(console: Open) -> None:
    async with console((80, 24)) as screen:
        for keys in (("ctrl+p", "ctrl+q", "escape"), ("ctrl+right_square_bracket",)):
            await screen.press("colon")
            await screen.type("exec -it api-1 sh")
            await screen.press("enter")
            await screen.shows("Ctrl-P Ctrl-Q detaches")
            await screen.press(*keys)
            await screen.until(lambda: screen.backend.shells[-1].closed, "closed")
            assert not screen.backend.shells[-1].typed
            await screen.gone("wharf exec -it")


async def test_command_line_completes_and_remembers(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("colon")
        await screen.type("ver")
        await screen.press("tab")
        await screen.until(lambda: screen.app.screen.query_one(Input).value == "version ", "completed")
        await screen.press("enter")
        await screen.shows("0.1.0")
        await screen.press("escape", "colon", "up")
        assert screen.app.screen.query_one(Input).value == "version"


async def test_what_is_typed_ahead_lands_where_it_was_meant(console: Open) -> None:
    async with console((80, 24)) as screen:
        for key in ("colon", "v", "e", "r", "s", "i", "o", "n", "enter"):
            screen.app.post_message(Key(key, None if len(key) > 1 else key))
        await screen.shows("0.1.0", "done")
        await screen.press("escape")
        for key in ("slash", "c", "r", "o", "n", "enter"):
            screen.app.post_message(Key(key, None if len(key) > 1 else key))
        await screen.shows("1 fit")
        await screen.gone("worker-3")


async def test_an_answer_that_comes_too_late_is_dropped(console: Open) -> None:
    async with console((80, 24)) as screen:
        release = threading.Event()
        changes = screen.backend.containers.changes

        def slow(key: str) -> object:
            release.wait(10)
            return changes(key)

        screen.backend.containers.changes = slow  # type: ignore[method-assign, assignment]
        await screen.press("c")
        await screen.shows("Commit api-1")
        await screen.press("escape")
        await screen.gone("Commit api-1")
        release.set()
        await screen.press("2")
        await screen.shows("postgres:16")
