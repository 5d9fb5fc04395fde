"""A registry in this process that does as it is told, and tells what it was asked: the worst one can meet."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.archives import config_of, described, sha256

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def authorization(self) -> str:
        return self.headers.get("authorization", "")


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers from the registry's tables, unless one of its tricks does."""

    protocol_version = "HTTP/1.1"
    registry: FakeRegistry

    def log_message(self, format: str, *args: object) -> None:
        pass

    def handle_one_request(self) -> None:
        if self.rfile.peek(1)[:1] == b"\x16":  # type: ignore[attr-defined]
            self.close_connection = True  # a TLS hello to a server without TLS: no line of it would ever end
            return
        super().handle_one_request()

    def _serve(self) -> None:
        registry = self.registry
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        with registry.lock:
            registry.asked.append(asked)
        try:
            for trick in list(registry.tricks):
                if trick(self, asked):
                    return
            self._answer(asked)
        except OSError:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _answer(self, asked: Asked) -> None:
        path = asked.path.partition("?")[0]
        if path == "/v2/":
            return self.reply(200, b"{}")
        if found := re.fullmatch(r"/v2/(.+)/manifests/(.+)", path):
            there = self.registry.manifests.get((found[1], found[2]))
            if there is None:
                return self.refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")
            return self.reply(200, there[0], {"Content-Type": there[1], "Docker-Content-Digest": sha256(there[0])})
        if found := re.fullmatch(r"/v2/(.+)/blobs/(sha256:.+)", path):
            return self.blob(found[2], asked)
        return self.refuse(404, "NAME_UNKNOWN", "repository name not known to registry")

    def blob(self, digest: str, asked: Asked, data: bytes | None = None) -> None:
        """A blob, or the part of it that was asked for, counted."""
        whole = data if data is not None else self.registry.blobs.get(digest)
        if whole is None:
            return self.refuse(404, "BLOB_UNKNOWN", "blob unknown to registry")
        begin = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
        offset = int(begin[1]) if begin else 0
        headers = {"Content-Range": f"bytes {offset}-{len(whole) - 1}/{len(whole)}"} if begin else {}
        self.head(206 if begin else 200, len(whole) - offset, headers)
        if self.command != "HEAD":
            self.send(digest, whole[offset:])

    def send(self, digest: str, data: bytes) -> None:
        """Body bytes of a blob, counted when they have gone out."""
        for start in range(0, len(data), 65536):
            self.wfile.write(data[start : start + 65536])
            with self.registry.lock:
                self.registry.sent[digest] += len(data[start : start + 65536])

    def head(self, status: int, length: int | None, headers: dict[str, str]) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.head(status, len(body), headers or {})
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        self.reply(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), headers)

    def hang_up(self) -> None:
        """Break the connection off."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


Trick = Callable[[Handler, Asked], bool]
"""Answers a request in its own way, and says whether it did."""


class FakeRegistry:
    """One server on a port of 127.0.0.1."""

    def __init__(self, certificates: Path | None = None, address: str = "127.0.0.1") -> None:
        self.lock = threading.Lock()
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[bytes, str]] = {}
        self.asked: list[Asked] = []
        self.sent: Counter[str] = Counter()
        """Bytes of each blob that went out."""
        self.tricks: list[Trick] = []
        handler = type("BoundHandler", (Handler,), {"registry": self})

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # clients of these tests hang up when they like

        self._server = Server((address, 0), handler)
        if certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates / "host.crt", certificates / "host.key")
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{'https' if certificates else 'http'}://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(self, data: bytes) -> dict[str, Any]:
        """Keep a blob; its descriptor's digest and size."""
        self.blobs[sha256(data)] = data
        return described(data)

    def put(self, repository: str, tag: str, document: bytes, media_type: str = OCI_MANIFEST) -> str:
        """Keep a manifest under a tag and its digest, which is returned."""
        digest = sha256(document)
        self.manifests[repository, tag] = self.manifests[repository, digest] = (document, media_type)
        return digest

    def put_image(
        self,
        repository: str,
        tag: str,
        layers: list[bytes],
        *,
        pack: Callable[[bytes], bytes] = lambda layer: layer,
        layer_type: str = "application/vnd.oci.image.layer.v1.tar",
        config: dict[str, Any] | None = None,
        change: Callable[[dict[str, Any]], None] = lambda _manifest: None,
    ) -> str:
        """Make an image of plain layers; the manifest's digest. `change` has the last word on the manifest."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                **self.add(config_of(layers, **(config or {}))),
            },
            "layers": [{"mediaType": layer_type, **self.add(pack(layer))} for layer in layers],
        }
        change(manifest)
        return self.put(repository, tag, json.dumps(manifest).encode(), str(manifest.get("mediaType", OCI_MANIFEST)))

    def paths(self, method: str = "GET") -> list[str]:
        with self.lock:
            return [asked.path for asked in self.asked if asked.method == method]

    def authorizations(self) -> list[str]:
        """All Authorization headers that have arrived here."""
        with self.lock:
            return [asked.authorization for asked in self.asked if asked.authorization]


@contextlib.contextmanager
def fake_registry(certificates: Path | None = None, address: str = "127.0.0.1") -> Iterator[FakeRegistry]:
    registry = FakeRegistry(certificates, address)
    try:
        yield registry
    finally:
        registry.close()


class BreakingLine:
    """A TCP line to a server that breaks after so many bytes towards it, or from it, as often as it is told."""

    def __init__(self, target: str) -> None:
        self._target = target.rpartition(":")[0], int(target.rpartition(":")[2])
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.cuts_up: list[int] = []
        """Byte counts on the way to the server after which one connection each is cut."""
        self.cuts_down: list[int] = []
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            for source, sink, cuts in ((client, server, self.cuts_up), (server, client, self.cuts_down)):
                threading.Thread(target=self._pass_on, args=(source, sink, cuts), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, cuts: list[int]) -> None:
        passed = 0
        try:
            while data := source.recv(65536):
                sink.sendall(data)
                passed += len(data)
                with self.lock:
                    is_cut = bool(cuts) and passed >= cuts[0]
                    if is_cut:
                        cuts.pop(0)
                if is_cut:
                    break
        except OSError:
            pass
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
