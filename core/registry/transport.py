"""One operation's connections to servers: a request out, its answer back, and all of it broken off on demand.

        request ──▶ proxy? ──▶ connect ── TLS ── ask ──▶ 3xx? checked, asked again ──▶ Answer
                    └─ each stage has its time; what exceeds it is told by its name ─┘

Redirects are followed here and nowhere else: an Authorization header never goes to another origin
than the one it was made for, https is never left for http, and link-local addresses, where clouds
keep their secrets, are not followed to.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import msgspec

from core import about
from core.errors import EngineError, InvalidInput, LimitExceeded, TimedOut, Unreachable
from core.model.registry_settings import RegistrySettings
from core.registry import tls
from core.registry.answers import Interrupted, shown
from core.registry.connections import Refused, pool_classes
from core.registry.endpoint import Endpoint, is_within
from core.registry.proxies import configured_proxies, proxy_for
from core.registry.troubles import network_trouble

if TYPE_CHECKING:
    import urllib3

PIECE_BYTES = 256 * 1024
LINK_LOCAL = ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128")
_MOST_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)
_CONNECTIONS = 8


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds for each stage."""

    connect_s: float = 30.0
    """To be connected, TLS included."""
    answer_s: float = 60.0
    """From a request to the head of its answer; also for the whole of a document."""
    quiet_s: float = 60.0
    """In which a body must bring something worth mentioning (LEAST_BYTES)."""


LEAST_BYTES = 1024


class Answer:
    """What a server said. Read it whole, or close it."""

    def __init__(self, response: urllib3.BaseHTTPResponse, url: str, asked: str, transport: Transport) -> None:
        self._response = response
        self._transport = transport
        self.status: int = response.status
        self.url = url
        """Where it came from, after redirects."""
        self.asked = asked
        """Method and URL, for errors."""

    def header(self, name: str) -> str:
        """The last header of a name; empty for none."""
        return self.headers(name)[-1] if self.headers(name) else ""

    def headers(self, name: str) -> list[str]:
        """All headers of a name."""
        return list(self._response.headers.getlist(name))

    @property
    def length(self) -> int | None:
        """Bytes of the body, where the head tells it."""
        text = self.header("Content-Length")
        return int(text) if text.isascii() and text.isdigit() else None

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes. Raises: Interrupted, TimedOut: less than LEAST_BYTES came in quiet_s."""
        quiet_s = self._transport.timeouts.quiet_s
        window, came = time.monotonic(), 0
        with self._transport.told(self.asked, "reading the answer to"):
            while piece := self._response.read1(PIECE_BYTES, decode_content=False):
                yield piece
                came += len(piece)
                if came >= LEAST_BYTES:
                    window, came = time.monotonic(), 0
                elif time.monotonic() - window > quiet_s:
                    raise TimedOut(f"reading the answer to {self.asked}: it has slowed down to nothing")
        self._response.release_conn()

    def read(self, most: int, what: str) -> bytes:
        """A small body whole. Raises: LimitExceeded: naming `what`; Interrupted, TimedOut."""
        if (self.length or 0) > most:
            self.close()
            raise LimitExceeded(f"{what} has {self.length} bytes, at most {most} are accepted")
        deadline = time.monotonic() + self._transport.timeouts.answer_s
        data = bytearray()
        try:
            for piece in self.pieces():
                data += piece
                if len(data) > most:
                    raise LimitExceeded(f"{what} has more than {most} bytes, which is all that is accepted")
                if time.monotonic() > deadline:
                    raise TimedOut(f"reading the answer to {self.asked}: it takes too long")
        finally:
            self.close()
        return bytes(data)

    def drain(self) -> None:
        """Read a short rest, so that the connection can be used again; else close it."""
        try:
            self.read(PIECE_BYTES, "the answer")
        except EngineError:
            pass

    def close(self) -> None:
        """Let go. A body that was not read takes its connection with it."""
        if not self._response.closed:
            self._response.close()
        self._response.release_conn()


class Transport:
    """Connections of one operation. Thread-safe."""

    def __init__(
        self,
        settings: RegistrySettings,
        *,
        timeouts: Timeouts | None = None,
        certificates: Sequence[Path] = tls.DIRECTORIES,
    ) -> None:
        self.timeouts = timeouts or Timeouts()
        self.answer_s, self.piece_s = self.timeouts.answer_s, self.timeouts.quiet_s
        self._proxies = configured_proxies(settings.proxies, os.environ)
        self._certificates = certificates
        # taken again by the same thread when the collector closes a connection that nobody uses any more
        self._lock = threading.RLock()
        self._managers: dict[object, urllib3.PoolManager] = {}
        self._sockets: set[socket.socket] = set()
        self._stage = threading.local()
        self.is_aborted = False

    def request(
        self,
        method: str,
        url: str,
        endpoint: Endpoint,
        *,
        headers: Mapping[str, str] | None = None,
        authorization: str = "",
        body: Iterable[bytes] | bytes | None = None,
    ) -> Answer:
        """Ask, and follow where the answer leads.

        Args: endpoint: whose rules hold for its own address; others must be verified.
            body: pieces need a Content-Length among the headers, or go out chunked.
        Raises: Unreachable, Interrupted, TimedOut: naming the stage.
        """
        own = {"User-Agent": f"{about.NAME}/{about.VERSION}", "Accept-Encoding": "identity", **(headers or {})}
        origin = _origin(url)
        for _ in range(_MOST_REDIRECTS + 1):
            sent = dict(own)
            if authorization and _origin(url) == origin:
                sent["Authorization"] = authorization
            answer = self._ask(method, url, endpoint, sent, body)
            if answer.status not in _REDIRECTS or not answer.header("Location"):
                return answer
            if method not in ("GET", "HEAD"):
                return answer  # a body goes where it was meant to go, or nowhere
            target = urljoin(url, answer.header("Location"))
            answer.drain()
            url = self.checked_target(url, target)
        raise Unreachable(f"{method} {_without_query(url)}: redirected more than {_MOST_REDIRECTS} times")

    def checked_target(self, url: str, target: str) -> str:
        """Where a server may lead us. Raises: Unreachable: nowhere else."""
        try:
            parts = urlsplit(target)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            host, parts = "", urlsplit("")
        refused = f"{_without_query(url)} leads to {shown(_without_query(target))}"
        if parts.scheme not in ("http", "https") or not host:
            raise Unreachable(f"{refused}, which is no place to go", hint="the registry is broken or hostile")
        if parts.username is not None or parts.password is not None:
            raise Unreachable(f"{refused}, with a name to log in by", hint="the registry is broken or hostile")
        if urlsplit(url).scheme == "https" and parts.scheme == "http":
            raise Unreachable(f"{refused}: from https to http", hint="the registry is broken or hostile")
        if is_within(host, LINK_LOCAL) and urlsplit(url).hostname != host:
            raise Unreachable(f"{refused}, an address of this host's own network", hint="the registry is hostile")
        return target

    def _ask(
        self, method: str, url: str, endpoint: Endpoint, headers: dict[str, str], body: Iterable[bytes] | bytes | None
    ) -> Answer:
        import urllib3

        asked = f"{method} {_without_query(url)}"
        # another port of the same host is believed as much as the host: token services lie there
        is_own = urlsplit(url).hostname == urlsplit(f"//{endpoint.address}").hostname
        if self.is_aborted:
            raise Interrupted(f"{asked}: broken off")
        times = self.timeouts
        self._stage.name = "connecting for"
        self._stage.is_led_to = "" if is_own else urlsplit(url).hostname or ""
        self._stage.networks = endpoint.networks if is_own else ()
        with self.told(asked, ""):
            manager = self._manager(url, endpoint if is_own else None)
            response = manager.urlopen(
                method,
                url,
                body=body,
                headers=headers,
                redirect=False,
                retries=urllib3.Retry(0, redirect=0, raise_on_redirect=False),
                preload_content=False,
                decode_content=False,
                timeout=urllib3.Timeout(connect=times.connect_s, read=times.answer_s),
                pool_timeout=None,
            )
        return Answer(response, url, asked, self)

    @contextlib.contextmanager
    def told(self, asked: str, stage: str) -> Iterator[None]:
        """What goes wrong meanwhile, as errors of ours that name the stage."""
        from urllib3 import exceptions

        def where() -> str:
            return f"{stage or getattr(self._stage, 'name', 'asking')} {asked}"

        try:
            yield
        except exceptions.MaxRetryError as error:
            raise self._trouble(error.reason or error, where(), asked) from None
        except (exceptions.HTTPError, OSError, ValueError) as error:
            raise self._trouble(error, where(), asked) from None

    def _trouble(self, error: BaseException, where: str, asked: str) -> EngineError:
        return Interrupted(f"{asked}: broken off") if self.is_aborted else network_trouble(error, where, asked)

    def _manager(self, url: str, endpoint: Endpoint | None) -> urllib3.PoolManager:
        """Pools for a server and the way to it."""
        import urllib3

        parts = urlsplit(url)
        proxy = proxy_for(url, self._proxies)
        key = (parts.scheme, parts.netloc, proxy, endpoint)
        with self._lock:
            found = self._managers.get(key)
            if found is not None:
                return found
            hosts = (parts.netloc, parts.hostname or "") if endpoint is None else (endpoint.host, endpoint.address)
            is_verified = endpoint is None or endpoint.is_verified
            options: dict[str, Any] = {"num_pools": 2, "maxsize": _CONNECTIONS}
            if parts.scheme == "https":
                options["ssl_context"] = tls.tls_context(hosts, is_verified=is_verified, directories=self._certificates)
                if not is_verified:
                    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
                    options["assert_hostname"] = False
            if proxy:
                try:
                    manager: urllib3.PoolManager = urllib3.ProxyManager(
                        _bare(proxy), proxy_headers=_proxy_headers(proxy), **options
                    )
                except ValueError:
                    raise InvalidInput(
                        "a proxy's URL can't be used", hint="write it as http://host:port in daemon.json or HTTPS_PROXY"
                    ) from None
            else:
                manager = urllib3.PoolManager(**options)
            manager.pool_classes_by_scheme = pool_classes(self, is_direct=not proxy)
            self._managers[key] = manager
            return manager

    # connections, called by them

    def began(self, stage: str) -> None:
        """A thread's request has come to its next stage."""
        self._stage.name = stage

    def connected(self, sock: socket.socket, *, is_direct: bool) -> socket.socket:
        """A connection stands: a twin of its socket, by which another thread can break it off."""
        peer = sock.getpeername()[0] if sock.family in (socket.AF_INET, socket.AF_INET6) else ""
        led_to, networks = self._stage.is_led_to, self._stage.networks
        if is_direct and is_within(peer, LINK_LOCAL) and led_to and led_to != peer:
            raise Refused(f"{shown(led_to)} means {peer}, an address of this host's own network")
        if is_direct and networks and not is_within(peer, networks):
            raise Refused(f"the address of an insecure registry has changed to {peer} meanwhile")
        twin = sock.dup()
        with self._lock:
            self._sockets.add(twin)
        if self.is_aborted:
            self.abort()
        return twin

    def disconnected(self, twin: socket.socket) -> None:
        """A connection is closed."""
        with self._lock:
            self._sockets.discard(twin)
        twin.close()

    def abort(self) -> None:
        """Break everything off; whoever waits for an answer is told so at once."""
        self.is_aborted = True
        with self._lock:
            for sock in tuple(self._sockets):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close what nobody uses any more."""
        with self._lock:
            managers = list(self._managers.values())
            self._managers.clear()
        for manager in managers:
            manager.clear()


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _without_query(url: str) -> str:
    """A URL for people: a query may hold a signature that opens a door."""
    return url.partition("?")[0]


def _bare(proxy: str) -> str:
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _proxy_headers(proxy: str) -> dict[str, str]:
    from urllib.parse import unquote

    from urllib3.util import make_headers

    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    return dict(make_headers(proxy_basic_auth=f"{unquote(parts.username)}:{unquote(parts.password or '')}"))
