"""What all tests share: engines on roots of their own, a container runner, and the probe.

Cost is in the path: unit and property need nothing; kernel, security, faults and e2e need root.
"""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from core.backend import AttachWish
from core.engine.engine import Engine, open_engine
from core.model.container import ContainerSpec, ExecSpec
from core.model.progress import CancelToken, silent

pytest_plugins = ("tests.registries",)

TESTS = Path(__file__).parent
STARTER = "wharf/starter:latest"
_NEED_ROOT = ("kernel", "security", "faults", "e2e", "registry")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile once what thousands of commands are about to import: where nobody may, each would do so anew."""
    if not hasattr(session.config, "workerinput"):
        for package in ("app", "core"):
            compileall.compile_dir(str(TESTS.parent / package), quiet=2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        room = item.path.relative_to(TESTS).parts[0]
        if room in _NEED_ROOT and os.geteuid() != 0:
            pytest.exit(f"tests/{room} starts containers, which needs root: run the tests with sudo", returncode=2)


@pytest.fixture(scope="session")
def session_root() -> Iterator[Path]:
    """A data root on a real disk, for the whole session; gone to the last process afterwards."""
    root = Path(tempfile.mkdtemp(prefix="wharf-test-", dir="/var/tmp"))
    yield root / "data"
    engine = open_engine(root / "data")
    engine.system.reset()
    shutil.rmtree(root)


@pytest.fixture(scope="session")
def session_engine(session_root: Path) -> Engine:
    engine = open_engine(session_root)
    engine.images.starter(STARTER, silent, CancelToken())
    return engine


@pytest.fixture
def engine(session_engine: Engine) -> Iterator[Engine]:
    """An engine with the starter image; every container of the test is removed, and nothing may stay behind."""
    yield session_engine
    for container in session_engine.containers.list(all=True):
        session_engine.containers.remove(container.id, force=True, volumes=True)
    assert leftover_groups(session_engine) == []
    assert os.listdir(session_engine.roots.names) == []
    wait_until(lambda: os.listdir(session_engine.roots.trash) == [], "what --rm took away to be deleted")
    wait_until(lambda: os.listdir(session_engine.roots.run / "c") == [], "the run root to be empty")


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
    """Wait for what another process does in its own time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still waiting for: {what}"
        time.sleep(0.02)


def leftover_groups(engine: Engine) -> list[str]:
    """cgroup directories of containers that are no more."""
    found = []
    for top in Path("/sys/fs/cgroup").glob("*"):
        for base in (top, top / engine.roots.tag):
            if base.name == engine.roots.tag and base.is_dir():
                found += [str(d) for d in base.iterdir() if d.is_dir() and d.name != "spawner"]
    return found


class Result(NamedTuple):
    """How a container ended."""

    code: int | None
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Runner:
    """Runs containers to their end and collects what they said."""

    def __init__(self, engine: Engine, probe: Callable[[], str]) -> None:
        self.engine = engine
        self._probe = probe

    def __call__(self, *argv: str, stdin: bytes | None = None, probe: bool = False, **wish: Any) -> Result:
        """Create and start a container of the starter image, wait for its end."""
        if probe:
            wish["mounts"] = (*wish.get("mounts", ()), self.probe_mount())
        wish.setdefault("image", STARTER)
        if stdin is not None:
            wish |= {"open_stdin": True, "attach_stdin": True}
        made = self.engine.containers.create(ContainerSpec(command=argv, **wish))
        attached = self.engine.containers.start(made.id, AttachWish(stdin=stdin is not None))
        assert attached is not None
        if stdin is not None:
            attached.write(stdin)
            attached.close_stdin()
        return collect(attached)

    def probe_mount(self) -> Any:
        from core.model.mounts import MountSpec

        return MountSpec(kind="bind", source=self._probe(), target="/probe", read_only=True)

    def sh(self, script: str, **wish: Any) -> Result:
        return self("sh", "-c", script, **wish)

    def background(self, *argv: str, **wish: Any) -> str:
        """Start a container and leave it running; its id."""
        wish.setdefault("image", STARTER)
        made = self.engine.containers.create(ContainerSpec(command=argv, **wish))
        self.engine.containers.start(made.id)
        return made.id

    def exec(self, container: str, *argv: str, **wish: Any) -> Result:
        attached = self.engine.containers.exec(container, ExecSpec(argv=argv, **wish), AttachWish())
        assert attached is not None
        return collect(attached)


def collect(attached: Any) -> Result:
    """Read an attachment to its end."""
    parts: dict[int, list[bytes]] = {1: [], 2: []}
    guard = threading.Timer(60, attached.close)
    guard.start()
    while (piece := attached.read()) is not None:
        parts[piece[0]].append(piece[1])
    guard.cancel()
    code = attached.exit_code()
    attached.close()
    return Result(code, b"".join(parts[1]).decode(errors="replace"), b"".join(parts[2]).decode(errors="replace"))


@pytest.fixture(scope="session")
def probe_program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The compiled probe; a guest without a compiler is given one by WHARF_TEST_PROBE."""
    if ready := os.environ.get("WHARF_TEST_PROBE"):
        return ready
    program = tmp_path_factory.mktemp("probe") / "probe"
    source = TESTS / "probe" / "probe.c"
    subprocess.run(["gcc", "-O1", "-static", "-o", str(program), str(source), "-lpthread"], check=True)
    program.chmod(0o755)
    for parent in list(program.parents)[:3]:
        parent.chmod(0o755)
    return str(program)


@pytest.fixture
def run(engine: Engine, request: pytest.FixtureRequest) -> Runner:
    return Runner(engine, lambda: request.getfixturevalue("probe_program"))
