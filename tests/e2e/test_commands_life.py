"""The life of a container, from the command line (rows A2-A14, A16, A19)."""

from __future__ import annotations

import re
import signal

import pytest

from tests.compat.targets import Cli, eventually

FULL_ID = re.compile(r"[0-9a-f]{64}")


def test_A2_an_interactive_shell_on_a_terminal_of_its_own(cli: Cli):
    terminal = cli.terminal(*cli.run_words("run", "-it", "--name", "box", "IMAGE", "/bin/sh"))
    terminal.expect("#")
    terminal.type("tty\n")
    assert "/dev/pts/0" in terminal.expect("/dev/pts/0")
    terminal.resize(33, 111)
    terminal.type("sleep 1; stty size; echo mar''ker\n")
    assert "33 111" in terminal.expect("marker")
    terminal.type("exit 3\n")
    assert terminal.wait() == 3
    assert cli.status("box") == "exited"
    cli.ok("start", "box")
    assert cli.status("box") == "running"


@pytest.mark.parametrize("flags", [("-d",), ("-di",), ("-id",), ("--detach=true",), ("-d", "-i", "-t")])
def test_A3_detached_runs_print_an_id_and_stay_up(cli: Cli, flags: tuple[str, ...]):
    container = cli.ok(*cli.run_words("run", *flags, "IMAGE", "sleep", "1000"))
    assert FULL_ID.fullmatch(container)
    assert cli.ok("ps", "-q", "--no-trunc") == container
    assert cli.ok("ps", "--format", "{{.Status}}").startswith("Up ")


def test_A4_names_are_given_once_or_made_up(cli: Cli):
    cli.start_sleeper("box")
    again = cli.run("-d", "--name=box", "IMAGE", "true")
    assert again.code == 125
    assert "is already in use by" in again.err
    unnamed = cli.ok(*cli.run_words("run", "-d", "IMAGE", "true"))
    assert re.fullmatch(r"/?[a-z]+_[a-z]+\d?", cli.field(unnamed, "{{.Name}}"))
    cli.ok("rename", "box", "chest")
    assert cli.field("chest", "{{.Name}}").strip("/") == "chest"


@pytest.mark.parametrize("by", ["name", "id", "prefix"])
def test_A5_created_then_started_by_any_of_its_names(cli: Cli, by: str):
    container = cli.ok("container", *cli.run_words("create", "--name", "box", "IMAGE", "sleep", "1000"))
    assert FULL_ID.fullmatch(container)
    assert cli.ok("ps", "-q") == ""
    assert cli.ok("ps", "-a", "--format", "{{.Status}}") == "Created"
    key = {"name": "box", "id": container, "prefix": container[:6]}[by]
    assert cli.ok("start", key) == key
    assert cli.status("box") == "running"


TRAP = "trap 'echo got TERM; exit 9' TERM; echo ready; while :; do sleep 0.1; done"


def test_A6_stop_asks_first(cli: Cli):
    cli.ok(*cli.run_words("run", "-d", "--name", "box", "IMAGE", "sh", "-c", TRAP))
    eventually("it is ready", lambda: "ready" in cli.ok("logs", "box"))
    assert cli.ok("stop", "box") == "box"
    assert "got TERM" in cli.ok("logs", "box")
    assert cli.field("box", "{{.State.ExitCode}}") == "9"


def test_A6_stop_kills_what_does_not_listen(cli: Cli):
    cli.ok(
        *cli.run_words("run", "-d", "--name", "box", "IMAGE", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    )
    cli.ok("stop", "-t", "1", "box")
    assert cli.field("box", "{{.State.ExitCode}}") == "137"


def test_A6_kill_kills_or_sends_what_is_asked(cli: Cli):
    cli.start_sleeper("one")
    assert cli.ok("kill", "one") == "one"
    eventually("it has ended", lambda: cli.status("one") == "exited")
    assert cli.field("one", "{{.State.ExitCode}}") == "137"
    cli.ok(*cli.run_words("run", "-d", "--name", "two", "IMAGE", "sh", "-c", TRAP.replace("TERM", "USR1")))
    eventually("it is ready", lambda: "ready" in cli.ok("logs", "two"))
    cli.ok("kill", "-s", "USR1", "two")
    eventually("it has ended", lambda: cli.status("two") == "exited")
    assert cli.field("two", "{{.State.ExitCode}}") == "9"
    assert cli("kill", "two").code != 0


def test_A7_a_running_container_is_removed_by_force_only(cli: Cli):
    cli.start_sleeper("box")
    refusal = cli("rm", "box")
    assert refusal.code != 0
    assert "running" in refusal.err
    assert cli.status("box") == "running"
    cli.ok("restart", "-t", "0", "box")
    assert cli.status("box") == "running"
    cli.ok("rm", "-f", "box")
    assert cli.ok("ps", "-aq") == ""


def test_A7_rm_of_all_that_ps_lists(cli: Cli):
    for number in range(3):
        cli.ok(*cli.run_words("run", "-d", "IMAGE", "true"))
        assert len(cli.ok("ps", "-a", "-q").split()) == number + 1
    eventually("all have ended", lambda: cli.ok("ps", "-q") == "")
    cli.ok("rm", *cli.ok("ps", "-a", "-q").split())
    assert cli.ok("ps", "-aq") == ""


def test_A8_attach_joins_and_detaches_with_two_keys(cli: Cli):
    cli.ok(*cli.run_words("run", "-dit", "--name", "box", "IMAGE", "/bin/sh"))
    terminal = cli.terminal("attach", "box")
    terminal.type("\necho joi''ned\n")
    terminal.expect("joined")
    terminal.type("\x10\x11")
    terminal.wait()
    assert cli.status("box") == "running"
    again = cli.terminal("attach", "box")
    again.type("echo ag''ain; exit 4\n")
    again.expect("again")
    assert again.wait() == 4


def test_A8_attach_without_a_terminal_forwards_stdin_and_output(cli: Cli):
    cli.ok(*cli.run_words("run", "-di", "--name", "box", "IMAGE", "cat"))
    process = cli.spawn("attach", "box")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"hello\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"hello\n"


def test_A8_start_does_not_attach_unless_asked(cli: Cli):
    cli.ok(*cli.run_words("create", "--name", "box", "IMAGE", "sh", "-c", "echo said; exit 5"))
    assert cli.ok("start", "box") == "box"
    eventually("it has ended", lambda: cli.status("box") == "exited")
    attached = cli("start", "-a", "box")
    assert (attached.code, attached.out) == (5, "said\n")


def test_A9_wait_blocks_until_the_end_and_prints_the_code(cli: Cli):
    cli.ok(*cli.run_words("run", "-di", "--name", "box", "IMAGE", "sh", "-c", "read line; exit 6"))
    waiting = cli.spawn("wait", "box")
    with pytest.raises(TimeoutError):
        _finish(waiting, 1.0)
    cli("kill", "box")
    out, _ = waiting.communicate(timeout=30)
    assert out == b"137\n"
    assert cli.ok("wait", "box") == "137"


def _finish(process, seconds: float) -> None:
    import subprocess

    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise TimeoutError from None


COUNTER = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done"


def test_A10_pause_freezes_and_unpause_goes_on(cli: Cli):
    cli.ok(*cli.run_words("run", "-d", "--name", "box", "IMAGE", "sh", "-c", COUNTER))
    eventually("it counts", lambda: "3" in cli.ok("logs", "box").split())
    cli.ok("pause", "box")
    if cli.name != "podman":
        assert cli.ok("ps", "--format", "{{.Status}}").endswith(" (Paused)")
    frozen = _settled(cli)
    assert _settled(cli) == frozen
    assert cli("exec", "box", "true").code != 0
    cli.ok("unpause", "box")
    eventually("it counts again", lambda: cli.ok("logs", "box") != frozen)
    assert cli("unpause", "box").code != 0


def _settled(cli: Cli) -> str:
    """The log once what was in the pipe has been drained."""
    import time

    before = None
    while before != (now := cli.ok("logs", "box")):
        before = now
        time.sleep(0.2)
    return now


def test_A11_exec(cli: Cli):
    cli.start_sleeper("box")
    cli.ok("exec", "-d", "box", "touch", "/etc/volnet_config")
    eventually("the file is there", lambda: cli("exec", "box", "test", "-e", "/etc/volnet_config").code == 0)
    assert cli("exec", "box", "sh", "-c", "exit 5").code == 5
    assert cli.ok("exec", "-i", "box", "cat", stdin=b"in\n") == "in"
    assert cli.ok("exec", "-e", "FOO=bar", "-w", "/tmp", "box", "sh", "-c", "echo $FOO; pwd") == "bar\n/tmp"
    assert cli.ok("exec", "-u", "65534", "box", "id", "-u") == "65534"
    terminal = cli.terminal("exec", "-i", "-t", "box", "/bin/sh")
    terminal.type("echo inter''active; exit 7\n")
    terminal.expect("interactive")
    assert terminal.wait() == 7


def test_A11_exec_of_what_can_not_be_run(cli: Cli):
    cli.start_sleeper("box")
    assert cli("exec", "box", "nonex").code in (126, 127)  # docker before 28 says 126
    assert cli("exec", "box", "/etc").code == 126
    nothing = cli("exec", "box", "")
    assert nothing.code in (126, 127)
    assert 'exec: "": executable file not found in $PATH' in nothing.err
    assert cli("exec", "-u", "nobody-here", "box", "true").code == 126
    cli.ok("stop", "-t", "0", "box")
    assert cli("exec", "box", "true").code not in (0, 126, 127)


def test_A13_privileged_may_mount_and_others_may_not(cli: Cli):
    mount = ("IMAGE", "sh", "-c", "mkdir /mp && mount -t tmpfs none /mp && echo mounted")
    assert cli.run("--rm", "--privileged=true", *mount).out == "mounted\n"
    refused = cli.run("--rm", *mount)
    assert refused.code != 0
    assert "denied" in refused.err or "not permitted" in refused.err


def test_A14_a_background_daemon_does_not_keep_its_container(cli: Cli):
    cli.ok(*cli.run_words("run", "-d", "--name", "box", "IMAGE", "sh", "-c", "sleep 1000 & exit 0"))
    eventually("it has ended", lambda: cli.status("box") == "exited")
    assert cli.field("box", "{{.State.ExitCode}}") == "0"


def test_A16_a_memory_limit_ends_what_eats_too_much(cli: Cli):
    eater = "x=0123456789abcdef; while :; do x=$x$x; done"
    done = cli.run("--name", "box", "-m", "8m", "--memory-swap", "8m", "IMAGE", "sh", "-c", eater)
    assert done.code == 137
    assert cli.field("box", "{{.State.OOMKilled}}") == "true"
    assert cli.field("box", "{{.HostConfig.Memory}}") == str(8 * 1024**2)


def test_A19_the_hostname_is_the_short_id(cli: Cli):
    if cli.name != "wharf":
        pytest.skip("the peers run on the host's network here, and take the host's name with it")
    container = cli.ok(*cli.run_words("run", "-d", "--name", "box", "IMAGE", "hostname"))
    cli.ok("wait", "box")
    assert cli.ok("logs", "box") == container[:12]
    assert cli.run("--rm", "--hostname", "chosen", "IMAGE", "hostname").out == "chosen\n"


@pytest.mark.parametrize(
    ("command", "code"),
    [(("true",), 0), (("sh", "-c", "exit 42"), 42), (("nonex",), 127), (("/nonex",), 127), (("/etc",), 126)],
)
def test_exit_codes_are_the_programs_or_dockers(cli: Cli, command: tuple[str, ...], code: int):
    assert cli.run("--rm", "IMAGE", *command).code == code


def test_rm_leaves_nothing(cli: Cli):
    assert cli.run("--rm", "-v", "/data", "IMAGE", "touch", "/data/x").code == 0
    assert cli.ok("ps", "-aq") == ""
    assert cli.ok("volume", "ls", "-q") == ""


def test_stdin_and_both_outputs_stay_apart_and_whole(cli: Cli):
    data = bytes(range(256)) * 8192  # 2 MiB, more than any pipe holds
    process = cli.spawn(*cli.run_words("run", "--rm", "-i", "IMAGE", "sh", "-c", "echo err >&2; cat"))
    out, err = process.communicate(data, timeout=60)
    assert out == data
    assert err == b"err\n"
    assert process.returncode == 0


def test_signals_are_handed_on(cli: Cli):
    process = cli.spawn(*cli.run_words("run", "--name", "box", "IMAGE", "sh", "-c", TRAP))
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert out == b"got TERM\n"
    assert process.returncode == 9


def test_a_container_outlives_the_command_that_started_it(cli: Cli):
    process = cli.spawn(*cli.run_words("run", "--name", "box", "IMAGE", "sh", "-c", COUNTER))
    assert process.stdout is not None
    assert process.stdout.readline() == b"1\n"
    process.kill()
    process.wait()
    seen = len(cli.ok("logs", "box").splitlines())
    eventually("it goes on and is logged", lambda: len(cli.ok("logs", "box").splitlines()) > seen + 3)
    assert cli.status("box") == "running"


def test_environment_labels_workdir_user_and_entrypoint(cli: Cli, tmp_path):
    listed = tmp_path / "env"
    listed.write_text("# note\nFROM_FILE=1\n")
    show = 'echo "$A|$FROM_FILE|$(pwd)|$(id -u):$(id -g)"'
    done = cli.run(
        *("--rm", "-e", "A=x y", "--env-file", str(listed), "-w", "/new/dir", "-u", "65534:65534"),
        *("--entrypoint", "sh", "IMAGE", "-c", show),
    )
    assert done.out == "x y|1|/new/dir|65534:65534\n"
    cli.start_sleeper("box", "-l", "k=v", "-l", "only")
    assert cli.ok("ps", "-q", "--filter", "label=k=v", "--filter", "label=only") != ""
    assert cli.ok("ps", "-q", "--filter", "label=k=w") == ""
    assert cli.field("box", '{{index .Config.Labels "k"}}') == "v"


def test_cidfile(cli: Cli, tmp_path):
    path = tmp_path / "cid"
    cli.ok(*cli.run_words("run", "-d", "--cidfile", str(path), "IMAGE", "sleep", "1000"))
    assert path.read_text() == cli.ok("ps", "-q", "--no-trunc")
    assert cli.run("-d", "--cidfile", str(path), "IMAGE", "true").code == 125


def test_read_only_roots_and_tmpfs(cli: Cli):
    done = cli.run(
        "--rm",
        "--read-only",
        "--tmpfs",
        "/run:size=64k",
        "IMAGE",
        "sh",
        "-c",
        "echo x >/x; echo y >/run/y && cat /run/y",
    )
    assert done.out == "y\n"
    assert "ead-only file system" in done.err
