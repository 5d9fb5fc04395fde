"""Proxies: asked for what they should pass on, told only what is meant for them, and named when they fail."""

from __future__ import annotations

import base64
import contextlib
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from core.engine.engine import Engine
from core.errors import EngineError, Unreachable
from core.model.registry_settings import Proxies
from tests.archives import member, tar
from tests.registry.conftest import Keys, pull, reach, trusting
from tests.registry.server import FakeRegistry, fake_registry

LAYER = tar([member("f", b"content")])


class Proxy:
    """Passes on to 127.0.0.1, whatever host it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        """Method, target, Proxy-Authorization."""
        self.refuses = False
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def _note(self) -> bool:
                proxy.asked.append((self.command, self.path, self.headers.get("Proxy-Authorization", "")))
                if proxy.refuses:
                    self.send_error(407)
                return proxy.refuses

            def do_CONNECT(self) -> None:
                if self._note():
                    return
                with socket.create_connection(("127.0.0.1", int(self.path.rpartition(":")[2]))) as server:
                    self.send_response(200)
                    self.end_headers()
                    back = threading.Thread(target=_pump, args=(server, self.connection), daemon=True)
                    back.start()
                    _pump(self.connection, server)
                    back.join()
                self.close_connection = True

            def do_GET(self) -> None:
                if self._note():
                    return
                target = urlsplit(self.path)
                with socket.create_connection(("127.0.0.1", target.port or 80)) as server:
                    path = f"{target.path}?{target.query}" if target.query else target.path
                    lines = [f"{self.command} {path} HTTP/1.1"]
                    lines += [f"{k}: {v}" for k, v in self.headers.items() if not k.lower().startswith("proxy-")]
                    server.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
                    _pump(server, self.connection)
                self.close_connection = True

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    running = Proxy()
    yield running
    running.close()


def elsewhere(fake: FakeRegistry) -> str:
    """The same server under a name that nobody here can look up."""
    return fake.host.replace("127.0.0.1", "registry.invalid")


def test_plain_requests_go_through_the_proxy_and_its_password_stays_with_it(
    store: Engine, fake: FakeRegistry, proxy: Proxy
) -> None:
    fake.put_image("x", "1", [LAYER])
    host = elsewhere(fake)
    reach(store, insecure=(host,), proxies=Proxies(http=f"http://me:proxy%20secret@{proxy.address}"))
    pull(store, f"{host}/x:1", Keys())
    assert ("GET", f"http://{host}/v2/x/manifests/1") in [asked[:2] for asked in proxy.asked]
    expected = "Basic " + base64.b64encode(b"me:proxy secret").decode()
    assert {asked[2] for asked in proxy.asked} == {expected}
    assert not any("proxy-authorization" in asked.headers for asked in fake.asked)


def test_tls_goes_through_it_unread(
    store: Engine, proxy: Proxy, certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.registries import make_certificates

    make_certificates(tmp_path, "DNS:registry.invalid")
    with fake_registry(tmp_path) as fake:
        fake.put_image("x", "1", [LAYER])
        host = elsewhere(fake)
        monkeypatch.setenv("HTTPS_PROXY", proxy.address)
        reach(store, certificates=[trusting(tmp_path, tmp_path, host)])
        pull(store, f"{host}/x:1")
        assert {asked[:2] for asked in proxy.asked} == {("CONNECT", host)}
        before = len(proxy.asked)
        monkeypatch.setenv("NO_PROXY", ".invalid")
        reach(store, certificates=[tmp_path / "certs.d"])
        with pytest.raises(Unreachable, match="no address is known of registry"):
            pull(store, f"{host}/x:1")
        assert len(proxy.asked) == before


def test_a_proxy_that_does_not_let_through_is_named(store: Engine, fake: FakeRegistry, proxy: Proxy) -> None:
    proxy.refuses = True
    reach(store, proxies=Proxies(https=f"http://me:proxysecret@{proxy.address}"))
    with pytest.raises(EngineError, match="the proxy does not let it through") as caught:
        pull(store, f"{elsewhere(fake)}/x:1")
    assert "HTTPS_PROXY" in str(caught.value.hint)
    assert "proxysecret" not in str(caught.value.message) + str(caught.value.hint)
    reach(store, proxies=Proxies(https="http://127.0.0.1:1"))
    with pytest.raises(EngineError, match="the proxy does not let it through"):
        pull(store, f"{elsewhere(fake)}/x:1")


def test_loopback_is_never_asked_of_a_proxy(store: Engine, fake: FakeRegistry, proxy: Proxy) -> None:
    fake.put_image("x", "1", [LAYER])
    reach(store, proxies=Proxies(http=f"http://{proxy.address}", https=f"http://{proxy.address}"))
    pull(store, f"{fake.host}/x:1")
    assert proxy.asked == []
