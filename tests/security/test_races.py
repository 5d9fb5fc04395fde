"""Rows SE3 to SE8, SE10, SE12 and SE13: races on the way in, and what may be reached from inside."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from core.backend import AttachWish
from core.errors import EngineError, SandboxFailed
from core.model.container import ContainerSpec, ExecSpec
from core.model.health import HealthCheck
from core.model.isolation import Namespaces
from core.model.logs import LogQuery
from core.model.mounts import MountSpec
from core.model.protection import read_protection
from core.monitor import adopting
from tests.conftest import STARTER, Runner, collect, wait_until
from tests.security.test_escapes import host_interpreter, join_for

EROFS, EPERM, EACCES, ENOENT = 30, 1, 13, 2
USERS = pytest.mark.parametrize("user", ["", "1000:1000"], ids=["root", "plain"])


def text_of(run: Runner, container: str, *, follow: bool = False) -> str:
    return "".join(line.data.decode() for line in run.engine.containers.logs(container, LogQuery(follow=follow)))


# ── SE3: devices and their directory replaced ────────────────────────────────────────────────────

VICTIM = Path("/proc/sys/kernel/core_pattern")


@pytest.mark.parametrize("remapped", [False, True], ids=["plain-users", "remapped"])
@pytest.mark.parametrize("name", ["dev", "dev/pts", "dev/shm", "dev/mqueue", "sys", "sys/fs/cgroup"])
def test_SE3_CVE_2025_52565_a_link_in_place_of_a_fixed_directory_leads_nowhere(
    run: Runner, tmp_path: Path, name: str, remapped: bool
) -> None:
    """What lies below /dev and /sys in the image is covered; in place of /dev or /sys themselves it is refused."""
    modes = Namespaces(user="remap") if remapped else Namespaces()
    made = run.engine.containers.create(ContainerSpec(image=STARTER, command=("true",), namespaces=modes))
    place = run.engine.roots.container(made.id) / "upper" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(tmp_path)
    if "/" in name:
        attached = run.engine.containers.start(made.id, AttachWish())
        assert attached is not None
        assert collect(attached).code == 0
    else:
        with pytest.raises(SandboxFailed):
            run.engine.containers.start(made.id, AttachWish())
    assert os.listdir(tmp_path) == []
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def test_SE3_CVE_2025_31133_a_false_null_device_of_the_image_is_covered(run: Runner) -> None:
    before = VICTIM.read_text()
    made = run.engine.containers.create(
        ContainerSpec(image=STARTER, command=("sh", "-c", "ls -l /dev/null; cat /proc/keys; echo x > /dev/null"))
    )
    device = run.engine.roots.container(made.id) / "upper" / "dev" / "null"
    device.parent.mkdir(parents=True)
    device.symlink_to(VICTIM)
    attached = run.engine.containers.start(made.id, AttachWish())
    assert attached is not None
    said = collect(attached)
    assert said.out.startswith("crw-rw-rw-")
    assert len(said.lines) == 1
    assert VICTIM.read_text() == before


@pytest.mark.parametrize(
    ("false", "remapped"),
    [
        (f"ln -sf {VICTIM} /dev/null", False),
        (f"ln -sf {VICTIM} /dev/null", True),
        ("echo a file > /dev/null", True),
        ("echo a file > /dev/null", False),
        ("mknod /dev/null c 1 5", False),
        ("true", False),
    ],
    ids=["link", "link-remapped", "file-remapped", "file", "device", "nothing"],
)
def test_SE3_CVE_2025_31133_an_added_process_takes_no_false_null_device(
    run: Runner, false: str, remapped: bool
) -> None:
    before = VICTIM.read_text()
    modes = Namespaces(user="remap") if remapped else Namespaces()
    script = f"umount -l /dev/null; rm -f /dev/null; {false}; echo done; sleep 100"
    container = run.background("sh", "-c", script, namespaces=modes, cap_add=("CAP_SYS_ADMIN",))
    wait_until(lambda: "done" in text_of(run, container), "the device to be replaced")
    with pytest.raises(SandboxFailed, match="null"):
        run.engine.containers.exec(container, ExecSpec(argv=("true",)), AttachWish())
    assert VICTIM.read_text() == before


def test_SE3_CVE_2025_52565_an_added_terminal_is_none_of_a_false_devpts(run: Runner) -> None:
    script = "umount /dev/pts; mkdir -p /dev/pts; ln -s /dev/null /dev/pts/ptmx; echo ready; sleep 100"
    container = run.background("sh", "-c", script, cap_add=("CAP_SYS_ADMIN",))
    wait_until(lambda: "ready" in text_of(run, container), "devpts to be taken away")
    with pytest.raises(SandboxFailed, match="terminal"):
        run.engine.containers.exec(container, ExecSpec(argv=("true",), tty=True), AttachWish(rows=24, columns=80))


# ── SE4: writes to procfs that are led elsewhere ─────────────────────────────────────────────────


def test_SE4_CVE_2019_19921_an_image_with_a_symlink_for_proc_is_refused(run: Runner, tmp_path: Path) -> None:
    container = run.engine.containers.create(ContainerSpec(image=STARTER, command=("true",)))
    (run.engine.roots.container(container.id) / "upper" / "proc").symlink_to(tmp_path)
    with pytest.raises(SandboxFailed):
        run.engine.containers.start(container.id, AttachWish())
    assert os.listdir(tmp_path) == []


def test_SE4_CVE_2025_52881_a_false_proc_in_the_image_is_never_written_to(run: Runner) -> None:
    made = run.engine.containers.create(
        ContainerSpec(
            image=STARTER,
            command=("cat", "/proc/sys/kernel/msgmax", "/proc/self/oom_score_adj"),
            sysctls={"kernel.msgmax": "9000"},
            oom_score_adj=77,
        )
    )
    false = run.engine.roots.container(made.id) / "upper" / "proc"
    for name in ("sys/kernel/msgmax", "self/oom_score_adj", "self/attr/exec"):
        (false / name).parent.mkdir(parents=True, exist_ok=True)
        (false / name).write_text("false\n")
    attached = run.engine.containers.start(made.id, AttachWish())
    assert attached is not None
    assert collect(attached).lines == ["9000", "77"]
    assert {path.read_text() for path in false.rglob("*") if path.is_file()} == {"false\n"}


@pytest.mark.parametrize("target", ["/proc", "/proc/self", "/proc/sys/kernel", "/door/sys", "/door/self/attr"])
def test_SE4_nothing_is_mounted_over_proc_even_through_a_link_of_the_image(run: Runner, target: str) -> None:
    volume = MountSpec(kind="volume", target=target)
    made = run.engine.containers.create(ContainerSpec(image=STARTER, command=("true",), mounts=(volume,)))
    (run.engine.roots.container(made.id) / "upper" / "door").symlink_to("/proc")
    with pytest.raises(SandboxFailed):
        run.engine.containers.start(made.id, AttachWish())
    run.engine.containers.remove(made.id, volumes=True)


# ── SE5: mount points that are swapped while a container starts ──────────────────────────────────

IS_GUEST = "WHARF_TEST_PROBE" in os.environ
"""A virtual machine without acceleration takes its time over so many starts."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("iterations", "modes"),
    [(150 if IS_GUEST else 1000, Namespaces()), (50 if IS_GUEST else 200, Namespaces(user="remap"))],
    ids=["plain", "remap"],
)
def test_SE5_CVE_2021_30465_a_swapped_mount_point_leads_nowhere(
    run: Runner, tmp_path: Path, iterations: int, modes: Namespaces
) -> None:
    """A sibling swaps a directory of a shared volume with a link to the host's; nothing lands outside."""
    for parent in (tmp_path, *list(tmp_path.parents)[:3]):
        parent.chmod(0o755)
    shared = MountSpec(kind="volume", source="shared", target="/shared")
    racer = run.background("/probe", "swap", "900", "/shared/x", "/", mounts=(shared, run.probe_mount()))
    inner = MountSpec(kind="tmpfs", target=f"/shared/x{tmp_path}")
    victim = run.engine.containers.create(
        ContainerSpec(
            image=STARTER,
            command=("grep", "tmpfs", "/proc/self/mountinfo"),
            mounts=(shared, inner),
            namespaces=modes,
        )
    ).id
    seen = set()
    for _ in range(iterations):
        try:
            attached = run.engine.containers.start(victim, AttachWish())
            seen.add(next(line.split()[4] for line in collect(attached).lines if str(tmp_path) in line))
        except SandboxFailed:
            seen.add("refused")
        assert os.listdir(tmp_path) == []
        assert run.engine.containers.inspect(racer).status == "running"
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert seen <= {f"/shared/x{tmp_path}", str(tmp_path), "refused", f"/shared/x.link{tmp_path}"}
    assert len(seen) > 1  # it was a race
    run.engine.containers.remove(racer, force=True)
    run.engine.containers.remove(victim, force=True)
    run.engine.volumes.remove("shared")


# ── SE6: copying ─────────────────────────────────────────────────────────────────────────────────


def test_SE6_CVE_2018_15664_copies_stay_inside_while_links_are_swapped(run: Runner, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("host's")
    containers = run.engine.containers
    source = run.background("sh", "-c", "mkdir /d; echo inner > /d/secret; sleep 100")
    tar = b"".join(containers.copy_out(source, "/d/secret"))
    racer = run.background("/probe", "swap", "60", "/x", str(tmp_path), mounts=(run.probe_mount(),))
    for _ in range(40):
        try:
            containers.copy_in(racer, "/x", [tar.replace(b"secret", b"planted", 1)])
            assert b"host's" not in b"".join(containers.copy_out(racer, "/x/secret"))
        except EngineError:
            continue  # the place was a link that leads nowhere inside
    assert os.listdir(tmp_path) == ["secret"]
    assert secret.read_text() == "host's"


def test_SE6_CVE_2019_14271_no_code_of_the_image_runs_in_our_processes(run: Runner) -> None:
    """Modules and libraries that an interpreter or a C library might load late, planted where it would look."""
    containers = run.engine.containers
    made = containers.create(ContainerSpec(image=STARTER, command=("sleep", "100"), user="nobody:nogroup"))
    upper = run.engine.roots.container(made.id) / "upper"
    poison = "import os\nos.open('/poisoned', os.O_CREAT | os.O_WRONLY)\n"
    places = [entry for entry in sys.path if entry.startswith("/")] + [os.path.dirname(os.__file__), "/"]
    for place in places:
        directory = upper / place.lstrip("/")
        directory.mkdir(parents=True, exist_ok=True)
        for module in ("uuid", "pwd", "grp", "encodings/idna", "stringprep", "traceback", "linecache", "sitecustomize"):
            file = directory / f"{module}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text(poison)
    for library in ("libnss_files.so.2", "libnss_compat.so.2", "libgcc_s.so.1"):
        for place in ("lib", "lib64", "usr/lib", "usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"):
            file = upper / place / library
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"\x7fELF poisoned")
    containers.start(made.id)
    assert run.exec(made.id, "true", user="nobody").code == 0
    b"".join(containers.copy_out(made.id, "/etc/passwd"))
    containers.copy_in(made.id, "/tmp", [b"".join(containers.copy_out(made.id, "/etc/group"))])
    with pytest.raises(SandboxFailed):
        run.exec(made.id, "nosuchprogram")
    with pytest.raises(EngineError):
        b"".join(containers.copy_out(made.id, "/nosuchfile"))
    assert not (upper / "poisoned").exists()
    assert not os.path.exists("/poisoned")


# ── SE7: a process on its way in ─────────────────────────────────────────────────────────────────


def test_SE7_CVE_2016_9962_a_joining_process_can_be_neither_traced_nor_read(run: Runner) -> None:
    container = run.background("/probe", "trace-joiners", "6", mounts=(run.probe_mount(),))
    assert join_for(run, container, seconds=2.0) > 0
    said = text_of(run, container, follow=True)
    assert "caught" not in said
    assert int(said.split()[-1]) > 0


def test_SE7_a_container_that_joins_can_be_neither_traced_nor_read_on_its_way(run: Runner) -> None:
    """The go-between's child is in the donor's process namespace before it is anybody's program."""
    donor = run.background("/probe", "trace-joiners", "6", mounts=(run.probe_mount(),))
    modes = Namespaces(pid=f"container:{donor}")
    for _ in range(20):
        assert run("true", namespaces=modes).code == 0
    said = text_of(run, donor, follow=True)
    # once it runs its own program, on a root of its own, it is the donor's to trace, as they share processes
    assert {line.split()[2] for line in said.splitlines() if line.startswith("caught")} <= {"true"}
    assert int(said.split()[-1]) > 0


def test_SE1_SE7_a_health_check_can_be_neither_traced_nor_reopened_on_its_way(run: Runner) -> None:
    before = host_interpreter()
    check = HealthCheck(test=("CMD", "true"), interval_ns=20_000_000)
    racers = [
        run.background("/probe", verb, "4", mounts=(run.probe_mount(),), health=check)
        for verb in ("trace-joiners", "hold-exe")
    ]
    traced, held = (text_of(run, racer, follow=True) for racer in racers)
    assert "caught" not in traced
    assert int(traced.split()[-1]) > 0
    assert "seen" in held
    assert 0 not in [int(line.split()[1]) for line in held.splitlines() if line[:1].isdigit()]
    assert host_interpreter().items() >= before.items()


# ── SE8: control sockets ─────────────────────────────────────────────────────────────────────────


def test_SE8_CVE_2020_15257_no_abstract_socket_and_none_for_others(run: Runner) -> None:
    container = run.background("sleep", "100")
    sockets = [run.engine.roots.monitor_socket(container), run.engine.roots.spawner_socket]
    ours = {line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if "wharf" in line}
    assert not [name for name in ours if name.startswith("@")]
    for path in sockets:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    result = run.sh("grep -a wharf /proc/net/unix | grep ' @' ; ls -d /run/wharf* 2>&1", network="host")
    assert "@" not in result.out


def test_SE8_peers_are_checked_by_who_they_are(run: Runner) -> None:
    container = run.background("sleep", "100")
    path = run.engine.roots.monitor_socket(container)
    code = (
        "import os, socket, sys\n"
        "os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)\n"
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "s.settimeout(5)\n"
        "try:\n"
        f"    s.connect({str(path)!r})\n"
        '    s.send(b\'{"op": "signal", "number": 9}\')\n'
        "    print('answer', s.recv(100))\n"
        "except OSError as error:\n"
        "    print('refused', error.errno)\n"
    )

    def asked() -> str:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert asked() == "refused 13\n"
    os.chmod(path, 0o666)
    assert asked() in ("answer b''\n", "refused 104\n", "refused 32\n")
    assert run.engine.containers.inspect(container).status == "running"


def test_SE8_a_container_on_the_hosts_network_can_not_reach_a_path_socket(run: Runner) -> None:
    container = run.background("sleep", "100")
    path = run.engine.roots.monitor_socket(container)
    assert run("ls", str(path), network="host").code != 0


# ── SE10: groups ─────────────────────────────────────────────────────────────────────────────────


def test_SE10_CVE_2022_2989_a_group_that_is_shut_out_stays_so(run: Runner, tmp_path: Path) -> None:
    """A file that everybody but a group may read: the user's groups are exactly the image's."""
    (tmp_path / "passwd").write_text("root:x:0:0::/:/bin/sh\nmember:x:1000:1000::/:/bin/sh\n")
    (tmp_path / "group").write_text("root:x:0:\nown:x:1000:\nbarred:x:777:member\n")
    (tmp_path / "file").write_text("readable\n")
    os.chown(tmp_path / "file", 0, 777)
    (tmp_path / "file").chmod(0o604)
    for parent in (tmp_path, *list(tmp_path.parents)[:3]):
        parent.chmod(0o755)
    mounts = tuple(
        MountSpec(kind="bind", source=str(tmp_path / name), target=target, read_only=True)
        for name, target in (("passwd", "/etc/passwd"), ("group", "/etc/group"), ("file", "/file"))
    )
    result = run.sh("id -G; cat /file", user="member", mounts=mounts)
    assert result.lines == ["1000 777"]
    assert "denied" in result.err
    assert run.sh("cat /file", user="1001", mounts=mounts).out == "readable\n"
    container = run.background("sleep", "100", mounts=mounts)
    assert "denied" in run.exec(container, "cat", "/file", user="member").err
    assert "denied" in run.sh("cat /file", user="1001", group_add=("barred",), mounts=mounts).err


# ── SE12: programs that the host's kernel starts ─────────────────────────────────────────────────

HELPERS = (
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hotplug",
    "/proc/sys/kernel/poweroff_cmd",
    "/proc/sys/kernel/usermodehelper/bset",
    "/proc/sys/fs/binfmt_misc/register",
    "/proc/sys/fs/binfmt_misc/status",
    "/sys/kernel/uevent_helper",
    "/sys/fs/cgroup/memory/release_agent",
    "/sys/fs/cgroup/memory/notify_on_release",
    "/sys/fs/cgroup/release_agent",
    "/sys/kernel/debug/x",
    "/sys/power/state",
    "/proc/sysrq-trigger",
)


@USERS
@pytest.mark.parametrize("namespaces", [Namespaces(), Namespaces(user="remap")], ids=["host-users", "remapped"])
def test_SE12_no_helper_of_the_kernel_can_be_set(run: Runner, user: str, namespaces: Namespaces) -> None:
    before = {path: Path(path).read_bytes() for path in HELPERS[:4] if os.path.exists(path)}
    script = "; ".join(f"/probe open 1 {path}" for path in HELPERS)
    result = run.sh(script, probe=True, user=user, namespaces=namespaces)
    found = dict(zip(HELPERS, map(int, result.lines), strict=True))
    assert set(found.values()) <= {EROFS, EPERM, EACCES, ENOENT}, found
    assert {path: Path(path).read_bytes() for path in before} == before


# ── SE13 and SC16: a shared process namespace ────────────────────────────────────────────────────


def test_SE13_a_shared_process_namespace_shows_no_process_of_ours(run: Runner) -> None:
    donor = run.background("sleep", "100")
    shared = Namespaces(pid=f"container:{donor}")
    guest = run.background("sleep", "200", namespaces=shared)
    run.exec(guest, "true")
    for container in (donor, guest):
        shown = run.exec(container, "ps", "-o", "args").lines
        assert set(shown[1:]) <= {"sleep 100", "sleep 200", "ps -o args", "{ps} ps -o args"}
    assert "python" not in "".join(run.exec(guest, "ps").lines)


def test_SE13_SC16_with_the_hosts_processes_in_sight_the_monitor_is_out_of_reach(run: Runner) -> None:
    target = run.background("sleep", "100")
    state = run.engine.containers.inspect(target).state
    monitor = int(Path(f"/proc/{state.pid}/stat").read_text().rpartition(")")[2].split()[1])  # type: ignore[union-attr]
    script = (
        f"cd /proc/{monitor}; for n in root cwd exe fd/0 ns/mnt; do readlink $n; done; ls root/ cwd/; cat environ;"
        f" /probe open 2 mem; /probe ptrace {monitor}"
    )
    result = run.sh(script, probe=True, namespaces=Namespaces(pid="host"))
    assert [int(line) for line in result.lines] == [EACCES, EPERM]


def test_SC16_a_process_of_the_host_can_not_be_traced_without_the_filter_either(run: Runner) -> None:
    open_filter = read_protection(("seccomp=unconfined",))
    result = run("/probe", "ptrace", str(os.getpid()), probe=True, protection=open_filter)
    assert result.out == "3\n"  # ESRCH: in its process namespace there is no such process


# ── taking over: what a container has open ───────────────────────────────────────────────────────


@pytest.mark.parametrize("swapped", ["fifo", "device", "pipe", "file of that number"])
def test_SE1_a_pipe_is_reopened_only_while_it_is_that_pipe(tmp_path: Path, swapped: str) -> None:
    """A monitor that takes over opens its pipes by the container's own descriptors, which may be swapped meanwhile."""
    reading, writing = os.pipe()
    path, inode = f"/proc/self/fd/{writing}", os.fstat(reading).st_ino
    again = adopting._open_pipe(path, inode, os.O_RDONLY)
    assert os.fstat(again).st_ino == inode
    opened = [reading, writing, again]
    os.mkfifo(tmp_path / "fifo")
    match swapped:
        case "pipe":
            opened += os.pipe()
            target = opened[-1]
        case "device":
            opened.append(target := os.open("/dev/null", os.O_PATH))
        case _:
            opened.append(target := os.open(tmp_path / "fifo", os.O_PATH))
    os.dup2(target, writing)
    if swapped == "file of that number":
        inode = os.fstat(target).st_ino
    with pytest.raises(OSError, match="another file"):
        adopting._open_pipe(path, inode, os.O_RDONLY)
    for descriptor in opened:
        os.close(descriptor)
