"""Wrong input from the command line: a sentence that names the object, the right code, nothing left behind."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.compat.targets import Cli

RUN_REFUSALS = [
    (["nosuch", "true"], "nosuch"),
    (["BAD", "true"], "BAD"),
    (["--name", "!", "IMAGE", "true"], "!"),
    (["-m", "1m", "IMAGE", "true"], "memory"),
    (["-m", "zz", "IMAGE", "true"], "zz"),
    (["--memory-swap", "32m", "-m", "64m", "IMAGE", "true"], "memory"),
    (["--cpus", "99999", "IMAGE", "true"], "CPU"),
    (["--cpuset-cpus", "9999", "IMAGE", "true"], "9999"),
    (["--cpuset-cpus", "x", "IMAGE", "true"], "x"),
    (["-u", "nouser", "IMAGE", "true"], "nouser"),
    (["-w", "rel", "IMAGE", "true"], "rel"),
    (["-v", ":/x", "IMAGE", "true"], ":/x"),
    (["-v", "a:/x:zz", "IMAGE", "true"], "zz"),
    (["-v", "a/b:/x", "IMAGE", "true"], "a/b"),
    (["-e", "=x", "IMAGE", "true"], "=x"),
    (["--cap-add", "FOO", "IMAGE", "true"], "FOO"),
    (["--tmpfs", "rel", "IMAGE", "true"], "rel"),
    (["--nonsense", "IMAGE", "true"], "nonsense"),
    (["--env-file", "/nonexistent", "IMAGE", "true"], "/nonexistent"),
    (["--stop-signal", "FOO", "IMAGE", "true"], "FOO"),
]


@pytest.mark.parametrize(("words", "named"), RUN_REFUSALS, ids=[" ".join(words[:2]) for words, _ in RUN_REFUSALS])
def test_run_refuses_with_125_and_names_what_is_wrong(cli: Cli, words: list[str], named: str):
    if cli.name == "podman":
        pytest.skip("podman has rules and words of its own")
    done = cli("run", "--pull=never", "--rm", *cli.run_words("", *words)[1:])
    assert done.code == 125
    assert named.lower() in done.err.lower()
    assert "Traceback" not in done.err
    assert done.out == ""
    assert cli.ok("ps", "-aq") == ""
    assert cli.ok("volume", "ls", "-q") == ""


@pytest.mark.parametrize(
    "words",
    [
        *(["rm", "nosuch"], ["start", "nosuch"], ["stop", "nosuch"], ["kill", "nosuch"], ["restart", "nosuch"]),
        *(["pause", "nosuch"], ["unpause", "nosuch"], ["rename", "nosuch", "other"], ["wait", "nosuch"]),
        *(["attach", "nosuch"], ["exec", "nosuch", "true"], ["logs", "nosuch"], ["top", "nosuch"], ["diff", "nosuch"]),
        *(["stats", "--no-stream", "nosuch"], ["inspect", "nosuch"], ["commit", "nosuch", "x:1"], ["export", "nosuch"]),
        *(["rmi", "nosuch"], ["tag", "nosuch", "x:1"], ["history", "nosuch"], ["save", "nosuch"]),
        *(["image", "inspect", "nosuch"], ["volume", "rm", "nosuch"], ["volume", "inspect", "nosuch"]),
    ],
    ids=" ".join,
)
def test_what_is_not_there_is_named(cli: Cli, words: list[str]):
    done = cli(*words)
    assert done.code not in (0, 70)
    assert "nosuch" in done.err
    assert "Traceback" not in done.err


def _tar(*entries: tuple[str, bytes, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, link in entries:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            tar.addfile(info)
    return out.getvalue()


BROKEN_ARCHIVES = {
    "zero bytes": b"",
    "text": b"this is no archive\n" * 100,
    "a broken gzip": gzip.compress(b"x" * 100_000)[:60],
    "a tar without a manifest": _tar(("readme", tarfile.REGTYPE, "")),
    "a manifest that climbs": None,
    "a truncated archive": None,
}


@pytest.mark.parametrize("kind", BROKEN_ARCHIVES)
def test_ST1_broken_archives_are_not_loaded(cli: Cli, tmp_path: Path, kind: str):
    data = BROKEN_ARCHIVES[kind]
    if kind == "a truncated archive":
        cli.ok("save", "-o", str(tmp_path / "whole"), cli.image)
        data = (tmp_path / "whole").read_bytes()[: (tmp_path / "whole").stat().st_size // 2]
        cli.ok("tag", cli.image, "kept:1")
    if kind == "a manifest that climbs":
        manifest = b'[{"Config":"../../../etc/passwd","RepoTags":["evil:1"],"Layers":["/etc/shadow"]}]'
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            info = tarfile.TarInfo("manifest.json")
            info.size = len(manifest)
            tar.addfile(info, io.BytesIO(manifest))
        data = out.getvalue()
    assert data is not None
    path = tmp_path / "broken.tar"
    path.write_bytes(data)
    before = cli.ok("images", "-aq", "--no-trunc")
    done = cli("load", "-i", str(path))
    assert done.code not in (0, 70)
    assert done.err.strip()
    assert "Traceback" not in done.err
    assert cli.ok("images", "-aq", "--no-trunc") == before


@pytest.mark.parametrize(
    "entries",
    [
        [("../out", tarfile.REGTYPE, "")],
        [("a", tarfile.SYMTYPE, "/"), ("a/out", tarfile.REGTYPE, "")],
        [("h", tarfile.LNKTYPE, "../../../../etc/shadow")],
    ],
    ids=["dots", "through a link", "a hard link"],
)
def test_ST1_ST2_a_hostile_root_stays_in_its_root(cli: Cli, tmp_path: Path, entries):
    (tmp_path / "evil.tar").write_bytes(_tar(*entries))
    cli("import", str(tmp_path / "evil.tar"), "evil:1")
    for place in ("/out", str(tmp_path / "out"), str(cli.directory / "out")):
        assert not os.path.lexists(place)
    assert os.stat("/etc/shadow").st_nlink == 1


def test_a_full_disk_is_named_and_nothing_stays(cli: Cli, tmp_path: Path):
    if cli.name != "wharf":
        pytest.skip("the peers would need a disk of their own")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=True)
    try:
        done = cli("save", "-o", str(small / "x.tar"), cli.image)
        assert done.code == 1
        assert "no space left" in done.err
        assert str(small) in done.err
        assert os.listdir(small) == []
        done = cli("--root", str(small / "root"), "starter")
        assert done.code == 1
        assert "no space left" in done.err
        assert "Traceback" not in done.err
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_outputs_into_nowhere_are_refused_before_work(cli: Cli):
    for words in (["save", "-o", "/nonexistent/x", cli.image], ["export", "-o", "/nonexistent/x", "box"]):
        cli("rm", "-f", "box")
        cli.start_sleeper("box")
        done = cli(*words)
        assert done.code not in (0, 70)
        assert "/nonexistent" in done.err


def test_a_reader_that_goes_away_ends_a_command_quietly(cli: Cli):
    cli.ok(
        *cli.run_words(
            "run", "--name", "box", "IMAGE", "sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done"
        )
    )
    process = cli.spawn("logs", "box")
    assert process.stdout is not None
    assert process.stdout.readline() == b"0\n"
    process.stdout.close()
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    process.wait(30)


@pytest.mark.parametrize("flag", ["--env-file", "--label-file"])
@pytest.mark.parametrize(
    ("line", "words"),
    [("two words=1", "variable 'two words' contains whitespaces"), ("=x", "no variable name on line '=x'")],
)
def test_A14_a_file_of_variables_with_a_name_that_is_none_is_refused(
    cli: Cli, tmp_path: Path, flag: str, line: str, words: str
):
    if cli.name == "podman":
        pytest.skip("podman has rules and words of its own")
    (tmp_path / "given").write_text(f"# fine\nA=1\n{line}\n")
    done = cli("create", *cli.run_words("", flag, str(tmp_path / "given"), "IMAGE", "true")[1:])
    assert done.code in (1, 125)
    assert f"invalid env file ({tmp_path / 'given'}): {words}" in done.err
    assert cli.ok("ps", "-aq") == ""


def test_A14_an_empty_program_name_is_not_found(cli: Cli):
    done = cli(*cli.run_words("run", "--rm", "IMAGE", ""))
    assert done.code == 127
    assert 'exec: "": executable file not found in $PATH' in done.err
