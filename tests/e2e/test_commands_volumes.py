"""Volumes and binds, from the command line (rows F1, F2, F4)."""

from __future__ import annotations

import json
import re

import pytest

from tests.compat.targets import Cli


def test_F1_binds_of_directories_and_files(cli: Cli, tmp_path):
    (tmp_path / "dir").mkdir()
    (tmp_path / "redis.conf").write_text("appendonly yes\n")
    script = "cat /etc/redis.conf; echo in >/data/in; echo x >>/etc/redis.conf; echo y >/fixed/y"
    done = cli.run(
        *("--rm", "-v", f"{tmp_path}/dir:/data", "-v", f"{tmp_path}/redis.conf:/etc/redis.conf:rw"),
        *("-v", f"{tmp_path}/dir:/fixed:ro", "IMAGE", "sh", "-c", script),
    )
    assert done.out == "appendonly yes\n"
    assert "ead-only file system" in done.err
    assert (tmp_path / "dir/in").read_text() == "in\n"
    assert (tmp_path / "redis.conf").read_text() == "appendonly yes\nx\n"
    assert not (tmp_path / "dir/y").exists()


def test_F1_edits_on_the_host_are_seen_by_the_next_start(cli: Cli, tmp_path):
    (tmp_path / "page").write_text("one\n")
    cli.ok(*cli.run_words("create", "--name", "box", "-v", f"{tmp_path}:/www", "IMAGE", "cat", "/www/page"))
    assert cli("start", "-a", "box").out == "one\n"
    (tmp_path / "page").write_text("two\n")
    assert cli("start", "-a", "box").out == "two\n"


def test_F1_a_missing_directory_is_made_by_v_and_refused_by_mount(cli: Cli, tmp_path):
    cli.run("--rm", "-v", f"{tmp_path}/made:/x", "IMAGE", "true")
    if cli.name != "podman":  # podman makes none
        assert (tmp_path / "made").is_dir()
    refused = cli.run("--rm", "--mount", f"type=bind,src={tmp_path}/not,dst=/x", "IMAGE", "true")
    assert refused.code == 125
    assert "not" in refused.err


def test_F1_a_relative_target_is_refused_and_a_root_bind_works(cli: Cli):
    refused = cli.run("--rm", "-v", "/:rootfs:ro", "IMAGE", "true")
    assert refused.code == 125
    if cli.name != "podman":
        assert "invalid mount path: 'rootfs' mount path must be absolute" in refused.err
    assert cli.run("--rm", "--volume=/:/rootfs:ro", "IMAGE", "test", "-d", "/rootfs/etc").code == 0


def test_F2_an_images_volume_is_anonymous_and_written_through(cli: Cli):
    cli.ok(*cli.run_words("run", "--name", "maker", "IMAGE", "sh", "-c", "mkdir /data; echo seeded >/data/seed"))
    cli.ok("commit", "-c", "VOLUME /data", "maker", "withvolume:1")
    cli.ok("run", "--name", "box", *cli.run_options, "withvolume:1", "sh", "-c", "cat /data/seed; echo x >/data/x")
    assert cli.ok("logs", "box") == "seeded"
    mount = json.loads(cli.field("box", "{{json .Mounts}}"))[0]
    assert re.fullmatch(r"[0-9a-f]{64}", mount["Name"])
    assert mount["RW"] is True
    assert mount["Source"].endswith(f"/volumes/{mount['Name']}/_data")
    with open(f"{mount['Source']}/x") as file:
        assert file.read() == "x\n"
    cli.ok("rm", "-v", "box")
    assert mount["Name"] not in cli.ok("volume", "ls", "-q").split()


def test_F4_named_volumes_outlive_containers(cli: Cli):
    assert cli.ok("volume", "create", "data", "--label", "k=v") == "data"
    assert cli.run("--rm", "-v", "data:/data", "IMAGE", "sh", "-c", "echo kept >/data/x").code == 0
    assert cli.run("--rm", "-v", "data:/other:ro", "IMAGE", "cat", "/other/x").out == "kept\n"
    assert cli.ok("volume", "ls", "-q", "--filter", "label=k=v") == "data"
    assert cli.ok("volume", "inspect", "--format", "{{.Name}} {{.Driver}}", "data") == "data local"
    assert cli.ok("volume", "rm", "data") == "data"
    assert cli("volume", "inspect", "data").code != 0


def test_F4_a_volume_in_use_is_not_removed(cli: Cli):
    cli.start_sleeper("box", "-v", "data:/data")
    refused = cli("volume", "rm", "data")
    assert refused.code != 0
    assert "in use" in refused.err or "being used" in refused.err
    assert cli.ok("volume", "ls", "-q", "-f", "dangling=true") == ""
    cli.ok("rm", "-f", "box")
    assert cli.ok("volume", "ls", "-q", "-f", "dangling=true") == "data"
    assert cli("volume", "prune", "-f").code == 0


def test_F4_first_use_copies_what_the_image_has_there(cli: Cli):
    listed = cli.run("--rm", "-v", "copied:/etc", "IMAGE", "cat", "/etc/passwd").out
    assert listed.startswith("root:")
    assert cli.run("--rm", "-v", "copied:/x", "IMAGE", "cat", "/x/passwd").out == listed
    assert cli.run("--rm", "-v", "bare:/etc:nocopy", "IMAGE", "test", "-e", "/etc/passwd").code == 1


@pytest.mark.parametrize("name", ["a/b", "../x", "-x", "x y", ""])
def test_F4_bad_volume_names_are_refused(cli: Cli, name: str):
    if name == "":
        assert re.fullmatch(r"[0-9a-f]{64}", cli.ok("volume", "create"))
        return
    assert cli("volume", "create", "--", name).code != 0
    assert cli.ok("volume", "ls", "-q") == ""
