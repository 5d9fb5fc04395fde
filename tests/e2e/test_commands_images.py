"""Files and images, from the command line (rows B12, C1-C6)."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile

import pytest

from tests.compat.targets import Cli

AUTHOR = "muyu"
MESSAGE = "修改了默认首页"


def _page(cli: Cli, image: str) -> str:
    return cli.ok("run", "--rm", *cli.run_options, image, "cat", "/page")


def _commit(cli: Cli, *flags: str, image: str = "httpd:v2") -> str:
    cli.ok(*cli.run_words("run", "--name", "webserver", "IMAGE", "sh", "-c", "echo hello >/page; echo x >/etc/x"))
    return cli.ok("commit", *flags, "webserver", image)


def test_C1_commit_keeps_files_author_and_message(cli: Cli):
    made = _commit(cli, "--author", AUTHOR, "--message", MESSAGE)
    assert made.removeprefix("sha256:") == cli.field("httpd:v2", "{{.Id}}").removeprefix("sha256:")
    assert _page(cli, "httpd:v2") == "hello"
    assert cli.field("httpd:v2", "{{.Author}}") == AUTHOR
    assert MESSAGE in cli.ok("history", "--no-trunc", "httpd:v2")


def test_C1_commit_takes_short_flags_and_changes(cli: Cli):
    _commit(cli, "-m=a message", "-a=someone", "-c", 'CMD ["cat", "/page"]', "-c", 'ENV K="v w"', "-c", "WORKDIR /etc")
    assert cli.ok("run", "--rm", *cli.run_options, "httpd:v2") == "hello"
    assert cli.ok("run", "--rm", *cli.run_options, "httpd:v2", "sh", "-c", "echo $K; pwd; cat x") == "v w\n/etc\nx"
    assert cli.field("httpd:v2", "{{.Author}}") == "someone"
    refused = cli("commit", "-c", "FOO x", "webserver", "httpd:v3")
    assert refused.code != 0


def test_B12_history_has_a_row_for_each_layer(cli: Cli):
    _commit(cli, "-m", MESSAGE)
    lines = cli.ok("history", "httpd:v2").splitlines()
    if cli.name == "podman":
        assert lines[0].split()[0] == "ID"
    else:
        assert lines[0].split() == ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    assert len(lines) == 3
    assert MESSAGE in lines[1]
    assert "echo hello" in lines[1]
    assert len(cli.ok("history", "-q", "httpd:v2").splitlines()) == 2


def _tree(path) -> dict[str, tuple[int, str]]:
    found = {}
    for folder, names, files in os.walk(path):
        for name in (*names, *files):
            full = os.path.join(folder, name)
            if os.path.islink(full):
                what = os.readlink(full)
            elif os.path.isfile(full):
                with open(full, "rb") as file:
                    what = hashlib.sha256(file.read()).hexdigest()
            else:
                what = ""
            mode = 0 if os.path.islink(full) else os.lstat(full).st_mode
            found[os.path.relpath(full, path)] = (mode, what)
    return found


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_C2_cp_out_and_in_keep_trees_modes_and_links(cli: Cli, tmp_path, state: str):
    source = tmp_path / "tree"
    (source / "sub").mkdir(parents=True)
    (source / "file").write_bytes(os.urandom(100_000))
    (source / "tool").write_text("#!/bin/sh\n")
    (source / "tool").chmod(0o755)
    (source / "sub" / "link").symlink_to("../file")
    (source / "sub" / "away").symlink_to("/etc/passwd")
    if state == "running":
        cli.start_sleeper("box")
    else:
        cli.ok(*cli.run_words("create", "--name", "box", "IMAGE", "true"))
    cli.ok("cp", str(source), "box:/tmp/")
    cli.ok("cp", "box:/tmp/tree", str(tmp_path / "back"))
    assert _tree(tmp_path / "back") == _tree(source)
    (tmp_path / "existing").mkdir()
    cli.ok("cp", "box:/tmp/tree", str(tmp_path / "existing"))
    assert _tree(tmp_path / "existing" / "tree") == _tree(source)
    cli.ok("cp", "box:/tmp/tree/.", str(tmp_path / "contents"))
    assert _tree(tmp_path / "contents") == _tree(source)


def test_C2_cp_of_one_file_and_of_tar_streams(cli: Cli, tmp_path):
    cli.start_sleeper("box")
    (tmp_path / "one").write_text("one\n")
    cli.ok("cp", str(tmp_path / "one"), "box:/tmp/renamed")
    assert cli.ok("exec", "box", "cat", "/tmp/renamed") == "one"
    cli.ok("cp", "box:/tmp/renamed", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "one\n"
    done = subprocess.run(cli.argv("cp", "box:/tmp/renamed", "-"), capture_output=True, env=cli.env, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        assert tar.getnames() == ["renamed"]
    cli.ok("exec", "box", "mkdir", "/into")
    cli.ok("cp", "-", "box:/into", stdin=done.stdout)
    assert cli.ok("exec", "box", "cat", "/into/renamed") == "one"


def test_C2_cp_out_of_a_root(cli: Cli, tmp_path):
    cli.start_sleeper("box")
    cli.ok("cp", "box:/", str(tmp_path / "root"))
    assert (tmp_path / "root/bin/busybox").is_file()
    assert not os.path.exists(tmp_path / "root/proc/1")


@pytest.mark.parametrize(
    "words",
    [
        ("box:/nonexistent", "/tmp"),
        ("box:/etc/passwd", "/nonexistent/dir/x"),
        ("/nonexistent", "box:/"),
        ("/etc/hostname", "box:/nodir/x"),
        ("/etc", "box:/etc/passwd"),
        ("/etc/hostname", "/tmp/x"),
        ("nosuch:/x", "/tmp"),
    ],
)
def test_C2_cp_refuses_what_can_not_be(cli: Cli, words: tuple[str, str]):
    cli.start_sleeper("box")
    done = cli("cp", *words)
    assert done.code not in (0, 70)
    assert done.err.strip()


def test_C3_an_exported_root_imports_as_one_layer(cli: Cli, tmp_path):
    _commit(cli)
    cli.ok("export", "-o", str(tmp_path / "root.tar"), "webserver")
    made = cli.ok("import", "-c", 'CMD ["cat", "/page"]', "-m", "moved", str(tmp_path / "root.tar"), "moved:1")
    assert made.splitlines()[-1].removeprefix("sha256:") == cli.field("moved:1", "{{.Id}}").removeprefix("sha256:")
    assert len(json.loads(cli.field("moved:1", "{{json .RootFS.Layers}}"))) == 1
    assert cli.ok("run", "--rm", *cli.run_options, "moved:1") == "hello"
    exported = subprocess.run(cli.argv("export", "webserver"), capture_output=True, env=cli.env, check=True).stdout
    cli.ok("import", "-", "moved:2", stdin=exported)
    assert _page(cli, "moved:2") == "hello"


def test_C4_saved_images_load_with_layers_and_names(cli: Cli, tmp_path):
    _commit(cli)
    cli.ok("tag", "httpd:v2", "other/name:3")
    archive = tmp_path / "x.tar"
    cli.ok("save", "-o", str(archive), "httpd:v2", "other/name:3")
    before = cli.field("httpd:v2", "{{.Id}} {{json .RootFS.Layers}}")
    with tarfile.open(archive) as tar:
        assert "manifest.json" in tar.getnames()
    cli.ok("rm", "-f", "webserver")
    cli.ok("rmi", "httpd:v2", "other/name:3")
    assert cli("inspect", "--type", "image", "httpd:v2").code != 0
    loaded = cli.ok("load", "-i", str(archive))
    assert "httpd:v2" in loaded
    assert cli.field("httpd:v2", "{{.Id}} {{json .RootFS.Layers}}") == before
    assert cli.field("other/name:3", "{{.Id}} {{json .RootFS.Layers}}") == before
    assert _page(cli, "httpd:v2") == "hello"


def test_C4_save_and_load_by_pipes(cli: Cli):
    _commit(cli)
    saved = subprocess.run(cli.argv("save", "httpd:v2"), capture_output=True, env=cli.env, check=True).stdout
    cli.ok("rm", "-f", "webserver")
    cli.ok("rmi", "httpd:v2")
    cli.ok("load", stdin=saved)
    assert _page(cli, "httpd:v2") == "hello"


def test_C5_tags_come_and_go_and_used_images_stay(cli: Cli):
    cli.ok("tag", cli.image, "again:1")
    assert cli.ok("images", "-q", "again") == cli.ok("images", "-q", cli.image)
    cli.start_sleeper("box")
    untagged = cli.ok("rmi", "again:1")
    assert "Untagged: " in untagged
    refused = cli("rmi", cli.image)
    assert refused.code != 0
    assert cli.ok("images", "-q", cli.image) != ""
    assert cli("rmi", "nosuch").code != 0
    assert cli("tag", "nosuch", "x:1").code != 0
    assert cli("tag", cli.image, "A B").code != 0


def test_C5_a_forced_rmi_takes_the_name_from_a_used_image(cli: Cli):
    _commit(cli)
    cli.ok("run", "-d", "--name", "box", *cli.run_options, "httpd:v2", "sleep", "1000")
    assert cli("rmi", "httpd:v2").code != 0
    if cli.name != "podman":  # podman removes the container along with it
        cli.ok("rmi", "-f", "httpd:v2")
        assert cli.status("box") == "running"


def test_C6_an_image_is_not_changed_by_its_containers(cli: Cli):
    before = cli.run("--rm", "IMAGE", "sh", "-c", "cat /etc/passwd | sha256sum").out
    cli.run("--rm", "IMAGE", "sh", "-c", "echo x >>/etc/passwd; rm -r /root; echo y >/bin/new")
    assert cli.run("--rm", "IMAGE", "sh", "-c", "cat /etc/passwd | sha256sum").out == before
    assert cli.run("--rm", "IMAGE", "test", "-d", "/root").code == 0
    assert cli.run("--rm", "IMAGE", "test", "-e", "/bin/new").code == 1


def test_dangling_images_are_pruned(cli: Cli):
    _commit(cli, image="httpd:v2")
    cli.ok("rm", "webserver")
    _commit(cli, "-m", "second", image="httpd:v2")
    assert len(cli.ok("images", "-q", "-f", "dangling=true").split()) == 1
    cli.ok("image", "prune", "-f")
    assert cli.ok("images", "-q", "-f", "dangling=true") == ""
    assert _page(cli, "httpd:v2") == "hello"
