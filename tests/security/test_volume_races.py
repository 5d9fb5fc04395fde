"""Rows SE5, SE6, SF12 and SE10 for volumes: a container swaps directories for links while others look in."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from core.backend import AttachWish
from core.errors import EngineError
from core.model.container import ContainerSpec
from core.model.isolation import Namespaces
from core.model.mounts import MountSpec
from core.model.progress import CancelToken, silent
from tests.archives import directory, member, tar
from tests.conftest import STARTER, Runner, collect

IS_GUEST = "WHARF_TEST_PROBE" in os.environ
SHARED = MountSpec(kind="volume", source="shared", target="/shared")


def _racer(run: Runner, tmp_path: Path) -> str:
    """A container that swaps the volume's directory `x` for a link to a directory of the host's, all the time."""
    for parent in (tmp_path, *list(tmp_path.parents)[:3]):
        parent.chmod(0o755)
    (tmp_path / "secret").write_text("host's")
    return run.background("/probe", "swap", "900", "/shared/x", str(tmp_path), mounts=(SHARED, run.probe_mount()))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("modes", [Namespaces(), Namespaces(user="remap")], ids=["plain", "remap"])
def test_SE5_SF12_a_swapped_subpath_leads_nowhere(run: Runner, tmp_path: Path, modes: Namespaces) -> None:
    racer = _racer(run, tmp_path)
    part = MountSpec(kind="volume", source="shared", target="/part", subpath="x")
    victim = run.engine.containers.create(
        ContainerSpec(image=STARTER, command=("ls", "/part"), mounts=(part,), namespaces=modes)
    ).id
    seen = set()
    for _ in range(60 if IS_GUEST else 300):
        try:
            attached = run.engine.containers.start(victim, AttachWish())
            assert attached
            seen.add(collect(attached).out)
        except EngineError:
            seen.add("refused")
        assert run.engine.containers.inspect(racer).status == "running"
    assert seen <= {"", "refused"}
    assert len(seen) == 2  # it was a race
    for container in (racer, victim):
        run.engine.containers.remove(container, force=True)
    run.engine.volumes.remove("shared")


@pytest.mark.timeout(300)
def test_SE6_what_is_done_to_a_volumes_files_stays_inside(run: Runner, tmp_path: Path) -> None:
    racer = _racer(run, tmp_path)
    volumes, containers = run.engine.volumes, run.engine.containers
    planted = tar([member("planted", b"x")])
    whole = tar([directory("x"), member("x/planted", b"x")])
    deeds = (
        lambda: volumes.copy_in("shared", "/x", [planted]),
        lambda: volumes.import_tar("shared", io.BytesIO(whole), silent, CancelToken()),
        lambda: volumes.write_file("shared", "/x/secret", b"overwritten"),
        lambda: volumes.remove_path("shared", "/x/secret"),
        lambda: containers.write_file(racer, "/shared/x/secret", b"overwritten"),
        lambda: containers.remove_path(racer, "/shared/x/secret"),
    )
    for _ in range(10):
        for deed in deeds:
            try:
                deed()
            except EngineError:
                continue  # the place was a link that leads nowhere inside
        for read in (
            lambda: volumes.read_file("shared", "/x/secret"),
            lambda: b"".join(volumes.copy_out("shared", "/x")),
            lambda: containers.read_file(racer, "/shared/x/secret"),
        ):
            try:
                assert b"host's" not in read()
            except EngineError:
                continue
    assert os.listdir(tmp_path) == ["secret"]
    assert (tmp_path / "secret").read_text() == "host's"
    containers.remove(racer, force=True)
    volumes.remove("shared")


def test_SE4_a_volumes_link_to_proc_is_none_of_the_hosts(run: Runner) -> None:
    """Links of a volume to where a worker's own /proc would be lead to nothing of the host's."""
    script = (
        "cd /shared; ln -s /proc/sys/kernel/hostname h; ln -s /proc/self/root/etc e; ln -s /etc/hostname n; mkdir d"
    )
    assert run.sh(script, mounts=(SHARED,)).code == 0
    volumes = run.engine.volumes
    before = Path("/proc/sys/kernel/hostname").read_text()
    for path in ("/h", "/e/passwd", "/n"):
        with pytest.raises(EngineError):
            volumes.read_file("shared", path)
        with pytest.raises(EngineError):
            volumes.write_file("shared", path, b"taken")
    for path in ("/h", "/e", "/n"):
        with pytest.raises(EngineError):
            volumes.copy_in("shared", path, [tar([member("x", b"x")])])
    assert Path("/proc/sys/kernel/hostname").read_text() == before
    for container in run.engine.containers.list(all=True):
        run.engine.containers.remove(container.id)
    volumes.remove("shared")


@pytest.mark.parametrize(
    ("user", "added", "groups"),
    [
        ("1001", (), {"0"}),
        ("1001:1001", (), {"1001"}),
        ("member", (), {"1000", "777"}),
        ("member:barred", (), {"777"}),
        ("member", ("50",), {"1000", "777", "50"}),
        ("0", (), {"0"}),
        ("", (), {"0"}),
    ],
)
def test_SE10_groups_are_exactly_the_images_and_those_asked_for(
    run: Runner, tmp_path: Path, user: str, added: tuple[str, ...], groups: set[str]
) -> None:
    (tmp_path / "passwd").write_text("root:x:0:0::/:/bin/sh\nmember:x:1000:1000::/:/bin/sh\n")
    (tmp_path / "group").write_text("root:x:0:\nown:x:1000:\nbarred:x:777:member\n")
    for parent in (tmp_path, *list(tmp_path.parents)[:3]):
        parent.chmod(0o755)
    mounts = tuple(
        MountSpec(kind="bind", source=str(tmp_path / name), target=f"/etc/{name}", read_only=True)
        for name in ("passwd", "group")
    )
    shown = "sed -n 's/^Groups:[[:space:]]*//p; s/^Gid:[[:space:]]*\\([0-9]*\\).*/\\1/p' /proc/self/status"
    for modes in (Namespaces(), Namespaces(user="remap")):
        done = run.sh(shown, user=user, group_add=added, mounts=mounts, namespaces=modes)
        assert set(done.out.split()) == groups
    holder = run.background("sleep", "1000", group_add=added, mounts=mounts)
    assert set(run.exec(holder, "sh", "-c", shown, user=user).out.split()) == groups
