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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import msgspec

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
from core.registry.answers import LARGEST_REFUSAL_BYTES, LOG_IN, Interrupted, refusal, shown
from core.registry.auth import Authorizer, TokenCache
from core.registry.endpoint import Endpoint, origin_of
from core.registry.transport import Answer, Timeouts, Transport

LARGEST_MANIFEST_BYTES = 4 * 1024 * 1024
MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v1+json",
)
"""All that may be meant: the first schema's too, so that it can be refused by its name."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PAGE = 1000
_MOST_PAGES = 10_000
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*?\brel="?next"?')


class Document(msgspec.Struct, frozen=True):
    """A manifest or index as it came."""

    raw: bytes
    media_type: str
    """What the server calls it, without parameters; empty where it does not say."""
    digest: str
    """Of `raw`, computed here."""


class Pace(msgspec.Struct, frozen=True):
    """How transfers behave when something goes wrong."""

    pause_s: float = 1.0
    """Before the second try; doubled for each further one."""
    longest_pause_s: float = 60.0
    """A server that asks for more patience than that is given up."""


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
            data = answer.read(LARGEST_MANIFEST_BYTES, what)
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
            if len(seen) > _MOST_PAGES:
                raise LimitExceeded(f"{what} has more than {_MOST_PAGES} pages")

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
        attempts = self.session.client.settings.attempts if again and not _is_stream(body) else 1
        pace, cancel = self.session.client.pace, self.session.cancel
        for attempt in range(1, attempts + 1):
            cancel.check()
            try:
                return self._ask(method, url, scopes, what, expect, headers, body)
            except EngineError as error:
                pause_s = pause_before_retry(error, attempt, pace)
                if attempt == attempts or pause_s is None or self.session.transport.is_aborted:
                    raise
                cancel.wait(pause_s)
        raise AssertionError("attempts are at least one")

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


def pause_before_retry(error: EngineError, attempt: int, pace: Pace) -> float | None:
    """How long to wait before the next try; None: another one would not help, or would have to wait too long."""
    from core.errors import RateLimited

    if not isinstance(error, Interrupted | RateLimited | TimedOut):
        return None
    told = None if isinstance(error, TimedOut) else error.retry_after_s
    if told is not None:
        return told if told <= pace.longest_pause_s else None
    return min(pace.pause_s * 2.0 ** (attempt - 1), pace.longest_pause_s)


class Repository:
    """What lies under one path of a server."""

    def __init__(self, server: Server, path: str) -> None:
        self.server = server
        self.path = path
        self.name = f"{server}/{path}"
        self._pull = (f"repository:{path}:pull",)
        self._push = (f"repository:{path}:pull,push",)

    def _url(self, rest: str) -> str:
        return f"{self.server.base}/v2/{self.path}/{rest}"

    # manifests

    def manifest(self, key: str, *, what: str = "") -> Document:
        """The manifest or index of a tag or digest.

        Raises: NotFound; Integrity: it is not what its digest says; LimitExceeded: 4 MiB and no more.
        """
        what = what or f"manifest for {self.name}{'@' if ':' in key else ':'}{key}"
        answer = self.server.ask(
            "GET",
            self._url(f"manifests/{key}"),
            self._pull,
            what=what,
            expect=(200,),
            headers={"Accept": ", ".join(MANIFEST_TYPES)},
        )
        media_type = answer.header("Content-Type").partition(";")[0].strip().lower()
        claimed = answer.header("Docker-Content-Digest")
        raw = answer.read(LARGEST_MANIFEST_BYTES, what)
        digest = _sha256(raw)
        if ":" in key and digest != key:
            raise Integrity(f"{what} is {digest}", hint="the registry is broken or hostile; nothing of it was kept")
        if _DIGEST.fullmatch(claimed) and digest != claimed:
            raise Integrity(
                f"{what} is {digest}, the registry says {claimed}", hint="the registry is broken; try again later"
            )
        return Document(raw, media_type, digest)

    def find_manifest(self, key: str) -> str | None:
        """The digest that a tag means, or that is there; None if it is not."""
        answer = self.server.ask(
            "HEAD",
            self._url(f"manifests/{key}"),
            self._pull,
            what=f"manifest for {self.name}:{key}",
            expect=(200, 404),
            headers={"Accept": ", ".join(MANIFEST_TYPES)},
        )
        answer.drain()
        digest = answer.header("Docker-Content-Digest")
        if answer.status == 404:
            return None
        return digest if _DIGEST.fullmatch(digest) else self.manifest(key).digest

    def put_manifest(self, key: str, raw: bytes, media_type: str) -> str:
        """Let a tag mean it, or keep it under its digest; its digest."""
        answer = self.server.ask(
            "PUT",
            self._url(f"manifests/{key}"),
            self._push,
            what=f"manifest for {self.name}:{key}",
            expect=(200, 201, 202),
            headers={"Content-Type": media_type},
            body=raw,
        )
        answer.drain()
        return _sha256(raw)

    def delete_manifest(self, digest: str) -> None:
        """Delete it and all its tags. Raises: Unsupported: the registry allows no deletion."""
        try:
            answer = self.server.ask(
                "DELETE",
                self._url(f"manifests/{digest}"),
                (f"repository:{self.path}:pull,push,delete",),
                what=f"manifest {self.name}@{digest}",
                expect=(200, 202),
            )
        except Unsupported:
            raise Unsupported(
                f"{self.server} does not allow manifests to be deleted",
                hint="a registry of docker's allows it with REGISTRY_STORAGE_DELETE_ENABLED=true in its environment",
            ) from None
        answer.drain()

    def tags(self) -> list[str]:
        """All tags, sorted."""
        path = f"/v2/{self.path}/tags/list?n={_PAGE}"
        return sorted(self.server.pages(path, "tags", f"repository {self.name}", self._pull))

    # blobs

    def open_blob(self, digest: str, *, offset: int = 0) -> tuple[Answer, int]:
        """A blob's bytes from an offset on, and where they really begin: 0 of a server that knows no ranges.

        Asks once: who transfers it knows when to ask again.
        """
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        answer = self.server.ask(
            "GET",
            self._url(f"blobs/{digest}"),
            self._pull,
            what=f"blob {digest} of {self.name}",
            expect=(200, 206),
            headers=headers,
            again=False,
        )
        if answer.status == 200:
            return answer, 0
        begin = re.match(r"bytes (\d{1,18})-", answer.header("Content-Range"))
        if begin is None or int(begin[1]) != offset:
            answer.close()
            raise Interrupted(f"blob {digest} of {self.name}: the server gave another part of it than was asked for")
        return answer, offset

    def read_blob(self, digest: str, *, most: int, what: str) -> bytes:
        """A small blob whole, its digest checked. Raises: Integrity, LimitExceeded."""
        attempts, pace, cancel = (
            self.server.session.client.settings.attempts,
            self.server.session.client.pace,
            self.server.session.cancel,
        )
        for attempt in range(1, attempts + 1):
            try:
                data = self.open_blob(digest)[0].read(most, what)
                break
            except EngineError as error:
                pause_s = pause_before_retry(error, attempt, pace)
                if attempt == attempts or pause_s is None or self.server.session.transport.is_aborted:
                    raise
                cancel.wait(pause_s)
        found = _sha256(data)
        if found != digest:
            raise Integrity(
                f"{what} of {self.name} is {found}, its manifest says {digest}",
                hint="the registry is broken or hostile; nothing of it was kept",
            )
        return data

    def blob_size(self, digest: str) -> int | None:
        """Bytes of a blob that is there; None if it is not."""
        answer = self.server.ask(
            "HEAD", self._url(f"blobs/{digest}"), self._pull, what=f"blob {digest}", expect=(200, 404)
        )
        answer.drain()
        return None if answer.status == 404 else answer.length or 0

    def begin_upload(self, *, digest: str = "", mounted_from: str = "") -> str | None:
        """Where to send a blob to; None if it was taken over from another repository of the server.

        Args: mounted_from: another repository's path, which may have `digest`.
        """
        scopes: tuple[str, ...] = self._push
        query = ""
        if mounted_from:
            scopes = (*self._push, f"repository:{mounted_from}:pull")
            query = f"?mount={digest}&from={quote(mounted_from, safe='')}"
        url = self._url(f"blobs/uploads/{query}")
        answer = self.server.ask(
            "POST",
            url,
            scopes,
            what=f"repository {self.name}",
            expect=(201, 202),
            headers={"Content-Length": "0"},
            body=b"",
        )
        answer.drain()
        return None if answer.status == 201 else self.location(answer, url)

    def location(self, answer: Answer, url: str) -> str:
        """Where an answer says that an upload goes on. Raises: Unreachable: it may not go there."""
        target = answer.header("Location")
        if not target:
            raise Unreachable(f"{answer.asked}: the registry does not say where to upload to")
        return self.server.session.transport.checked_target(url, urljoin(url, target))

    def upload(
        self, method: str, url: str, *, expect: Sequence[int], headers: Mapping[str, str], body: Iterable[bytes] | bytes
    ) -> Answer:
        """One request of an upload; asks once."""
        return self.server.ask(
            method,
            url,
            self._push,
            what=f"upload to {self.name}",
            expect=expect,
            headers=headers,
            body=body,
            again=False,
        )


def _is_stream(body: object) -> bool:
    """Whether it can be sent only once."""
    return isinstance(body, Iterator)


def _sha256(data: bytes) -> str:
    import hashlib

    return f"sha256:{hashlib.sha256(data).hexdigest()}"


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
