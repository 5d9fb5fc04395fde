"""The wall clock is set back while containers run; monitors and spawner of the test see one that a file sets."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.engine import launch
from core.engine.engine import Engine, open_engine
from core.model.logs import LogQuery
from core.model.progress import CancelToken, silent
from core.monitor.ending import End
from core.monitor.restarting import Restarts
from core.state import journal
from tests.conftest import STARTER, Runner, wait_until
from tests.faults.test_kills import log_text

DAY_S = 86400
CLOCK = (
    "import sys; sys.path.append({{parent!r}}); import os, time; real_ns = time.time_ns;"
    "time.time_ns = lambda: real_ns() + (int(open({path!r}).read() or 0) if os.path.exists({path!r}) else 0);"
)


@pytest.fixture
def jump(tmp_path: Path) -> Path:
    return tmp_path / "jump"


@pytest.fixture
def stored(jump: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    top = Path(tempfile.mkdtemp(prefix="wharf-test-", dir="/var/tmp"))
    engine = open_engine(top / "data")
    engine.images.starter(STARTER, silent, CancelToken())
    with monkeypatch.context() as patch:
        patch.setattr(launch, "_BOOTSTRAP", CLOCK.format(path=str(jump)) + launch._BOOTSTRAP)
        launch._connect(engine.roots).close()
    yield engine
    engine.system.reset()
    shutil.rmtree(top)


def say(engine: Engine, container: str, word: str) -> None:
    Runner(engine, lambda: "").exec(container, "sh", "-c", f"echo {word} > /proc/1/fd/1")
    wait_until(lambda: word in log_text(engine, container).split(), f"the word {word}")


@pytest.mark.parametrize("days", [-1, 1, -20000])
def test_clock_jump_keeps_order_loses_no_line_and_ends_as_ever(stored: Engine, jump: Path, days: int) -> None:
    run = Runner(stored, lambda: "")
    container = run.background("sh", "-c", "while [ ! -e /stop ]; do sleep 0.01; done; exit 5")
    before_ns = time.time_ns()
    say(stored, container, "one")
    jump.write_text(str(days * DAY_S * 10**9))
    say(stored, container, "two")
    say(stored, container, "three")
    lines = list(stored.containers.logs(container, LogQuery()))
    assert [line.data for line in lines] == [b"one\n", b"two\n", b"three\n"]
    assert [line.at_ns for line in lines] == sorted(line.at_ns for line in lines)
    since = stored.containers.logs(container, LogQuery(since_ns=before_ns))
    assert [line.data for line in since] == [b"one\n", b"two\n", b"three\n"]
    count = len(stored.containers.stats_history(container))
    wait_until(lambda: len(stored.containers.stats_history(container)) > count + 1, "samples to go on")
    run.exec(container, "touch", "/stop")
    assert stored.containers.wait(container) == 5
    wait_until(lambda: "die" in told(stored, container), "its end to be told")
    assert [action for action in told(stored, container) if not action.startswith("exec")] == ["create", "start", "die"]
    [death] = [event for event in journal.read(stored.roots.journal) if event.action == "die"]
    assert 0 <= int(dict(death.attributes)["execDuration"]) < 60


def told(engine: Engine, container: str) -> list[str]:
    return [event.action for event in journal.read(engine.roots.journal) if event.actor == container]


def test_back_off_goes_by_how_long_it_ran_and_not_by_the_clock() -> None:
    restarts = Restarts({"name": "always"})
    quick = End(1, started_ns=0, finished_ns=DAY_S * 10**9, is_oom_killed=False, measured_s=0.1)
    assert [restarts.after(1, quick.ran_s) for _ in range(3)] == [0.1, 0.2, 0.4]
    steady = End(1, started_ns=DAY_S * 10**9, finished_ns=0, is_oom_killed=False, measured_s=11.0)
    assert restarts.after(1, steady.ran_s) == 0.1
