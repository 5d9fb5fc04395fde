"""Archives of every tool that writes some, and what they make of ours (rows C3, C4, I12): the same trees and ids."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.archives import config_of, directory, hardlink, member, sha256, symlink, tar
from tests.compat.targets import Cli, opened

LAYERS = [
    tar(
        [
            directory("etc", mode=0o755, mtime=1_600_000_000),
            member("etc/page", b"hello", mode=0o4751, uid=7, gid=8, mtime=1_600_000_001),
            hardlink("etc/second", "etc/page"),
            symlink("link", "etc/page"),
            directory("gone", mtime=5),
            member("gone/file", b"x"),
            member("grün" * 30, b"a long name", mtime=6),
        ]
    ),
    tar([member(".wh.gone"), member("etc/more", b"m" * 70_000, mtime=7)]),
]


@pytest.fixture(scope="module")
def _wharf() -> Iterator[Cli]:
    yield from opened("wharf")


@pytest.fixture
def wharf(_wharf: Cli) -> Iterator[Cli]:
    yield _wharf
    _wharf.clean()


def run(*words: str | Path, **more: object) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return str(done.stdout)


def tree_hash(top: Path, *, without: tuple[str, ...] = ()) -> str:
    """Of everything below a directory: names, kinds, modes, owners, times, links and content."""
    digest = hashlib.sha256()
    inodes: dict[int, str] = {}
    for folder, folders, files in os.walk(top):
        folders.sort()
        for name in sorted(folders + files):
            path = Path(folder) / name
            shown = str(path.relative_to(top))
            if shown in without:
                continue
            there = path.lstat()
            content = ""
            if stat.S_ISREG(there.st_mode):
                content = inodes.setdefault(there.st_ino, shown) + hashlib.sha256(path.read_bytes()).hexdigest()
            elif stat.S_ISLNK(there.st_mode):
                content = os.readlink(path)
            mtime = 0 if stat.S_ISDIR(there.st_mode) else int(there.st_mtime)
            digest.update(f"{shown}\0{there.st_mode}\0{there.st_uid}\0{there.st_gid}\0{mtime}\0{content}\n".encode())
    return digest.hexdigest()


def unpacked(cli: Cli, image: str, target: Path) -> str:
    """The tree hash of one of our images."""
    cli.ok("image", "unpack", image, str(target))
    found = tree_hash(target)
    shutil.rmtree(target)
    return found


def made(cli: Cli, directory: Path) -> str:
    """An image of ours with two layers; its tree hash."""
    from tests.archives import docker_archive

    archive = directory / "made.tar"
    archive.write_bytes(docker_archive(LAYERS, ["cross/made:1", "cross/other:2"]))
    cli.ok("load", "-i", str(archive))
    return unpacked(cli, "cross/made:1", directory / "tree")


@pytest.fixture
def buildah(tmp_path: Path) -> Callable[..., str]:
    root = tmp_path / "buildah"

    def call(*words: str) -> str:
        return run("buildah", "--root", root / "r", "--runroot", root / "rr", "--storage-driver", "vfs", *words).strip()

    return call


@pytest.mark.parametrize("how", ["docker-archive", "oci-archive", "oci"])
@pytest.mark.parametrize("packing", ["plain", "gzip"])
def test_C4_what_buildah_makes_is_loaded(
    wharf: Cli, buildah: Callable[..., str], tmp_path: Path, how: str, packing: str
) -> None:
    (tmp_path / "page").write_text("from buildah")
    container = buildah("from", "scratch")
    buildah("add", "--chown", "5:6", container, str(tmp_path / "page"), "/srv/page")
    buildah("config", "--cmd", "cat /srv/page", "--label", "a=b", container)
    flags = ("--disable-compression=false",) if packing == "gzip" else ("--disable-compression",)
    archive = tmp_path / "theirs"
    where = f"{how}:{archive}:built/by:buildah"
    buildah("commit", *flags, "--format", "docker" if how == "docker-archive" else "oci", container, where)
    loaded = wharf.ok("load", "-i", str(archive)).splitlines()
    assert loaded == ["Loaded image: built/by:buildah"]
    assert wharf.field("built/by:buildah", "{{json .Config.Labels}}").count('"a":"b"') == 1
    wharf.ok("image", "unpack", "built/by:buildah", str(tmp_path / "tree"))
    page = tmp_path / "tree/srv/page"
    assert (page.read_text(), page.stat().st_uid, page.stat().st_gid) == ("from buildah", 5, 6)


def test_C4_umoci_unpacks_our_layout_to_the_same_tree_and_we_load_its(wharf: Cli, tmp_path: Path) -> None:
    expected = made(wharf, tmp_path)
    archive, layout = tmp_path / "ours.tar", tmp_path / "layout"
    wharf.ok("save", "--format", "oci-archive", "-o", str(archive), "cross/made:1")
    layout.mkdir()
    run("tar", "-C", layout, "-xf", archive)
    run("umoci", "unpack", "--image", f"{layout}:1", tmp_path / "bundle")
    assert tree_hash(tmp_path / "bundle/rootfs") == expected
    (tmp_path / "bundle/rootfs/added").write_text("by umoci")
    os.utime(tmp_path / "bundle/rootfs/added", (9, 9))
    run("umoci", "repack", "--image", f"{layout}:2", tmp_path / "bundle")
    run("umoci", "rm", "--image", f"{layout}:1")
    changed = tree_hash(tmp_path / "bundle/rootfs")
    (loaded,) = wharf.ok("load", "-i", str(layout)).splitlines()
    image = loaded.removeprefix("Loaded image ID: ").removeprefix("Loaded image: ")
    assert unpacked(wharf, image, tmp_path / "again") == changed


def test_C4_skopeo_sees_our_layers_and_repacks_them_for_us(wharf: Cli, tmp_path: Path) -> None:
    expected = made(wharf, tmp_path)
    archive = tmp_path / "ours.tar"
    wharf.ok("save", "-o", str(archive), "cross/made:1", "cross/other:2")
    seen = json.loads(run("skopeo", "inspect", f"docker-archive:{archive}:cross/made:1"))
    assert seen["Layers"] == [sha256(layer) for layer in LAYERS]
    assert {"docker.io/cross/made:1", "docker.io/cross/other:2"} == set(seen["RepoTags"]) or seen["RepoTags"] == []
    for number, (where, packing) in enumerate(
        [("docker-archive", "gzip"), ("oci-archive", "zstd"), ("oci-archive", "gzip"), ("oci", "zstd")]
    ):
        other = tmp_path / f"theirs{number}"
        compress = ("--dest-compress", "--dest-compress-format", packing) if where != "docker-archive" else ()
        run("skopeo", "copy", "-q", *compress, f"docker-archive:{archive}:cross/made:1", f"{where}:{other}:re/packed:1")
        wharf.ok("rmi", "-f", *wharf.ok("images", "-q", "--no-trunc", "cross/made").split())
        assert wharf.ok("load", "-q", "-i", str(other)) == "Loaded image: re/packed:1"
        assert unpacked(wharf, "re/packed:1", tmp_path / "again") == expected
        wharf.ok("tag", "re/packed:1", "cross/made:1")


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_C4_many_images_in_one_archive_cross_over_both_ways(wharf: Cli, tmp_path: Path, name: str) -> None:
    made(wharf, tmp_path)
    wharf.ok("image", "squash", "cross/made:1", "cross/flat:1")
    ids = {tag: wharf.field(tag, "{{.Id}}").removeprefix("sha256:") for tag in ("cross/made:1", "cross/flat:1")}
    archive = tmp_path / "ours.tar"
    wharf.ok("save", "-o", str(archive), *ids)
    prefix = "localhost/" if name == "podman" else ""  # where podman puts names without a host
    opening = opened(name)
    peer = next(opening)
    try:
        peer.ok("load", "-i", str(archive))
        assert {tag: peer.field(prefix + tag, "{{.Id}}").removeprefix("sha256:") for tag in ids} == ids
        theirs = tmp_path / "theirs.tar"
        peer.ok("save", *(("-m",) if name == "podman" else ()), "-o", str(theirs), *(prefix + tag for tag in ids))
    finally:
        next(opening, None)
    for tag in (*ids, "cross/other:2"):
        wharf.ok("rmi", "-f", tag)
    loaded = wharf.ok("load", stdin=theirs.read_bytes()).splitlines()
    assert sorted(loaded) == sorted(f"Loaded image: {prefix}{tag}" for tag in ids)
    assert {tag: wharf.field(prefix + tag, "{{.Id}}").removeprefix("sha256:") for tag in ids} == ids


def _zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress, _zstd], ids=["gzip", "bzip2", "xz", "zstd"]
)
def test_C4_archives_are_loaded_in_every_packing_from_a_pipe(
    wharf: Cli, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    expected = made(wharf, tmp_path)
    archive = tmp_path / "ours.tar"
    wharf.ok("save", "-o", str(archive), "cross/made:1")
    wharf.ok("rmi", "-f", "cross/made:1", "cross/other:2")
    assert wharf.ok("load", stdin=pack(archive.read_bytes())) == "Loaded image: cross/made:1"
    assert unpacked(wharf, "cross/made:1", tmp_path / "again") == expected


def test_C4_what_kaniko_and_crane_write_is_loaded(wharf: Cli, tmp_path: Path) -> None:
    """Configs named by their digests, layers as they are pushed, nothing else; also with no name at all."""
    expected = made(wharf, tmp_path)
    config = config_of(LAYERS)
    packed = [gzip.compress(layer) for layer in LAYERS]
    paths = [f"{hashlib.sha256(blob).hexdigest()}.tar.gz" for blob in packed]
    for tags, said in ((["kani/ko:1"], "Loaded image: kani/ko:1"), (None, f"Loaded image ID: {sha256(config)}")):
        rows = [{"Config": sha256(config), "RepoTags": tags, "Layers": paths}]
        archive = tar(
            [
                member(sha256(config), config),
                *(member(path, blob) for path, blob in zip(paths, packed, strict=True)),
                member("manifest.json", json.dumps(rows).encode()),
            ]
        )
        assert wharf.ok("load", stdin=archive) == said
    assert unpacked(wharf, "kani/ko:1", tmp_path / "again") == expected


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_I12_what_is_committed_saved_and_loaded_elsewhere_is_the_same_tree(
    wharf: Cli, tmp_path: Path, name: str
) -> None:
    script = (
        "echo moved >/page; chown 7:8 /page; ln /page /second; rm -rf /var/log; mkdir -m 1777 /open; touch -d @77 /page"
    )
    wharf.ok(*wharf.run_words("run", "--name", "maker", "IMAGE", "sh", "-ec", script))
    wharf.ok("commit", "maker", "moving:1")
    expected = unpacked(wharf, "moving:1", tmp_path / "tree")
    archive = tmp_path / "moving.tar"
    wharf.ok("save", "-o", str(archive), "moving:1")
    for other in opened("wharf"):
        other.ok("load", "-i", str(archive))
        assert unpacked(other, "moving:1", tmp_path / "tree") == expected
    for peer in opened(name):
        image = "docker.io/library/moving:1" if name == "podman" else "moving:1"
        peer.ok("load", "-i", str(archive))
        peer.ok("create", "--name", "there", *peer.run_options, image, "true")
        exported = tmp_path / "exported.tar"
        peer.ok("export", "-o", str(exported), "there")
        with tarfile.open(fileobj=io.BytesIO(exported.read_bytes())) as tree:
            theirs = {entry.name.rstrip("/") for entry in tree}
        target = tmp_path / "theirs"
        target.mkdir()
        run("tar", "-C", target, "--same-owner", "-xpf", exported)
        own = ("etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", ".dockerenv", "dev", "proc", "sys", "run")
        # the engine's own: mount points and files that it puts into every container
        own += tuple(name for name in theirs if name.startswith(("dev/", "proc/", "sys/", "run/")))
        wharf.ok("image", "unpack", "moving:1", str(tmp_path / "mine"))
        assert tree_hash(target, without=own) == tree_hash(tmp_path / "mine", without=own)
        shutil.rmtree(tmp_path / "mine")


def test_B3_B12_an_image_of_others_is_inspected_as_docker_does(wharf: Cli, tmp_path: Path) -> None:
    """Field by field, save where each keeps its layers, and ContainerConfig, which docker has since dropped."""
    run_config = {
        "Cmd": ["sh"], "Env": ["A=b"], "Labels": {"l": "m"}, "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/v": {}},
        "WorkingDir": "/w", "User": "7", "StopSignal": "SIGINT", "OnBuild": ["RUN x"], "Shell": ["/bin/ash", "-c"],
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 10**9},
    }  # fmt: skip
    history = [
        {"created": "2024-05-06T07:08:09Z", "created_by": "/bin/sh -c #(nop) ADD file:x in / "},
        {"created_by": "RUN b", "comment": "buildkit", "empty_layer": True},
        {"created_by": "RUN c", "author": "me"},
    ]
    from tests.archives import docker_archive

    more = {"author": "me", "docker_version": "20.10", "container": "ab" * 32, "variant": "v1"}
    config = config_of(LAYERS, config=run_config, history=history, **more)
    archive = tmp_path / "theirs.tar"
    archive.write_bytes(docker_archive(LAYERS, ["cross/made:1"], config=config))
    told = []
    for opening in (iter([wharf]), opened("docker")):
        for cli in opening:
            cli.ok("load", "-i", str(archive))
            (document,) = json.loads(cli.ok("image", "inspect", "cross/made:1"))
            for own in ("GraphDriver", "ContainerConfig", "Metadata"):
                document.pop(own, None)
            told.append((document, cli.ok("history", "--no-trunc", "cross/made:1")))
    assert told[0] == told[1]
