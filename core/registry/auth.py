"""Telling a registry who asks: nobody is told before having asked, and each server only what is meant for it.

    401, WWW-Authenticate: Basic …                   ──▶ Authorization: Basic
    401, WWW-Authenticate: Bearer realm=…,service=…  ──▶ GET realm?service=…&scope=…  (Basic, where we have a name)
                                                         POST realm, refresh_token=…  (an identity token)
                                                     ──▶ Authorization: Bearer, until it expires

The realm may be another host: a registry says where its tokens are made, and could ask for the password
itself. But an https registry can't have it sent in plain text, and errors name the realm. Scopes are
those that we need, never what a challenge suggests.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from core import about
from core.errors import Integrity, RateLimited, Unauthorized, Unreachable
from core.model.registry import Credentials
from core.registry.answers import LARGEST_REFUSAL_BYTES, LOG_IN, Interrupted, refusal, shown
from core.registry.challenge import Challenge, parse_challenges
from core.registry.endpoint import Endpoint
from core.registry.transport import Answer, Transport

LARGEST_TOKEN_BYTES = 1024 * 1024
_DENIED = "denied: requested access to the resource is denied"
_SHORTEST_LIFE_S = 60.0
"""What a token without a lifetime has (distribution: token authentication), and every one at least."""


class Token(msgspec.Struct, frozen=True):
    """What a realm gave."""

    value: str
    until_monotonic: float
    refresh: str = ""
    """Stands in for the password from now on."""

    def __repr__(self) -> str:
        return "Token(…)"


class TokenCache:
    """Tokens by whom, where and what for, as long as they live. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[object, Token] = {}

    def find(self, key: object) -> Token | None:
        """One that still lives."""
        with self._lock:
            token = self._tokens.get(key)
            return token if token is not None and token.until_monotonic > time.monotonic() else None

    def keep(self, key: object, token: Token) -> None:
        """Until it expires."""
        with self._lock:
            now = time.monotonic()
            self._tokens = {k: t for k, t in self._tokens.items() if t.until_monotonic > now}
            self._tokens[key] = token

    def forget(self, key: object) -> None:
        """The server did not take it."""
        with self._lock:
            self._tokens.pop(key, None)


class Authorizer:
    """Who we are to one server, for one operation. Thread-safe."""

    def __init__(
        self, transport: Transport, endpoint: Endpoint, credentials: Credentials | None, tokens: TokenCache
    ) -> None:
        self._transport = transport
        self._endpoint = endpoint
        self._credentials = credentials
        self._tokens = tokens
        self._lock = threading.Lock()
        self._challenge: Challenge | None = None
        self._asked_by = ""
        """The URL that was refused: what is spoken to by TLS is not left for plain text."""
        self._fetched: set[str] = set()
        """Headers with tokens that were made for this operation: another one would be no better."""
        self.realm = ""
        """Where tokens come from, if not from the registry's own host; for errors."""

    def header(self, scopes: tuple[str, ...]) -> str:
        """What to send with a request; empty as long as nobody has asked."""
        challenge = self._challenge
        if challenge is None:
            return ""
        if challenge.scheme == "basic":
            return _basic(self._credentials) if self._credentials and self._credentials.password else ""
        return f"Bearer {self.token(challenge, scopes).value}"

    def challenged(self, answer: Answer, url: str, scopes: tuple[str, ...], *, sent: str) -> None:
        """Take in what a 401 asks for.

        Args: sent: the header that was not good enough.
        Raises: Unauthorized: in docker's words; nothing we have will do.
        """
        challenges = parse_challenges(answer.headers("WWW-Authenticate"))
        body = answer.read(LARGEST_REFUSAL_BYTES, "the answer")
        if urlsplit(answer.url).netloc != urlsplit(url).netloc:
            raise Unauthorized(
                f"{answer.asked} led to {shown(urlsplit(answer.url).netloc)}, which asks who we are",
                status=401,
                hint="credentials are sent to the registry alone",
            )
        known = {challenge.scheme: challenge for challenge in reversed(challenges)}
        chosen = known.get("bearer") or known.get("basic")
        if chosen is None:
            raise refusal(401, body, asked=answer.asked, what=answer.asked)
        with self._lock:
            self._challenge = chosen
            self._asked_by = url
        if chosen.scheme == "basic" and not (self._credentials and self._credentials.password):
            raise Unauthorized(f"{_quoted(answer.asked)}: no basic auth credentials", status=401, hint=LOG_IN)
        if sent.startswith("Bearer "):
            self._tokens.forget(self._key(chosen, scopes))
        if sent in self._fetched and chosen.parameters.get("error") == "insufficient_scope":
            # the realm knows who asks, and gives them less than this takes: docker does not look at the body then
            raise Unauthorized(f"{_quoted(answer.asked)}: {_DENIED}", status=401, hint=self._hint())
        if sent.startswith("Basic ") or sent in self._fetched:
            error = refusal(401, body, asked=answer.asked, what=_quoted(answer.asked))
            raise Unauthorized(f"{_quoted(answer.asked)}: {error.message}", status=401, hint=self._hint())

    def token(self, challenge: Challenge, scopes: tuple[str, ...], *, offline: bool = False) -> Token:
        """A token for scopes, from the cache or from the realm.

        Args: offline: ask for one that stands in for the password, too.
        Raises: Unauthorized, Unreachable, RateLimited …: naming the realm.
        """
        key = self._key(challenge, scopes)
        if not offline and (found := self._tokens.find(key)) is not None:
            return found
        realm = self._checked_realm(challenge.parameters.get("realm", ""))
        token = self._fetch(realm, challenge.parameters.get("service", ""), scopes, offline=offline)
        self._tokens.keep(key, token)
        self._fetched.add(f"Bearer {token.value}")
        return token

    def _key(self, challenge: Challenge, scopes: tuple[str, ...]) -> object:
        names = challenge.parameters
        return self._endpoint.host, self._credentials, names.get("realm"), names.get("service"), scopes

    def _checked_realm(self, realm: str) -> str:
        """A realm that may be asked. Raises: Unauthorized: credentials must not go there."""
        try:
            self._transport.checked_target(self._asked_by, realm)
        except Unreachable as error:
            raise Unauthorized(
                f"{self._endpoint.host} wants tokens to be fetched where nobody should: {error.message}",
                status=401,
                hint="nothing was sent there; the registry is broken or hostile",
            ) from None
        host = urlsplit(realm).netloc
        self.realm = host if host != urlsplit(self._asked_by).netloc else ""
        return realm

    def _fetch(self, realm: str, service: str, scopes: tuple[str, ...], *, offline: bool) -> Token:
        credentials = self._credentials
        fields: list[tuple[str, str]] = [("service", service)] if service else []
        if credentials is not None and credentials.identity_token:
            fields += [
                ("client_id", about.NAME),
                ("grant_type", "refresh_token"),
                ("refresh_token", credentials.identity_token),
                *([("scope", " ".join(scopes))] if scopes else []),
            ]
            answer = self._transport.request(
                "POST",
                realm,
                self._endpoint,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                body=urlencode(fields).encode(),
            )
            return self._read(answer, realm)
        fields += [("scope", scope) for scope in scopes]
        authorization = ""
        if credentials is not None and credentials.username:
            fields += [("account", credentials.username), ("client_id", about.NAME)]
            fields += [("offline_token", "true")] if offline else []
            authorization = _basic(credentials)
        joint = "&" if urlsplit(realm).query else "?"
        url = f"{realm}{joint}{urlencode(fields, quote_via=quote)}" if fields else realm
        return self._read(self._transport.request("GET", url, self._endpoint, authorization=authorization), realm)

    def _read(self, answer: Answer, realm: str) -> Token:
        where = shown(realm.partition("?")[0])
        if answer.status != 200:
            body = answer.read(LARGEST_REFUSAL_BYTES, f"the answer of {where}")
            error = refusal(
                answer.status,
                body,
                asked=f"GET {where}",
                what=f"token from {where}",
                retry_after=answer.header("Retry-After"),
            )
            if isinstance(error, RateLimited | Interrupted):
                raise error
            raise Unauthorized(error.message, status=answer.status, hint=self._hint())
        data = answer.read(LARGEST_TOKEN_BYTES, f"the token of {where}")
        try:
            document = json.loads(data)
            value = document.get("token") or document.get("access_token")
            life_s = float(document.get("expires_in") or 0)
            refresh = document.get("refresh_token") or ""
        except (ValueError, TypeError, AttributeError, RecursionError):
            value, life_s, refresh = None, 0.0, ""
        if not isinstance(value, str) or not value.isascii() or not value.isprintable() or not isinstance(refresh, str):
            raise Integrity(f"{where} gave no token", hint="the registry's token service is broken")
        # the clock of the realm may be anything: only the length counts, a tenth of it kept in hand
        life_s = min(max(life_s if life_s == life_s else 0.0, _SHORTEST_LIFE_S), 24 * 3600.0) * 0.9
        return Token(value, time.monotonic() + life_s, refresh)

    def _hint(self) -> str:
        if self.realm:
            return f"{LOG_IN}; {shown(self.realm)} is asked for tokens"
        return LOG_IN

    def check(self, answer: Answer, url: str) -> str:
        """Prove ourselves to a challenge, for a login; the identity token, where one is given.

        Raises: Unauthorized: who we are is not known there.
        """
        self.challenged(answer, url, (), sent="")
        challenge = self._challenge
        if challenge is None or challenge.scheme != "bearer":
            return ""
        return self.token(challenge, (), offline=True).refresh


def _basic(credentials: Credentials | None) -> str:
    if credentials is None:
        return ""
    pair = f"{credentials.username}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _quoted(asked: str) -> str:
    """`Get "https://…"`, as Go's errors have it."""
    method, _, url = asked.partition(" ")
    return f'{method.capitalize()} "{url}"'
