"""Who somebody is to registries: docker's config.json, read and written as docker does.

    $DOCKER_CONFIG/config.json, else ~/.docker/config.json
    {
      "auths": {                                        a server → what is known of somebody there
        "https://index.docker.io/v1/": {"auth": base64("user:password")},         Docker Hub's own key
        "registry.example:5000": {"auth": base64("user:"), "identitytoken": "…"},
        "quay.io": {}                                   the secret is kept by a helper
      },
      "credsStore": "secretservice",                    a helper for all servers
      "credHelpers": {"gcr.io": "gcloud"}               a helper for one
    }

Other keys in it belong to others and stay. The file is replaced by rename, where a symlink leads
included, mode 0600. A broken one is never overwritten: it may hold what somebody still needs.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.credential_helpers import erase_credentials, get_credentials, store_credentials
from core.errors import EngineError, InvalidInput, wrapped
from core.model.registry import DOCKER_HUB, Credentials

_Document = dict[str, object]

HUB_KEY = "https://index.docker.io/v1/"
"""Docker Hub's name in the file, and in what docker says of it."""
_HUB_HOSTS = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io")
_MOVE_AWAY = "correct it, or move it away"


def config_path() -> Path:
    """Where the file is, or would be."""
    directory = os.environ.get("DOCKER_CONFIG") or f"{os.environ.get('HOME') or '/root'}/.docker"
    return Path(directory, "config.json")


def host_of(server: str) -> str:
    """The host of a server as people write it: without scheme and path."""
    return server.removeprefix("https://").removeprefix("http://").partition("/")[0]


def is_hub(server: str) -> bool:
    """Whether a server, in any of its names, is Docker Hub."""
    return host_of(server) in _HUB_HOSTS


def key_of(server: str) -> str:
    """The key that a server is kept under: its host, or Docker Hub's old address."""
    return HUB_KEY if is_hub(server) else host_of(server)


class FileKeyring:
    """What the file and the helpers it names know. Asked from any thread; an answer is kept."""

    def __init__(self, path: Path | None = None) -> None:
        """Read the file. Raises: InvalidInput: it is broken; the message says where."""
        self.path = path or config_path()
        self._document = _read(self.path)
        self._answers: dict[str, Credentials | None] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"FileKeyring({str(self.path)!r})"

    def find(self, server: str) -> Credentials | None:
        """Of a server as references name it (`docker.io`, `localhost:5000`); None: ask without.

        Raises: EngineError: an entry of the file is broken, or a helper fails.
        """
        key = key_of(server)
        with self._lock:
            if key not in self._answers:
                self._answers[key] = self._look(key)
            return self._answers[key]

    def servers(self) -> list[str]:
        """Hosts that the file knows somebody on, sorted; Docker Hub as `docker.io`."""
        keys = [*_texts(self._document, "credHelpers"), *_auths(self._document)]
        return sorted({DOCKER_HUB if is_hub(key) else host_of(key) for key in keys} - {""})

    def knows(self, server: str) -> bool:
        """Whether there is anything about a server, a secret or a mark that a helper has one."""
        return _key_in(_auths(self._document), key_of(server)) is not None or self.find(server) is not None

    def keep(self, server: str, credentials: Credentials) -> bool:
        """Keep somebody's credentials.

        Returns: whether a password has been written into the file, where anybody who reads it has it.
        Raises: InvalidInput: the file is broken. EngineError: it can't be written, or a helper fails.
        """
        key = key_of(server)
        with _locked(self.path):
            document = _read(self.path)
            helper = _helper_of(document, key)
            if helper:
                store_credentials(helper, key, credentials)
            entry = {} if helper else _entry(credentials)
            auths = _auths(document)
            is_news = auths.get(key) != entry
            if is_news:
                document["auths"] = {**auths, key: entry}
                _write(self.path, document)
            self._remember(document)
        return is_news and not helper and bool(credentials.password)

    def forget(self, server: str) -> None:
        """Let go of whatever is known of a server, under each of its names.

        Raises: InvalidInput: the file is broken. EngineError: it can't be written, or a helper fails.
        """
        key = key_of(server)
        with _locked(self.path):
            document = _read(self.path)
            if helper := _helper_of(document, key):
                erase_credentials(helper, key)
            auths = _auths(document)
            left = {name: entry for name, entry in auths.items() if key_of(name) != key}
            if left != auths:
                document["auths"] = left
                _write(self.path, document)
            self._remember(document)

    def _remember(self, document: _Document) -> None:
        with self._lock:
            self._document = document
            self._answers.clear()

    def _look(self, key: str) -> Credentials | None:
        if helper := _helper_of(self._document, key):
            return get_credentials(helper, key)
        auths = _auths(self._document)
        name = _key_in(auths, key)
        return _credentials(self.path, name, auths[name]) if name is not None else None


def open_keyring(complain: Callable[[str], None]) -> FileKeyring | None:
    """The person's keyring for reading; a broken file is complained of and left out, as docker does."""
    try:
        return FileKeyring()
    except EngineError as error:
        complain(f"WARNING: Error loading config file: {error.message}")
        return None


def _helper_of(document: _Document, key: str) -> str:
    """The helper that keeps a server's credentials; empty: the file does."""
    helpers = _texts(document, "credHelpers")
    name = _key_in(helpers, key)
    if name is not None:
        return helpers[name]
    store = document.get("credsStore", "")
    return store if isinstance(store, str) else ""


def _key_in(known: dict[str, str] | dict[str, _Document], key: str) -> str | None:
    """A server's key as it is written there: itself, or else the first one that means the same host."""
    if key in known:
        return key
    return next((name for name in known if key_of(name) == key), None)


def _auths(document: _Document) -> dict[str, _Document]:
    found = document.get("auths")
    return found if isinstance(found, dict) else {}


def _texts(document: _Document, name: str) -> dict[str, str]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _entry(credentials: Credentials) -> _Document:
    pair = f"{credentials.username}:{credentials.password}"
    entry: _Document = {"auth": base64.b64encode(pair.encode()).decode()} if pair != ":" else {}
    if credentials.identity_token:
        entry["identitytoken"] = credentials.identity_token
    return entry


def _credentials(path: Path, key: str, entry: _Document) -> Credentials | None:
    """What an entry holds. Raises: InvalidInput: it can't be read; what it holds is not repeated."""
    username, password = entry.get("username") or "", entry.get("password") or ""
    token = entry.get("identitytoken") or ""
    if auth := entry.get("auth"):
        try:
            pair = base64.b64decode(str(auth), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError, ValueError):
            pair = ""
        username, colon, password = pair.partition(":")
        if not colon or not username:
            raise InvalidInput(f"{path}: auths: {key}: auth is no base64 of user:password", hint="log in again")
        password = password.rstrip("\0")
    if not all(isinstance(text, str) for text in (username, password, token)):
        raise InvalidInput(f"{path}: auths: {key}: its values must be texts", hint="log in again")
    if not username and not token:
        return None
    return Credentials(username=str(username), password=str(password), identity_token=str(token))


def _read(path: Path) -> _Document:
    """The file's document; an empty one where there is no file.

    Raises: InvalidInput: naming the file, and the line and column or the key that is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path}: it is not UTF-8 text: byte {error.start}", hint=_MOVE_AWAY) from None
    except OSError as error:
        raise wrapped(error, "read", path) from None
    try:
        document = json.loads(text) if text.strip() else {}
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}: {error.msg.lower()}"
        raise InvalidInput(f"{path}: {where}", hint=_MOVE_AWAY) from None
    except RecursionError:
        raise InvalidInput(f"{path}: it is nested too deeply", hint=_MOVE_AWAY) from None
    if not isinstance(document, dict):
        raise InvalidInput(f"{path}: it must hold one object, {{…}}", hint=_MOVE_AWAY)
    _check(path, document)
    return document


def _check(path: Path, document: _Document) -> None:
    for name, kind, words in (("auths", dict, "objects"), ("credHelpers", str, "texts")):
        part = document.get(name)
        if part is not None and not (isinstance(part, dict) and all(isinstance(one, kind) for one in part.values())):
            raise InvalidInput(f"{path}: {name} must be an object of {words}", hint=_MOVE_AWAY)
    if not isinstance(document.get("credsStore", ""), str):
        raise InvalidInput(f"{path}: credsStore must be a text", hint=_MOVE_AWAY)


def _write(path: Path, document: _Document) -> None:
    """Replace the file, where a symlink leads: whole or not at all, for its owner's eyes only."""
    target = Path(os.path.realpath(path))
    auths = document.get("auths")
    if isinstance(auths, dict):
        document = {"auths": dict(sorted(auths.items())), **{k: v for k, v in document.items() if k != "auths"}}
    try:
        descriptor, part = tempfile.mkstemp(prefix="config.json", dir=target.parent)  # mode 0600
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                json.dump(document, file, indent="\t")
                file.flush()
                os.fsync(file.fileno())
                if target.exists():
                    had = target.stat()
                    os.fchown(file.fileno(), had.st_uid, had.st_gid)
            os.replace(part, target)
        except BaseException:
            os.unlink(part)
            raise
    except OSError as error:
        raise wrapped(error, "write", path) from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """While the file is read, changed and written: two logins at once must not lose each other's.

    The lock is the directory's: the file itself is replaced.
    """
    directory = Path(os.path.realpath(path)).parent
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise wrapped(error, "open", directory) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
