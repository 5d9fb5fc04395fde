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


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("foo=bar",), 'create vol: invalid option: "foo"'),
        (("type=tmpfs",), 'create vol: missing required option: "device"'),
        (("device=/x",), 'create vol: missing required option: "type"'),
        (("size=10m",), "create vol: quota size requested but no quota support"),
    ],
)
def test_F4_wrong_options_of_a_volume(cli: Cli, options: tuple[str, ...], words: str):
    flags = [word for option in options for word in ("--opt", option)]
    refused = cli("volume", "create", *flags, "vol")
    assert refused.code != 0
    if cli.name != "podman":  # podman finds out when it mounts
        assert words in refused.err
    assert cli.ok("volume", "ls", "-q") == ""


def test_F4_a_volume_in_memory_is_a_mount_of_its_own(cli: Cli):
    cli.ok("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,uid=1000", "memory")
    shown = cli.run("--rm", "-v", "memory:/m", "IMAGE", "grep", " /m ", "/proc/mounts").out
    assert shown.startswith("tmpfs /m tmpfs rw")
    assert "size=1024k" in shown
    assert "uid=1000" in shown
    options = json.loads(cli.ok("volume", "inspect", "--format", "{{json .Options}}", "memory"))
    assert options == {"device": "tmpfs", "o": "size=1m,uid=1000", "type": "tmpfs"}
    cli.start_sleeper("one", "-v", "memory:/m")
    cli.ok("exec", "one", "sh", "-c", "echo shared >/m/file")
    assert cli.run("--rm", "-v", "memory:/m:ro", "IMAGE", "cat", "/m/file").out == "shared\n"


def test_F4_a_volume_that_can_not_be_mounted(cli: Cli, tmp_path):
    cli.ok("volume", "create", "-o", "type=none", "-o", f"device={tmp_path}/no", "-o", "o=bind", "lost")
    refused = cli.run("--rm", "-v", "lost:/x", "IMAGE", "true")
    assert refused.code in (125, 126)  # podman
    assert "no such file or directory" in refused.err.lower()
    if cli.name != "podman":
        assert refused.code == 125
        assert f"failed to mount local volume: mount {tmp_path}/no:" in refused.err
        assert "/volumes/lost/_data, flags: 0x1000: no such file or directory" in refused.err


def test_F4_a_mount_makes_a_volume_with_options(cli: Cli):
    if cli.name == "podman":
        pytest.skip("podman reads volume-opt otherwise")
    mount = "type=volume,src=made,dst=/x,volume-opt=type=tmpfs,volume-opt=device=tmpfs,volume-label=a=b"
    assert cli.run("--rm", "--mount", mount, "IMAGE", "grep", "-c", " /x tmpfs", "/proc/mounts").out == "1\n"
    assert cli.ok("volume", "inspect", "--format", "{{.Options.type}} {{.Labels.a}}", "made") == "tmpfs b"


def test_C2_cp_says_what_is_read_only(cli: Cli, tmp_path):
    (tmp_path / "file").write_text("x")
    cli.ok(*cli.run_words("create", "--name", "box", "--read-only", "-v", "vol:/v:ro", "-v", "rw:/w", "IMAGE", "true"))
    for place, words in (("/v/", "mounted volume is marked read-only"), ("/", "container rootfs is marked read-only")):
        refused = cli("cp", f"{tmp_path}/file", f"box:{place}")
        if cli.name != "podman":  # podman copies
            assert refused.code == 1
            assert words in refused.err
    cli.ok("cp", f"{tmp_path}/file", "box:/w/")
    cli.ok("cp", "box:/w/file", f"{tmp_path}/back")
    assert (tmp_path / "back").read_text() == "x"


def test_F4_archives_of_volumes_go_out_and_come_in(cli: Cli, tmp_path):
    if cli.name == "docker":
        pytest.skip("docker has no such command")
    cli.run("--rm", "-v", "data:/d", "IMAGE", "sh", "-c", "echo kept >/d/x; chown 5:6 /d/x; ln -s x /d/l")
    cli.ok("volume", "export", "-o", f"{tmp_path}/data.tar", "data")
    if cli.name == "podman":
        cli.ok("volume", "create", "copy")
    cli.ok("volume", "import", "copy", f"{tmp_path}/data.tar")
    assert cli.run("--rm", "-v", "copy:/d", "IMAGE", "sh", "-c", "cat /d/l; stat -c %u:%g /d/x").out == "kept\n5:6\n"


def test_F4_backups_of_volumes(cli: Cli, tmp_path):
    if cli.name != "wharf":
        pytest.skip("a command of our own")
    cli.start_sleeper("writer", "-v", "data:/d")
    cli.ok("exec", "writer", "sh", "-c", "echo kept >/d/x")
    cli.ok("volume", "create", "empty")
    paths = cli.ok("volume", "backup", "--all", "--gzip", "-o", str(tmp_path)).split()
    assert [re.sub(r"-\d{8}T\d{6}Z", "", path) for path in paths] == [
        f"{tmp_path}/data.tar.gz",
        f"{tmp_path}/empty.tar.gz",
    ]
    assert cli.status("writer") == "running"
    assert cli.ok("volume", "import", "back", paths[0]) == "back"
    assert cli.run("--rm", "-v", "back:/d", "IMAGE", "cat", "/d/x").out == "kept\n"
    assert cli("volume", "import", "broken", "/dev/null").code != 0
    assert "broken" not in cli.ok("volume", "ls", "-q").split()
    for words in (("backup",), ("backup", "--all", "data"), ("backup", "-o", "/no/such", "data"), ("backup", "nope")):
        refused = cli("volume", *words)
        assert refused.code != 0
        assert "Traceback" not in refused.err
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.rpartition("/")[2] for path in paths)


def test_F4_labels_of_a_volume_are_updated(cli: Cli):
    if cli.name != "wharf":
        pytest.skip("labels can't be changed there")
    cli.ok("volume", "create", "--label", "a=1", "vol")
    assert cli.ok("volume", "update", "--label-add", "b=2", "--label-rm", "a", "vol") == "vol"
    assert cli.ok("volume", "ls", "-q", "--filter", "label=b=2") == "vol"
    assert cli.ok("volume", "ls", "-q", "--filter", "label=a") == ""
    assert "can only update cluster volumes" in cli("volume", "update", "--availability", "drain", "vol").err
    assert "nothing to update" in cli("volume", "update", "vol").err
    assert "no such volume" in cli("volume", "update", "--label-add", "a", "nope").err


def test_C9_prune_of_all_by_a_filter(cli: Cli):
    if cli.name != "wharf":
        pytest.skip("a filter of newer dockers")
    cli.ok("volume", "create", "named")
    assert "named" not in cli.ok("volume", "prune", "-f")
    assert "named" in cli.ok("volume", "prune", "-f", "--filter", "all=1")
