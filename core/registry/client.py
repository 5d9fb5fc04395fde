"""A registry's API (distribution-spec): manifests, blobs, tags and catalogs of servers, as bytes and names.

RegistryClient      one engine's: settings, tokens, how much may go on at once
 └─ Session         one operation's: its connections, broken off together
     └─ Server      one endpoint, spoken to in the scheme that it answers to
         └─ Repository
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from core.errors import (
    EngineError,
    Integrity,
    LimitExceeded,
    NotFound,
    TimedOut,
    Unauthorized,
    Unreachable,
    Unsupported,
)
from core.model.progress import CancelToken
from core.model.registry import Credentials, Keyring, LoginResult
from core.model.registry_settings import RegistrySettings
from core.registry import tls
from core.registry.answers import LARGEST_REFUSAL_BYTES, LOG_IN, refusal, shown
from core.registry.auth import Authorizer, TokenCache
from core.registry.endpoint import Endpoint, origin_of
from core.registry.patience import Pace, persistently
from core.registry.repository import Repository
from core.registry.transport import Answer, Timeouts, Transport

_LARGEST_PAGE_BYTES = 4 * 1024 * 1024
_PAGE = 1000
_MOST_PAGES = 10_000
_MOST_NAMES = 1_000_000
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*?\brel="?next"?')

T = TypeVar("T")


class RegistryClient:
    """What all operations of an engine share. Thread-safe."""

    def __init__(
        self,
        settings: RegistrySettings,
        *,
        timeouts: Timeouts | None = None,
        certificates: Sequence[Path] = tls.DIRECTORIES,
        pace: Pace | None = None,
    ) -> None:
        self.settings = settings
        self.pace = pace or Pace()
        self.tokens = TokenCache()
        self.downloads = threading.BoundedSemaphore(settings.downloads)
        self.uploads = threading.BoundedSemaphore(settings.uploads)
        self._timeouts = timeouts
        self._certificates = certificates

    def session(self, keyring: Keyring, cancel: CancelToken | None = None) -> Session:
        """Connections for one operation; a context manager."""
        transport = Transport(self.settings, timeouts=self._timeouts, certificates=self._certificates)
        return Session(self, transport, keyring, cancel or CancelToken())


class Session:
    """One operation's servers."""

    def __init__(self, client: RegistryClient, transport: Transport, keyring: Keyring, cancel: CancelToken) -> None:
        self.client = client
        self.transport = transport
        self.cancel = cancel
        self._keyring = keyring
        self._lock = threading.Lock()
        self._servers: dict[Endpoint, Server] = {}

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.transport.abort()
        self.transport.close()

    def origin(self, host: str) -> Server:
        """The host's own server, whatever mirrors it has."""
        return self.server(origin_of(host, self.client.settings))

    def server(self, endpoint: Endpoint) -> Server:
        """One endpoint, as this operation speaks to it."""
        with self._lock:
            if endpoint not in self._servers:
                # a mirror is told who we are to it, not who we are to Docker Hub
                credentials = self._keyring.find(endpoint.host)
                self._servers[endpoint] = Server(self, endpoint, credentials)
            return self._servers[endpoint]

    def persistently(self, work: Callable[[], T]) -> T:
        """Do something that can be done again, as often as the settings say."""
        return persistently(
            work,
            attempts=self.client.settings.attempts,
            pace=self.client.pace,
            cancel=self.cancel,
            is_over=lambda: self.transport.is_aborted,
        )


class Server:
    """One endpoint."""

    def __init__(self, session: Session, endpoint: Endpoint, credentials: Credentials | None) -> None:
        self.session = session
        self.endpoint = endpoint
        self._credentials = credentials
        self._authorizer = Authorizer(session.transport, endpoint, credentials, session.client.tokens)
        self._lock = threading.Lock()
        self._base = f"{endpoint.schemes[0]}://{endpoint.address}" if len(endpoint.schemes) == 1 else ""

    def __str__(self) -> str:
        return self.endpoint.host

    @property
    def realm(self) -> str:
        """The other host that tokens come from; empty while none is needed."""
        return self._authorizer.realm

    @property
    def base(self) -> str:
        """`https://host[:port]`; the first scheme that is answered, where several may be."""
        with self._lock:
            if not self._base:
                self._base = self._find_base()
            return self._base

    def _find_base(self) -> str:
        transport = self.session.transport
        for scheme in self.endpoint.schemes[:-1]:
            base = f"{scheme}://{self.endpoint.address}"
            try:
                transport.request("GET", f"{base}/v2/", self.endpoint).close()
                return base
            except (Unreachable, TimedOut):
                if transport.is_aborted:
                    raise
        return f"{self.endpoint.schemes[-1]}://{self.endpoint.address}"

    def repository(self, path: str) -> Repository:
        """What lies under a path here."""
        return Repository(self, path)

    def login(self) -> LoginResult:
        """See whether the credentials are good. Raises: Unauthorized: with what the server says."""
        url = f"{self.base}/v2/"
        answer = self.session.transport.request("GET", url, self.endpoint)
        if answer.status != 401:
            # it asks nobody: whoever comes is welcome
            self._expect(answer, (200,), f"registry {self}")
            return LoginResult(status="Login Succeeded")
        identity = self._authorizer.check(answer, url)
        answer = self.session.transport.request("GET", url, self.endpoint, authorization=self._authorizer.header(()))
        if answer.status in (401, 403):
            answer.close()
            raise Unauthorized(
                f"login attempt to {url} failed with status: {answer.status} "
                f"{'Unauthorized' if answer.status == 401 else 'Forbidden'}",
                status=answer.status,
                hint="check name and password",
            )
        self._expect(answer, (200,), f"registry {self}")
        return LoginResult(status="Login Succeeded", identity_token=identity)

    def catalog(self) -> list[str]:
        """Names of all repositories, sorted. Raises: Unsupported, Unauthorized."""
        what = f"catalog of {self}"
        try:
            return sorted(self.pages(f"/v2/_catalog?n={_PAGE}", "repositories", what, ("registry:catalog:*",)))
        except NotFound:
            raise Unsupported(f"{self} shows no catalog", hint="name the repository") from None
        except Unauthorized as error:
            raise Unauthorized(
                f"{what}: {error.message}", status=error.status, hint=f"{LOG_IN}; not every registry has a catalog"
            ) from None

    def pages(self, path: str, key: str, what: str, scopes: tuple[str, ...]) -> set[str]:
        """Names of a list that comes in pages. Raises: Integrity, LimitExceeded."""
        names: set[str] = set()
        url = f"{self.base}{path}"
        seen = {url}
        while True:
            answer = self.ask("GET", url, scopes, what=what, expect=(200,))
            next_page = _NEXT.search(",".join(answer.headers("Link")))
            data = answer.read(_LARGEST_PAGE_BYTES, what)
            found = _names(data, key, what)
            before = len(names)
            names.update(found)
            if next_page is None:
                return names
            url = self.session.transport.checked_target(url, urljoin(url, next_page[1]))
            if urlsplit(url).netloc != urlsplit(self.base).netloc:
                raise Unreachable(f"{what}: its next page is at another host", hint="the registry is broken or hostile")
            if url in seen or (found and len(names) == before):
                return names  # it goes round in a circle
            seen.add(url)
            if len(seen) > _MOST_PAGES or len(names) > _MOST_NAMES:
                raise LimitExceeded(f"{what} has more than {_MOST_PAGES} pages or {_MOST_NAMES} names")

    def ask(
        self,
        method: str,
        url: str,
        scopes: tuple[str, ...],
        *,
        what: str,
        expect: Sequence[int],
        headers: Mapping[str, str] | None = None,
        body: Iterable[bytes] | bytes | None = None,
        again: bool = True,
    ) -> Answer:
        """Ask, saying who we are if that is wanted.

        Args: what: the object, for refusals. expect: statuses that are returned.
            again: a broken connection, a busy server and a limit that is soon over are waited for;
                not for what can't be repeated.
        Raises: Unauthorized, NotFound, RateLimited, Interrupted …
        """

        def work() -> Answer:
            return self._ask(method, url, scopes, what, expect, headers, body)

        return self.session.persistently(work) if again and not _is_stream(body) else work()

    def _ask(
        self,
        method: str,
        url: str,
        scopes: tuple[str, ...],
        what: str,
        expect: Sequence[int],
        headers: Mapping[str, str] | None,
        body: Iterable[bytes] | bytes | None,
    ) -> Answer:
        is_own = urlsplit(url).netloc == urlsplit(self.base).netloc
        while True:
            authorization = self._authorizer.header(scopes) if is_own else ""
            answer = self.session.transport.request(
                method, url, self.endpoint, headers=headers, authorization=authorization, body=body
            )
            if answer.status != 401 or not is_own or _is_stream(body):
                break
            self._authorizer.challenged(answer, url, scopes, sent=authorization)
        return self._expect(answer, expect, what)

    def _expect(self, answer: Answer, statuses: Sequence[int], what: str) -> Answer:
        if answer.status in statuses:
            return answer
        try:
            body = answer.read(LARGEST_REFUSAL_BYTES, "the refusal")
        except EngineError:
            body = b""
        raise refusal(answer.status, body, asked=answer.asked, what=what, retry_after=answer.header("Retry-After"))


def _is_stream(body: object) -> bool:
    """Whether it can be sent only once."""
    return isinstance(body, Iterator)


def _names(data: bytes, key: str, what: str) -> list[str]:
    try:
        found: Any = json.loads(data).get(key)
    except (ValueError, AttributeError, RecursionError):
        raise Integrity(f"{what}: the registry's list can't be read") from None
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise Integrity(f"{what}: the registry's list holds something else than names")
    return [shown(name) for name in found]
