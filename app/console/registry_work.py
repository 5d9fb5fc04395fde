"""What the console asks of registries: with the person's keyring, in workers, long work as jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from app import short
from app.console.actions import Actions
from app.console.command_text import command_text
from app.console.jobs import Job
from app.keyring import FileKeyring, open_keyring
from app.registry_facts import Deletion, KnownServer, collection_note, known_servers, plan_deletion
from core.errors import EngineError, RemoteError, Unauthorized, Unreachable, Unsupported
from core.model.display import safe_text
from core.model.reference import ImageRef, parse_reference
from core.model.registry import DOCKER_HUB, Credentials, Keyring, NoCredentials, SearchResult

_PROBES = 4
_KEPT = "what came is kept for the next pull"


class RegistryWork:
    """Registries, as the console's dialogs and places use them. The plain methods block: they are for workers."""

    def __init__(self, actions: Actions) -> None:
        self._actions = actions
        self._backend = actions.backend

    # ------------------------------------------------------------------ in workers

    def keyring(self) -> Keyring:
        """The person's keyring as it is now; a broken file is mentioned, and registries are asked without."""
        return open_keyring(lambda words: self._actions.mention(safe_text(words))) or NoCredentials()

    def servers(self) -> list[KnownServer]:
        """Registries that something here speaks of."""
        ring, info = self.keyring(), self._backend.system.info()
        logins = ring.servers() if isinstance(ring, FileKeyring) else ()
        return known_servers(
            logins, info.registry_mirrors, info.insecure_registries, self._backend.images.list(all=False)
        )

    def probe(self, hosts: Sequence[str], came: Callable[[str, str, str], object]) -> None:
        """Whether registries answer: `came` is told host, words and the colour of those, from any thread.

        Few are asked at once: what does not answer must not keep every worker waiting.
        """
        keyring = self.keyring()
        with ThreadPoolExecutor(_PROBES, thread_name_prefix="probe") as pool:
            list(pool.map(lambda host: came(host, *self._probe(host, keyring)), hosts))

    def _probe(self, host: str, keyring: Keyring) -> tuple[str, str]:
        """The catalog says it, or a search where there is none to see."""
        registries = self._backend.registries
        try:
            if host == DOCKER_HUB:
                registries.search("alpine", keyring, limit=1)
                return "answers; P searches it", "ok"
            count = len(registries.repositories(host, keyring))
            return f"{count} repositor{'y' if count == 1 else 'ies'}", "ok"
        except Unsupported:
            return "answers, shows no list", "ok"
        except Unauthorized:
            return "✖ wants a login: i", "warn"
        except EngineError as error:
            is_there = isinstance(error, RemoteError) and not isinstance(error, Unreachable)
            return f"✖ {safe_text(error.message)}", "warn" if is_there else "faint"

    def search(self, term: str, limit: int) -> Sequence[SearchResult]:
        """Repositories by a word, or `host/word`."""
        return self._backend.registries.search(term, self.keyring(), limit=limit)

    def tags(self, repository: str) -> Sequence[str]:
        """Tags of `host/path`."""
        return self._backend.registries.tags(repository, self.keyring())

    def plan_deletion(self, reference: str) -> Deletion:
        """What would go with a manifest."""
        return plan_deletion(self._backend.registries, reference, self.keyring())

    def log_in(self, server: str, credentials: Credentials) -> str:
        """Ask the registry, and keep what it has let in; what to say of it.

        Raises: EngineError: it refuses, or config.json can't be read or written: nothing is kept.
        """
        ring = FileKeyring()
        result = self._backend.registries.login(server, credentials)
        if token := result.identity_token:
            credentials = Credentials(username=credentials.username, identity_token=token)
        is_plain = ring.keep(server, credentials)
        where = f"; the password lies unencrypted in {ring.path}" if is_plain else ""
        return f"{server}: {result.status}{where}"

    def log_out(self, server: str) -> str:
        """Forget who a person is to a registry; what to say of it."""
        ring = FileKeyring()
        if not ring.knows(server):
            return f"not logged in to {server}"
        ring.forget(server)
        return f"logged out of {server}"

    # ------------------------------------------------------------------ on the UI thread

    def pull(
        self,
        reference: ImageRef,
        *,
        platform: str = "",
        all_tags: bool = False,
        command: str,
        then: Callable[[bool], None] | None = None,
    ) -> Job:
        """Fetch an image in the background; `then` is told whether it is a newer one."""
        shown = safe_text(reference.familiar_name if all_tags else reference.familiar)
        asked = f"{reference.host}/{reference.path}" if all_tags else reference.canonical

        def work(job: Job) -> bool:
            pulled = self._backend.images.pull(
                asked, self.keyring(), job.report, job.cancel, platform=platform, all_tags=all_tags
            )
            return any(one.is_new for one in pulled)

        return self._actions.long(
            f"pull {shown}",
            command,
            work,
            lambda is_new: f"pulled {shown}" if is_new else f"{shown} is up to date",
            "images",
            then=then,
            cancelled=_KEPT,
        )

    def push(self, source: str, reference: ImageRef, *, all_tags: bool, command: str) -> Job:
        """Send an image in the background; where it is to have another name, it gets that first."""
        shown = safe_text(reference.familiar_name if all_tags else reference.familiar)
        asked = f"{reference.host}/{reference.path}" if all_tags else reference.canonical

        def work(job: Job) -> str:
            if source and parse_reference(source).canonical != reference.canonical:
                self._backend.images.tag(source, reference.familiar)
            pushed = self._backend.images.push(asked, self.keyring(), job.report, job.cancel, all_tags=all_tags)
            return pushed[0].digest[:19] if len(pushed) == 1 else f"{len(pushed)} tags"

        return self._actions.long(
            f"push {shown}",
            command,
            work,
            lambda what: f"pushed {shown}: {what}",
            "images",
            cancelled="layers that are there already stay there",
        )

    def copy(self, source: str, target: ImageRef) -> Job:
        """Copy from one registry to another in the background."""
        shown = safe_text(target.familiar)

        def work(job: Job) -> str:
            registries = self._backend.registries
            return registries.copy(source, target.canonical, self.keyring(), job.report, job.cancel).digest

        return self._actions.long(
            f"copy to {shown}",
            command_text("registry", "copy", source, target.familiar),
            work,
            lambda digest: f"copied to {shown}: {digest[:19]}",
            cancelled="layers that are there already stay there",
        )

    def delete(self, repository: str, deletion: Deletion, then: Callable[[object], None]) -> None:
        """Delete a manifest with all its tags."""
        size = short.size(deletion.freed_bytes)
        self._actions.do(
            lambda: self._backend.registries.delete(f"{repository}@{deletion.digest}", self.keyring()),
            f"deleted {deletion.digest[:19]}: {collection_note(deletion, size)}",
            then=then,
        )
