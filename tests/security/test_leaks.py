"""What a container could learn of the host, or of other containers, without leaving its own room (SE2, SN6, SN9)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.backend import AttachWish
from core.model.container import ContainerSpec, ExecSpec
from core.model.health import HealthCheck
from core.model.isolation import Namespaces
from tests.conftest import STARTER, Runner, collect, wait_until

SECRETS = tuple(f"SECRET{number}=canary-of-another-{number}-{'x' * 100}" for number in range(200))
REMAP = Namespaces(user="remap")


@pytest.mark.parametrize("init", [False, True], ids=["plain", "init"])
def test_SN9_memory_that_stays_inside_holds_nothing_of_another_container(run: Runner, init: bool) -> None:
    """With SYS_PTRACE --init's memory can be read; it is a fork of a fork of what has started all the others."""
    for _ in range(3):
        run.background("sleep", "100", env=SECRETS)
    container = run.background("sleep", "100", init=init, cap_add=("CAP_SYS_PTRACE",), env=("OWN=canary-of-its-own",))
    state = run.engine.containers.inspect(container).state
    memory = memory_of(state.pid)  # type: ignore[union-attr]
    assert b"canary-of-its-own" in memory
    assert memory.count(b"canary-of-another") == 0


def memory_of(pid: int) -> bytes:
    """All that a process can write to."""
    found = []
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            if rights.startswith("rw") and "[v" not in line:
                start, end = (int(number, 16) for number in span.split("-"))
                memory.seek(start)
                found.append(memory.read(end - start))
    return b"".join(found)


@pytest.fixture
def hosts_group() -> Iterator[str]:
    """A group of the host's in every hierarchy."""
    name = "a-group-of-the-host"
    tops = [Path(line.split()[1]) for line in Path("/proc/mounts").read_text().splitlines() if " cgroup" in line]
    for top in tops:
        if top != Path("/sys/fs/cgroup") or (top / "cgroup.controllers").exists():
            (top / name).mkdir(exist_ok=True)
    yield name
    for top in tops:
        if (top / name).exists():
            (top / name).rmdir()


@pytest.mark.parametrize(
    "wish", [{}, {"namespaces": REMAP}, {"privileged": True}], ids=["plain", "remap", "privileged"]
)
def test_SN6_no_hierarchy_shows_groups_of_the_host(run: Runner, hosts_group: str, wish: dict[str, object]) -> None:
    result = run.sh(f"find /sys/fs/cgroup -name {hosts_group}; ls /sys/fs/cgroup", **wish)
    assert hosts_group not in result.out
    assert result.out.count("\n") >= 1


SHOWN = "for d in /proc/self/fd/*; do readlink $d; done"
"""Those of readlink: what the shell was given, and passes on."""

WISHES = [
    {},
    {"init": True},
    {"privileged": True},
    {"namespaces": REMAP},
    {"namespaces": REMAP, "init": True},
    {"namespaces": Namespaces(pid="host", ipc="host")},
    {"namespaces": Namespaces(pid="container:{donor}", ipc="container:{donor}")},
    {"tty": True},
    {"tty": True, "init": True},
]


@pytest.mark.parametrize("wish", WISHES, ids=str)
def test_SE2_no_descriptor_but_the_standard_ones_from_outside(run: Runner, wish: dict[str, object]) -> None:
    """As the host sees it: what the container's first process, and one that exec adds, have open."""
    donor = run.background("sleep", "100", namespaces=Namespaces(ipc="shareable"))
    if isinstance(modes := wish.get("namespaces"), Namespaces) and modes.pid.startswith("container:"):
        wish = {"namespaces": Namespaces(pid=f"container:{donor}", ipc=f"container:{donor}")}
    container = run.background("sleep", "100", **wish)
    pid = run.engine.containers.inspect(container).state.pid  # type: ignore[union-attr]
    wait_until(lambda: sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"], "no other descriptor to be open")
    for number in "012":
        assert os.readlink(f"/proc/{pid}/fd/{number}").startswith(("pipe:", "/dev/null", "/dev/pts/"))
    environment = Path(f"/proc/{pid}/environ").read_bytes().strip(b"\0").split(b"\0")
    assert {entry.partition(b"=")[0] for entry in environment} <= {b"", b"PATH", b"HOSTNAME", b"HOME", b"TERM"}
    shown = run.exec(container, "sh", "-c", SHOWN).lines
    assert len(shown) == 3
    assert all(link.startswith(("pipe:", "/dev/null")) for link in shown)


def test_SE2_the_terminal_of_an_execd_process_is_all_it_has(run: Runner) -> None:
    container = run.background("sleep", "100", namespaces=REMAP)
    attached = run.engine.containers.exec(
        container, ExecSpec(argv=("sh", "-c", SHOWN), tty=True), AttachWish(rows=24, columns=80)
    )
    assert attached is not None
    links = [line for line in collect(attached).lines if line.startswith(("/", "pipe:", "socket:", "anon"))]
    assert links == ["/dev/pts/0"] * 3


def test_SN9_a_health_check_has_no_descriptor_of_ours(run: Runner) -> None:
    """What it has open, told by what it prints."""
    check = HealthCheck(test=("CMD-SHELL", SHOWN), interval_ns=50_000_000)
    container = run.background("sleep", "100", health=check)
    wait_until(lambda: bool(said(run, container)), "the first answer")
    links = said(run, container)[-1].split("\n")[:-1]
    assert len(links) == 3
    assert all(link.startswith(("pipe:", "/dev/null")) for link in links)


def said(run: Runner, container: str) -> list[str]:
    """The answers of a container's health checks."""
    health = run.engine.containers.inspect(container).health
    return [result.output for result in health.results] if health else []


def test_SN9_the_first_thing_a_command_sees_of_init_is_nothing_of_the_host(run: Runner) -> None:
    """The command may be faster than its parent: nothing is left to overwrite once it runs."""
    made = run.engine.containers.create(
        ContainerSpec(image=STARTER, command=("cat", "/proc/1/cmdline", "/proc/1/environ"), init=True, privileged=True)
    )
    for _ in range(40):
        attached = run.engine.containers.start(made.id, AttachWish())
        assert attached is not None
        assert collect(attached).out.strip("\0") == "init"
