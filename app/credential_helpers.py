"""Programs that keep credentials for us: `docker-credential-NAME`, as credsStore and credHelpers name them.

    us ── get ─────▶ docker-credential-NAME ◀── the server, as text, on its input
       ◀── {"ServerURL", "Username", "Secret"}, exit 0; or a sentence, exit not 0
    us ── store ───▶ {"ServerURL", "Username", "Secret"} on its input
    us ── erase ───▶ the server, as text, on its input

A secret travels by pipes alone. What such a program prints is as little ours as what a registry says: it is
bounded in size and time, and its words are made harmless before anybody sees them.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import time

from core.errors import EngineError, InvalidInput, TimedOut, wrapped
from core.model.display import clip, safe_text
from core.model.registry import Credentials

_PATIENCE_S = 60.0
"""A person may have to unlock a keychain."""
_MOST_BYTES = 64 * 1024
_NOT_FOUND = "credentials not found in native keychain"
_TOKEN_USER = "<token>"
"""The user name that marks a secret as an identity token."""


def get_credentials(helper: str, server: str) -> Credentials | None:
    """Ask a helper about a server; None where it knows nobody.

    Raises: InvalidInput: there is no such helper, or it answers nonsense. EngineError: it fails. TimedOut.
    """
    code, said = _run(helper, "get", server.encode())
    if code:
        if _NOT_FOUND in _words(said):
            return None
        raise _failed(helper, "get", said)
    try:
        answer = json.loads(said)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidInput(
            f"docker-credential-{safe_text(helper)} get: its answer is none", hint="ask it yourself to see why"
        ) from None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise InvalidInput(f"docker-credential-{safe_text(helper)} get: Username and Secret must be texts")
    if username == _TOKEN_USER:
        return Credentials(identity_token=secret)
    return Credentials(username=username, password=secret) if username or secret else None


def store_credentials(helper: str, server: str, credentials: Credentials) -> None:
    """Have a helper keep somebody's credentials.

    Raises: InvalidInput, EngineError, TimedOut: as get_credentials.
    """
    token = credentials.identity_token
    document = {
        "ServerURL": server,
        "Username": _TOKEN_USER if token else credentials.username,
        "Secret": token or credentials.password,
    }
    code, said = _run(helper, "store", json.dumps(document).encode())
    if code:
        raise _failed(helper, "store", said, *filter(None, (credentials.password, token)))


def erase_credentials(helper: str, server: str) -> None:
    """Have a helper forget a server.

    Raises: InvalidInput, EngineError, TimedOut: as get_credentials.
    """
    code, said = _run(helper, "erase", server.encode())
    if code and _NOT_FOUND not in _words(said):
        raise _failed(helper, "erase", said)


def _run(helper: str, verb: str, given: bytes) -> tuple[int, bytes]:
    """Exit code and output of a helper, at most so much of it."""
    program = f"docker-credential-{helper}"
    if not helper or "/" in helper or "\0" in helper:
        raise InvalidInput(f"{safe_text(helper)!r} can't be the name of a credential helper", hint="it has no slashes")
    try:
        process = subprocess.Popen(
            [program, verb], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise InvalidInput(
            f"{safe_text(program)}: there is no such program",
            hint="install it, or take it out of credsStore and credHelpers in docker's config.json",
        ) from None
    except OSError as error:
        raise wrapped(error, "execute", safe_text(program)) from None
    with process:
        try:
            return _converse(process, safe_text(program), given)
        finally:
            process.kill()


def _converse(process: subprocess.Popen[bytes], program: str, given: bytes) -> tuple[int, bytes]:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(given)
        process.stdin.close()
    except BrokenPipeError:
        pass  # it has ended, or does not want to know
    deadline = time.monotonic() + _PATIENCE_S
    said = b""
    while True:
        if not select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimedOut(f"{program} has not answered for {_PATIENCE_S:.0f} s", hint="ask it yourself to see why")
        piece = os.read(process.stdout.fileno(), _MOST_BYTES)
        if not piece:
            break
        said += piece
        if len(said) > _MOST_BYTES:
            raise InvalidInput(f"{program} has answered more than {_MOST_BYTES} bytes")
    try:
        return process.wait(max(0.0, deadline - time.monotonic())), said
    except subprocess.TimeoutExpired:
        raise TimedOut(f"{program} does not end", hint="ask it yourself to see why") from None


def _words(said: bytes) -> str:
    return clip(safe_text(said.strip().partition(b"\n")[0]), 200)


def _failed(helper: str, verb: str, said: bytes, *secrets: str) -> EngineError:
    """What a helper says of its failure, unless that could hold a secret."""
    words = _words(said)
    if words.startswith("{") or any(secret in words for secret in secrets):
        words = "it failed"
    return EngineError(
        f"docker-credential-{safe_text(helper)} {verb}: {words or 'it failed without a word'}",
        hint="the helper keeps the credentials: unlock it, or repair its set-up",
    )
