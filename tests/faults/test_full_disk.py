"""A data root that is full: output waits, also at a container's end, and goes on when there is room."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.engine.engine import Engine, open_engine
from core.errors import EngineError
from core.linux import mounts
from core.linux.procfs import read_state
from core.model.container import ContainerSpec, Exited, Running
from core.model.progress import CancelToken, silent
from tests.conftest import STARTER, Runner, leftover_groups, wait_until
from tests.faults.test_kills import REPOSITORY, log_text, monitor_of

TALK = """while [ ! -e /dev/shm/go ]; do sleep 0.01; done
i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; exit 3"""
WHOLE = "".join(f"line {number}\n" for number in range(2000))


class Disk:
    """A small tmpfs with a data root on it."""

    def __init__(self, top: Path) -> None:
        self.engine = open_engine(top / "data")
        self._ballast = top / "ballast"

    def fill(self) -> None:
        with open(self._ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def free(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def disk() -> Iterator[Disk]:
    place = Path(tempfile.mkdtemp(prefix="wharf-test-", dir="/var/tmp"))
    mounts.mount("small", str(place), "tmpfs", 0, "size=64m")
    small = Disk(place)
    try:
        small.engine.images.starter(STARTER, silent, CancelToken())
        yield small
        small.engine.system.reset()
        assert leftover_groups(small.engine) == []
    finally:
        subprocess.run(["umount", str(place)], check=True)
        shutil.rmtree(place)


def ended_on_a_full_disk(disk: Disk, *, tty: bool = False, auto_remove: bool = False) -> str:
    """A container whose last output the disk did not take."""
    run = Runner(disk.engine, lambda: "")
    container = run.background("sh", "-c", TALK, tty=tty, auto_remove=auto_remove)
    disk.fill()
    assert run.exec(container, "touch", "/dev/shm/go").code in (0, 137)
    wait_until(lambda: held_up(disk.engine, container) != "", "its output to wait")
    state = disk.engine.containers.inspect(container).state
    assert isinstance(state, Running)
    if not tty:  # a terminal's buffer is small: there it may not even have said all
        wait_until(lambda: read_state(state.pid) == "Z", "its process to be over")
    return container


def held_up(engine: Engine, container: str) -> str:
    state = engine.containers.inspect(container).state
    return state.held_up if isinstance(state, Running) else ""


@pytest.mark.parametrize("tty", [False, True])
def test_ENOSPC_last_output_waits_for_room_and_is_whole(disk: Disk, tty: bool) -> None:
    container = ended_on_a_full_disk(disk, tty=tty)
    assert "no space left on device" in held_up(disk.engine, container)
    disk.free()
    assert disk.engine.containers.wait(container) == 3
    state = disk.engine.containers.inspect(container).state
    assert isinstance(state, Exited)
    assert (state.exit_code, state.error) == (3, "")
    assert log_text(disk.engine, container).replace("\r", "") == WHOLE
    wait_until(lambda: os.listdir(disk.engine.roots.runtime(container)) == ["alive.lock"], "a tidy run root")


def test_ENOSPC_killed_monitor_of_an_end_that_waits_for_room(disk: Disk) -> None:
    container = ended_on_a_full_disk(disk)
    os.kill(monitor_of(disk.engine, container), 9)
    disk.free()
    assert disk.engine.containers.wait(container) == 3
    assert log_text(disk.engine, container) == WHOLE


def test_ENOSPC_stop_does_not_drop_what_waits_and_says_what_does(disk: Disk) -> None:
    container = ended_on_a_full_disk(disk)
    with pytest.raises(EngineError, match="has ended, but its output waits until the log can take it") as refusal:
        disk.engine.containers.stop(container, 0)
    assert "kill" in str(refusal.value.hint)
    words = [sys.executable, "-m", "app", "--root", str(disk.engine.roots.data), "inspect", container]
    shown = json.loads(subprocess.run(words, cwd=REPOSITORY, capture_output=True, check=True).stdout)
    assert "no space left on device" in shown[0]["State"]["Warnings"][0]
    disk.free()
    assert disk.engine.containers.wait(container) == 3
    assert log_text(disk.engine, container) == WHOLE


def test_ENOSPC_kill_drops_what_waits_and_counts_it(disk: Disk) -> None:
    container = ended_on_a_full_disk(disk)
    disk.engine.containers.kill(container)
    wait_until(lambda: disk.engine.containers.inspect(container).status == "exited", "its end")
    state = disk.engine.containers.inspect(container).state
    assert isinstance(state, Exited)
    kept = log_text(disk.engine, container)
    assert WHOLE.startswith(kept)
    assert state.exit_code == 3
    assert (
        state.error
        == f"the last {len(WHOLE) - len(kept)} bytes of its output were dropped: the log could not take them"
    )


@pytest.mark.parametrize("auto_remove", [False, True])
def test_ENOSPC_forced_removal_waits_for_no_room(disk: Disk, auto_remove: bool) -> None:
    container = ended_on_a_full_disk(disk, auto_remove=auto_remove)
    disk.engine.containers.remove(container, force=True)
    wait_until(lambda: disk.engine.containers.list(all=True) == [], "its removal")


def test_ENOSPC_container_goes_on_when_there_is_room_again(disk: Disk) -> None:
    run = Runner(disk.engine, lambda: "")
    script = "i=0; while [ ! -e /dev/shm/stop ]; do echo $i; i=$((i+1)); done; exit 4"
    container = run.background("sh", "-c", script)
    bystander = run.background("sleep", "1000")
    disk.fill()
    wait_until(lambda: held_up(disk.engine, container) != "", "its output to wait")
    assert disk.engine.containers.inspect(bystander).status == "running"
    assert held_up(disk.engine, bystander) == ""
    disk.free()
    before = len(log_text(disk.engine, container))
    wait_until(lambda: len(log_text(disk.engine, container)) > before + 1000, "more output")
    assert held_up(disk.engine, container) == ""
    assert run.exec(container, "touch", "/dev/shm/stop").code in (0, 137)
    assert disk.engine.containers.wait(container) == 4
    numbers = log_text(disk.engine, container).split()
    assert numbers == [str(number) for number in range(len(numbers))]


def test_ENOSPC_refused_create_on_a_full_disk_leaves_nothing(disk: Disk) -> None:
    disk.fill()
    with pytest.raises(EngineError, match=r"[Nn]o space left"):
        disk.engine.containers.create(ContainerSpec(image=STARTER, command=("true",), name="one"))
    disk.free()
    assert disk.engine.containers.list(all=True) == []
    disk.engine.containers.create(ContainerSpec(image=STARTER, command=("true",), name="one"))
