"""Taking away what nobody uses, and what that is worth (rows B10, C9), from the command line."""

from __future__ import annotations

import re

import pytest

from tests.compat.targets import Cli


def _create(cli: Cli, name: str, *options: str) -> None:
    cli.ok(*cli.run_words("create", "--name", name, *options, "IMAGE", "true"))


def _names(cli: Cli) -> list[str]:
    return sorted(cli.ok("ps", "-a", "--format", "{{.Names}}").split())


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        (["label=keep"], ["plain"]),
        (["label=keep=no"], ["plain", "tagged"]),
        (["label!=keep"], ["other", "tagged"]),
        (["label!=keep=yes"], ["tagged"]),
        (["until=24h"], ["other", "plain", "tagged"]),
        (["until=2000-01-01"], ["other", "plain", "tagged"]),
        ([], []),
    ],
)
def test_containers_are_pruned_by_filter(cli: Cli, filters: list[str], left: list[str]):
    _create(cli, "plain")
    _create(cli, "tagged", "--label", "keep=yes")
    _create(cli, "other", "--label", "keep=no")
    out = cli.ok("container", "prune", "-f", *(f"--filter={text}" for text in filters))
    assert _names(cli) == left
    assert cli.name == "podman" or "Total reclaimed space" in out  # podman says ids only


def test_a_running_container_and_its_image_and_volume_survive_every_prune(cli: Cli):
    cli.start_sleeper("box", "-v", "used:/data")
    _create(cli, "idle", "-v", "/anonymous")
    cli.ok("system", "prune", "-f", "-a", "--volumes")
    assert _names(cli) == ["box"]
    assert cli.ok("volume", "ls", "-q").split() == ["used"]
    assert cli.ok("images", "-q", cli.image)


def test_nothing_is_pruned_without_a_yes(cli: Cli):
    _create(cli, "idle")
    for stdin in (b"", b"n\n", b"maybe\n"):
        for words in (("container", "prune"), ("system", "prune")):
            done = cli(*words, stdin=stdin)
            assert "WARNING! This" in done.out
    assert _names(cli) == ["idle"]
    cli.ok("container", "prune", stdin=b"y\n")
    assert _names(cli) == []


def test_C9_many_unused_volumes_are_found_and_freed(cli: Cli):
    for number in range(5):
        cli.ok("volume", "create", "--label", f"n={number}", f"mongo{number}")
    cli.run("--rm", "-v", "mongo0:/data", "IMAGE", "sh", "-c", "head -c 1000000 /dev/zero >/data/db")
    cli.start_sleeper("box", "-v", "mongo1:/data")
    dangling = cli.ok("volume", "ls", "-q", "-f", "dangling=true").split()
    assert sorted(dangling) == ["mongo0", "mongo2", "mongo3", "mongo4"]
    everything = [] if cli.name in ("docker", "podman") else ["-a"]  # these two are older than the flag
    out = cli.ok("volume", "prune", "-f", *everything, "--filter", "label=n=0")
    assert "mongo0" in out
    assert cli.name == "podman" or re.search(r"Total reclaimed space: 1(\.0+)?MB", out), out
    cli.ok("volume", "prune", "-f", *everything)
    assert cli.ok("volume", "ls", "-q").split() == ["mongo1"]


def test_B10_df_counts_images_containers_and_volumes(cli: Cli):
    cli.start_sleeper("box", "-v", "site:/data")
    cli.ok("exec", "box", "sh", "-c", "head -c 3000000 /dev/zero >/big; head -c 2000000 /dev/zero >/data/page")
    rows = {}
    for line in cli.ok("system", "df", "--format", "{{.Type}}|{{.Active}}|{{.Size}}|{{.Reclaimable}}").splitlines():
        kind, *cells = line.split("|")
        rows[kind] = cells
    assert rows["Images"][0] == "1"
    assert rows["Containers"][:2] == ["1", "3MB"]
    assert rows["Containers"][2].startswith("0B")
    assert rows["Local Volumes"][:2] == ["1", "2MB"]
    cli.ok("kill", "box")
    assert "3MB (100%)" in cli.ok("system", "df")


def test_unknown_and_misspelt_filters_are_refused(cli: Cli):
    _create(cli, "idle")
    for words in (("container", "prune"), ("image", "prune"), ("volume", "prune"), ("system", "prune")):
        assert cli(*words, "-f", "--filter", "colour=red").code != 0
    assert cli("container", "prune", "-f", "--filter", "until=yesterday").code != 0
    assert _names(cli) == ["idle"]
