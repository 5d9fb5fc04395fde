"""Stores that are in a hurry, and servers that misbehave."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from core.engine.engine import Engine
from core.model.progress import CancelToken, Progress
from core.model.registry import Credentials, Keyring, NoCredentials, Pulled
from core.model.registry_settings import RegistrySettings
from core.registry.client import RegistryClient
from core.registry.patience import Pace
from core.registry.transport import Timeouts
from tests.registries import make_certificates
from tests.registry.server import FakeRegistry, fake_registry
from tests.stores import open_store

HASTY = Timeouts(connect_s=2.0, answer_s=1.0, quiet_s=1.0)
NO_PAUSE = Pace(pause_s=0.002, longest_pause_s=1.0)


class Keys:
    """A keyring in memory."""

    def __init__(self, **known: Credentials) -> None:
        self._known: dict[str, Credentials] = dict(known)
        self.asked: list[str] = []

    def add(self, server: str, username: str, password: str = "", *, identity_token: str = "") -> Keys:
        self._known[server] = Credentials(username=username, password=password, identity_token=identity_token)
        return self

    def find(self, server: str) -> Credentials | None:
        self.asked.append(server)
        return self._known.get(server)


def reach(engine: Engine, *, certificates: Sequence[Path] = (), **settings: object) -> Engine:
    """Have an engine speak to registries by other settings than the host's, and without patience."""
    registries = RegistrySettings(**settings)  # type: ignore[arg-type]
    engine.registries.settings = registries
    engine.registries.client = RegistryClient(registries, timeouts=HASTY, pace=NO_PAUSE, certificates=certificates)
    return engine


def pull(
    engine: Engine,
    reference: str,
    keyring: Keyring | None = None,
    report: Callable[[Progress], None] = lambda _progress: None,
    cancel: CancelToken | None = None,
    **options: object,
) -> Sequence[Pulled]:
    found: Sequence[Pulled] = engine.images.pull(
        reference,
        keyring or NoCredentials(),
        report,
        cancel or CancelToken(),
        **options,  # type: ignore[arg-type]
    )
    return found


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: what is tried here is what comes over the wire, not the disk."""
    if not os.path.isdir("/dev/shm"):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="wharf-test-", dir="/dev/shm", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.fixture
def store(tmp_path: Path) -> Engine:
    return reach(open_store(tmp_path))


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with fake_registry() as registry:
        yield registry


@pytest.fixture
def other() -> Iterator[FakeRegistry]:
    """Another host, to which nothing belongs."""
    with fake_registry() as registry:
        yield registry


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """authority.crt, host.crt, host.key, and a certs.d that knows the authority for any host asked of it."""
    directory = tmp_path_factory.mktemp("certificates")
    make_certificates(directory)
    return directory


def trusting(certificates: Path, tmp_path: Path, *hosts: str) -> Path:
    """A certs.d that trusts the authority for some hosts."""
    for host in hosts:
        place = tmp_path / "certs.d" / host
        place.mkdir(parents=True)
        (place / "ca.crt").write_bytes((certificates / "authority.crt").read_bytes())
    return tmp_path / "certs.d"
