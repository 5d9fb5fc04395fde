"""The real console in a pty, on the real engine, with real containers."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from console_process import ConsoleProcess

from core.engine.engine import Engine, open_engine
from core.model.container import ContainerSpec
from core.model.limits import Limits
from core.model.ports import PortWish

STARTER = "wharf/starter:latest"
Open = Callable[..., ConsoleProcess]
COUNTER = "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.05; done"


@pytest.fixture
def console(session_root: Path) -> Iterator[Open]:
    opened: list[ConsoleProcess] = []

    def open_console(*words: str, root: Path = session_root, **options: object) -> ConsoleProcess:
        opened.append(ConsoleProcess(root, *words, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield open_console
    for process in opened:
        process.close()


def start(engine: Engine, name: str, script: str, limits: Limits | None = None) -> str:
    made = engine.containers.create(
        ContainerSpec(image=STARTER, name=name, command=("sh", "-c", script), limits=limits or Limits())
    )
    engine.containers.start(made.id)
    return made.id


def status(engine: Engine, key: str) -> str:
    return engine.containers.inspect(key).status


def test_A3_live_containers_logs_and_a_shell(engine: Engine, console: Open) -> None:
    start(engine, "counter", COUNTER)
    screen = console()
    screen.shows("wharf", "1 Containers 1", "● counter", "● live")
    screen.press("enter")
    screen.shows("▸ following", "line ", "Processes")
    screen.press("e")
    screen.shows("/ #")
    screen.press("echo a$((20+3))b; hostname", "enter")
    screen.shows("a23b", engine.containers.inspect("counter").id[:12])
    screen.press("exit", "enter")
    screen.gone("a23b")
    screen.press("t")
    screen.shows("sh -c")
    screen.press("q")
    assert screen.wait() == 0
    assert screen.terminal_is_as_before()


def test_A11_full_screen_programs_in_the_shell_pane_fit_its_size(engine: Engine, console: Open) -> None:
    start(engine, "editor", "sleep 600")
    screen = console(columns=80, rows=24)
    screen.shows("● editor")
    screen.press("e")
    screen.shows("/ #")
    screen.press("leave", "z")
    screen.gone("1 Containers")
    screen.press("stty size; vi /etc/passwd", "enter")
    screen.shows("root:", "/etc/passwd", "~")
    screen.press(":q", "enter")
    screen.shows("23 80")


def test_A11_exec_and_run_with_a_terminal_in_the_command_line(engine: Engine, console: Open) -> None:
    start(engine, "host", "sleep 600")
    screen = console(columns=80, rows=24)
    screen.shows("● host")
    screen.press(":exec -it host sh", "enter")
    screen.shows("/ #", "Ctrl-] leaves")
    screen.press("stty size; tty; exit 3", "enter")
    screen.shows("20 78", "/dev/pts/", "exit code 3")
    screen.press("escape", f":run -it --name shelly {STARTER} sh", "enter")
    screen.shows("/ #", "Ctrl-P Ctrl-Q detaches")
    screen.press("echo a$((20+3))b", "enter")
    screen.shows("a23b")
    screen.press("\x10\x11")
    screen.shows("done   y copy")
    assert status(engine, "shelly") == "running"
    screen.press("escape")
    screen.shows("● shelly")


def test_A6_stop_start_and_delete_by_key(engine: Engine, console: Open) -> None:
    key = start(engine, "worker", "trap 'exit 0' TERM; while :; do sleep 0.1; done")
    screen = console()
    screen.shows("● worker")
    screen.press("s")
    screen.shows("○ worker")
    assert status(engine, key) == "exited"
    screen.press("s")
    screen.shows("● worker")
    screen.press("p")
    screen.shows("‖ worker")
    screen.press("p")
    screen.shows("● worker")
    screen.press("d")
    screen.shows("Delete 1 container", "wharf rm -f worker")
    screen.press("enter")
    screen.shows("No containers yet.")
    assert engine.containers.list(all=True) == []


def test_C1_C4_commit_save_and_load_by_dialog(engine: Engine, console: Open, session_root: Path) -> None:
    start(engine, "shop", "echo new > /page; sleep 600")
    screen = console(columns=110)
    screen.shows("● shop")
    screen.press("c")
    screen.shows("Commit shop → image", "changes: 1 of 1", "page")
    screen.press("shop:2", "tab", "new page")
    screen.shows("wharf commit -m 'new page' shop shop:2")
    screen.press("enter")
    screen.shows("committed as shop:2")
    target = session_root.parent / "shop-2.tar"
    screen.press("2")
    screen.shows("shop:2")
    screen.press("/", "shop:2", "enter", "S")
    screen.shows("Save shop:2")
    screen.press("enter")
    screen.shows("saved to")
    assert target.stat().st_size > 1000
    screen.press("d")
    screen.shows("Delete 1 image")
    screen.press("enter")
    screen.shows("removed shop:2")
    screen.press("escape", "L")
    screen.shows("shop-2.tar")
    screen.press(str(target), "enter")
    screen.shows("loaded shop:2")
    assert engine.images.inspect("shop:2").tags == ("shop:2",)
    engine.images.remove("shop:2")
    target.unlink()


def test_F4_volume_browser_shows_what_a_container_wrote(engine: Engine, console: Open) -> None:
    screen = console()
    screen.shows("No containers yet.")
    screen.press("n")
    screen.shows("Run a container")
    screen.press("tab", "sh -c 'echo precious > /data/gem.txt; sleep 600'", "tab", "writer")
    screen.press("tab", "tab", "treasure:/data", "enter")
    screen.shows("● writer")
    screen.press("3")
    screen.shows("treasure", "writer")
    screen.press("enter")
    screen.shows("gem.txt", "precious")
    engine.containers.remove("writer", force=True)
    engine.volumes.remove("treasure")


def test_F4_files_of_a_running_container_are_edited_deleted_brought_back_and_copied_out(
    engine: Engine, console: Open, session_root: Path
) -> None:
    key = start(engine, "holder", "mkdir -p /data/sub; echo old > /data/sub/file; chown -R 5:6 /data; sleep 600")
    screen = console()
    screen.shows("● holder")
    screen.press("enter", "b")
    screen.shows("data/", "etc/")
    screen.press("F")
    screen.shows("Find files by name")
    screen.press("file", "enter")
    screen.shows("data/sub/file")
    screen.press("/", "data/sub/file", "enter", "enter")
    screen.shows("holder /data/sub", "old")
    screen.press("E")
    screen.shows("^s save")
    screen.gone("NAME")
    screen.shows("1  old")
    screen.press("new")
    screen.shows("newold")
    screen.press("\x13")
    screen.shows("is written")
    screen.press("escape")
    assert engine.containers.read_file(key, "/data/sub/file") == b"newold\n"
    screen.shows("holder /data/sub")
    screen.press("\x7f")
    screen.shows("▌ sub/")  # the row: the command above has the same letters
    screen.press("D", "enter")
    screen.shows("U brings it back")
    assert engine.containers.list_dir(key, "/data") == ()
    screen.press("U")
    screen.shows("sub is back")
    (entry,) = engine.containers.list_dir(key, "/data/sub")
    assert (entry.name, entry.uid, entry.gid) == ("file", 5, 6)
    screen.press("C")
    screen.shows("this host", "▌ sub/")
    screen.press("C")
    screen.shows("wharf cp holder:/data/sub")
    screen.press("enter")
    screen.shows("copied sub to this host")
    copied = session_root.parent / "sub"  # where the console was started
    assert (copied / "file").read_bytes() == b"newold\n"
    shutil.rmtree(copied)


def test_A16_an_oom_kill_is_explained(engine: Engine, console: Open) -> None:
    greedy = "echo eating; a=0123456789abcdef; while :; do a=$a$a; done"
    key = start(engine, "glutton", greedy, Limits(memory_bytes=16 * 1024 * 1024))
    engine.containers.wait(key)
    screen = console(columns=80, rows=24)
    screen.shows("✖ glutton", "OOM", "glutton was OOM-killed at", "(limit 16M)")
    screen.press("!")
    screen.shows("Why  ✖ glutton", "137 = 128 + 9 (SIGKILL)", "1  let it have 32M and start it")
    screen.press("3")
    screen.shows("‹ Esc", "✖ glutton", "1 line")


def test_A12_events_are_kept_come_live_and_open_what_they_happened_to(engine: Engine, console: Open) -> None:
    start(engine, "before", "sleep 600")
    screen = console(columns=110)
    screen.shows("● before")
    screen.press("5")
    screen.shows("create", "start", "before")
    start(engine, "after", "exit 3")
    screen.shows("after", "die", "exitCode=3")
    screen.press("/", "action=die", "enter")
    screen.gone("create")
    screen.press("W")
    screen.shows("Why  ✖ after", "after exited 3 at ")
    screen.press("escape", "enter")
    screen.shows("‹ Esc", "✖ after")


def test_A15_limits_are_changed_in_place(engine: Engine, console: Open) -> None:
    key = start(engine, "busy", "while :; do :; done", Limits(nano_cpus=200_000_000))
    screen = console(columns=100)
    screen.shows("● busy")
    screen.press("U")
    screen.shows("Limits of busy", "0.2")
    screen.press("\x7f\x7f\x7f", "0.5", "tab", "tab", "tab", "64m")
    screen.shows("wharf update --cpus 0.5 --memory 64m busy")
    screen.press("enter")
    screen.shows("busy has its new limits", "64M")
    limits = engine.containers.inspect(key).settings.limits
    assert (limits.nano_cpus, limits.memory_bytes) == (500_000_000, 64 * 1024 * 1024)


def test_A15_cpu_shares_are_seen_and_history_is_there_when_a_console_opens(engine: Engine, console: Open) -> None:
    burn = "while :; do :; done"
    keys = [start(engine, f"burner-{shares}", burn, Limits(cpu_shares=shares, cpuset_cpus="0")) for shares in (20, 80)]
    deadline = time.monotonic() + 30
    while min(len(engine.containers.stats_history(key)) for key in keys) < 6:
        assert time.monotonic() < deadline, "no history is kept"
        time.sleep(0.2)
    screen = console(columns=120, rows=40)
    screen.shows("● burner-20", "● burner-80", "of one core")
    screen.until(lambda: "⣿" in screen.text(), "a graph of the past")
    screen.press("6")
    screen.shows("History", "burner-20", "burner-80", "SHARES")
    first, second = (engine.containers.stats_history(key) for key in keys)
    slow = first[-1].cpu_ns - first[0].cpu_ns
    fast = second[-1].cpu_ns - second[0].cpu_ns
    assert 2.5 < fast / slow < 6


def test_command_line_takes_the_docker_language(engine: Engine, console: Open) -> None:
    screen = console()
    screen.shows("No containers yet.")
    screen.press(":", "run -d --name said wharf/starter sleep 600", "enter")
    screen.shows("done", engine_id(engine, "said")[:20])
    screen.press("escape")
    screen.shows("● said")
    screen.press(":", "run nope:1", "enter")
    screen.shows("exit code 125")


def engine_id(engine: Engine, name: str) -> str:
    deadline = time.monotonic() + 20
    while True:
        found = [one.id for one in engine.containers.list(all=True) if one.name == name]
        if found:
            return found[0]
        assert time.monotonic() < deadline, f"{name} never came"
        time.sleep(0.1)


@pytest.fixture
def empty_root(tmp_path: Path) -> Iterator[Path]:
    """A data root that no engine has seen; whatever the test leaves there is taken away."""
    yield tmp_path / "data"
    open_engine(tmp_path / "data").system.reset()


def test_first_run_makes_a_starter_and_runs_a_shell(empty_root: Path, console: Open) -> None:
    screen = console(root=empty_root, columns=80, rows=24)
    screen.shows("No images yet.", "Make a starter image from this host")
    screen.press("enter")
    screen.shows("Run a container", "wharf run -d -it wharf/starter:latest")
    screen.press("enter")
    screen.gone("Run a container")
    screen.shows("1 Containers 1", " up ")
    screen.press("e")
    screen.shows("^] leave the shell")
    screen.press("echo it-$((1+1))-works", "enter")
    screen.shows("it-2-works")


def test_two_consoles_see_what_the_other_does(engine: Engine, console: Open) -> None:
    one, two = console(), console(columns=80, rows=24)
    one.shows("No containers yet.")
    two.shows("No containers yet.")
    start(engine, "shared", COUNTER)
    one.shows("● shared")
    two.shows("● shared")
    one.press("d")
    one.shows("Delete 1 container")
    one.press("enter")
    two.shows("No containers yet.")
    two.press("q")
    assert two.wait() == 0


def test_two_consoles_doing_the_same_thing_get_one_clear_answer(engine: Engine, console: Open) -> None:
    start(engine, "both", "sleep 600")
    one, two = console(), console()
    for screen in (one, two):
        screen.shows("● both")
        screen.press("d")
        screen.shows("Delete 1 container")
    one.press("enter")
    one.shows("both removed")
    two.press("enter")
    two.shows("both")
    assert engine.containers.list(all=True) == []
    assert "Traceback" not in two.raw.decode("utf-8", "replace")


def shells_in(engine: Engine, name: str) -> int:
    return sum(row[-1] in ("sh", "bash") for row in engine.containers.top(name).rows)


@pytest.mark.parametrize("leave", ["the place", "the console", "a kill -9"])
def test_a_shell_whose_pane_is_gone_is_hung_up(engine: Engine, console: Open, leave: str) -> None:
    start(engine, "visited", "sleep 600")
    screen = console()
    screen.shows("● visited")
    screen.press("e")
    screen.shows("/ #")
    assert shells_in(engine, "visited") == 1
    if leave == "a kill -9":
        screen.kill(signal.SIGKILL)
    else:
        screen.press("leave", "escape", *(["q"] if leave == "the console" else []))
    deadline = time.monotonic() + 20
    while shells_in(engine, "visited"):
        assert time.monotonic() < deadline, "the shell goes on with nobody at it"
        time.sleep(0.1)
    assert status(engine, "visited") == "running"


def test_kill_9_of_a_console_leaves_containers_and_their_logs_alone(engine: Engine, console: Open) -> None:
    key = start(engine, "survivor", COUNTER)
    screen = console()
    screen.shows("● live", "● survivor")
    screen.press("e")
    screen.shows("/ #")
    screen.kill(signal.SIGKILL)
    assert screen.wait() == -signal.SIGKILL
    before = engine.containers.log_view(key).line_count()
    deadline = time.monotonic() + 20
    while engine.containers.log_view(key).line_count() < before + 20:
        assert time.monotonic() < deadline, "the log stands still"
        time.sleep(0.1)
    assert status(engine, key) == "running"
    again = console()
    again.shows("● survivor")
    again.press("enter")
    again.shows("▸ following", "line ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_put_the_terminal_back(engine: Engine, console: Open, number: int) -> None:
    screen = console()
    screen.shows("● live")
    assert screen.terminal.on_alternate_screen
    screen.kill(number)
    screen.wait()
    assert screen.terminal_is_as_before()


def test_a_crash_puts_the_terminal_back_and_says_one_line(engine: Engine, console: Open, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, threading, time\n"
        "def fail():\n"
        "    while 'app.console.store' not in sys.modules: time.sleep(0.05)\n"
        "    time.sleep(1)\n"
        "    def broken(*a): raise RuntimeError('made to fail')\n"
        "    sys.modules['app.console.store'].Store.put_stats = broken\n"
        "    sys.modules['app.console.widgets.header'].Header.draw = broken\n"
        "threading.Thread(target=fail, daemon=True).start()\n"
    )
    repository = Path(__file__).parents[2]
    screen = console(PYTHONPATH=f"{tmp_path}{os.pathsep}{repository}")
    assert screen.wait() == 70
    assert screen.terminal_is_as_before()
    said = bytes(screen.raw).rpartition(b"\x1b[?25h")[2].decode()
    assert said.startswith("wharf: unexpected RuntimeError: made to fail")
    assert "Traceback" not in said


def test_ST11_nothing_a_container_prints_reaches_the_operators_terminal(engine: Engine, console: Open) -> None:
    spell = r"\033]52;c;ZXZpbA==\007\033]0;owned\007\033[5n\033[c\033P$qm\033\\ [b]x[/b]\n"
    evil = f"while :; do printf '{spell}'; sleep 0.2; done"
    start(engine, "evil", evil)
    screen = console(columns=160)
    screen.shows("● evil", "␛]52;c;ZXZpbA==␇", "[b]x[/b]")
    screen.press("e")
    screen.shows("/ #")
    screen.press(r"printf '\033]52;c;ZXZpbA==\007\033]0;owned\007'", "enter")
    screen.read(1.0)
    assert b"\x1b]52" not in screen.raw
    assert b"owned\x07" not in screen.raw
    assert screen.terminal.title == ""


def test_resize_repaints_everything(engine: Engine, console: Open) -> None:
    start(engine, "resized", "sleep 600")
    screen = console(columns=120, rows=40)
    screen.shows("● resized", "net none")
    screen.resize(80, 24)
    screen.gone("net none")
    screen.shows("● resized", "1 Containers 1", "⏎ open")
    screen.resize(140, 45)
    screen.shows("● resized", "net none")


def test_demo_starts_five_containers_and_stops_them(console: Open, tmp_path: Path) -> None:
    from core.engine.engine import open_engine

    root = tmp_path / "data"
    screen = console("demo", root=root, columns=120, rows=40)
    screen.shows("demo-logger", "demo-burner-20", "demo-burner-80", "demo-filler", "demo-glutton", "64M")
    screen.shows("demo-glutton was OOM-killed")
    screen.press("q")
    screen.wait()
    assert screen.terminal_is_as_before()
    engine = open_engine(root)
    try:
        assert len(engine.containers.list(all=True)) == 5
        stop = console("demo", "--stop", root=root)
        assert stop.wait() == 0
        assert engine.containers.list(all=True) == []
    finally:
        engine.system.reset()


def test_console_draws_on_the_terminal_when_stderr_goes_elsewhere(
    engine: Engine, console: Open, tmp_path: Path
) -> None:
    start(engine, "quiet", "sleep 600")
    errors = tmp_path / "errors"
    screen = console(STDERR=str(errors))
    screen.shows("● quiet", "● live")
    screen.press("q")
    assert screen.wait() == 0
    assert screen.terminal_is_as_before()
    assert errors.read_bytes() == b""


def test_E2_I10_a_network_is_made_used_seen_and_removed_by_keys(engine: Engine, console: Open) -> None:
    serve = "mkdir /www; dd if=/dev/zero of=/www/page bs=1000 count=50; exec httpd -f -p 80 -h /www"
    start(engine, "server", serve)
    screen = console(columns=80, rows=24)
    screen.shows("● server")
    screen.press("4")
    screen.shows("▲ bridge", "✖ none", "4 Networks 3")
    screen.press("n", "console-net", "enter")
    screen.shows("network console-net is there", "4 Networks 4")
    screen.press("/", "console-net", "enter", "enter")
    screen.shows("══╤═ console-net ═ wh", "nobody is on it")
    (network,) = [one for one in engine.networks.list() if one.name == "console-net"]
    client = engine.containers.create(
        ContainerSpec(image=STARTER, name="client", command=("sleep", "600"), network="console-net")
    )
    engine.containers.start(client.id)
    screen.shows("└─● client", network.subnets[0].gateway)
    screen.press("d")
    screen.shows("Delete 1 network", "On it: client")
    screen.press("enter")
    screen.shows("error while removing network: network console-net has active")
    engine.containers.remove("client", force=True)
    screen.shows("nobody is on it")
    screen.press("d")
    screen.shows("wharf network rm console-net")
    screen.press("enter")
    screen.shows("4 Networks 3")
    assert "console-net" not in [one.name for one in engine.networks.list()]


def test_I10_the_way_to_a_port_is_tried_on_a_real_container(engine: Engine, console: Open) -> None:
    made = engine.containers.create(
        ContainerSpec(
            image=STARTER,
            name="server",
            command=("sh", "-c", "mkdir /www; exec httpd -f -p 80 -h /www"),
            network="bridge",
            ports=(PortWish(container_port=80, host_ip="127.0.0.1"),),
        )
    )
    engine.containers.start(made.id)
    screen = console(columns=80, rows=24)
    screen.shows("● server")
    screen.press("P")
    screen.shows("Why can't I reach server", "✓ listening", "✓ answer", "It can be reached.")
    screen.press("\x7f", "\x7f", "81", "enter")
    screen.shows("✖ listening", "It can't be reached: the step listening fails.")
    screen.press("escape", "enter", "v")
    screen.shows("bridge", "eth0", "published", "127.0.0.1:", "▸ 80/tcp", "by way of")
