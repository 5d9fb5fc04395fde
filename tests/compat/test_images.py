"""Archives cross over: what we save docker, podman and skopeo read, and the reverse; diffs and layers are theirs."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.backend import CommitWish
from core.engine.engine import Engine
from core.model.container import ContainerSpec
from core.model.progress import CancelToken, silent
from tests.compat.targets import Cli, opened
from tests.conftest import STARTER, Runner
from tests.stores import load, save

SCRIPT = """
    echo x > /new; ln /new /new2; chmod 4755 /new; ln -s /nowhere /dangling; mkfifo /pipe
    mkdir -p /d/e/f; mkdir -m 1777 /open; rm /etc/group; rm -rf /root; mkdir /root; touch /root/z
    rm -rf /tmp; echo file > /tmp; chown 12:34 /d; touch -d @77 /d/e
    head -c 70000 /dev/zero > /zeros; echo name > "/sp ace"; i=0
    truncate -s 30M /holes; echo end >> /holes
    long=nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn
    while [ $i -lt 30 ]; do i=$((i+1)); mkdir -p /long/$long$i/deeper/still/$long; done
"""
SHAPE = """
    find / -xdev ! -path '/proc*' ! -path '/sys*' ! -path '/dev*' ! -path '/run*' ! -name .dockerenv ! -path '/etc/h*' \
        ! -path '/etc/resolv*' ! -path '/etc/mtab' ! -path /etc ! -path / | sort | while read -r f; do
        case "$f" in /d/e) stat -c '%N %a %u %g %F %Y' "$f";; *) stat -c '%N %a %u %g %F %h' "$f";; esac
    done; md5sum /zeros /new /holes
"""


@pytest.fixture(scope="module", params=["docker", "podman"])
def peer(request: pytest.FixtureRequest) -> Iterator[Cli]:
    if not shutil.which(request.param) or (request.param == "docker" and not shutil.which("dockerd")):
        pytest.skip(f"{request.param} is not installed: apt-get install docker.io podman")
    yield from opened(request.param)


@pytest.fixture(autouse=True)
def _clean(engine: Engine, request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "peer" in request.fixturenames:
        request.getfixturevalue("peer").clean()
    for container in engine.containers.list(all=True):
        engine.containers.remove(container.id, force=True)
    for image in engine.images.list():
        if STARTER not in image.tags:
            engine.images.remove(image.id, force=True)


def ours(engine: Engine, script: str = SCRIPT, image: str = STARTER) -> str:
    container = engine.containers.create(ContainerSpec(image=image, command=("sh", "-ec", script))).id
    engine.containers.start(container)
    assert engine.containers.wait(container) == 0
    return container


def commit(engine: Engine, container: str, name: str) -> str:
    return engine.images.commit(container, CommitWish(reference=name, message="修改了"), silent, CancelToken())


def reference(peer: Cli, name: str) -> str:
    return f"docker.io/{name}" if peer.name == "podman" else name


def test_C4_the_peer_loads_what_we_save_and_sees_the_same_tree(
    engine: Engine, run: Runner, peer: Cli, tmp_path: Path
) -> None:
    commit(engine, ours(engine), "cross/over:1")
    archive = tmp_path / "ours.tar"
    archive.write_bytes(save(engine, "cross/over:1"))
    assert "Loaded image" in peer.ok("load", "-i", str(archive))
    seen = peer.run("--rm", reference(peer, "cross/over:1"), "sh", "-c", SHAPE)
    assert seen.code == 0, seen.err
    assert seen.out == run.sh(SHAPE, image="cross/over:1").out
    history = peer.ok("history", "--no-trunc", "--format", "{{.Comment}}", reference(peer, "cross/over:1"))
    assert history.splitlines()[0].strip().startswith("修改了")


@pytest.mark.parametrize("how", ["docker-archive", "oci-archive"])
def test_C4_we_load_what_the_peer_saves_and_see_the_same_tree(
    engine: Engine, run: Runner, peer: Cli, tmp_path: Path, how: str
) -> None:
    if peer.name == "docker" and how == "oci-archive":
        pytest.skip("docker 20.10 writes no OCI layouts")
    assert peer.run("--name", "maker", "IMAGE", "sh", "-ec", SCRIPT).code == 0
    peer.ok("commit", "maker", "cross/back:1")
    archive = tmp_path / "theirs.tar"
    peer.ok("save", *(("--format", how) if peer.name == "podman" else ()), "-o", str(archive), "cross/back:1")
    (loaded,) = load(engine, archive.read_bytes())
    mine = run.sh(SHAPE, image=loaded.image_id)
    assert mine.code == 0, mine.err
    assert mine.out == peer.run("--rm", "cross/back:1", "sh", "-c", SHAPE).out
    assert loaded.reference.removeprefix("localhost/") == "cross/back:1"
    told = peer.ok("inspect", "--format", "{{.Id}}", "cross/back:1")
    assert loaded.image_id.removeprefix("sha256:") == told.removeprefix("sha256:")
    # what came in goes out byte for byte: the peer finds the same image again
    peer.clean()
    archive.write_bytes(save(engine, loaded.reference))
    peer.ok("load", "-i", str(archive))
    assert peer.ok("images", "-q", "--no-trunc").removeprefix("sha256:").splitlines()
    assert told.removeprefix("sha256:") in peer.ok("images", "-q", "--no-trunc")


def test_C3_exports_and_imports_cross_over(engine: Engine, run: Runner, peer: Cli, tmp_path: Path) -> None:
    exported = b"".join(engine.containers.export(ours(engine), silent, CancelToken()))
    archive = tmp_path / "ours.tar"
    archive.write_bytes(exported)
    peer.ok("import", str(archive), "flat:1")
    seen = peer.run("--rm", "flat:1", "sh", "-c", SHAPE)
    assert peer.run("--name", "maker", "flat:1", "true").code == 0
    theirs = tmp_path / "theirs.tar"
    peer.ok("export", "-o", str(theirs), "maker")
    engine.images.import_tar(io.BytesIO(theirs.read_bytes()), "flat:2", silent, CancelToken(), changes=["CMD sh"])
    engine.images.import_tar(io.BytesIO(exported), "flat:1", silent, CancelToken(), changes=["CMD sh"])
    assert run.sh(SHAPE, image="flat:2").out == run.sh(SHAPE, image="flat:1").out == seen.out


def test_B9_the_same_script_gives_the_same_diff_as_docker(engine: Engine, peer: Cli, tmp_path: Path) -> None:
    if peer.name != "docker":
        pytest.skip("podman's diff shows the engine's own files too")
    archive = tmp_path / "ours.tar"
    archive.write_bytes(save(engine, STARTER))
    peer.ok("load", "-i", str(archive))
    assert peer.run("--name", "same", STARTER, "sh", "-ec", SCRIPT).code == 0
    theirs = sorted(peer.ok("diff", "same").splitlines())
    mine = sorted(f"{change.kind} {change.path}" for change in engine.containers.changes(ours(engine)))
    assert mine == theirs
    assert len(mine) > 100


def layer_rows(archive: bytes) -> dict[str, tuple[Any, ...]]:
    """The top layer's members as they matter to whoever unpacks them."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as image:
        manifest = image.extractfile("manifest.json")
        assert manifest is not None
        top = image.extractfile(json.load(manifest)[0]["Layers"][-1])
        assert top is not None
        with tarfile.open(fileobj=io.BytesIO(top.read())) as layer:
            members = layer.getmembers()
    inodes: dict[str, str] = {}
    rows = {}
    for member in members:
        kind = "0" if member.type == tarfile.LNKTYPE else member.type.decode()
        inodes[member.name] = member.linkname if member.type == tarfile.LNKTYPE else member.name
        mode = None if kind == "2" or ".wh." in member.name else member.mode & 0o7777
        link = member.linkname if kind == "2" else ""
        rows[member.name] = (kind, mode, member.uid, member.gid, link, member.pax_headers.get("SCHILY.xattr.user.k"))
    return rows


def test_C1_a_commit_has_the_members_that_docker_would_write(engine: Engine, peer: Cli, tmp_path: Path) -> None:
    if peer.name != "docker":
        pytest.skip("podman writes the parents of what has changed differently")
    archive = tmp_path / "ours.tar"
    archive.write_bytes(save(engine, STARTER))
    peer.ok("load", "-i", str(archive))
    assert peer.run("--name", "same", STARTER, "sh", "-ec", SCRIPT).code == 0
    peer.ok("commit", "same", "theirs:1")
    peer.ok("save", "-o", str(tmp_path / "theirs.tar"), "theirs:1")
    commit(engine, ours(engine), "ours:1")
    assert layer_rows(save(engine, "ours:1")) == layer_rows((tmp_path / "theirs.tar").read_bytes())


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_C4_skopeo_reads_ours_and_repacks_it_for_us(engine: Engine, run: Runner, tmp_path: Path, packing: str) -> None:
    if not shutil.which("skopeo"):
        pytest.skip("skopeo is not installed: apt-get install skopeo")
    image_id = commit(engine, ours(engine), "repacked:1")
    expected = run.sh(SHAPE, image="repacked:1").out
    archive, other = tmp_path / "ours.tar", tmp_path / "theirs.tar"
    for how in ("docker-archive", "oci-archive"):
        archive.write_bytes(save(engine, "repacked:1", format=how))
        shown = subprocess.run(
            ["skopeo", "inspect", "--config", f"{how}:{archive}"], capture_output=True, text=True, check=True
        )
        assert json.loads(shown.stdout)["history"][-1]["comment"] == "修改了"
    other.unlink(missing_ok=True)
    subprocess.run(
        [
            *("skopeo", "copy", "-q", "--dest-compress", "--dest-compress-format", packing),
            *(f"oci-archive:{archive}", f"oci-archive:{other}:name/of:it"),
        ],
        check=True,
    )
    for container in engine.containers.list(all=True):
        engine.containers.remove(container.id)
    engine.images.remove("repacked:1")
    (loaded,) = load(engine, other.read_bytes())
    assert (loaded.image_id, loaded.reference) == (image_id, "name/of:it")
    assert run.sh(SHAPE, image="name/of:it").out == expected
    archive.write_bytes(save(engine, "name/of:it", format="oci-archive"))
    shown = subprocess.run(
        ["skopeo", "inspect", "--raw", f"oci-archive:{archive}"], capture_output=True, text=True, check=True
    )
    assert all(layer["mediaType"].endswith(f"+{packing}") for layer in json.loads(shown.stdout)["layers"][1:])
