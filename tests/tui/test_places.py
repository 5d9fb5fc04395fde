"""The places: what they show, and the way from one to the other."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from textual import events

from app.console.widgets.log_view import LogLines
from app.console.widgets.resource_table import ResourceTable
from app.console.widgets.terminal import TerminalPane
from core.errors import AlreadyExists
from tests.tui.conftest import Open
from tests.tui.fake_backend import FakeBackend, identity, make_container, make_image

SIZES = [(80, 24), (120, 40), (200, 50)]


@pytest.mark.parametrize("size", SIZES)
async def test_containers_place_shows_state_meters_and_problem(console: Open, size: tuple[int, int]) -> None:
    async with console(size) as screen:
        await screen.shows("api-1", "db", "worker-3", "old-job")
        await screen.shows("● api-1", "✖ cron", "◌ old-job", "512M", "OOM 3m")
        await screen.shows("cron was OOM-killed at", "(limit 256M)")
        await screen.shows("node-a", "31.0%", "disk 61%", "● live")
        await screen.shows(
            "1 Containers 5", "2 Images 3", "3 Volumes 2", "4 Networks 5", "5 Events", "6 Host", "⏎ open"
        )
        for line in screen.text().split("\n"):
            assert len(line) <= size[0]


async def test_tabs_by_digit_and_by_mouse(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("2")
        await screen.shows("postgres:16", "LAYERS")
        await screen.click_text("Volumes")
        await screen.shows("db-data", "USED BY")
        await screen.press("6")
        await screen.shows("Memory", "11G of 32G", "SHARES")
        await screen.press("minus")
        await screen.shows("db-data")


async def test_first_run_is_never_blank_and_makes_a_starter(console: Open) -> None:
    async with console((80, 24), FakeBackend()) as screen:
        await screen.shows("No images yet.", "Make a starter image from this host", "Load a .tar", "Pull")
        await screen.press("enter")
        await screen.called("starter", "wharf/starter:latest")
        await screen.shows("Run a container", "wharf run -d -it wharf/starter:latest")


async def test_first_run_lists_archives_near_by_and_loads_one(console: Open, tmp_path: Path) -> None:
    for name in ("a.tar", "b.tar.gz"):
        (tmp_path / name).write_bytes(b"tarball")
    async with console((80, 24), FakeBackend()) as screen:
        await screen.shows("found near by", "7B  a.tar", "7B  b.tar.gz")
        await screen.click_text("b.tar.gz")
        await screen.called("load", b"tarba")
        await screen.press("up", "down", "down", "P")
        await screen.shows("Pull")


async def test_first_run_says_why_there_is_nothing_to_pull_from(console: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.console.widgets.first_run.no_way_out", lambda: "network: no route out of this host")
    async with console((80, 24), FakeBackend()) as screen:
        await screen.press("2")
        await screen.shows("Pull from a registry  network: no route out of this host")


async def test_first_run_by_mouse(console: Open) -> None:
    async with console((80, 24), FakeBackend()) as screen:
        await screen.click_text("Make a starter image")
        await screen.called("starter", "wharf/starter:latest")


async def test_images_but_no_containers_says_what_to_press(console: Open) -> None:
    backend = FakeBackend()
    backend.all_images = [make_image("a:1")]
    async with console((80, 24), backend) as screen:
        await screen.shows("No containers yet.", "n runs one")


async def test_filter_narrows_and_escape_clears(console: Open) -> None:
    async with console() as screen:
        await screen.press("slash")
        await screen.type("db")
        await screen.gone("worker-3")
        await screen.press("enter")
        await screen.shows("1 fit")
        await screen.press("escape")
        await screen.shows("worker-3")


async def test_filter_by_column_and_negation(console: Open) -> None:
    async with console() as screen:
        table = screen.app.screen.query_one(ResourceTable)
        for text, count in (("image=shop", 3), ("!shop", 2), ("~wrk", 1), ("/^cro/", 1), ("status=run", 3)):
            table.set_filter(text)
            assert table.shown_count == count, text


async def test_ST10_hostile_names_and_arguments_stay_text(console: Open) -> None:
    async with console() as screen:
        await screen.shows("serve ␛[31m--evil[red]")
        await screen.shows("␛]52;c;eA==␇ [bold]markup[/]")


async def test_container_detail_and_back(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("enter")
        await screen.shows("‹ Esc", "Logs", "▸ following", "5,002 lines", "ERROR pool exhausted")
        await screen.press("t")
        await screen.shows("PID", "serve --port 80")
        await screen.press("f")
        await screen.shows("+ /app/pool.py", "- /etc/old‹202E›name", "1 added, 1 changed, 1 deleted")
        await screen.press("i")
        await screen.shows('"image_name": "shop/api:9.2"')
        await screen.press("m")
        await screen.shows("of one core", "mem ", "io ")
        await screen.press("escape")
        await screen.shows("NAME", "worker-3")


async def test_views_can_be_clicked(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.click_text("worker-3", times=2)
        await screen.shows("‹ Esc")
        await screen.click_text("Inspect")
        await screen.shows('"config": {')
        await screen.click_text("‹ Esc")
        await screen.shows("NAME")


async def test_log_follows_scrolls_and_searches(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("enter")
        await screen.shows("▸ following")
        lines = screen.app.screen.query_one(LogLines)
        screen.backend.log_lines["api-1"].append(b"fresh line\n")
        await screen.shows("fresh line", "5,003 lines")
        await screen.press("pageup")
        assert not lines.following
        screen.backend.log_lines["api-1"].append(b"not pulled down\n")
        await screen.shows("5,004 lines")
        assert "not pulled down" not in screen.text()
        await screen.press("slash")
        await screen.type("items/1234 ")
        await screen.press("enter")
        await screen.shows("GET /v1/items/1234 200", "hit in line 1,235")
        await screen.press("home")
        await screen.shows("GET /v1/items/0 200")
        await screen.press("end")
        await screen.shows("not pulled down", "▸ following")


async def test_a_million_lines_are_shown_from_a_window(console: Open) -> None:
    async with console((80, 24)) as screen:
        screen.backend.log_lines["api-1"] = [b"line %d\n" % n for n in range(1_000_000)]
        await screen.press("enter")
        await screen.shows("line 999999", "1,000,000 lines")
        lines = screen.app.screen.query_one(LogLines)
        for _ in range(60):
            lines.scroll_lines(-15_000)
            await screen.pilot.pause()
        await screen.press("home")
        await screen.shows("line 0 ", "line 1 ")
        assert lines._source is not None
        assert len(lines._source._blocks) <= 48


async def test_log_wraps_and_shows_times(console: Open) -> None:
    async with console((80, 24)) as screen:
        screen.backend.log_lines["api-1"] = [b"x" * 100 + b"END\n"]
        await screen.press("enter")
        await screen.shows("xxx")
        assert "END" not in screen.text()
        await screen.press("w")
        await screen.shows("END")
        await screen.press("T")
        await screen.shows(":13:20.000")


async def test_a_moment_picked_in_the_meters_is_found_in_the_log(console: Open) -> None:
    async with console((120, 40)) as screen:
        now = time.time_ns()
        screen.backend.log_times["api-1"] = (now - 120_000_000_000, 24_000_000)  # 5000 lines in 120 s
        await screen.press("enter")
        await screen.shows("▸ following", "cpu ")
        lines = screen.app.screen.query_one(LogLines)
        await screen.pilot.click(offset=(105, 12))
        await screen.until(lambda: not lines.following, "the log stands still")
        await screen.shows("the log at")
        assert 2_500 < lines._top < 3_500  # 48 s before the end, at 24 ms a line


async def test_empty_log_says_why(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("end", "enter")
        await screen.shows("never started: no log yet")


async def test_errors_and_warnings_are_counted_and_found(console: Open) -> None:
    async with console((100, 30)) as screen:
        lines = [b"line %d of many\n" % number for number in range(300)]
        lines[40], lines[90], lines[200] = b"ERROR one\n", b"WARN a\n", b"2026 ERR two\n"
        screen.backend.log_lines["api-1"] = lines
        await screen.press("enter")
        await screen.shows("E 2  W 1")
        lines.append(b"a FATAL end, and no error in lower case\n")
        await screen.shows("E 3  W 1")
        await screen.press("E")
        await screen.shows("hit in line 301")
        await screen.press("N")
        await screen.shows("2026 ERR two", "hit in line 201")
        await screen.press("end")
        await screen.click_text("E 3")
        await screen.shows("hit in line 301")


async def test_logs_of_marked_containers_are_merged_by_time(console: Open) -> None:
    async with console((100, 30)) as screen:
        second = 1_000_000_000
        backend = screen.backend
        for name, first in (("api-1", 0), ("db", second)):
            backend.log_times[name] = (1_700_000_000 * second + first, 2 * second)
            backend.log_lines[name] = [f"{name} line {number} \x1b[2J\n".encode() for number in range(20)]
        await screen.press("space", "space", "l")
        await screen.shows("Logs of api-1 + db", "40 lines", "db line 19")
        rows = [row.split("│ ")[1].split(" ␛")[0] for row in screen.text().split("\n") if " │ " in row]
        assert rows[-4:] == ["api-1 line 18", "db line 18", "api-1 line 19", "db line 19"]
        backend.log_lines["api-1"].append(b"fresh and unfinished")
        backend.log_lines["db"].append(b"fresh\n")
        await screen.shows("41 lines", "db    │ fresh")
        await screen.press("slash")
        await screen.type("api-1 line 7 ")
        await screen.press("enter")
        await screen.shows("hit in line 15")
        await screen.click_text("‹ Esc")
        await screen.shows("worker-3")


async def test_shell_in_a_pane_takes_all_keys_until_it_is_left(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("e")
        await screen.shows("/ # ")
        await screen.type("ls q")
        await screen.press("ctrl+p", "enter")
        shell = screen.backend.shells[0]
        await screen.until(lambda: shell.typed == b"ls q\x10\r", "typed")
        await screen.shows("/ # ls q")
        spec = next(call for call in screen.backend.calls if call[0] == "exec")[2]
        assert spec.tty
        assert "TERM=xterm-256color" in spec.env
        shell.feed(b"\x1b[?1049h\x1b[2;3Hfull screen")
        await screen.shows("full screen")
        await screen.press("ctrl+right_square_bracket", "z")
        await screen.gone("Containers")
        await screen.until(lambda: shell.size == (23, 80), "zoomed size")
        await screen.press("ctrl+right_square_bracket")
        await screen.shows("1 Containers")
        shell.end()
        await screen.until(lambda: not screen.app.screen.query_one(TerminalPane).is_open, "ended")


async def test_what_is_typed_before_the_shell_has_its_place_is_typed_into_it(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("enter")
        await screen.until(lambda: bool(screen.app.screen.query(TerminalPane)), "the container's own place")
        pane = screen.app.screen.query_one(TerminalPane)
        assert not pane.size.width, "it has its size already"
        screen.app.screen.action_shell()
        for key in "ls":
            pane.on_key(events.Key(key, key))
        pane.on_paste(events.Paste(" -a"))
        await screen.until(lambda: bool(screen.backend.shells), "the shell")
        shell = screen.backend.shells[0]
        await screen.until(lambda: shell.typed == b"ls -a", "typed")


async def test_shell_of_a_stopped_container_says_so(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.click_text("cron")
        await screen.press("e")
        await screen.shows("cron is not running: s starts it")


async def test_volume_browser_shows_text_and_hex(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("3", "enter")
        await screen.shows("sub/", "blob.bin", "readme.txt", "3 entries")
        await screen.click_text("readme.txt")
        await screen.shows("first line", "second␛[2J line")
        await screen.press("H")
        await screen.shows("66 69 72 73 74")
        await screen.click_text("blob.bin")
        await screen.shows("00000000", "00 01 02")
        await screen.click_text("sub/")
        await screen.press("enter")
        await screen.shows("deep.txt", "db-data /sub")
        await screen.press("escape")
        await screen.shows("readme.txt")
        await screen.press("escape")
        await screen.shows("USED BY")


async def test_image_detail_shows_history_and_files(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("2", "enter", "h")
        await screen.shows("COPY . /app", "how it was made")
        await screen.press("f")
        await screen.shows("readme.txt")
        await screen.press("i")
        await screen.shows('"architecture": "amd64"')


async def test_A16_the_why_card_tells_reason_evidence_and_steps(console: Open) -> None:
    async with console((80, 24)) as screen:
        screen.backend.log_lines["cron"] = [b"starting\n", b"eating \x1b[2J[bold]a lot\n"]
        await screen.press("exclamation_mark")
        await screen.shows("Why  ✖ cron", "it needed more", "137 = 128 + 9 (SIGKILL)", "eating ␛[2J[bold]a lot")
        await screen.shows("1  let it have 512M and start it", "wharf update --memory 512m --memory-swap 1024m cron &&")
        await screen.press("2")
        await screen.called("start", "cron")
        await screen.shows("done: wharf start cron", "● cron")


async def test_the_why_card_by_mouse_and_its_steps_that_look(console: Open, copied: list[str]) -> None:
    async with console((100, 30)) as screen:
        await screen.click_text("! why")
        await screen.shows("Why  ✖ cron")
        await screen.press("y")
        assert copied == ["wharf update --memory 512m --memory-swap 1024m cron && wharf start cron"]
        await screen.click_text("read its log")
        await screen.shows("‹ Esc", "✖ cron")
        await screen.press("W")
        await screen.shows("Why  ✖ cron")
        await screen.press("escape")
        await screen.gone("Why  ✖ cron")


async def test_why_of_the_one_under_the_cursor_and_dismissing_a_problem(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("W")
        await screen.shows("Why  ● api-1", "api-1 runs, and nothing seems wrong with it")
        await screen.press("escape")
        await screen.click_text("x dismiss")
        await screen.gone("cron was OOM-killed")


async def test_a_step_that_is_refused_is_said_in_a_sentence(console: Open) -> None:
    async with console((100, 30)) as screen:
        screen.backend.fail_with = AlreadyExists("no space for cron", hint="free some")
        await screen.press("exclamation_mark")
        await screen.shows("2  start it again")
        await screen.press("2")
        await screen.shows("✖ no space for cron: free some")


async def test_A12_events_come_live_and_open_what_they_happened_to(console: Open) -> None:
    async with console((100, 30)) as screen:
        await screen.press("5")
        await screen.shows("Nothing has happened yet.")
        for action, attributes in (
            ("create", {"name": "db", "image": "postgres:16"}),
            ("die", {"name": "db", "exitCode": "3"}),
            ("exec_start: sh \x1b[2J[bold]", {"name": "db"}),
        ):
            screen.backend.tell("container", action, identity("db"), **attributes)
        await screen.shows("create", "die", "exitCode=3")
        assert "exec_start" not in screen.text()
        await screen.press("E")
        await screen.shows("exec_start", "sh ␛[2J[bold]", "image=postgres:16")
        words = [word for word in screen.text().split() if word in ("create", "die", "exec_start")]
        assert words == ["exec_start", "die", "create"]
        await screen.press("slash")
        await screen.type("action=die")
        await screen.press("enter")
        await screen.gone("exec_start")
        await screen.press("enter")
        await screen.shows("‹ Esc", "● db")
        await screen.press("escape")
        screen.backend.tell("volume", "create", "scratch")
        screen.backend.tell("container", "destroy", "0" * 64, name="gone-1")
        await screen.press("escape")
        await screen.shows("scratch", "gone-1")
        await screen.press("g", "enter")
        await screen.shows("container gone-1 is not there any more")
        await screen.click_text("scratch", times=2)
        await screen.shows("readme.txt")


async def test_events_follow_at_the_end_and_stand_still_elsewhere(console: Open) -> None:
    async with console((80, 24)) as screen:
        for number in range(60):
            screen.backend.tell("container", "start", identity("db"), name=f"n{number:02}")
        await screen.press("5")
        await screen.shows("n59")
        await screen.press("F")
        await screen.shows("n59", "n41")
        screen.backend.tell("container", "start", identity("db"), name="n60")
        await screen.shows("n60")
        await screen.press("pageup", "pageup")
        await screen.gone("n60")
        screen.backend.tell("container", "start", identity("db"), name="n61")
        await screen.until(lambda: len(screen.app.store.events) == 62, "taken")
        assert "n61" not in screen.text()
        await screen.click_text("order")
        await screen.shows("n61")
        await screen.press("y")
        await screen.shows("events since then")


async def test_host_divides_the_machine(console: Open) -> None:
    async with console() as screen:
        await screen.press("6")
        await screen.shows("api-1", "CPU% OF CORE", "History")
        await screen.press("b")
        await screen.shows("CPU% OF HOST")


async def test_cursor_stays_with_its_container(console: Open) -> None:
    async with console() as screen:
        await screen.click_text("worker-3")
        newer = make_container("aaa-new")
        screen.backend.all_containers = {newer.id: newer, **screen.backend.all_containers}
        screen.backend.tell("container", "create", newer.id)
        await screen.shows("aaa-new")
        assert screen.app.screen.query_one(ResourceTable).current.id == identity("worker-3")


async def test_sorting_by_key_and_by_clicking_a_title(console: Open) -> None:
    async with console() as screen:
        await screen.click_text("NAME")
        table = screen.app.screen.query_one(ResourceTable)
        names = [item.name for item in table._items]
        assert names == sorted(names)
        await screen.press("O")
        assert [item.name for item in table._items] == sorted(names, reverse=True)
        await screen.shows("NAME▾")


async def test_an_engine_that_fails_is_said_and_the_list_stays(console: Open) -> None:
    async with console((80, 24)) as screen:
        from core.errors import EngineError

        def broken(*_args: object, **_options: object) -> None:
            raise EngineError("the disk is on fire")

        screen.backend.containers.stats = broken  # type: ignore[method-assign]
        await screen.shows("the engine does not answer: the disk is on fire", "api-1")


async def test_themes_change_and_are_files(console: Open) -> None:
    async with console((80, 24)) as screen:
        seen = set()
        for _ in range(3):
            await screen.press("ctrl+t")
            seen.add(screen.app.theme)
            await screen.shows("api-1")
        assert seen == {"harbour-night", "harbour-day", "sixteen"}


async def test_keys_can_be_remapped_and_themes_added(console: Open, tmp_path: object) -> None:
    import os

    config = Path(os.environ["XDG_CONFIG_HOME"]) / "wharf"
    (config / "themes").mkdir(parents=True)
    mine = (Path(__file__).parents[2] / "themes" / "harbour-night.toml").read_text()
    (config / "themes" / "mine.toml").write_text(mine.replace("harbour-night", "mine"))
    (config / "themes" / "broken.toml").write_text("name = ")
    (config / "console.toml").write_text('theme = "mine"\n[keys]\nrestart = "R"\n')
    async with console((80, 24)) as screen:
        assert screen.app.theme == "mine"
        await screen.shows("broken.toml")
        await screen.press("r")
        await screen.press("R")
        await screen.called("restart", "api-1")
        assert sum(call[0] == "restart" for call in screen.backend.calls) == 1


async def test_help_lists_the_keys_of_the_place(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("question_mark")
        await screen.shows("Keys: containers", "stop/start", "Everywhere")
        await screen.press("escape")
        await screen.shows("NAME")
