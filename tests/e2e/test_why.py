"""Why containers are as they are, from real ones: as a command, and as the console's card."""

from __future__ import annotations

import json

from tests.compat.targets import eventually, opened

GREEDY = "echo eating; a=0123456789abcdef; while :; do a=$a$a; done"


def test_A16_why_tells_ends_with_their_evidence_and_next_step() -> None:
    for cli in opened("wharf"):
        cli.run("-d", "--name", "oomy", "-m", "16m", "IMAGE", "sh", "-c", GREEDY)
        cli.run("-d", "--name", "failed", "IMAGE", "sh", "-c", "cat /nosuchfile; exit 4")
        cli.run("-d", "--name", "missing", "IMAGE", "nosuchprogram")
        cli.run("-d", "--name", "well", "IMAGE", "sh", "-c", "echo hello; exec sleep 600")
        eventually("both have ended", lambda cli=cli: {cli.status("oomy"), cli.status("failed")} == {"exited"})
        told = cli.ok("why", "oomy")
        assert "oomy was OOM-killed at " in told
        assert "(limit 16M): it needed more memory than it may have" in told
        assert "137 = 128 + 9 (SIGKILL)" in told
        assert "eating" in told
        assert "wharf update --memory 32m --memory-swap 64m oomy && wharf start oomy" in told
        told = cli.ok("why", "failed", "missing")
        assert "failed exited 4 at " in told
        assert "“cat: can't open '/nosuchfile': No such file or directory”" in told
        assert "missing failed to start (127): " in told
        assert cli.ok("why", "well").startswith("well runs, and nothing seems wrong with it")
        told = cli.ok("why")
        assert "well" not in told
        assert [name for name in ("oomy", "failed", "missing") if name in told] == ["oomy", "failed", "missing"]
        document = json.loads(cli.ok("why", "--format", "json", "oomy"))
        assert (document["Kind"], document["Name"]) == ("oom", "oomy")
        assert cli.ok("why", "-f", "{{.Kind}}", "failed") == "exit"
        done = cli("why", "nobody")
        assert (done.code, "nobody" in done.err) == (1, True)


def test_A15_why_tells_how_long_a_cpu_limit_held_it_back() -> None:
    for cli in opened("wharf"):
        cli.run("-d", "--name", "busy", "--cpus", "0.1", "IMAGE", "sh", "-c", "while :; do :; done")
        eventually("it is seen", lambda cli=cli: "busy is throttled: for " in cli.ok("why", "busy"))
        told = cli.ok("why", "busy")
        assert "its limit of 0.1 cpus held it back" in told
        assert "wharf update --cpus 0.2 busy" in told
