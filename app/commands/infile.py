"""Where archives of images come from: the input, a file, a directory of an OCI layout, or a web server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from app.commands.definition import Invocation
from app.commands.outfile import input_file
from core.errors import InvalidInput, RemoteError, Unreachable

_PATIENCE_S = 30.0


@contextmanager
def archive_file(path: str, invocation: Invocation) -> Iterator[BinaryIO]:
    """What `load` reads: a file or the input, or a directory as if it were a tar of itself.

    Raises: InvalidInput: a directory that is no OCI layout.
    """
    if path and os.path.isdir(path):
        if not os.path.isfile(os.path.join(path, "oci-layout")):
            raise InvalidInput(
                f"read {path}: is a directory", hint="name an archive, or the directory of an OCI layout"
            )
        from app.commands.maketar import pack
        from app.commands.untar import Pieces

        yield cast(BinaryIO, Pieces(pack(path, "", keep_owner=False)))
        return
    with input_file(path, invocation) as source:
        yield source


@contextmanager
def fetched_file(path: str, invocation: Invocation) -> Iterator[BinaryIO]:
    """What `import` reads: a file or the input, or what a web server sends.

    Raises: Unreachable, RemoteError: the server does not answer, or not with what was asked for.
    """
    if not path.startswith(("http://", "https://")):
        with input_file(path, invocation) as source:
            yield source
        return
    import urllib.error
    import urllib.request

    try:
        answer = urllib.request.urlopen(path, timeout=_PATIENCE_S)
    except urllib.error.HTTPError as error:
        error.close()
        raise RemoteError(f"fetch {path}: the server answers {error.code} {error.reason}", status=error.code) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", None) or error
        raise Unreachable(f"fetch {path}: {why}", hint="look at the address, and whether it can be reached") from None
    with answer:
        yield cast(BinaryIO, _Whole(answer, path))


class _Whole:
    """A server's answer, which is an error if it ends before its announced length."""

    def __init__(self, answer: BinaryIO, url: str) -> None:
        self._answer = answer
        self._url = url
        length = answer.headers.get("Content-Length", "")  # type: ignore[attr-defined]
        self._left = int(length) if length.isdigit() else None

    def read(self, size: int) -> bytes:
        """At most so many bytes; b"" at the end."""
        try:
            data = self._answer.read(size)
        except OSError as error:
            raise RemoteError(f"fetch {self._url}: {error}") from None
        if self._left is not None:
            self._left -= len(data)
            if not data and self._left > 0 and size:
                raise RemoteError(f"fetch {self._url}: the server stopped {self._left} bytes before the end")
        return data
