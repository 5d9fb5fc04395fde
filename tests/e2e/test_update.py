"""update, wait --condition and the ways to stop: live, kept, and refused in docker's words."""

from __future__ import annotations

import time

import pytest

from tests.compat.targets import Cli, eventually


def inside(cli: Cli, name: str, v1: str, v2: str) -> str:
    """A file of its own control group, by either version's name."""
    script = f"cat /sys/fs/cgroup/{v1} 2>/dev/null || cat /sys/fs/cgroup/{v2}"
    return cli.ok("exec", name, "sh", "-c", script)


def quota(cli: Cli, name: str) -> str:
    return inside(cli, name, "cpu/cpu.cfs_quota_us", "cpu.max").split()[0]


def memory(cli: Cli, name: str) -> str:
    return inside(cli, name, "memory/memory.limit_in_bytes", "memory.max")


def test_update_changes_limits_of_a_running_container_and_keeps_them(cli: Cli) -> None:
    cli.start_sleeper("held", "-m", "64m", "--cpus", "1")
    assert (memory(cli, "held"), quota(cli, "held")) == (str(64 << 20), "100000")
    assert (
        cli.ok("update", "--cpus", "0.5", "-m", "96m", "--memory-swap", "128m", "--pids-limit", "77", "held") == "held"
    )
    assert (memory(cli, "held"), quota(cli, "held")) == (str(96 << 20), "50000")
    assert inside(cli, "held", "pids/pids.max", "pids.max") == "77"
    fields = "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}"
    assert cli.field("held", fields) == f"{96 << 20} {128 << 20} 500000000 77"
    cli.ok("restart", "-t", "0", "held")
    assert (memory(cli, "held"), quota(cli, "held")) == (str(96 << 20), "50000")
    cli.ok("update", "--pids-limit", "-1", "--cpu-shares", "512", "--cpuset-cpus", "0", "held")
    assert inside(cli, "held", "pids/pids.max", "pids.max") == "max"
    assert inside(cli, "held", "cpuset/cpuset.cpus", "cpuset.cpus") == "0"
    assert cli.field("held", "{{.HostConfig.Memory}} {{.HostConfig.CpuShares}}") == f"{96 << 20} 512"


def test_update_of_a_stopped_container_counts_from_its_next_start(cli: Cli) -> None:
    cli.ok(*cli.run_words("create", "--name", "later", "IMAGE", "sleep", "1000"))
    cli.ok("update", "-m", "32m", "--memory-swap", "64m", "--memory-reservation", "16m", "later")
    cli.ok("start", "later")
    assert memory(cli, "later") == str(32 << 20)
    assert inside(cli, "later", "memory/memory.soft_limit_in_bytes", "memory.low") == str(16 << 20)


def test_update_of_several_goes_on_after_one_that_fails(cli: Cli) -> None:
    cli.start_sleeper("first")
    done = cli("update", "--cpus", "0.5", "nosuch", "first")
    assert (done.code, done.out) == (1, "first\n")
    assert "No such container: nosuch" in done.err
    assert quota(cli, "first") == "50000"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "you must provide one or more flags when using this command"),
        (("--cpus", "999"), "ange of CPUs is from 0.01 to"),
        (("-m", "1m"), "inimum memory limit allowed is 6MB"),
        (("-m", "512m"), "Memory limit should be smaller than already set memoryswap limit"),
        (("--cpu-period", "50000"), "CPU Period cannot be updated as NanoCPUs has already been set"),
        (("--restart", "sometimes"), "restart policy"),
    ],
)
def test_update_refuses_as_docker_does(cli: Cli, words: tuple[str, ...], message: str) -> None:
    cli.start_sleeper("stays", "-m", "64m", "--cpus", "1")
    refused = cli("update", *words, "stays")
    assert refused.code in (1, 125)
    assert message in refused.err
    assert (memory(cli, "stays"), quota(cli, "stays")) == (str(64 << 20), "100000")


def test_update_gives_a_restart_policy_to_what_runs(cli: Cli) -> None:
    cli.ok(*cli.run_words("run", "-d", "--name", "again", "IMAGE", "sleep", "1000"))
    cli.ok("update", "--restart", "always", "again")
    assert cli.field("again", "{{.HostConfig.RestartPolicy.Name}}") == "always"
    since = f"{time.time():.9f}"
    cli.ok("exec", "again", "kill", "-9", "1")  # init in a namespace is not killed from within
    pid = cli.field("again", "{{.State.Pid}}")
    import os
    import signal

    os.kill(int(pid), signal.SIGKILL)
    eventually("it runs again", lambda: cli.field("again", "{{.State.Pid}}") not in ("0", pid))
    assert cli.field("again", "{{.RestartCount}}") == "1"
    cli.ok("update", "--restart", "no", "again")
    os.kill(int(cli.field("again", "{{.State.Pid}}")), signal.SIGKILL)
    eventually("it has ended", lambda: cli.status("again") == "exited")
    events = cli.ok("events", "--since", since, "--until", f"{time.time():.9f}", "--format", "{{.Action}}")
    assert events.splitlines().count("start") == 1
    assert "update" in events.splitlines()


def test_update_refuses_a_policy_where_the_end_removes(cli: Cli) -> None:
    cli.start_sleeper("brief", "--rm")
    refused = cli("update", "--restart", "always", "brief")
    assert refused.code == 1
    assert "Restart policy cannot be updated because AutoRemove is enabled for the container" in refused.err


def test_a_memory_limit_below_what_is_in_use_leaves_the_old_one(cli: Cli) -> None:
    script = "dd if=/dev/zero of=/dev/shm/x bs=1M count=30 2>/dev/null; echo full; exec sleep 1000"
    options = ("-m", "64m", "--memory-swap", "64m")
    cli.ok(*cli.run_words("run", "-d", "--name", "full", *options, "IMAGE", "sh", "-c", script))
    eventually("it is full", lambda: "full" in cli.ok("logs", "full"))
    done = cli("update", "-m", "8m", "--memory-swap", "8m", "full")
    if done.code:  # version 1 refuses; version 2 takes it and kills
        assert "full" in done.err or "Cannot update container" in done.err
        assert memory(cli, "full") == str(64 << 20)
        assert cli.field("full", "{{.HostConfig.Memory}}") == str(64 << 20)
        assert cli.status("full") == "running"


def test_stop_timeout_and_signal_of_a_container_and_of_a_command(cli: Cli) -> None:
    script = "trap 'echo usr; exit 5' USR1; trap '' TERM; echo ready; while :; do sleep 0.1; done"
    for name, options in (("own", ("--stop-signal", "USR1")), ("deaf", ("--stop-timeout", "1"))):
        cli.ok(*cli.run_words("run", "-d", "--name", name, *options, "IMAGE", "sh", "-c", script))
        eventually("it is ready", lambda name=name: "ready" in cli.ok("logs", name))
    cli.ok("stop", "own")
    assert cli.field("own", "{{.State.ExitCode}}") == "5"
    cli.ok("stop", "deaf")  # after a second, not ten
    assert cli.field("deaf", "{{.State.ExitCode}} {{.Config.StopTimeout}}") == "137 1"
    if cli.name == "wharf":  # an old dockerd does not know it
        cli.ok("start", "deaf")
        eventually("it is ready", lambda: cli.ok("logs", "deaf").count("ready") == 2)
        cli.ok("stop", "-s", "USR1", "-t", "50", "deaf")
        assert cli.field("deaf", "{{.State.ExitCode}}") == "5"


def test_wait_conditions(cli: Cli) -> None:
    if cli.name != "wharf":
        pytest.skip("docker has conditions in its API only")
    script = "while [ ! -e /tmp/go ]; do sleep 0.05; done; rm /tmp/go; exit 4"
    cli.ok(*cli.run_words("create", "--name", "turns", "IMAGE", "sh", "-c", script))
    coming = cli.spawn("wait", "--condition", "next-exit", "turns")
    time.sleep(0.5)
    assert coming.poll() is None
    assert cli.ok("wait", "turns") == "0"  # not running is true already
    cli.ok("start", "turns")
    cli.ok("exec", "turns", "touch", "/tmp/go")
    assert coming.wait(30) == 0
    assert coming.stdout is not None
    assert coming.stdout.read() == b"4\n"
    assert cli.ok("wait", "turns") == "4"
    removed = cli.spawn("wait", "--condition", "removed", "turns")
    time.sleep(0.5)
    assert removed.poll() is None
    cli.ok("rm", "turns")
    assert removed.wait(30) == 0
    refused = cli("wait", "--condition", "tomorrow", "turns")
    assert refused.code == 1
    assert 'invalid condition: "tomorrow"' in refused.err
