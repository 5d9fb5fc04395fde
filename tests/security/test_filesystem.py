"""Rows SF1 to SF11: what of the file system, /proc, /sys and devices a container sees and may change."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from core.backend import AttachWish
from core.engine.engine import Engine
from core.errors import SandboxFailed
from core.model.container import ContainerSpec
from core.model.devices import DeviceSpec
from core.model.mounts import MountSpec
from tests.conftest import STARTER, Runner, collect

USERS = pytest.mark.parametrize("user", ["", "1000:1000"], ids=["root", "plain"])
EROFS, EPERM, EACCES = 30, 1, 13
MASKED = (
    "/proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug"
    " /proc/scsi /proc/timer_list /proc/timer_stats /sys/firmware /sys/devices/virtual/powercap"
).split()
READ_ONLY = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger".split()


def mounts(run: Runner, **wish: object) -> dict[str, tuple[set[str], str, str]]:
    """Mount points of a container: (flags, type, super block options)."""
    found = {}
    for line in run.sh("cat /proc/self/mountinfo", **wish).lines:
        left, _, right = line.partition(" - ")
        found[left.split()[4]] = (set(left.split()[5].split(",")), right.split()[0], right.split()[2])
    return found


def test_SF1_root_is_the_overlay_and_the_hosts_is_gone(run: Runner) -> None:
    result = run.sh("cat /proc/self/mountinfo; echo --; ls -a /..; cd /..; pwd")
    mounted, _, listed = result.out.partition("--\n")
    own_files = ("/etc/resolv.conf", "/etc/hostname", "/etc/hosts")
    for line in mounted.splitlines():
        if line.split()[4] not in own_files:  # binds name their place on their own disk, as docker's do
            assert run.engine.roots.data.as_posix() not in line
    assert mounts(run)["/"][1] == "overlay"
    assert "oldroot" not in listed
    assert listed.splitlines()[-1] == "/"
    for path in (Path(__file__), run.engine.roots.data):
        assert run("ls", str(path)).code != 0


@USERS
def test_SF2_masked_paths_are_empty(run: Runner, user: str) -> None:
    for path in MASKED:
        result = run.sh(f"if [ -d {path} ]; then ls -A {path}; elif [ -e {path} ]; then cat {path}; fi", user=user)
        assert result.out == "", path


def test_SF2_masks_can_not_be_taken_off(run: Runner) -> None:
    present = [path for path in MASKED if os.path.exists(path)]
    assert present
    for path in present:
        assert run.sh(f"umount {path}").code != 0, path


@USERS
def test_SF3_kernel_settings_are_read_only(run: Runner, user: str) -> None:
    settings = [Path("/proc/sys/kernel") / name for name in ("core_pattern", "modprobe", "hostname")]
    before = {path: path.read_text() for path in settings if path.exists()}
    trigger = [Path("/proc/sysrq-trigger")] if os.path.exists("/proc/sysrq-trigger") else []
    for path in (*before, *trigger):
        found = int(run("/probe", "open", "1", str(path), probe=True, user=user).out)
        assert found in ((EROFS,) if not user else (EROFS, EACCES)), path
    assert {path: path.read_text() for path in before} == before


def test_SF3_every_read_only_path_is_mounted_so(run: Runner) -> None:
    found = mounts(run)
    for path in READ_ONLY:
        if os.path.exists(path):
            assert found[path][0] >= {"ro", "nosuid", "nodev", "noexec"}, path


@USERS
def test_SF4_sys_and_cgroup_files_can_not_be_written(run: Runner, user: str) -> None:
    result = run.sh("touch /sys/fs/cgroup/x; find /sys/fs/cgroup -maxdepth 2 -type d", user=user)
    assert "Read-only" in result.err or "denied" in result.err
    for directory in result.lines:
        made = run.sh(f"mkdir {directory}/wharf-test", user=user)
        assert made.code != 0, directory


def test_SF4_release_agent_can_not_be_set_CVE_2022_0492(run: Runner) -> None:
    found = run.sh("find /sys/fs/cgroup -name release_agent").lines
    for path in found:
        assert int(run("/probe", "open", "1", path, probe=True).out) == EROFS
    # and nobody inside can mount a fresh hierarchy to find one
    assert run.sh("mount -t cgroup -o rdma x /tmp").code != 0


def test_SF5_mount_flags_are_dockers(run: Runner) -> None:
    found = mounts(run)
    expected = {
        "/proc": ({"rw", "nosuid", "nodev", "noexec"}, "proc"),
        "/dev": ({"rw", "nosuid"}, "tmpfs"),
        "/dev/pts": ({"rw", "nosuid", "noexec"}, "devpts"),
        "/sys": ({"ro", "nosuid", "nodev", "noexec"}, "sysfs"),
        "/dev/mqueue": ({"rw", "nosuid", "nodev", "noexec"}, "mqueue"),
        "/dev/shm": ({"rw", "nosuid", "nodev", "noexec"}, "tmpfs"),
    }
    for path, (flags, kind) in expected.items():
        assert found[path][0] - {"relatime"} == flags, path
        assert found[path][1] == kind
    assert "ro" in found["/sys/fs/cgroup"][0]
    assert "size=65536k" in found["/dev/shm"][2]
    pts = found["/dev/pts"][2]
    assert "gid=5" in pts and "mode=620" in pts and "ptmxmode=666" in pts  # noqa: PT018 - one property: the options


def test_SF5_shared_memory_is_64_MiB(run: Runner) -> None:
    assert run.sh("df -k /dev/shm | tail -1 | awk '{print $2}'").out.strip() == "65536"


def test_SF6_only_the_harmless_devices_exist(run: Runner) -> None:
    shown = "for f in $(find /dev -type c -o -type b); do echo ${f#/dev/}; done; stat -c '%a %n' /dev/null"
    result = run.sh(shown)
    assert set(result.lines[:-1]) == {"null", "zero", "full", "random", "urandom", "tty", "pts/ptmx"}
    assert result.lines[-1] == "666 /dev/null"
    links = run.sh("readlink /dev/fd; readlink /dev/stdout; readlink /dev/ptmx").lines
    assert links == ["/proc/self/fd", "/proc/self/fd/1", "pts/ptmx"]


@pytest.mark.parametrize(
    ("kind", "major", "minor"), [("b", 8, 0), ("b", 254, 0), ("c", 1, 1), ("c", 1, 11), ("c", 10, 229), ("c", 10, 232)]
)
def test_SF7_devices_may_be_made_but_not_used(run: Runner, kind: str, major: int, minor: int) -> None:
    made, opened = run("/probe", "device", "/tmp/node", kind, str(major), str(minor), probe=True).out.split()
    if (major, minor) == (10, 229) and made != "0":
        assert made == str(EPERM)  # fuse is denied whole; v1 keeps no rule against a device it does not allow
    else:
        assert (made, opened) == ("0", str(EPERM))


def test_SF7_listed_devices_work_when_made(run: Runner) -> None:
    assert run("/probe", "device", "/tmp/node", "c", "1", "5", probe=True).out == "0 0\n"


def test_SF7_privileged_may_use_them(run: Runner) -> None:
    made, opened = run("/probe", "device", "/tmp/node", "c", "1", "11", probe=True, privileged=True).out.split()
    assert made == "0"
    assert int(opened) != EPERM


def test_SF7_execd_processes_are_under_the_same_filter(run: Runner) -> None:
    container = run.background("sleep", "100", mounts=(run.probe_mount(),))
    assert run.exec(container, "/probe", "device", "/tmp/node", "b", "8", "0").out == f"0 {EPERM}\n"


def test_SF8_mounts_cross_in_neither_direction(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    bind = MountSpec(kind="bind", source=str(tmp_path), target="/shown")
    container = run.background("sleep", "100", mounts=(bind,), cap_add=("CAP_SYS_ADMIN",))
    subprocess.run(["mount", "-t", "tmpfs", "x", str(tmp_path / "below")], check=True)
    try:
        (tmp_path / "below" / "secret").touch()
        assert run.exec(container, "ls", "/shown/below").out == ""
    finally:
        subprocess.run(["umount", str(tmp_path / "below")], check=True)
    assert run.exec(container, "mount", "-t", "tmpfs", "x", "/shown/below").code == 0
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def test_SF9_read_only_bind_covers_mounts_below_it(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "x", str(tmp_path / "below")], check=True)
    try:
        bind = MountSpec(kind="bind", source=str(tmp_path), target="/shown", read_only=True)
        result = run.sh("touch /shown/x; touch /shown/below/x", mounts=(bind,))
        assert result.err.count("Read-only") == 2
        assert os.listdir(tmp_path / "below") == []
    finally:
        subprocess.run(["umount", str(tmp_path / "below")], check=True)


def test_F1_writable_bind_and_a_single_file(run: Runner, tmp_path: Path) -> None:
    config = tmp_path / "redis.conf"
    config.write_text("port 1\n")
    wish = {
        "mounts": (
            MountSpec(kind="bind", source=str(tmp_path), target="/data"),
            MountSpec(kind="bind", source=str(config), target="/etc/redis/redis.conf", read_only=True),
        )
    }
    result = run.sh("cat /etc/redis/redis.conf; echo x > /data/new; echo y > /etc/redis/redis.conf", **wish)
    assert result.lines == ["port 1"]
    assert "Read-only" in result.err
    assert (tmp_path / "new").read_text() == "x\n"


def test_SF10_read_only_root_with_a_writable_tmpfs(run: Runner) -> None:
    tmpfs = MountSpec(kind="tmpfs", target="/scratch")
    result = run.sh("touch /x; touch /etc/x; touch /scratch/x && echo ok", read_only=True, mounts=(tmpfs,))
    assert result.err.count("Read-only") == 2
    assert result.lines == ["ok"]


def test_SF11_tmpfs_options_are_respected(run: Runner) -> None:
    default = MountSpec(kind="tmpfs", target="/scratch", options=("size=1m",))
    result = run.sh(
        "cp /bin/busybox /scratch/ls 2>/dev/null; cp /bin/true /scratch/true; /scratch/true", mounts=(default,)
    )
    assert result.code == 126  # noexec is the default
    runnable = MountSpec(kind="tmpfs", target="/scratch", options=("exec", "size=8m"))
    assert run.sh("cp /bin/busybox /scratch/true; /scratch/true", mounts=(runnable,)).code == 0
    assert "nosuid" in mounts(run, mounts=(runnable,))["/scratch"][0]
    small = MountSpec(kind="tmpfs", target="/scratch", options=("size=64k",))
    assert "No space" in run.sh("dd if=/dev/zero of=/scratch/x bs=1k count=128", mounts=(small,)).err


def test_SF11_set_uid_is_ignored_on_a_nosuid_mount(run: Runner) -> None:
    wish = MountSpec(kind="tmpfs", target="/scratch", options=("exec",))
    script = "cp /bin/busybox /scratch/id; chmod 4755 /scratch/id; su -s /bin/sh nobody -c '/scratch/id -u'"
    assert run.sh(script, mounts=(wish,)).out.strip() != "0"


def test_the_hosts_mount_table_is_never_touched(run: Runner, engine: Engine) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    run.background("sleep", "100")
    assert Path("/proc/self/mountinfo").read_text() == before


def test_own_files_are_made_with_the_modes_images_expect(run: Runner) -> None:
    container = run.background("sleep", "100")
    directory = run.engine.roots.container(container)
    for name in ("hosts", "hostname", "resolv.conf"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o644


def test_SF7_a_device_takes_nothing_s_place_outside_the_container(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    device = DeviceSpec(source="/dev/zero", target="/host/kept")
    bind = MountSpec(kind="bind", source=str(tmp_path), target="/host")
    with pytest.raises(SandboxFailed, match="already"):
        run("true", mounts=(bind,), devices=(device,))
    assert (tmp_path / "kept").read_text() == "kept"


@pytest.mark.parametrize("place", ["/dev/door/x", "/door/x", "/proc/x", "/link/x"])
def test_SF7_a_device_stays_inside_and_out_of_proc(run: Runner, place: str) -> None:
    device = DeviceSpec(source="/dev/zero", target=place)
    made = run.engine.containers.create(ContainerSpec(image=STARTER, command=("ls", "-l", place), devices=(device,)))
    upper = run.engine.roots.container(made.id) / "upper"
    (upper / "door").symlink_to("/tmp")
    (upper / "link").symlink_to("/proc")
    if place in ("/proc/x", "/link/x"):
        with pytest.raises(SandboxFailed):
            run.engine.containers.start(made.id, AttachWish())
    else:
        attached = run.engine.containers.start(made.id, AttachWish())
        assert collect(attached).out.startswith("crw")
    assert not os.path.lexists("/tmp/x")
