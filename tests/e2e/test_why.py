"""Why containers are as they are, from real ones: as a command, and as the console's card."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.compat.targets import Cli, eventually, opened


@pytest.fixture
def wharf() -> Iterator[Cli]:
    """No peer has such a command."""
    yield from opened("wharf")


GREEDY = "echo eating; a=0123456789abcdef; while :; do a=$a$a; done"


def test_A16_why_tells_ends_with_their_evidence_and_next_step(wharf: Cli) -> None:
    wharf.run("-d", "--name", "oomy", "-m", "16m", "IMAGE", "sh", "-c", GREEDY)
    wharf.run("-d", "--name", "failed", "IMAGE", "sh", "-c", "cat /nosuchfile; exit 4")
    wharf.run("-d", "--name", "missing", "IMAGE", "nosuchprogram")
    wharf.run("-d", "--name", "well", "IMAGE", "sh", "-c", "echo hello; exec sleep 600")
    eventually("both have ended", lambda: {wharf.status("oomy"), wharf.status("failed")} == {"exited"})
    told = wharf.ok("why", "oomy")
    assert "oomy was OOM-killed at " in told
    assert "(limit 16M): it needed more memory than it may have" in told
    assert "137 = 128 + 9 (SIGKILL)" in told
    assert "eating" in told
    assert "wharf update --memory 32m --memory-swap 64m oomy && wharf start oomy" in told
    told = wharf.ok("why", "failed", "missing")
    assert "failed exited 4 at " in told
    assert "“cat: can't open '/nosuchfile': No such file or directory”" in told
    assert "missing failed to start (127): " in told
    assert wharf.ok("why", "well").startswith("well runs, and nothing seems wrong with it")
    told = wharf.ok("why")
    assert "well" not in told
    assert [name for name in ("oomy", "failed", "missing") if name in told] == ["oomy", "failed", "missing"]
    document = json.loads(wharf.ok("why", "--format", "json", "oomy"))
    assert (document["Kind"], document["Name"]) == ("oom", "oomy")
    assert wharf.ok("why", "-f", "{{.Kind}}", "failed") == "exit"
    done = wharf("why", "nobody")
    assert (done.code, "nobody" in done.err) == (1, True)


def test_A15_why_tells_how_long_a_cpu_limit_held_it_back(wharf: Cli) -> None:
    wharf.run("-d", "--name", "busy", "--cpus", "0.1", "IMAGE", "sh", "-c", "while :; do :; done")
    eventually("it is seen", lambda: "busy is throttled: for " in wharf.ok("why", "busy"))
    told = wharf.ok("why", "busy")
    assert "its limit of 0.1 cpus held it back" in told
    assert "wharf update --cpus 0.2 busy" in told


def test_A16_the_next_step_of_why_is_a_command_that_helps(wharf: Cli) -> None:
    wharf.run("-d", "--name", "oomy", "-m", "16m", "IMAGE", "sh", "-c", GREEDY)
    eventually("it has ended", lambda: wharf.status("oomy") == "exited")
    step = json.loads(wharf.ok("why", "--format", "json", "oomy"))["Next"][0]["Command"]
    for command in step.split(" && "):
        wharf.ok(*command.removeprefix("wharf ").split())
    assert wharf.ok("inspect", "--format", "{{.HostConfig.Memory}}", "oomy") == str(32 * 1024**2)
