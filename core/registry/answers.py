"""What a registry refuses, in docker's words (distribution-spec, "Error Codes").

{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown", "detail": …}]}
"""

from __future__ import annotations

import email.utils
import json
import math
import time

from core.errors import (
    EngineError,
    InvalidInput,
    NotFound,
    RateLimited,
    RemoteError,
    Unauthorized,
    Unreachable,
    Unsupported,
)
from core.model.display import clip, safe_text

LARGEST_REFUSAL_BYTES = 64 * 1024
_LONGEST_TEXT = 300
LOG_IN = "log in to it with `login`"


class Interrupted(Unreachable):
    """A connection broke, or the server is not ready: the same request may succeed in a while."""

    def __init__(
        self, message: str, *, status: int = 0, retry_after_s: float | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, status=status, hint=hint)
        self.retry_after_s = retry_after_s


def shown(value: object) -> str:
    """A text of a registry's, safe to show and no longer than a line or two."""
    return clip(safe_text(str(value).strip()), _LONGEST_TEXT)


def refusal(status: int, body: bytes, *, asked: str, what: str, retry_after: str = "") -> EngineError:
    """The error for an answer that is none of the expected ones.

    Args: asked: method and URL. what: the object, for people, as in `manifest for x:1`.
    """
    code, text = _first_error(body)
    said = text or f"unexpected status from {asked}: {status}"
    match status, code:
        case _, "UNAUTHORIZED":
            return Unauthorized(f"{said}", status=status, hint=LOG_IN)
        case _, "DENIED":
            return Unauthorized(f"{said}", status=status, hint=LOG_IN)
        case 401 | 403, _:
            return Unauthorized(f"{what}: {said}", status=status, hint=LOG_IN)
        case 429, _:
            return RateLimited(
                f"toomanyrequests: {said}" if not code else said,
                retry_after_s=parse_retry_after(retry_after),
                hint="wait a while, or log in: many registries allow more to who is known",
            )
        case 404 | 410, _:
            return NotFound(f"{what} not found: {said}", kind=what.partition(" ")[0], key=what.rpartition(" ")[2])
        case 405, _:
            return Unsupported(f"{what}: the registry does not allow it: {said}")
        case 400 | 413 | 416, _:
            return InvalidInput(f"{what}: the registry refused it: {said}")
        case _ if status >= 500:
            return Interrupted(
                f"{what}: the registry failed: {said}",
                status=status,
                retry_after_s=parse_retry_after(retry_after),
                hint="try again later",
            )
    return RemoteError(f"{what}: {said}", status=status)


def _first_error(body: bytes) -> tuple[str, str]:
    """(code, `code in words: message`) of a body, ("", "") where it has none that can be read."""
    try:
        document = json.loads(body)
        row = document["errors"][0]
        code, message = str(row["code"]), str(row.get("message") or "")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "", ""
    words = shown(code.lower().replace("_", " "))
    return code.upper(), f"{words}: {shown(message)}" if message else words


def parse_retry_after(text: str) -> float | None:
    """Seconds to wait, from seconds or from a date; None where it says nothing that can be understood."""
    try:
        seconds = float(text)
        return seconds if math.isfinite(seconds) and seconds >= 0 else None
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
