"""kill -9 of what stands beside a container: engine commands, the spawner, the monitor."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.backend import AttachWish
from core.engine.engine import Engine, open_engine
from core.engine.reconcile import sweep
from core.engine.records import ContainerRecords
from core.errors import EngineError
from core.linux.procfs import read_boot_id, read_start_ticks
from core.model.container import ContainerSpec, Exited, Running
from core.model.logs import LogQuery
from core.model.mounts import MountSpec
from tests.conftest import STARTER, Runner, collect

REPOSITORY = Path(__file__).parent.parent.parent


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still waiting for: {what}"
        time.sleep(0.02)


def roles(engine: Engine, role: str) -> list[int]:
    """Pids of this engine's keeper, spawner or monitors: each says its role by its name."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            name, line = (directory / "comm").read_text(), (directory / "cmdline").read_bytes()
        except OSError:
            continue  # it has just ended
        if name.strip() == f"wharf-{role}" and str(engine.roots.run).encode() in line:
            found.append(int(directory.name))
    return found


def spawner_of(engine: Engine) -> int:
    wait_for(lambda: len(roles(engine, "spawner")) == 1, "one spawner")
    return roles(engine, "spawner")[0]


def keeper_of(engine: Engine) -> int:
    wait_for(lambda: len(roles(engine, "keeper")) == 1, "one keeper")
    return roles(engine, "keeper")[0]


def monitor_of(engine: Engine, container: str) -> int:
    """Pid of the process that holds the container's lock, by the kernel's own list."""
    inode = os.stat(engine.roots.alive_lock(container)).st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
            return int(fields[4])
    raise AssertionError("no monitor runs")


def log_text(engine: Engine, container: str) -> str:
    return b"".join(line.data for line in engine.containers.logs(container, LogQuery())).decode()


def test_killed_spawner_leaves_containers_logs_exec_and_exit_code(run: Runner) -> None:
    container = run.background(
        "sh", "-c", "i=0; while [ ! -e /stop ]; do echo $i; i=$((i+1)); sleep 0.02; done; exit 7"
    )
    os.kill(spawner_of(run.engine), signal.SIGKILL)
    before = len(log_text(run.engine, container).splitlines())
    wait_for(lambda: len(log_text(run.engine, container).splitlines()) > before + 5, "the log to go on")
    assert run.exec(container, "touch", "/stop").code == 0
    assert run.engine.containers.wait(container) == 7
    numbers = [int(line) for line in log_text(run.engine, container).splitlines()]
    assert numbers == list(range(len(numbers)))


def test_after_a_killed_spawner_the_next_one_samples_what_runs(run: Runner) -> None:
    container = run.background("sleep", "1000")
    wait_for(lambda: len(run.engine.containers.stats_history(container)) > 0, "the first sample")
    os.kill(spawner_of(run.engine), signal.SIGKILL)
    count = len(run.engine.containers.stats_history(container))
    run.background("sleep", "1000")  # starts the next spawner
    wait_for(lambda: len(run.engine.containers.stats_history(container)) > count + 1, "samples by the next spawner")


def test_killed_engine_command_leaves_the_container_running_and_its_log_whole(engine: Engine) -> None:
    script = "i=0; while [ ! -e /stop ]; do echo line $i; i=$((i+1)); done; echo end"
    command = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "app",
            "--root",
            str(engine.roots.data),
            "run",
            "--name",
            "flood",
            STARTER,
            "sh",
            "-c",
            script,
        ],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
    )
    assert command.stdout is not None
    command.stdout.readline()
    command.kill()
    command.wait()
    command.stdout.close()
    assert engine.containers.inspect("flood").status == "running"
    engine.containers.copy_in("flood", "/", [_tar_of("stop")])
    assert engine.containers.wait("flood") == 0
    lines = log_text(engine, engine.containers.inspect("flood").id).splitlines()
    assert lines[-1] == "end"
    assert lines[:-1] == [f"line {number}" for number in range(len(lines) - 1)]


def _tar_of(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


def test_killed_create_leaves_nothing_visible(engine: Engine) -> None:
    """Killed between the name and the rename: the name is free again, the half-made directory is swept."""
    hidden = engine.roots.containers / f".new-{'ab' * 32}"
    hidden.mkdir()
    (engine.roots.names / "halfmade").symlink_to(f"../containers/{'ab' * 32}")
    made = engine.containers.create(ContainerSpec(image=STARTER, command=("true",), name="halfmade"))
    assert engine.containers.inspect("halfmade").id == made.id
    sweep(engine.roots, ContainerRecords(engine.roots))
    assert not hidden.exists()


def test_killed_init_is_an_ordinary_end_with_code_137(run: Runner) -> None:
    container = run.background("sleep", "1000")
    state = run.engine.containers.inspect(container).state
    assert isinstance(state, Running)
    os.kill(state.pid, signal.SIGKILL)
    assert run.engine.containers.wait(container) == 137
    assert run.engine.containers.inspect(container).status == "exited"


def test_reboot_is_an_end_with_a_reason(run: Runner) -> None:
    """A state of another boot, as a power cut leaves it: nothing is signalled, the reason is said."""
    container = run.background("sleep", "1000")
    run.engine.containers.kill(container)
    wait_for(lambda: not ContainerRecords(run.engine.roots).is_managed(container), "the monitor to leave")
    path = run.engine.roots.container(container) / "state.json"
    document = json.loads(path.read_text())
    assert document["type"] == "exited"
    victim = subprocess.Popen(["sleep", "100"])
    try:
        path.write_text(
            json.dumps(
                {
                    "schema": 1,
                    "kind": "container.state",
                    "type": "running",
                    "pid": victim.pid,
                    "start_ticks": read_start_ticks(victim.pid),
                    "boot_id": "another boot",
                    "started_ns": 1,
                }
            )
        )
        found = run.engine.containers.inspect(container)
        assert isinstance(found.state, Exited)
        assert "restarted" in found.state.error
        run.engine.containers.remove(container, force=True)
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()


def test_reboot_ends_what_was_made_with_rm_for_good(run: Runner) -> None:
    """As docker's daemon does: with its volume and its name; what was made without it stays, however it ended."""
    engine, running = run.engine, {"type": "running", "pid": 1, "start_ticks": 1, "boot_id": "another boot"}

    def made(name: str, *, auto_remove: bool) -> str:
        volume = MountSpec(kind="volume", target="/kept")
        spec = ContainerSpec(image=STARTER, command=("true",), name=name, auto_remove=auto_remove, mounts=(volume,))
        return engine.containers.create(spec).id

    stays, goes, hardly = (made(name, auto_remove=name != "stays") for name in ("stays", "goes", "hardly"))
    for container in (stays, goes):
        document = {"schema": 1, "kind": "container.state", **running, "started_ns": 1}
        (engine.roots.container(container) / "state.json").write_text(json.dumps(document))
    (engine.roots.container(hardly) / "config.json").write_bytes(b"")
    sweep(engine.roots, ContainerRecords(engine.roots))
    assert [container.id for container in engine.containers.list(all=True)] == [stays]
    assert os.listdir(engine.roots.names) == ["stays"]
    (mount,) = engine.containers.inspect(stays).config.mounts
    assert mount.name in {volume.name for volume in engine.volumes.list()}
    dangling, _ = engine.volumes.prune()  # nothing tells any more whose the volume of the one without a config was
    assert len(dangling) == 1


def test_reused_pid_is_never_signalled(run: Runner) -> None:
    container = run.background("sleep", "1000")
    run.engine.containers.kill(container)
    wait_for(lambda: not ContainerRecords(run.engine.roots).is_managed(container), "the monitor to leave")
    path = run.engine.roots.container(container) / "state.json"
    victim = subprocess.Popen(["sleep", "100"])
    try:
        path.write_text(
            json.dumps(
                {
                    "schema": 1,
                    "kind": "container.state",
                    "type": "running",
                    "pid": victim.pid,
                    "start_ticks": 12345,
                    "boot_id": read_boot_id(),
                    "started_ns": 1,
                }
            )
        )
        assert run.engine.containers.inspect(container).status == "exited"
        run.engine.containers.remove(container, force=True)
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"schema":1,"kind":"other"}', b"null", b"[" * 5000])
@pytest.mark.parametrize("document", ["config.json", "settings.json", "state.json"])
def test_damaged_document_damages_one_container_and_says_so(run: Runner, document: str, content: bytes) -> None:
    healthy = run.background("sleep", "1000")
    made = run.engine.containers.create(ContainerSpec(image=STARTER, command=("true",)))
    (run.engine.roots.container(made.id) / document).write_bytes(content)
    fresh = open_engine(run.engine.roots.data)
    found = {container.id: container for container in fresh.containers.list(all=True)}
    assert found[healthy].status == "running"
    if document == "state.json" and not content:  # what a power cut leaves of a "running" just written
        assert isinstance(found[made.id].state, Exited)
        assert "lost power" in found[made.id].state.error
    else:
        assert found[made.id].status == "dead"
    fresh.containers.remove(made.id, force=True)
    assert made.id not in {container.id for container in fresh.containers.list(all=True)}


FUTURE = {
    "config.json": b'{"schema":99,"kind":"container.config","wholly":"different"}',
    "settings.json": b'{"schema":99,"kind":"container.settings","wholly":"different"}',
    "state.json": b'{"schema":99,"kind":"container.state","wholly":"different"}',
}


@pytest.mark.parametrize("document", FUTURE)
def test_document_of_a_later_version_is_refused_by_name_and_left_alone(run: Runner, document: str) -> None:
    healthy = run.background("sleep", "1000")
    made = run.engine.containers.create(ContainerSpec(image=STARTER, command=("true",), name="later"))
    path = run.engine.roots.container(made.id) / document
    path.write_bytes(FUTURE[document])
    fresh = open_engine(run.engine.roots.data)
    found = {container.id: container for container in fresh.containers.list(all=True)}
    assert (found[healthy].status, found[made.id].status) == ("running", "dead")
    for verb in (fresh.containers.start, fresh.containers.pause):
        with pytest.raises(EngineError, match=r"newer version|later"):
            verb("later")
    fresh.system.fsck(repair=True)
    assert path.read_bytes() == FUTURE[document]
    fresh.containers.remove("later", force=True)
    assert fresh.containers.inspect(healthy).status == "running"


def test_full_name_race_has_one_winner(engine: Engine) -> None:
    """Fifty commands at once create a container of one name."""
    commands = [
        subprocess.Popen(
            [sys.executable, "-m", "app", "--root", str(engine.roots.data), "create", "--name", "one", STARTER, "true"],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(50)
    ]
    ends = [(command.communicate(), command.returncode) for command in commands]
    winners = [out.strip() for (out, _), code in ends if code == 0]
    assert len(winners) == 1
    for (_, err), code in ends:
        if code:
            assert "already in use by container" in err
            assert "Traceback" not in err
    assert len(engine.containers.list(all=True)) == 1


def test_two_attached_see_the_same_and_the_exit_code(run: Runner) -> None:
    container = run.background("sh", "-c", "while [ ! -e /go ]; do sleep 0.01; done; echo both; exit 4")
    first = run.engine.containers.attach(container, AttachWish())
    second = run.engine.containers.attach(container, AttachWish())
    run.exec(container, "touch", "/go")
    assert [collect(first)[:2], collect(second)[:2]] == [(4, "both\n"), (4, "both\n")]
