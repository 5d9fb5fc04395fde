"""A command line on a root of its own that has the servers' image, and ways to reach what it publishes."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.compat.targets import Wharf, eventually
from tests.servers.image import BASE, NAME, archive


class Servers(Wharf):
    """`wharf`, and a person who uses what runs in its containers."""

    image = NAME

    def page(self, port: int, path: str = "/", *, within_s: float = 60.0) -> str:
        """What a web server on this host's port answers, once it does."""
        found: list[str] = []

        def answers() -> bool:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
                    found.append(response.read().decode())
            except OSError:
                return False
            return True

        eventually(f"an answer at port {port}", answers, within_s=within_s)
        return found[0]

    def outside(self, *words: str) -> str:
        """A client program of the image's, run as if on the host: in its network."""
        return self.ok("run", "--rm", "--network", "host", self.image, *words)

    def until(self, what: str, condition: Callable[[], object]) -> None:
        """Wait for something to come about."""
        eventually(what, condition)

    def clean(self) -> None:
        """Every container and volume."""
        self.end_processes()
        containers = self.ok("ps", "-aq").split()
        if containers:
            self.ok("rm", "-f", "-v", *containers)
        volumes = self.ok("volume", "ls", "-q").split()
        if volumes:
            self.ok("volume", "rm", *volumes)
        self.ok("network", "prune", "-f")


@pytest.fixture(scope="session")
def opened_servers() -> Iterator[Servers]:
    kept = archive()
    wharf = Servers()
    try:
        wharf.ok("load", "-i", str(kept))
        assert wharf.ok("images", "-q", NAME)
        assert wharf.ok("images", "-q", BASE)
        yield wharf
    finally:
        wharf.clean()
        wharf.close()


@pytest.fixture
def wharf(opened_servers: Servers) -> Iterator[Servers]:
    yield opened_servers
    opened_servers.clean()


@pytest.fixture
def port() -> int:
    """A free one, of the kind that people write down."""
    return free_port()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A host directory that containers may reach."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    return tmp_path
