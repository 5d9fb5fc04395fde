"""Events: types, actions, attributes and order as docker's, one life after another, seen by another process."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.compat.targets import Cli


def watched(cli: Cli, since: str, *more: str) -> list[dict[str, Any]]:
    """What was kept since a moment."""
    out = cli.ok("events", "--since", since, "--until", now(), "--format", "json", *more)
    return [json.loads(line) for line in out.splitlines()]


def named(events: list[dict[str, Any]]) -> list[str]:
    """Type and action, networks left out: not every target has them."""
    return [f"{e['Type']} {e['Action']}" for e in events if e["Type"] != "network"]


def now() -> str:
    return f"{time.time():.9f}"


def test_B6_a_run_in_the_foreground_tells_its_life_in_order(cli: Cli) -> None:
    since = now()
    cli.ok(*cli.run_words("run", "--name", "first", "-l", "colour=red", "IMAGE", "sh", "-c", "exit 0"))
    events = watched(cli, since)
    assert named(events) == ["container create", "container attach", "container start", "container die"]
    last = events[-1]["Actor"]["Attributes"] if events[-1]["Type"] == "container" else events[-2]["Actor"]["Attributes"]
    assert (last["name"], last["exitCode"], last["colour"]) == ("first", "0", "red")
    assert last["image"] == cli.image
    assert len(events[0]["Actor"]["ID"]) == 64
    assert [e["timeNano"] for e in events] == sorted(e["timeNano"] for e in events)


def test_B6_volumes_are_told_around_a_life_and_a_stop_names_its_signals(cli: Cli) -> None:
    since = now()
    script = "trap 'exit 3' TERM; while :; do sleep 0.1; done"
    cli.ok(*cli.run_words("run", "-d", "--name", "voluble", "-v", "kept:/kept:ro", "IMAGE", "sh", "-c", script))
    time.sleep(0.3)  # until the trap is set
    cli.ok("stop", "voluble")
    cli.ok("rm", "-v", "voluble")
    events = watched(cli, since)
    assert named(events) == [
        "volume create",
        "container create",
        "volume mount",
        "container start",
        "container kill",
        "container die",
        "volume unmount",
        "container stop",
        "container destroy",
    ]
    mounted = next(e["Actor"] for e in events if e["Action"] == "mount")
    assert mounted["ID"] == "kept"
    assert (mounted["Attributes"]["destination"], mounted["Attributes"]["read/write"]) == ("/kept", "false")
    assert next(e for e in events if e["Action"] == "kill")["Actor"]["Attributes"]["signal"] == "15"
    assert next(e for e in events if e["Action"] == "die")["Actor"]["Attributes"]["exitCode"] == "3"


def test_B6_what_is_done_to_a_running_container_is_told(cli: Cli, tmp_path: Any) -> None:
    cli.start_sleeper("busy")
    (tmp_path / "file").write_text("x")
    since = now()
    cli.ok("exec", "busy", "echo", "inside")
    cli.ok("pause", "busy")
    cli.ok("unpause", "busy")
    cli.ok("rename", "busy", "renamed")
    cli.ok("top", "renamed")
    cli.ok("kill", "-s", "WINCH", "renamed")
    cli.ok("cp", str(tmp_path / "file"), "renamed:/tmp/file")
    cli.ok("cp", "renamed:/tmp/file", str(tmp_path / "back"))
    cli.ok("export", "-o", str(tmp_path / "tar"), "renamed")
    cli.ok("restart", "-t", "0", "renamed")
    events = watched(cli, since)
    told = [name for name in named(events) if name != "container kill"]  # as many as its end needed
    assert told == [
        "container exec_create: echo inside",
        "container exec_start: echo inside",
        "container exec_die",
        "container pause",
        "container unpause",
        "container rename",
        "container top",
        "container extract-to-dir",
        "container archive-path",
        "container export",
        "container die",
        "container stop",
        "container start",
        "container restart",
    ]
    assert next(e["Actor"]["Attributes"]["signal"] for e in events if e["Action"] == "kill") == "28"
    ids = {e["Actor"]["Attributes"]["execID"] for e in events if e["Action"].startswith("exec_")}
    assert len(ids) == 1
    assert len(ids.pop()) == 64
    renamed = next(e for e in events if e["Action"] == "rename")["Actor"]["Attributes"]
    assert (renamed["name"], renamed["oldName"]) == ("renamed", "/busy")


def test_B6_images_and_commits_are_told(cli: Cli, tmp_path: Any) -> None:
    cli.start_sleeper("source")
    since = now()
    image = cli.ok("commit", "-m", "why", "source", "made:1")
    cli.ok("tag", "made:1", "made:2")
    cli.ok("save", "-o", str(tmp_path / "tar"), "made:1")
    cli.ok("rmi", "made:1")
    cli.ok("rmi", "made:2")
    cli.ok("load", "-i", str(tmp_path / "tar"))
    events = watched(cli, since, "--filter", "type=image")
    assert [e["Action"] for e in events] == ["tag", "tag", "save", "untag", "untag", "delete", "load"]
    assert {e["Actor"]["ID"] for e in events} == {image}
    commit = watched(cli, since, "--filter", "event=commit")[0]["Actor"]["Attributes"]
    assert (commit["comment"], commit["imageID"], commit["imageRef"]) == ("why", image, "made:1")
    paused = [e["Action"] for e in watched(cli, since, "--filter", "type=container")]
    assert paused.count("pause") == paused.count("unpause") == 1


def test_B6_filters_choose_as_dockers_do(cli: Cli) -> None:
    since = now()
    cli.ok(*cli.run_words("run", "--name", "one-of-two", "-l", "side=left", "IMAGE", "true"))
    cli.ok(*cli.run_words("run", "--name", "two-of-two", "-l", "side=right", "IMAGE", "true"))

    def actions(*filters: str) -> list[str]:
        words = [word for text in filters for word in ("--filter", text)]
        events = watched(cli, since, *words, "--filter", "type=container")
        return [f"{e['Actor']['Attributes']['name'][:3]} {e['Action']}" for e in events]

    assert actions("event=die") == ["one die", "two die"]
    assert actions("event=die", "event=start", "container=one-of-two") == ["one start", "one die"]
    assert actions("event=die", "label=side=right") == ["two die"]
    assert actions("event=die", "label=side", "label=side=left") == ["one die"]
    assert actions("event=die", f"image={cli.image}") == ["one die", "two die"]
    assert actions("event=die", f"image={cli.image.rpartition(':')[0]}") == ["one die", "two die"]
    assert actions("event=die", "image=another") == []
    assert actions("event=die", "scope=swarm") == []
    assert actions("event=die", "daemon=x") == []
    cli.start_sleeper("checked")
    cli.ok("exec", "checked", "true")
    assert [e["Action"] for e in watched(cli, since, "--filter", "event=exec_start")] == ["exec_start: true "]


def test_B6_following_sees_what_other_processes_do_and_until_ends_it(cli: Cli) -> None:
    follower = cli.spawn(
        "events", "--filter", "type=container", "--format", "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}"
    )
    assert follower.stdout is not None
    time.sleep(1.0)  # it tells of no past, and can't say when it begins
    cli.ok(*cli.run_words("run", "-d", "--name", "followed", "IMAGE", "true"))
    assert [follower.stdout.readline().decode().strip() for _ in range(3)] == [
        "container create followed",
        "container start followed",
        "container die followed",
    ]
    ending = cli.spawn("events", "--until", f"{time.time() + 1.5:.3f}", "--since", "0s")
    assert ending.wait(timeout=30) == 0
    refused = cli("events", "--since", "nonsense", "--until", "0s")
    assert refused.code == 1
    assert 'failed to parse value as time or duration: "nonsense"' in refused.err


def test_B6_a_line_is_laid_out_as_dockers(cli: Cli) -> None:
    since = now()
    container = cli.ok(*cli.run_words("create", "--name", "laid-out", "-l", "a=1", "IMAGE", "true"))
    line = cli.ok("events", "--since", since, "--until", now())
    stamp, rest = line.split(" ", 1)
    assert rest == f"container create {container} (a=1, image={cli.image}, name=laid-out)"
    assert len(stamp) >= len("2026-11-21T07:44:29.190782539Z")
    document = watched(cli, since)[0]
    assert list(document) == ["status", "id", "from", "Type", "Action", "Actor", "scope", "time", "timeNano"]
    assert document["scope"] == "local"
