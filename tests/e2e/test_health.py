"""Health checks: states, answers, events and words as docker's, asked by the container's monitor."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.compat.targets import Cli, eventually

QUICK = ("--health-interval", "200ms", "--health-timeout", "2s", "--health-retries", "2")


def health(cli: Cli, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cli.field(name, "{{json .State.Health}}"))
    return found


def start(cli: Cli, name: str, *options: str, command: tuple[str, ...] = ("sleep", "1000")) -> None:
    cli.ok(*cli.run_words("run", "-d", "--name", name, *options, "IMAGE", *command))


def awaited(cli: Cli, name: str, status: str) -> None:
    eventually(f"{name} to be {status}", lambda: health(cli, name)["Status"] == status)


def test_health_goes_from_starting_to_healthy_to_unhealthy_and_back(cli: Cli) -> None:
    since = f"{time.time():.9f}"
    start(cli, "patient", *QUICK, "--health-cmd", "echo looked; test -e /tmp/well")
    first = health(cli, "patient")
    assert first["Status"] in ("starting", "unhealthy")
    awaited(cli, "patient", "unhealthy")
    assert health(cli, "patient")["FailingStreak"] >= 2
    assert "(unhealthy)" in cli.ok("ps", "--format", "{{.Status}}", "-f", "name=patient")
    cli.ok("exec", "patient", "touch", "/tmp/well")
    awaited(cli, "patient", "healthy")
    found = health(cli, "patient")
    assert found["FailingStreak"] == 0
    assert (found["Log"][-1]["ExitCode"], found["Log"][-1]["Output"]) == (0, "looked\n")
    assert found["Log"][-1]["Start"] < found["Log"][-1]["End"]
    assert "(healthy)" in cli.ok("ps", "--format", "{{.Status}}", "-f", "name=patient")
    assert cli.ok("ps", "-q", "-f", "health=healthy")
    assert not cli.ok("ps", "-q", "-f", "health=unhealthy")
    assert not cli.ok("ps", "-q", "-f", "health=none")
    eventually("five answers", lambda: len(health(cli, "patient")["Log"]) == 5)
    events = cli.ok(
        *("events", "--since", since, "--until", f"{time.time():.9f}", "--filter", "event=health_status"),
        *("--format", "{{.Action}} {{.Actor.Attributes.name}}"),
    )
    assert events.splitlines()[:2] == ["health_status: unhealthy patient", "health_status: healthy patient"]
    asked = cli.ok(
        *("events", "--since", since, "--until", f"{time.time():.9f}", "--filter", "event=exec_create"),
        *("--format", "{{.Action}}"),
    )
    assert "exec_create: /bin/sh -c echo looked; test -e /tmp/well" in asked.splitlines()
    cli.ok("kill", "patient")
    cli.ok("wait", "patient")
    assert health(cli, "patient")["Status"] == "unhealthy"  # as docker has it for what does not run


def test_health_check_that_takes_too_long_is_ended_with_its_children(cli: Cli) -> None:
    start(
        cli,
        "slow",
        *("--health-interval", "200ms", "--health-timeout", "300ms", "--health-retries", "1"),
        *("--health-cmd", "sleep 1234 & sleep 1234; echo never"),
    )
    awaited(cli, "slow", "unhealthy")
    answer = health(cli, "slow")["Log"][-1]
    assert answer["ExitCode"] == -1
    assert answer["Output"].startswith("Health check exceeded timeout (300ms)")
    if cli.name == "wharf":  # docker leaves children running
        cli.ok("pause", "slow")
        time.sleep(0.6)
        assert (
            cli.ok("top", "slow", "-o", "pid,args").count("sleep 1234") <= 4
        )  # one probe, whose own line has it twice


def test_health_output_is_cut_at_4096_bytes(cli: Cli) -> None:
    start(cli, "wordy", *QUICK, "--health-cmd", "yes | head -c 5000")
    awaited(cli, "wordy", "healthy")
    output = health(cli, "wordy")["Log"][-1]["Output"]
    assert output == "y\n" * 2048 + "..."


def test_health_failures_in_the_start_period_do_not_count(cli: Cli) -> None:
    start(cli, "growing", "--health-cmd", "test -e /tmp/grown", *QUICK, "--health-start-period", "1h")
    if cli.name == "wharf":  # an old dockerd knows no start interval
        assert health(cli, "growing")["Status"] == "starting"
    start(
        cli,
        "grown",
        *("--health-cmd", "exit 0", "--health-interval", "1h", "--health-start-period", "1m"),
        *(("--health-start-interval", "100ms") if cli.name == "wharf" else ("--health-interval", "100ms")),
    )
    awaited(cli, "grown", "healthy")
    eventually("failures", lambda: cli.name != "wharf" or health(cli, "growing")["FailingStreak"] == 0)
    assert health(cli, "growing")["Status"] == "starting"


def test_health_of_an_image_is_taken_changed_and_switched_off(cli: Cli) -> None:
    cli.ok(*cli.run_words("create", "--name", "base", "IMAGE", "sleep", "1000"))
    change = 'HEALTHCHECK --interval=200ms --retries=1 --timeout=2s CMD ["test", "-e", "/tmp/x"]'
    cli.ok("commit", "--change", change, "base", "checked:1")
    wanted = {"Test": ["CMD", "test", "-e", "/tmp/x"], "Interval": 200000000, "Timeout": 2000000000, "Retries": 1}
    assert json.loads(cli.ok("inspect", "--format", "{{json .Config.Healthcheck}}", "checked:1")) == wanted
    cli.ok("run", "-d", *cli.run_options, "--name", "as-image", "checked:1", "sleep", "1000")
    awaited(cli, "as-image", "unhealthy")
    cli.ok("run", "-d", *cli.run_options, "--name", "other", "--health-cmd", "true", "checked:1", "sleep", "1000")
    awaited(cli, "other", "healthy")
    merged = {**wanted, "Test": ["CMD-SHELL", "true"]}
    assert json.loads(cli.field("other", "{{json .Config.Healthcheck}}")) == merged
    cli.ok("run", "-d", *cli.run_options, "--name", "off", "--no-healthcheck", "checked:1", "sleep", "1000")
    assert cli.field("off", "{{json .Config.Healthcheck.Test}}") == '["NONE"]'
    assert cli.field("off", "{{.State.Status}}") == "running"
    assert "(" not in cli.ok("ps", "--format", "{{.Status}}", "-f", "name=off")


def test_health_flags_that_contradict_are_refused(cli: Cli) -> None:
    for words, message in (
        (("--health-retries", "-1"), "--health-retries cannot be negative"),
        (("--health-interval", "-1s", "--health-cmd", "x"), "--health-interval cannot be negative"),
        (("--health-cmd", "x", "--no-healthcheck"), "--no-healthcheck conflicts with --health-* options"),
        (("--health-interval", "1us", "--health-cmd", "x"), "Interval in Healthcheck cannot be less than 1ms"),
    ):
        refused = cli.run("--rm", *words, "IMAGE", "true")
        assert refused.code == 125
        assert message in refused.err


def test_health_is_not_asked_of_a_paused_container(cli: Cli) -> None:
    start(cli, "resting", *QUICK, "--health-cmd", "true")
    awaited(cli, "resting", "healthy")
    cli.ok("pause", "resting")
    time.sleep(0.3)
    before = health(cli, "resting")["Log"]
    time.sleep(1.0)
    assert health(cli, "resting")["Log"] == before
    assert "(Paused)" in cli.ok("ps", "--format", "{{.Status}}", "-f", "name=resting")
    cli.ok("unpause", "resting")
    eventually("another answer", lambda: health(cli, "resting")["Log"] != before)


def test_health_check_that_can_not_be_executed_is_a_failure(cli: Cli) -> None:
    cli.ok(*cli.run_words("create", "--name", "base", "IMAGE", "sleep", "1000"))
    cli.ok("commit", "--change", 'HEALTHCHECK --interval=200ms --retries=1 CMD ["/no/such/program"]', "base", "wrong:1")
    cli.ok("run", "-d", *cli.run_options, "--name", "wrong", "wrong:1", "sleep", "1000")
    awaited(cli, "wrong", "unhealthy")
    answer = health(cli, "wrong")["Log"][-1]
    assert answer["ExitCode"] != 0
    assert "/no/such/program" in answer["Output"]
    assert cli.status("wrong") == "running"
