"""Real registries for tests: Debian's docker-registry as plain processes on ports of 127.0.0.1.

    registry         open to everybody, deletion allowed
    locked_registry  knows USERNAME with PASSWORD alone (htpasswd)
    secure_registry  the same behind TLS, its certificate signed by an authority of ours
    mirror_registry  a pull-through cache of `registry`

All of them live as long as the session; tests take repositories of their own.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

USERNAME = "captain"
PASSWORD = "sails-7Kq-canary"


class RunningRegistry(NamedTuple):
    """A registry that answers at `host`, as references name it (127.0.0.1:PORT)."""

    host: str
    directory: Path
    authority: Path | None = None
    """The certificate that its own is signed by, where it speaks TLS."""

    @property
    def url(self) -> str:
        return f"{'https' if self.authority else 'http'}://{self.host}"

    def log(self) -> str:
        """All it has written: one line a request among others, as `"GET /v2/x/manifests/1 HTTP/1.1" 200`."""
        return (self.directory / "log").read_text(errors="replace")

    def requests(self, method: str, path: str) -> int:
        """How many requests of a method it has answered whose path contains a text."""
        return sum(f'"{method} ' in line and path in line.partition(" HTTP/")[0] for line in self.log().splitlines())

    def fetch(self, method: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Ask it something without any of our code: its status and the body."""
        connection: http.client.HTTPConnection
        if self.authority:
            context = ssl.create_default_context(cafile=str(self.authority))
            connection = http.client.HTTPSConnection(self.host, timeout=20, context=context)
        else:
            connection = http.client.HTTPConnection(self.host, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@contextlib.contextmanager
def serving(
    *, locked: bool = False, tls: bool = False, mirror_of: str = "", token: dict[str, str] | None = None
) -> Iterator[RunningRegistry]:
    """Run one on a port of its own, in a directory of its own; both are gone afterwards.

    Args: mirror_of: the URL it is a pull-through cache of. token: docker-registry's `auth.token`
        section: realm, service, issuer, rootcertbundle.
    """
    directory = Path(tempfile.mkdtemp(prefix="wharf-registry-", dir="/var/tmp"))
    host = f"127.0.0.1:{free_port()}"
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"accesslog": {"disabled": False}},
        "storage": {"filesystem": {"rootdirectory": str(directory / "data")}, "delete": {"enabled": True}},
        "http": {"addr": host, "secret": "the same for every upload"},
    }
    if locked:
        words = ["htpasswd", "-Bbc", "-C", "4", str(directory / "htpasswd"), USERNAME, PASSWORD]
        subprocess.run(words, check=True, capture_output=True)
        config["auth"] = {"htpasswd": {"realm": "the quay", "path": str(directory / "htpasswd")}}
    if token:
        config["auth"] = {"token": token}
    if tls:
        make_certificates(directory)
        config["http"]["tls"] = {"certificate": str(directory / "host.crt"), "key": str(directory / "host.key")}
    if mirror_of:
        config["proxy"] = {"remoteurl": mirror_of}
    (directory / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(directory / "config.yml")], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        _await_answer(host, process, directory / "log")
        yield RunningRegistry(host, directory, directory / "authority.crt" if tls else None)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(directory)


def _await_answer(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    address, _, port = host.partition(":")
    deadline = time.monotonic() + 15
    while True:
        try:
            socket.create_connection((address, int(port)), 1).close()
            return
        except OSError:
            assert process.poll() is None, f"docker-registry has ended: {log.read_text()}"
            assert time.monotonic() < deadline, "docker-registry does not listen"
            time.sleep(0.02)


def make_certificates(directory: Path, names: str = "DNS:localhost,IP:127.0.0.1") -> None:
    """authority.crt, and host.crt with host.key that it has signed; client.crt with client.key likewise."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new_key, "-keyout", "authority.key", "-out", "authority.crt", "-subj", "/CN=the authority")
    for who, usage in (("host", f"subjectAltName={names}"), ("client", "extendedKeyUsage=clientAuth")):
        (directory / f"{who}.ext").write_text(usage)
        openssl("req", *new_key, "-keyout", f"{who}.key", "-out", f"{who}.csr", "-subj", f"/CN={who}")
        signer = ("-CA", "authority.crt", "-CAkey", "authority.key", "-CAcreateserial", "-extfile", f"{who}.ext")
        openssl("x509", "-req", "-in", f"{who}.csr", *signer, "-out", f"{who}.crt")


@pytest.fixture(scope="session")
def registry() -> Iterator[RunningRegistry]:
    """Open to everybody."""
    with serving() as running:
        yield running


@pytest.fixture(scope="session")
def locked_registry() -> Iterator[RunningRegistry]:
    """Asks for USERNAME and PASSWORD."""
    with serving(locked=True) as running:
        yield running


@pytest.fixture(scope="session")
def secure_registry() -> Iterator[RunningRegistry]:
    """Asks for USERNAME and PASSWORD, behind TLS that only `authority` vouches for."""
    with serving(locked=True, tls=True) as running:
        yield running


@pytest.fixture(scope="session")
def mirror_registry(registry: RunningRegistry) -> Iterator[RunningRegistry]:
    """Caches what `registry` has."""
    with serving(mirror_of=registry.url) as running:
        yield running
