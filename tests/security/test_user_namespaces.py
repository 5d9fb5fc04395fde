"""Row SN7: a remapped container's root is nobody on the host, and its files are as the image's all the same."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from core.backend import AttachWish, CommitWish
from core.engine.isolation import user_map
from core.errors import InvalidInput, InvalidSpec, SandboxFailed
from core.model.container import ContainerSpec
from core.model.devices import DeviceSpec
from core.model.isolation import Namespaces
from core.model.logs import LogQuery
from core.model.mounts import MountSpec
from core.model.progress import CancelToken, silent
from core.model.protection import read_protection
from tests.conftest import STARTER, Runner, collect, wait_until

REMAP = Namespaces(user="remap")
USERS = pytest.mark.parametrize("user", ["", "1000:1000"], ids=["root", "plain"])
MAP = user_map(ContainerSpec(image="x", namespaces=REMAP))
assert MAP is not None


@USERS
def test_SN7_map_is_as_promised(run: Runner, user: str) -> None:
    script = "cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups"
    words = run.sh(script, namespaces=REMAP, user=user).out.split()
    assert words == ["0", str(MAP.uid), str(MAP.size), "0", str(MAP.gid), str(MAP.size), "allow"]


@USERS
def test_SN7_host_sees_ids_of_the_range(run: Runner, user: str) -> None:
    container = run.background("sleep", "100", namespaces=REMAP, user=user)
    pid = run.engine.containers.inspect(container).state.pid  # type: ignore[union-attr]
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    ids = {line.split()[0]: set(line.split()[1:]) for line in status if line.startswith(("Uid:", "Gid:"))}
    offset = int(user.partition(":")[0] or "0")
    assert ids == {"Uid:": {str(MAP.uid + offset)}, "Gid:": {str(MAP.gid + offset)}}


def test_SN7_every_namespace_is_another_and_belongs_to_the_users(run: Runner) -> None:
    kinds = ("user", "mnt", "pid", "net", "uts", "ipc", "cgroup")
    result = run.sh(f"for k in {' '.join(kinds)}; do readlink /proc/self/ns/$k; done", namespaces=REMAP)
    assert len(set(result.lines)) == len(kinds)
    assert not set(result.lines) & {os.readlink(f"/proc/self/ns/{kind}") for kind in kinds}
    owned = run.sh(
        "hostname other && hostname; ifconfig lo down && echo down; mkdir -p /p && mount -t proc p /p && echo proc",
        namespaces=REMAP,
        cap_add=("CAP_SYS_ADMIN", "CAP_NET_ADMIN"),
        protection=read_protection(("systempaths=unconfined",)),
    )
    assert owned.lines == ["other", "down", "proc"]


def test_SN7_execd_processes_are_in_it_too(run: Runner) -> None:
    container = run.background("sleep", "100", namespaces=REMAP)
    assert run.exec(container, "readlink", "/proc/self/ns/user").out != os.readlink("/proc/self/ns/user") + "\n"
    assert run.exec(container, "id", "-u", user="1000").out == "1000\n"
    assert run.exec(container, "sh", "-c", "echo x > /dev/stdout", user="1000").out == "x\n"
    assert "CapBnd:\t00000000a80425fb" in run.exec(container, "grep", "CapBnd", "/proc/self/status").out


def test_SN7_root_inside_is_the_image_s_owner_and_nobody_on_the_host(run: Runner, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    for parent in (tmp_path, *list(tmp_path.parents)[:3]):
        parent.chmod(0o755)
    bind = MountSpec(kind="bind", source=str(tmp_path), target="/host")
    script = "stat -c %u:%g /bin/busybox /host/secret; cat /host/secret; echo x > /host/new; chmod 777 /host"
    result = run.sh(script, namespaces=REMAP, mounts=(bind,))
    assert result.lines == ["0:0", "65534:65534"]
    assert result.err.lower().count("denied") == 2
    assert "not permitted" in result.err.lower()
    assert os.listdir(tmp_path) == ["secret"]


def test_SN7_what_it_writes_is_stored_as_the_image_s(run: Runner) -> None:
    volume = MountSpec(kind="volume", source="kept", target="/data")
    script = "echo a > /root/f; chown 1000:1000 /root/f; echo b > /data/f; mkdir /data/d; chown 5:6 /data/d"
    made = run.engine.containers.create(
        ContainerSpec(image=STARTER, command=("sh", "-c", script), namespaces=REMAP, mounts=(volume,))
    )
    attached = run.engine.containers.start(made.id, AttachWish())
    assert attached is not None
    assert collect(attached).code == 0
    upper = run.engine.roots.container(made.id) / "upper"
    data = run.engine.roots.volume("kept") / "_data"
    assert owner(upper / "root/f") == (1000, 1000)
    assert owner(data / "f") == (0, 0)
    assert owner(data / "d") == (5, 6)
    shown = run.sh("stat -c %u:%g /data/f /data/d", mounts=(volume,))
    assert shown.lines == ["0:0", "5:6"]
    run.engine.containers.remove(made.id)
    for container in run.engine.containers.list(all=True):
        run.engine.containers.remove(container.id)
    run.engine.volumes.remove("kept")


def owner(path: Path) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_uid, found.st_gid


def test_SN7_copies_diffs_commits_and_exports_know_nothing_of_it(run: Runner) -> None:
    containers = run.engine.containers
    container = run.background("sleep", "100", namespaces=REMAP)
    assert run.exec(container, "sh", "-c", "echo x > /root/own; chown 7:8 /root/own; rm /etc/group").code == 0
    tar = b"".join(containers.copy_out(container, "/root/own"))
    containers.copy_in(container, "/tmp", [tar], archive=True)
    assert run.exec(container, "stat", "-c", "%u:%g", "/tmp/own").out == "7:8\n"
    containers.copy_in(container, "/root", [tar])
    assert run.exec(container, "stat", "-c", "%u:%g", "/root/own").out == "0:0\n"
    changed = {(change.kind, change.path) for change in containers.changes(container)}
    assert {("A", "/root/own"), ("D", "/etc/group"), ("A", "/tmp/own")} <= changed
    assert len(b"".join(containers.export(container, silent, CancelToken()))) > 10_000
    image = run.engine.images.commit(container, CommitWish(reference="remapped:1"), silent, CancelToken())
    assert run.sh("stat -c %u:%g /tmp/own; ls /etc/group", image=image).lines == ["7:8"]
    for each in containers.list(all=True):
        containers.remove(each.id, force=True)
    run.engine.images.remove("remapped:1")


def test_SN7_a_second_start_finds_its_files(run: Runner) -> None:
    script = "cat /root/n; echo again >> /root/n"
    made = run.engine.containers.create(ContainerSpec(image=STARTER, command=("sh", "-c", script), namespaces=REMAP))
    outputs = []
    for _ in range(3):
        attached = run.engine.containers.start(made.id, AttachWish())
        assert attached is not None
        outputs.append(collect(attached).out)
    assert outputs == ["", "again\n", "again\nagain\n"]


def test_SN7_SF7_no_device_can_be_made_and_the_usual_ones_work(run: Runner) -> None:
    script = "mknod /tmp/d b 8 0; echo x > /dev/null; head -c4 /dev/zero | wc -c; ls /dev | tr '\\n' ' '"
    result = run.sh(script, namespaces=REMAP)
    assert "not permitted" in result.err
    assert result.lines[0] == "4"
    names = set(result.lines[1].split()) - {"core"}  # a link that is there where /proc/kcore is
    assert names == set("fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero".split())


def test_SN7_a_device_of_the_host_is_bound(run: Runner) -> None:
    device = DeviceSpec(source="/dev/zero", target="/dev/naught", access="r")
    assert run.sh("head -c4 /dev/naught | wc -c", namespaces=REMAP, devices=(device,)).out == "4\n"


@USERS
def test_SN7_SF2_SF3_masks_hold(run: Runner, user: str) -> None:
    script = (
        "cat /proc/kcore /proc/keys; ls -A /sys/firmware; echo x > /proc/sys/kernel/core_pattern; umount /proc/keys"
    )
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    result = run.sh(script, namespaces=REMAP, user=user)
    assert result.out == ""
    assert "core_pattern" in result.err
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


def test_SN7_a_terminal_is_its_own(run: Runner) -> None:
    made = run.engine.containers.create(
        ContainerSpec(
            image=STARTER, command=("sh", "-c", "tty; stty size"), tty=True, open_stdin=True, namespaces=REMAP
        )
    )
    attached = run.engine.containers.start(made.id, AttachWish(stdin=True, rows=33, columns=101))
    assert collect(attached).lines == ["/dev/pts/0", "33 101"]


def test_SN7_input_reaches_it(run: Runner) -> None:
    assert run("cat", stdin=b"through\n", namespaces=REMAP, user="1000").out == "through\n"


def test_SN7_a_set_uid_program_gains_the_range_only(run: Runner) -> None:
    script = "cp /probe /tmp/p; chmod 4755 /tmp/p; su -s /bin/sh nobody -c '/tmp/p sys 107; sleep 100'"
    container = run.background("sh", "-c", script, namespaces=REMAP, mounts=(run.probe_mount(),))
    wait_until(lambda: len(_said(run, container)) == 1, "the program to say who it is")
    assert _said(run, container) == ["0 0"]
    for row in run.engine.containers.top(container, ("-eo", "pid,uid")).rows:
        assert MAP.uid <= int(row[-1]) < MAP.uid + MAP.size


def _said(run: Runner, container: str) -> list[str]:
    return [line.data.decode().rstrip() for line in run.engine.containers.logs(container, LogQuery())]


def test_SN7_two_remapped_containers_share_processes(run: Runner) -> None:
    donor = run.background("sleep", "100", namespaces=Namespaces(user="remap", ipc="shareable"))
    run.exec(donor, "sh", "-c", "echo note > /dev/shm/note")
    both = Namespaces(user="remap", pid=f"container:{donor}", ipc=f"container:{donor}")
    result = run.sh("ps; cat /dev/shm/note", namespaces=both)
    assert "sleep 100" in result.out
    assert result.lines[-1] == "note"
    with pytest.raises(InvalidSpec, match="only one of the two"):
        run.sh("true", namespaces=Namespaces(pid=f"container:{donor}"))


@pytest.mark.parametrize(
    "wish",
    [
        {"privileged": True},
        {"network": "host"},
        {"namespaces": Namespaces(user="remap", pid="host")},
        {"namespaces": Namespaces(user="remap", ipc="host")},
    ],
)
def test_SN7_what_would_undo_it_is_refused(run: Runner, wish: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="user namespaces"):
        run("true", **{"namespaces": REMAP, **wish})


def test_SN7_an_image_with_a_symlink_for_proc_is_refused(run: Runner) -> None:
    container = run.engine.containers.create(ContainerSpec(image=STARTER, command=("true",), namespaces=REMAP))
    (run.engine.roots.container(container.id) / "upper" / "proc").symlink_to("/etc")
    with pytest.raises(SandboxFailed) as caught:
        run.engine.containers.start(container.id, AttachWish())
    assert "/proc" in str(caught.value)


def test_SN7_nothing_of_it_is_mounted_on_the_host(run: Runner) -> None:
    container = run.background("sleep", "100", namespaces=REMAP)
    for _ in range(2):
        shown = Path("/proc/self/mountinfo").read_text()
        assert container not in shown
        assert run.engine.roots.run.as_posix() not in shown
        run.engine.containers.stop(container, 0)
    assert stat.S_IMODE((run.engine.roots.container(container) / "upper").stat().st_mode) == 0o755
