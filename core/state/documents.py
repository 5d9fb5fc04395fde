"""Documents: JSON files that say what they are: {"schema": n, "kind": "container.config", …}.

Everything is read strictly; a file that can't be read is a CorruptDocument that names the path,
never a traceback. A newer schema than ours is refused, not guessed at.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from core.errors import CorruptDocument, Unsupported, wrapped
from core.linux.files import write_atomic

SCHEMA = 1
_LARGEST_BYTES = 16 * 1024 * 1024

T = TypeVar("T")


def write_document(path: Path, kind: str, fields: dict[str, Any], *, durable: bool = True) -> None:
    """Write a document of plain fields atomically. Raises: NoSpace, Denied …: naming the path."""
    _write(path, json.dumps({"schema": SCHEMA, "kind": kind, **fields}, separators=(",", ":")).encode(), durable)


def read_document(path: Path, *, kind: str) -> dict[str, Any]:
    """Read a document as plain fields.

    Raises: FileNotFoundError: there is none. CorruptDocument: it is not one of that kind.
    """
    data = _read(path)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _corrupt(path, str(error)) from None
    if not isinstance(document, dict) or document.get("kind") != kind:
        raise _corrupt(path, f"it is not a {kind} document")
    return document


def write_struct(path: Path, kind: str, value: msgspec.Struct, *, durable: bool = True) -> None:
    """Write a typed value as a document."""
    body = msgspec.json.encode(value)
    head = f'{{"schema":{SCHEMA},"kind":"{kind}"'.encode()
    _write(path, head + (b"," + body[1:] if len(body) > 2 else b"}"), durable)


class _Head(msgspec.Struct):
    """The two fields every document begins with."""

    schema: int
    kind: str


_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_building = threading.Lock()


def decoder(struct: type[T]) -> msgspec.json.Decoder[T]:
    """What reads JSON as values of a type; the same for all that ask.

    msgspec looks at a type when it is first decoded, one field after the other. A second thread that
    meets the type, or one that a field of it has, before that is finished reads through a null
    pointer: so every type is looked at here, by one thread at a time.
    """
    found = _decoders.get(struct)
    if found is None:
        with _building:
            found = _decoders.get(struct)
            if found is None:
                found = _decoders[struct] = msgspec.json.Decoder(struct)
    return found


def read_struct(path: Path, kind: str, struct: type[T]) -> T:
    """Read a typed value.

    Raises: FileNotFoundError: there is none. CorruptDocument: the message says where it is wrong.
        Unsupported: its schema is newer than ours.
    """
    data = _read(path)
    try:
        head = decoder(_Head).decode(data)
        if head.kind != kind:
            raise _corrupt(path, f"it is a {head.kind!r} document, not {kind!r}")
        if head.schema > SCHEMA:
            raise Unsupported(f"{path} was written by a newer version (schema {head.schema})", hint="use that version")
        return decoder(struct).decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _corrupt(path, str(error)) from None


def _write(path: Path, data: bytes, durable: bool) -> None:
    try:
        write_atomic(path, data, durable=durable)
    except OSError as error:
        raise wrapped(error, "write", path) from error


def _read(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            size = os.fstat(descriptor).st_size
            if size > _LARGEST_BYTES:
                raise _corrupt(path, f"it has {size} bytes")
            return os.read(descriptor, size)  # never changed in place; a buffer for the largest would cost more
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(str(path)) from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR):  # somebody put something else where our file was
            what = "a symbolic link" if error.errno == errno.ELOOP else "a directory"
            raise _corrupt(path, f"it is {what}") from None
        raise wrapped(error, "read", path) from error


def _corrupt(path: Path, why: str) -> CorruptDocument:
    return CorruptDocument(
        f"{path} is damaged: {why}",
        hint="the other objects are not affected; set the file aside or restore it",
    )
