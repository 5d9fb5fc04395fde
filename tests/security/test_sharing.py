"""Shared namespaces: what is shared is, what is not is not, and nothing outlives its container (SN1, SR7, SE13)."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from core.errors import EngineError, InvalidInput, InvalidSpec, NotFound, SandboxFailed, WrongState
from core.linux import procfs
from core.model.isolation import Namespaces
from core.monitor import birth, steps
from tests.conftest import Runner, wait_until

KINDS = ("mnt", "pid", "net", "uts", "ipc", "cgroup")


def namespaces(run: Runner, modes: Namespaces, **wish: object) -> dict[str, str]:
    script = f"for k in {' '.join(KINDS)}; do readlink /proc/self/ns/$k; done"
    return dict(zip(KINDS, run.sh(script, namespaces=modes, **wish).lines, strict=True))


def of_host() -> dict[str, str]:
    return {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in KINDS}


@pytest.mark.parametrize(
    ("modes", "shared"),
    [
        (Namespaces(pid="host"), {"pid"}),
        (Namespaces(ipc="host"), {"ipc"}),
        (Namespaces(uts="host"), {"uts"}),
        (Namespaces(cgroup="host"), {"cgroup"}),
        (Namespaces(ipc="none"), set()),
        (Namespaces(ipc="shareable"), set()),
        (Namespaces(pid="host", ipc="host", uts="host", cgroup="host"), {"pid", "ipc", "uts", "cgroup"}),
    ],
    ids=lambda value: str(value) if isinstance(value, Namespaces) else "shared",
)
def test_SN1_only_what_is_asked_for_is_shared_with_the_host(run: Runner, modes: Namespaces, shared: set[str]) -> None:
    ours, theirs = of_host(), namespaces(run, modes)
    assert {kind for kind in KINDS if ours[kind] == theirs[kind]} == shared


def test_SN1_only_what_is_asked_for_is_shared_with_a_container(run: Runner) -> None:
    donor = run.background("sleep", "100", namespaces=Namespaces(ipc="shareable"))
    pid = run.engine.containers.inspect(donor).state.pid  # type: ignore[union-attr]
    donors = {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in KINDS}
    found = namespaces(run, Namespaces(pid=f"container:{donor}", ipc=f"container:{donor}"))
    assert {kind for kind in KINDS if found[kind] == donors[kind]} == {"pid", "ipc"}


def test_SN1_an_execd_process_shares_what_its_container_does(run: Runner) -> None:
    container = run.background("sleep", "100", namespaces=Namespaces(pid="host", uts="host"))
    found = run.exec(container, "sh", "-c", f"for k in {' '.join(KINDS)}; do readlink /proc/self/ns/$k; done").lines
    ours = of_host()
    assert {kind for kind, link in zip(KINDS, found, strict=True) if link == ours[kind]} == {"pid", "uts"}


def test_SR7_processes_of_a_shared_process_namespace_end_with_their_container(run: Runner) -> None:
    marker = f"41{os.getpid()}"
    script = f"(setsid sleep {marker} &); (trap '' TERM; sleep {marker} &); sleep 1000"
    container = run.background("sh", "-c", script, namespaces=Namespaces(pid="host"))
    wait_until(lambda: len(running(marker)) == 2, "two sleepers")
    run.engine.containers.remove(container, force=True)
    wait_until(lambda: running(marker) == [], "no sleeper")


def running(marker: str) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cmdline").read_bytes() == f"sleep\0{marker}\0".encode():
                found.append(entry.name)
        except OSError:
            continue
    return found


def test_SR7_no_orphan_of_a_shared_process_namespace_stays_unburied(run: Runner) -> None:
    container = run.background("sh", "-c", "(sleep 0.3 &); (sleep 0.4 &); sleep 100", namespaces=Namespaces(pid="host"))
    state = run.engine.containers.inspect(container).state
    groups = [str(entry) for entry in Path("/sys/fs/cgroup").glob(f"**/{state.cgroup}/cgroup.procs")]  # type: ignore[union-attr]
    assert groups

    def members() -> int:
        return len(Path(groups[0]).read_text().split())

    wait_until(lambda: members() == 2, "the orphans to be gone", seconds=20)  # the shell and its sleep


def test_a_donor_s_end_takes_its_guests_along_and_a_new_start_finds_a_new_donor(run: Runner) -> None:
    containers = run.engine.containers
    donor = run.background("sleep", "100")
    guest = run.background("sleep", "200", namespaces=Namespaces(pid=f"container:{donor}"))
    containers.kill(donor)
    wait_until(lambda: containers.inspect(guest).status == "exited", "the guest to end too")
    with pytest.raises(WrongState, match="non running"):
        containers.start(guest)
    containers.start(donor)
    time.sleep(0.05)
    containers.start(guest)
    assert "sleep 100" in "".join(run.exec(guest, "ps").lines)


def test_a_renamed_donor_is_still_the_donor(run: Runner) -> None:
    donor = run.background("sleep", "100", name="first")
    guest = run.background("sleep", "200", namespaces=Namespaces(pid="container:first"))
    run.engine.containers.rename("first", "second")
    run.engine.containers.restart(guest, 0)
    assert run.engine.containers.inspect(guest).config.spec.namespaces.pid == f"container:{donor}"


@pytest.mark.parametrize("modes", [Namespaces(pid="container:nobody"), Namespaces(ipc="container:nobody")], ids=str)
def test_a_donor_that_is_not_there_is_named_and_nothing_made(run: Runner, modes: Namespaces) -> None:
    with pytest.raises(NotFound, match="nobody"):
        run("true", namespaces=modes)
    assert run.engine.containers.list(all=True) == []


def test_a_parameter_of_a_shared_namespace_can_not_be_set(run: Runner) -> None:
    before = Path("/proc/sys/kernel/msgmax").read_text()
    for wish in (
        {"namespaces": Namespaces(ipc="host"), "sysctls": {"kernel.msgmax": "9000"}},
        {"network": "host", "sysctls": {"net.ipv4.ip_forward": "1"}},
    ):
        with pytest.raises(InvalidInput, match="not allowed"):
            run("true", **wish)
    assert Path("/proc/sys/kernel/msgmax").read_text() == before


def test_the_hosts_names_can_not_be_changed_by_a_wish(run: Runner) -> None:
    before = os.uname()
    for wish in ({"hostname": "other"}, {"domainname": "other"}):
        with pytest.raises(EngineError, match="conflicting"):
            run("true", namespaces=Namespaces(uts="host"), **wish)
    assert os.uname() == before


def test_a_private_ipc_namespace_is_not_for_others(run: Runner) -> None:
    donor = run.background("sleep", "100")
    with pytest.raises(InvalidSpec, match="non-shareable"):
        run("true", namespaces=Namespaces(ipc=f"container:{donor}"))


def test_SE3_SN1_a_donor_s_false_shared_memory_is_refused(run: Runner) -> None:
    """A donor that may mount puts a proc file system in /dev/shm's place; a guest would have it without its masks."""
    donor = run.background("sleep", "100", namespaces=Namespaces(ipc="shareable"), cap_add=("CAP_SYS_ADMIN",))
    guest = Namespaces(ipc=f"container:{donor}")
    assert run.sh("ls /dev/shm", namespaces=guest).code == 0
    assert run.exec(donor, "sh", "-c", "umount /dev/shm; mount -t proc p /dev/shm").code == 0
    with pytest.raises(SandboxFailed, match="no memory file system"):
        run.sh("ls /dev/shm", namespaces=guest)


def test_SN1_a_process_that_has_only_the_donor_s_number_is_none(run: Runner) -> None:
    ticks = procfs.read_start_ticks(os.getpid())
    assert ticks
    os.close(birth._open_process({"pid": os.getpid(), "start_ticks": ticks}))
    with pytest.raises(OSError, match="has ended"):
        birth._open_process({"pid": os.getpid(), "start_ticks": ticks - 1})


def test_SE3_SN7_a_node_that_became_another_device_is_not_bound(tmp_path: Path) -> None:
    place = steps.Place(str(tmp_path))
    place.trees["/dev/null"] = os.open("/dev/null", os.O_PATH)
    directory = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    with pytest.raises(OSError, match="another device"):
        steps._bind_node(place, "/dev/null", directory, "sda", os.makedev(8, 0))
    assert os.listdir(tmp_path) == []
    os.close(place.trees["/dev/null"])
    os.close(directory)


def test_SE4_CVE_2025_52881_a_parameter_is_written_to_a_proc_file_system_only(tmp_path: Path) -> None:
    false = tmp_path / "proc/sys/net/x"
    false.parent.mkdir(parents=True)
    false.write_text("before")
    place = steps.Place(str(tmp_path))
    place.root = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    with pytest.raises(OSError, match="no proc file system"):
        steps.Sysctl("net/x", "after").run(place)
    assert false.read_text() == "before"
    os.close(place.root)
