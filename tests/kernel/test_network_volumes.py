"""Volumes on a server: a real NFS server of this machine's own kernel, mounted by containers.

Where the kernel has no NFS (the test guest's has), these say so.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.engine.engine import Engine
from core.errors import EngineError
from core.model.mounts import MountSpec
from core.model.progress import CancelToken, silent
from tests.conftest import Runner

OPTIONS = {"type": "nfs", "o": "addr=127.0.0.1,rw,nfsvers=4.2,soft,timeo=30,retrans=1", "device": ":/"}


def has_nfs() -> bool:
    for module in ("nfs", "nfsd"):
        subprocess.run(["modprobe", module], capture_output=True)
    known = Path("/proc/filesystems").read_text().split()
    return "nfs4" in known and "nfsd" in known


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that this machine's kernel serves by NFS 4.2 on its loopback."""
    if not has_nfs():
        pytest.skip("this kernel has no NFS; the test guest's has: python -m tests.guest")
    directory = tmp_path_factory.mktemp("share")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for fstype, place in (("nfsd", "/proc/fs/nfsd"), ("rpc_pipefs", "/run/rpc_pipefs")):
        os.makedirs(place, exist_ok=True)
        subprocess.run(["mount", "-t", fstype, fstype, place], capture_output=True)
    os.makedirs("/var/lib/nfs/v4recovery", exist_ok=True)
    subprocess.run(
        ["exportfs", "-o", "rw,no_root_squash,fsid=0,insecure,no_subtree_check", f"127.0.0.1:{directory}"], check=True
    )
    mountd = subprocess.Popen(["rpc.mountd", "--foreground", "--no-nfs-version", "3"], stderr=subprocess.DEVNULL)
    subprocess.run(["rpc.nfsd", "--no-nfs-version", "3", "--no-udp", "2"], check=True)
    yield directory
    subprocess.run(["rpc.nfsd", "0"], check=True)
    mountd.terminate()
    mountd.wait()
    subprocess.run(["exportfs", "-ua"], check=True)


@pytest.fixture
def volume(engine: Engine, share: Path) -> Iterator[str]:
    engine.volumes.create("far", options=OPTIONS)
    yield "far"
    for container in engine.containers.list(all=True):
        engine.containers.remove(container.id, force=True)
    engine.volumes.remove("far")


def nfs_mounts() -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if " - nfs4 " in line]


def mount(*, read_only: bool = False, subpath: str = "") -> tuple[MountSpec]:
    return (MountSpec(kind="volume", source="far", target="/far", read_only=read_only, subpath=subpath),)


def test_F4_a_volume_on_an_nfs_server_is_read_and_written_by_containers(run: Runner, share: Path, volume: str) -> None:
    (share / "from-server").write_text("hello\n")
    first = run.background("sleep", "1000", mounts=mount())
    assert run.exec(first, "sh", "-c", "cat /far/from-server; echo back >/far/from-container").out == "hello\n"
    assert (share / "from-container").read_text() == "back\n"
    assert run.sh("cat /far/from-container", mounts=mount()).out == "back\n"
    refused = run.sh("echo x >/far/x", mounts=mount(read_only=True))
    assert "ead-only file system" in refused.err
    assert not (share / "x").exists()
    (share / "part").mkdir()
    assert run.sh("echo below >/far/file", mounts=mount(subpath="part")).code == 0
    assert (share / "part/file").read_text() == "below\n"
    assert not nfs_mounts(), "the host's mount table stays as it is"


def test_F4_a_volume_on_an_nfs_server_is_browsed_and_exported_without_a_container(
    engine: Engine, share: Path, volume: str
) -> None:
    (share / "listed").write_text("content")
    assert "listed" in [entry.name for entry in engine.volumes.list_dir("far", "/")]
    assert engine.volumes.read_file("far", "/listed") == b"content"
    engine.volumes.write_file("far", "/listed", b"changed")
    assert (share / "listed").read_text() == "changed"
    assert b"listed" in b"".join(engine.volumes.export("far", silent, CancelToken()))


def test_F4_an_nfs_server_that_does_not_answer_fails_the_start_with_the_volumes_name(
    engine: Engine, run: Runner
) -> None:
    if not has_nfs():
        pytest.skip("this kernel has no NFS; the test guest's has: python -m tests.guest")
    engine.volumes.create("away", options=OPTIONS | {"o": "addr=127.0.0.1,port=9,nfsvers=4.2,soft,timeo=10,retrans=0"})
    with pytest.raises(EngineError, match="away"):
        run("true", mounts=(MountSpec(kind="volume", source="away", target="/far"),))
    for container in engine.containers.list(all=True):
        engine.containers.remove(container.id, force=True)
    engine.volumes.remove("away")
