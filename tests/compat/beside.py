"""What crosses between wharf and its peers, and what must read the same (rows B1, B2, B3, B12, C3, C4)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.targets import Cli, opened


@pytest.fixture(scope="session")
def _wharf() -> Iterator[Cli]:
    yield from opened("wharf")


@pytest.fixture
def wharf(_wharf: Cli) -> Iterator[Cli]:
    yield _wharf
    _wharf.clean()


@pytest.fixture(scope="session", params=["docker", "podman"])
def _peer(request: pytest.FixtureRequest) -> Iterator[Cli]:
    yield from opened(request.param)


@pytest.fixture
def peer(_peer: Cli) -> Iterator[Cli]:
    yield _peer
    _peer.clean()


@pytest.fixture(scope="session")
def _docker() -> Iterator[Cli]:
    yield from opened("docker")


@pytest.fixture
def docker(_docker: Cli) -> Iterator[Cli]:
    yield _docker
    _docker.clean()


def _made(cli: Cli) -> None:
    """An image of two layers with a whiteout, a link, an owner and a mode in it, and a config."""
    script = "echo hello >/page; rm /bin/arp; ln -s page /link; chown 65534:65534 /page; chmod 4755 /page"
    cli.ok(*cli.run_words("run", "--name", "maker", "IMAGE", "sh", "-c", script))
    changes = ("-c", 'CMD ["cat", "/page"]', "-c", "ENV K=v", "-c", "USER 65534", "-c", "LABEL a=b")
    docker_format = ("-f", "docker") if cli.name == "podman" else ()  # its own format takes no message
    cli.ok("commit", *docker_format, *changes, "-m", "修改", "maker", "crossing/made:1")
    cli.ok("rm", "maker")


def _checked(cli: Cli, image: str) -> None:
    ran = cli.ok("run", "--rm", *cli.run_options, image)
    assert ran == "hello"
    look = "ls -ln /page /link | sed 's/  */ /g' | cut -d' ' -f1,3,4; test -e /bin/arp || echo gone; echo $K; id -u"
    assert cli.ok("run", "--rm", *cli.run_options, image, "sh", "-c", look).splitlines() == [
        *("lrwxrwxrwx 0 0", "-rwsr-xr-x 65534 65534", "gone", "v", "65534")
    ]
    assert cli.field(image, '{{index .Config.Labels "a"}}') == "b"


@pytest.mark.parametrize("direction", ["out", "in"])
def test_C4_saved_archives_cross(wharf: Cli, peer: Cli, tmp_path: Path, direction: str):
    giver, taker = (wharf, peer) if direction == "out" else (peer, wharf)
    _made(giver)
    name = giver.ok("images", "--format", "{{.Repository}}:{{.Tag}}", "crossing/made:1").splitlines()[0]
    giver.ok("save", "-o", str(tmp_path / "x.tar"), name)
    loaded = taker.ok("load", "-i", str(tmp_path / "x.tar"))
    assert "crossing/made:1" in loaded
    _checked(taker, name)
    if giver.name != "podman":  # its archives hold no message
        assert "修改" in taker.ok("history", "--no-trunc", name)
    if taker.name != "podman" and giver.name != "podman":
        assert taker.field(name, "{{.Id}}") == giver.field(name, "{{.Id}}")


@pytest.mark.parametrize("direction", ["out", "in"])
def test_C3_exported_roots_cross(wharf: Cli, peer: Cli, tmp_path: Path, direction: str):
    giver, taker = (wharf, peer) if direction == "out" else (peer, wharf)
    giver.ok(*giver.run_words("run", "--name", "maker", "IMAGE", "sh", "-c", "echo hello >/page"))
    giver.ok("export", "-o", str(tmp_path / "root.tar"), "maker")
    taker.ok("import", "-c", 'CMD ["cat", "/page"]', str(tmp_path / "root.tar"), "crossing/root:1")
    name = taker.ok("images", "--format", "{{.Repository}}:{{.Tag}}", "crossing/root:1").splitlines()[0]
    assert taker.ok("run", "--rm", *taker.run_options, name) == "hello"


def test_C4_an_oci_archive_is_read_by_podman(wharf: Cli, tmp_path: Path):
    _made(wharf)
    wharf.ok("save", "--format", "oci-archive", "-o", str(tmp_path / "x.tar"), "crossing/made:1")
    for podman in opened("podman"):
        podman.ok("load", "-i", str(tmp_path / "x.tar"))
        image = podman.ok("images", "-q", "--filter", "dangling=false").splitlines()
        assert len(image) >= 1


def _states(cli: Cli) -> None:
    cli.start_sleeper("sleeper", "-l", "k=v")
    cli.ok(*cli.run_words("create", "--name", "new", "IMAGE", "echo", "a b", "c"))
    cli.run("--name", "ended", "IMAGE", "sh", "-c", "exit 7")
    cli.start_sleeper("frozen")
    cli.ok("pause", "frozen")


def _cells(text: str, cli: Cli) -> list[list[str]]:
    """A table, less what must differ: ids, the image's name, the seconds that have passed."""
    text = text.replace(cli.image.removesuffix(":latest"), "IMAGE").replace(cli.image, "IMAGE")
    text = re.sub(r"\b[0-9a-f]{12}\b", "<id>", text)
    text = re.sub(r"(Less than a second|\d+ seconds?)", "<time>", text)
    return [re.split(r" {2,}", line.rstrip()) for line in text.splitlines()]


def test_B1_ps_reads_as_dockers_cell_by_cell(wharf: Cli, docker: Cli):
    for cli in (wharf, docker):
        _states(cli)
    assert _cells(wharf.ok("ps", "-a"), wharf) == _cells(docker.ok("ps", "-a"), docker)
    layout = 'table {{.Names}}\t{{.Command}}\t{{.State}}\t{{.Label "k"}}\t{{upper .Names}}\t{{.LocalVolumes}}'
    assert wharf.ok("ps", "-a", "--format", layout) == docker.ok("ps", "-a", "--format", layout)
    fields = [set(json.loads(cli.ok("ps", "-l", "--format", "json"))) for cli in (docker, wharf)]
    assert fields[0] - fields[1] <= {"Platform"}


def _keys(document: object, path: str = "") -> Iterator[str]:
    if isinstance(document, dict):
        for key, value in document.items():
            yield f"{path}.{key}"
            if key not in ("Labels", "Networks", "GraphDriver", "Volumes", "Tmpfs"):
                yield from _keys(value, f"{path}.{key}")


def test_B3_inspect_has_every_key_that_dockers_has(wharf: Cli, docker: Cli):
    for cli in (wharf, docker):
        cli.start_sleeper("box", "-m", "64m", "-e", "A=b", "-l", "k=v")
    theirs, ours = (set(_keys(json.loads(cli.ok("inspect", "box"))[0])) for cli in (docker, wharf))
    assert theirs - ours == set()
    theirs, ours = (set(_keys(json.loads(cli.ok("inspect", cli.image))[0])) for cli in (docker, wharf))
    assert {key for key in theirs - ours if not key.startswith(".ContainerConfig")} == set()


def test_B9_B12_diff_and_history_read_alike(wharf: Cli, docker: Cli):
    script = "echo x >/etc/new; rm /etc/group; mkdir /made; echo y >/made/y; chmod 711 /root"
    for cli in (wharf, docker):
        cli.ok(*cli.run_words("run", "--name", "box", "IMAGE", "sh", "-c", script))
        cli.ok("commit", "-m", "修改", "box", "made:1")
    assert set(wharf.ok("diff", "box").splitlines()) == set(docker.ok("diff", "box").splitlines())
    rows = [_cells(cli.ok("history", "made:1"), cli)[:2] for cli in (wharf, docker)]
    for row in rows:
        row[1][-2] = "<size>"
    assert rows[0] == rows[1]


def test_refusals_have_the_same_exit_codes(wharf: Cli, docker: Cli):
    lines = [
        *("run IMAGE nonex", "run IMAGE /etc", "run nosuch:1 true", "run --foo", "run", "ps x", "foo", "rm nosuch"),
        *("run -m 1m IMAGE true", "inspect nosuch", "logs", "start nosuch", "exec nosuch true", "rmi nosuch"),
        *(
            "volume rm nosuch",
            "tag nosuch x",
            "kill nosuch",
            "rm -f nosuch",
            "ps --filter foo=1",
            "ps --format {{.Nope}}",
        ),
    ]
    for line in lines:
        words = line.split()
        codes = []
        for cli in (wharf, docker):
            spelled = [cli.image if word == "IMAGE" else word for word in words]
            if words[0] == "run" and len(words) > 2:
                spelled[1:1] = ["--pull=never", *cli.run_options]
            codes.append(cli(*spelled).code)
        assert codes[0] == codes[1], line
