"""Registries, as the seam offers them: what lies there, without a local copy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from core.errors import InvalidInput, InvalidReference, NotFound
from core.model.progress import CancelToken, Report, silent
from core.model.reference import ImageRef, parse_reference
from core.model.registry import (
    DOCKER_HUB,
    Credentials,
    Keyring,
    LoginResult,
    Pushed,
    RemoteManifest,
    SearchResult,
)
from core.model.registry_settings import RegistrySettings

if TYPE_CHECKING:
    from core.registry.client import RegistryClient, Session
    from core.registry.crew import Crew
    from core.registry.repository import Repository

_MOST_RESULTS = 100
T = TypeVar("T")


class EngineRegistries:
    """core.backend.Registries; and the client that pulls and pushes use as well."""

    def __init__(self, settings: RegistrySettings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._client: RegistryClient | None = None

    @property
    def client(self) -> RegistryClient:
        """Made by the first who speaks to a registry: most commands never do."""
        from core.registry.client import RegistryClient

        with self._lock:
            if self._client is None:
                self._client = RegistryClient(self.settings)
            return self._client

    @client.setter
    def client(self, client: RegistryClient) -> None:
        self._client = client

    def login(self, server: str, credentials: Credentials) -> LoginResult:
        """Ask a registry whether it knows somebody. Nothing is kept."""
        host = _host(server)

        class Offered:
            def find(self, server: str) -> Credentials | None:
                return credentials if server == host else None

        with self.client.session(Offered()) as session:
            return session.origin(host).login()

    def search(self, term: str, keyring: Keyring, *, limit: int = 25) -> Sequence[SearchResult]:
        """Repositories by a word, best first; `host/word` asks another registry than Docker Hub."""
        if not 1 <= limit <= _MOST_RESULTS:
            raise InvalidInput(f"limit {limit} is outside the range of [1, {_MOST_RESULTS}]")
        host, slash, word = term.partition("/")
        with self.client.session(keyring) as session:
            if not (slash and _is_host(host)) or host == DOCKER_HUB:
                from core.registry.hub import search_hub

                return search_hub(session, word if host == DOCKER_HUB else term, limit)
            names = session.origin(_host(host)).catalog()
            found = sorted((name for name in names if word in name), key=lambda name: (name != word, name))
            return [SearchResult(name=f"{host}/{name}") for name in found[:limit]]

    def repositories(self, server: str, keyring: Keyring) -> Sequence[str]:
        """Names of all repositories, sorted."""
        with self.client.session(keyring) as session:
            return session.origin(_host(server)).catalog()

    def tags(self, repository: str, keyring: Keyring) -> Sequence[str]:
        """All tags of `host/path`, sorted."""
        reference = parse_reference(repository)
        with self.client.session(keyring) as session:
            return session.origin(reference.host).repository(reference.path).tags()

    def manifest(self, reference: str, keyring: Keyring) -> RemoteManifest:
        """What a tag or digest means there."""
        from core.engine.remote_manifests import describe

        name = parse_reference(reference)
        return self._together(
            keyring, silent, CancelToken(), lambda session, crew: describe(_repository(session, name), name, crew)
        )

    def delete(self, reference: str, keyring: Keyring) -> str:
        """Delete a manifest by digest, or the one a tag means, with all its tags; its digest."""
        name = parse_reference(reference)
        with self.client.session(keyring) as session:
            repository = _repository(session, name)
            digest = name.digest or repository.find_manifest(name.tag)
            if digest is None:
                raise NotFound(
                    f"manifest for {name.familiar} not found: manifest unknown", kind="manifest", key=name.familiar
                )
            repository.delete_manifest(digest)
            return digest

    def copy(self, source: str, target: str, keyring: Keyring, report: Report, cancel: CancelToken) -> Pushed:
        """Copy an image or index, all platforms of it, from one registry to another, through no local copy."""
        from core.engine.remote_copy import RemoteCopy

        there, here = parse_reference(source), parse_reference(target)
        if here.digest:
            raise InvalidReference(f"{target!r} names a digest: the copy has the one of {source!r}", hint="name a tag")
        return self._together(
            keyring,
            report,
            cancel,
            lambda session, crew: RemoteCopy(
                session, crew, _repository(session, there), _repository(session, here)
            ).copy(there, here),
        )

    def _together(self, keyring: Keyring, report: Report, cancel: CancelToken, work: Callable[[Session, Crew], T]) -> T:
        """Have something done by a crew of its own."""
        from core.registry.crew import Crew

        with self.client.session(keyring) as session, Crew(report, cancel, session.transport.abort) as crew:
            session.cancel = crew.stop
            return crew.wait(crew.start(partial(work, session, crew)))[0]


def _repository(session: Session, reference: ImageRef) -> Repository:
    return session.origin(reference.host).repository(reference.path)


def _is_host(text: str) -> bool:
    return any(character in text for character in ".:[") or text == "localhost"


def _host(server: str) -> str:
    """A server as references name it. Raises: InvalidInput."""
    try:
        reference = parse_reference(f"{server}/x") if _is_host(server) else None
    except InvalidReference:
        reference = None
    if reference is None:
        raise InvalidInput(f"{server!r} is no registry", hint="write it as host[:port], without https://")
    return reference.host
