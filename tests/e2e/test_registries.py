"""Registries from the command line, against Debian's docker-registry (rows A1, G1-G5, ST9)."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.targets import Done, eventually
from tests.e2e.settled import SettledWharf
from tests.registries import (  # noqa: F401 - fixtures
    PASSWORD,
    USERNAME,
    RunningRegistry,
    free_port,
    locked_registry,
    registry,
)

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
LAYER = re.compile(r"^[0-9a-f]{12}:")


@pytest.fixture(scope="module")
def _settled() -> Iterator[SettledWharf]:
    wharf = SettledWharf()
    yield wharf
    wharf.close()


@pytest.fixture
def wharf(_settled: SettledWharf) -> Iterator[SettledWharf]:
    yield _settled
    _settled.clean()


def masked(text: str) -> list[str]:
    """Lines without what differs from image to image; each layer's line once."""
    lines = [LAYER.sub("LAYER:", DIGEST.sub("DIGEST", line)) for line in text.splitlines()]
    return list(dict.fromkeys(lines))


def pushed(wharf: SettledWharf, name: str) -> str:
    """The starter image under a name of a registry; here it goes again."""
    wharf.ok("tag", wharf.image, name)
    wharf.ok("push", "-q", name)
    wharf.ok("rmi", name)
    return name


# ---------------------------------------------------------------------- A1, G1


def test_A1_G1_run_pulls_what_is_missing_from_the_first_mirror_that_has_it(
    wharf: SettledWharf,
    registry: RunningRegistry,  # noqa: F811
    locked_registry: RunningRegistry,  # noqa: F811
):
    pushed(wharf, f"{registry.host}/library/ubuntu:latest")
    wharf.settings({"registry-mirrors": [locked_registry.url, registry.url]})
    asked = locked_registry.requests("GET", "/v2/library/ubuntu/manifests/latest")
    wharf.ok("rmi", wharf.image)  # else its layer would be here already
    try:
        done = wharf("run", "--rm", "ubuntu", "echo", "x")
        assert done.out == "x\n"
        assert done.code == 0
        assert masked(done.err) == [
            "Unable to find image 'ubuntu:latest' locally",
            "latest: Pulling from library/ubuntu",
            "LAYER: Pulling fs layer",
            "LAYER: Verifying Checksum",
            "LAYER: Download complete",
            "LAYER: Pull complete",
            "Digest: DIGEST",
            "Status: Downloaded newer image for ubuntu:latest",
        ]
        assert locked_registry.requests("GET", "/v2/library/ubuntu/manifests/latest") > asked, "the first comes first"
        assert wharf.ok("run", "--rm", "ubuntu", "echo", "y") == "y"
        info = wharf.ok("info").splitlines()
        at = info.index(" Registry Mirrors:")
        assert info[at + 1 : at + 3] == [f"  {locked_registry.url}/", f"  {registry.url}/"]
        again = wharf("pull", "ubuntu")
        assert masked(again.out) == [
            "Using default tag: latest",
            "latest: Pulling from library/ubuntu",
            "Digest: DIGEST",
            "Status: Image is up to date for ubuntu:latest",
            "docker.io/library/ubuntu:latest",
        ]
    finally:
        wharf.ok("starter")


def test_G1_a_broken_daemon_json_names_line_and_column(wharf: SettledWharf):
    wharf.settings('{\n  "registry-mirrors": [ "https://dockerhub.azk8s.cn", ]\n}')
    done = wharf("images")
    assert done.code == 1
    assert "/etc/wharf/daemon.json: line 2 column " in done.err
    wharf.settings({"registry-mirrors": ["dockerhub.azk8s.cn"]})
    done = wharf("pull", "x")
    assert done.code == 1
    assert "invalid mirror" in done.err


# ---------------------------------------------------------------------- G2


def test_G2_nobody_gets_in_without_a_login(wharf: SettledWharf, locked_registry: RunningRegistry):  # noqa: F811
    name = f"{locked_registry.host}/muyu/web:1"
    wharf.ok("tag", wharf.image, name)
    done = wharf("push", name)
    assert (done.code, masked(done.out)) == (
        1,
        [f"The push refers to repository [{locked_registry.host}/muyu/web]", "LAYER: Preparing"],
    )
    assert done.err.startswith("wharf: no basic auth credentials\n")
    done = wharf("pull", name)
    assert (done.code, done.out) == (1, "")
    assert "/v2/muyu/web/manifests/1" in done.err
    assert "no basic auth credentials" in done.err
    done = wharf("login", "-u", USERNAME, "-p", "wrong", locked_registry.host)
    assert done.code == 1
    assert f"login attempt to {locked_registry.url}/v2/ failed with status: 401 Unauthorized" in done.err
    assert not wharf.config.exists()


def test_G2_after_a_login_push_pull_and_tags_work_until_the_logout(
    wharf: SettledWharf,
    locked_registry: RunningRegistry,  # noqa: F811
):
    host, name = locked_registry.host, f"{locked_registry.host}/muyu/site:1"
    assert wharf.ok("login", "-u", USERNAME, "--password-stdin", host, stdin=PASSWORD.encode()) == "Login Succeeded"
    assert wharf.ok("login", host) == "Login Succeeded"
    wharf.ok("tag", wharf.image, name)
    wharf.ok("tag", wharf.image, f"{host}/muyu/site:two")
    lines = masked(wharf.ok("push", "-a", f"{host}/muyu/site"))
    assert lines[0] == f"The push refers to repository [{host}/muyu/site]"
    assert lines[-1].startswith("two: digest: DIGEST size: ")
    assert re.fullmatch(r"1: digest: DIGEST size: \d+", lines[3]), lines
    wharf.ok("rmi", name, f"{host}/muyu/site:two")
    lines = masked(wharf.ok("pull", "-a", f"{host}/muyu/site"))
    assert lines[-2:] == [f"Status: Downloaded newer image for {host}/muyu/site", f"{host}/muyu/site"]
    digest = wharf.field(name, "{{index .RepoDigests 0}}")
    assert digest in json.loads(wharf.field(name, "{{json .RepoDigests}}"))
    assert wharf.ok("pull", "-q", digest) == digest
    assert wharf.ok("images", "-q", "--filter", f"reference={host}/muyu/*:two") != ""
    found = wharf.ok("search", f"{host}/site", "--format", "{{.Name}}")
    assert found == f"{host}/muyu/site"
    assert wharf.ok("logout", host) == f"Removing login credentials for {host}"
    assert wharf("pull", name).code == 1
    assert wharf.ok("logout", host) == f"Not logged in to {host}"


def test_G2_a_person_at_a_terminal_is_asked_and_the_password_is_not_shown(
    wharf: SettledWharf,
    locked_registry: RunningRegistry,  # noqa: F811
):
    terminal = wharf.terminal("login", locked_registry.host)
    terminal.expect("Username: ")
    terminal.type(f"{USERNAME}\n")
    terminal.expect("Password: ")
    terminal.type(f"{PASSWORD}\n")
    shown = terminal.expect("Login Succeeded")
    assert PASSWORD not in shown
    assert "WARNING! Your credentials are stored unencrypted in" in shown
    assert terminal.wait() == 0
    assert json.loads(wharf.config.read_text())["auths"] == {
        locked_registry.host: {"auth": base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()}
    }


def test_G2_on_a_terminal_a_pull_has_one_line_for_each_layer(
    wharf: SettledWharf,
    registry: RunningRegistry,  # noqa: F811
):
    name = f"{registry.host}/lines/one"
    pushed(wharf, name)
    wharf.ok("rmi", wharf.image)
    try:
        terminal = wharf.terminal("pull", name)
        terminal.resize(24, 80)
        shown = terminal.expect(f"{name}:latest\r\n")
        shown += terminal.expect(f"{name}:latest\r\n")
        assert "\x1b[1A\x1b[2K\r" in shown
        assert shown.count("Pulling fs layer") == 1
        assert "Status: Downloaded newer image" in shown
        assert terminal.wait() == 0
    finally:
        wharf.ok("starter")


def content(path: Path) -> bytes:
    """A file's bytes; none where it, or its process, has gone meanwhile."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_ST9_a_password_is_in_config_json_and_nowhere_else(
    wharf: SettledWharf,
    locked_registry: RunningRegistry,  # noqa: F811
):
    host, name = locked_registry.host, f"{locked_registry.host}/muyu/secret:1"
    said: list[Done] = [
        wharf("login", "-u", USERNAME, "--password-stdin", host, stdin=PASSWORD.encode()),
        wharf("tag", wharf.image, name),
    ]
    process = wharf.spawn("push", name)
    cmdlines = [content(path) for path in Path("/proc").glob("[0-9]*/cmdline")]
    said.append(Done(process.wait(60), process.stdout.read().decode(), process.stderr.read().decode()))  # type: ignore[union-attr]
    said += [
        wharf("--debug", "pull", name),
        wharf("pull", f"{host}/muyu/none:1"),
        wharf("registry", "tags", f"{host}/muyu/secret"),
        wharf("registry", "inspect", name),
        wharf("registry", "rm", f"{host}/muyu/none:1"),
        wharf("search", f"{host}/x"),
        wharf("info", "--format", "json"),
        wharf("events", "--since", "1h", "--until", "0s"),
        wharf("login", "-u", USERNAME, "--password-stdin", "127.0.0.1:9", stdin=PASSWORD.encode()),
        wharf("login", "-u", USERNAME, "--password-stdin", "not a host", stdin=PASSWORD.encode()),
    ]
    assert said[0].code == said[2].code == said[3].code == 0, said[:4]
    pair = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode())
    canaries = (PASSWORD.encode(), pair.rstrip(b"="))
    everything = [repr(said).encode(), *cmdlines]
    run_root = Path(wharf.ok("info", "--format", "{{.RunRoot}}"))
    assert run_root.is_dir()
    files = [*wharf.directory.rglob("*"), *run_root.rglob("*")]
    everything += [content(path) for path in files if path.is_file() and path != wharf.config]
    for canary in canaries:
        assert not any(canary in one for one in everything)
    assert pair in wharf.config.read_bytes()
    assert wharf.config.stat().st_mode & 0o777 == 0o600


# ---------------------------------------------------------------------- G3


def registry_image(wharf: SettledWharf, directory: Path) -> str:
    """The files of Debian's docker-registry package, with the libraries that its program loads."""
    listed = subprocess.run(["dpkg", "-L", "docker-registry"], capture_output=True, text=True, check=True).stdout
    linked = subprocess.run(["ldd", "/usr/bin/docker-registry"], capture_output=True, text=True, check=False).stdout
    files = {path for path in listed.split() if os.path.isfile(path) and not path.startswith(("/usr/share", "/etc"))}
    files |= {word for word in linked.split() if word.startswith("/")}
    with tarfile.open(directory / "registry.tar", "w", dereference=True) as archive:
        for path in sorted(files):
            archive.add(path, path.removeprefix("/"))
    config = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": "/var/lib/registry"}, "delete": {"enabled": True}},
        "http": {"addr": ":5000"},
    }
    (directory / "config.yml").write_text(json.dumps(config))
    with tarfile.open(directory / "registry.tar", "a") as archive:
        archive.add(directory / "config.yml", "etc/docker/registry/config.yml")
    start = 'CMD ["/usr/bin/docker-registry", "serve", "/etc/docker/registry/config.yml"]'
    wharf.ok("import", "-c", start, str(directory / "registry.tar"), "registry")
    return "registry"


def test_G3_G4_our_own_container_is_a_registry_that_others_read_and_that_is_cleaned_up(
    wharf: SettledWharf, tmp_path: Path
):
    port = free_port()
    host = f"127.0.0.1:{port}"
    (tmp_path / "kept").mkdir()
    image = registry_image(wharf, tmp_path)
    options = (
        "-p",
        f"{port}:5000",
        "--restart",
        "always",
        "--name=registry",
        "-v",
        f"{tmp_path}/kept:/var/lib/registry",
    )
    wharf.ok("run", "-d", *options, image)
    eventually("the registry to answer", lambda: wharf("registry", "ls", "-q", host).code == 0)
    wharf.ok("tag", wharf.image, f"{host}/shop/hello:1.0")
    wharf.ok("tag", wharf.image, f"{host}/shop/hello:latest")
    wharf.ok("push", "-a", f"{host}/shop/hello")
    copied = tmp_path / "copied"
    subprocess.run(
        ["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{host}/shop/hello:1.0", f"dir:{copied}"],
        check=True,
    )
    theirs = json.loads((copied / "manifest.json").read_text())
    assert wharf.field(wharf.image, "{{.Id}}") == theirs["config"]["digest"]
    assert (tmp_path / "kept/docker/registry/v2/repositories/shop/hello").is_dir()

    # what a person did with a script: look, delete, and know what is still there
    assert wharf.ok("registry", "ls", "-q", host) == f"{host}/shop/hello"
    tags = wharf.ok("registry", "tags", f"{host}/shop/hello").splitlines()
    assert [line.split()[0] for line in tags] == ["TAG", "1.0", "latest"]
    assert "linux/amd64" in tags[1]
    raw = wharf("registry", "inspect", "--raw", f"{host}/shop/hello:1.0").out
    assert json.loads(raw) == theirs
    wharf.ok("registry", "copy", f"{host}/shop/hello:1.0", f"{host}/other/hello:2")
    done = wharf("registry", "rm", f"{host}/shop/hello:1.0")
    assert masked(done.out) == [
        f"Untagged: {host}/shop/hello:1.0",
        f"Untagged: {host}/shop/hello:latest",
        f"Deleted: {host}/shop/hello@DIGEST",
    ]
    assert "stays on the registry's disk until it collects garbage" in done.err
    assert wharf("registry", "inspect", f"{host}/shop/hello:1.0").code == 1
    assert wharf.ok("pull", "-q", f"{host}/other/hello:2") == f"{host}/other/hello:2"
    shutil.rmtree(copied)


def test_G4_a_registry_that_forbids_deletion_says_how_to_allow_it(wharf: SettledWharf, tmp_path: Path):
    port = free_port()
    host = f"127.0.0.1:{port}"
    image = registry_image(wharf, tmp_path)
    wharf.ok("run", "-d", "-p", f"{port}:5000", "-e", "REGISTRY_STORAGE_DELETE_ENABLED=false", image)
    eventually("the registry to answer", lambda: wharf("registry", "ls", "-q", host).code == 0)
    pushed(wharf, f"{host}/x:1")
    done = wharf("registry", "rm", f"{host}/x:1")
    assert done.code == 1
    assert "REGISTRY_STORAGE_DELETE_ENABLED" in done.err


# ---------------------------------------------------------------------- G5


def test_G5_an_image_is_renamed_for_a_registry_by_name_and_pushed_there(tmp_path: Path):
    wharf = SettledWharf(own_network=True)
    host = "registry.cn-hangzhou.aliyuncs.com"
    config = tmp_path / "config.yml"
    storage = {"filesystem": {"rootdirectory": str(tmp_path / "data")}}
    config.write_text(json.dumps({"version": 0.1, "storage": storage, "http": {"addr": "127.0.0.1:80"}}))
    server = subprocess.Popen(
        [*wharf.into(), "docker-registry", "serve", str(config)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        wharf.write("hosts", f"127.0.0.1 localhost {host}\n")
        wharf.settings({"insecure-registries": [host]})
        eventually("the registry to answer", lambda: wharf("registry", "ls", host).code == 0)
        wharf.ok("tag", wharf.image, f"{host}/wychj/hello:1.0")
        lines = masked(wharf.ok("push", f"{host}/wychj/hello:1.0"))
        assert lines[0] == f"The push refers to repository [{host}/wychj/hello]"
        wharf.ok("rmi", f"{host}/wychj/hello:1.0")
        assert wharf.ok("run", "--rm", "--network", "none", f"{host}/wychj/hello:1.0", "echo", "x") == "x"
    finally:
        server.terminate()
        server.wait()
        wharf.clean()
        wharf.close()
