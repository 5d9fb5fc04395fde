"""--init: a first process that passes signals on, buries the dead, and is confined as the rest."""

from __future__ import annotations

from tests.compat.targets import Cli, eventually

ORPHANS = "i=0; while [ $i -lt 20 ]; do (sh -c 'sleep 4' & ); i=$((i+1)); done; exec sleep 1000"


def zombies(cli: Cli, name: str) -> int:
    states = cli.ok("exec", name, "sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null").splitlines()
    return sum(line.rpartition(")")[2].split()[0] == "Z" for line in states)


def test_init_buries_what_has_no_parent_any_more(cli: Cli) -> None:
    cli.ok(*cli.run_words("run", "-d", "--init", "--name", "clean", "IMAGE", "sh", "-c", ORPHANS))
    cli.ok(*cli.run_words("run", "-d", "--name", "dirty", "IMAGE", "sh", "-c", ORPHANS))
    eventually("orphans that nobody buries", lambda: zombies(cli, "dirty") == 20)
    eventually("no orphan is left", lambda: zombies(cli, "clean") == 0)
    assert cli.status("clean") == "running"


def test_init_passes_signals_on_and_ends_with_the_command(cli: Cli) -> None:
    script = "trap 'echo caught' USR1; trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done"
    cli.ok(*cli.run_words("run", "-d", "--init", "--name", "told", "IMAGE", "sh", "-c", script))
    eventually("it is ready", lambda: "ready" in cli.ok("logs", "told"))
    cli.ok("kill", "-s", "USR1", "told")
    eventually("it has caught it", lambda: "caught" in cli.ok("logs", "told"))
    cli.ok("stop", "told")
    assert cli.field("told", "{{.State.ExitCode}}") == "7"
    cli.ok(*cli.run_words("run", "-d", "--init", "--name", "plain", "IMAGE", "sleep", "1000"))
    cli.ok("stop", "-t", "50", "plain")  # without it, PID 1 would have no handler and need the full time
    assert cli.field("plain", "{{.State.ExitCode}}") == "143"
    assert cli.field("plain", "{{.HostConfig.Init}}") == "true"


def test_init_gives_exit_codes_as_without_it(cli: Cli) -> None:
    assert cli.run("--rm", "--init", "IMAGE", "sh", "-c", "exit 42").code == 42
    assert cli.run("--rm", "--init", "IMAGE", "sh", "-c", "kill -9 $$").code == 137
    assert cli.run("--rm", "--init", "IMAGE", "echo", "said").out == "said\n"
    if cli.name == "wharf":  # docker's init finds out too late
        assert cli.run("--rm", "--init", "IMAGE", "no-such-program").code == 127
    assert cli.run("--rm", "-i", "--init", "IMAGE", "cat", stdin=b"through").out == "through"


def test_init_is_confined_as_the_command_is(cli: Cli) -> None:
    cli.ok(*cli.run_words("run", "-d", "--init", "-u", "1234", "--name", "confined", "IMAGE", "sleep", "1000"))
    fields = ("CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb", "Seccomp", "Uid", "Gid")

    def status(pid: str) -> dict[str, str]:
        text = cli.ok("exec", "confined", "cat", f"/proc/{pid}/status")
        found = dict(line.split(":", 1) for line in text.splitlines())
        return {name: found[name].strip() for name in fields}

    processes = cli.ok("exec", "confined", "sh", "-c", "grep -l sleep /proc/[0-9]*/comm").splitlines()
    assert status("1") == status(processes[0].split("/")[2])
    assert status("1")["Seccomp"] == "2"
    assert status("1")["CapEff"] == "0" * 16
    if cli.name == "wharf":
        assert cli.ok("exec", "confined", "cat", "/proc/1/cmdline").rstrip("\0") == "init"
        host_pid = cli.field("confined", "{{.State.Pid}}")
        import os

        assert sorted(os.listdir(f"/proc/{host_pid}/fd")) == ["0", "1", "2"]


def test_init_on_a_terminal_leaves_the_keys_to_the_command(cli: Cli) -> None:
    terminal = cli.terminal(*cli.run_words("run", "--rm", "-it", "--init", "--name", "keys", "IMAGE", "sh"))
    terminal.expect("#")
    terminal.type("sleep 1000\n")
    eventually("sleep runs", lambda: any("sleep 1000" in line for line in cli.ok("top", "keys").splitlines()))
    terminal.type("\x03")
    terminal.type("echo back $((40+2))\n")
    terminal.expect("back 42")
    terminal.type("exit 3\n")
    assert terminal.wait() == 3
